"""Many changes in one request, at real servers: Kinto, which answers each, and PocketBase, which does all or nothing.

The jobs are those of the how-to pages, with the batches of their last sections.
"""

import re
import textwrap
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from daemon.sync.outcome import Ending, Result
from tests.integration.harness import DOCS, Desk, wrote, yaml_of
from tests.servers.kinto import Kinto
from tests.servers.pocketbase import PocketBase
from tests.servers.rewriting_proxy import RewritingProxy, after, lost

pytestmark = pytest.mark.servers


def in_batches(page: str, replaced: Mapping[str, str]) -> str:
    """Return the job of a page with the requests of its second YAML block in place of its own."""
    text = (DOCS / page).read_text(encoding="utf-8")
    _, requests = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for old, new in replaced.items():
        requests = requests.replace(old, new)
    before, found, _ = yaml_of(page, replaced).partition("      create:\n")
    assert found
    return before + textwrap.indent(requests, " " * 6)


# ---- Kinto -------------------------------------------------------------------------------------------------------


def person(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"hr-{number}", "no": f"E{number}", "name": f"Zoë {number}", "address": {"city": "Ulm"}, **fields}


class KintoScene:
    def __init__(self, kinto: Kinto, proxy: RewritingProxy, folder: Path, name: str) -> None:
        self._kinto, self.proxy = kinto, proxy
        self._source, self._target = f"{name}_hr", f"{name}_crm"
        path = kinto.collection(self._target)
        replaced = {
            "username: sync": f"username: {kinto.user}",
            "https://hr.example.com/v1": kinto.url,
            "https://crm.example.com/v1": f"{proxy.url}/v1",
            "buckets/hr/collections/people/records": kinto.collection(self._source).strip("/"),
            "buckets/crm/collections/people/records": path.strip("/"),
        }
        spec = in_batches("how-to/kinto.md", replaced)
        self.desk = Desk(folder, spec, secrets={"KINTO_PASSWORD": kinto.password})

    def employ(self, *people: Mapping[str, Any]) -> None:
        self._kinto.put_many(self._source, people)

    def edit(self, key: str, **fields: Any) -> None:
        self._kinto.put_many(self._target, [{**self.held[key], **fields}])

    def run(self) -> Result:
        self.proxy.forget()
        return self.desk.run().result

    @property
    def held(self) -> dict[str, dict[str, Any]]:
        return {one["id"]: one for one in self._kinto.all(self._target)}

    def is_in_step(self) -> bool:
        source = {one["no"]: (one["name"], one["address"]["city"]) for one in self._kinto.all(self._source)}
        return source == {one["no"]: (one["name"], one["address"]["city"]) for one in self.held.values()}

    @property
    def writes(self) -> Counter[str]:
        """The methods of the requests that wrote; a batch is called so."""
        return Counter("batch" if one.path.endswith("/batch") else one.method for one in self.proxy.writes())


@pytest.mark.edge(32)
def test_kinto_takes_a_hundred_in_one_request_and_answers_each(kinto: Kinto, tmp_path: Path) -> None:
    with RewritingProxy(kinto.port) as proxy:
        scene = KintoScene(kinto, proxy, tmp_path, "many")
        scene.employ(*(person(number) for number in range(250)))
        first = scene.run()
        assert (first.ending, wrote(first.counts), scene.writes) == (Ending.DONE, (250, 0, 0), {"batch": 3})
        assert scene.is_in_step()
        assert (scene.run().counts.unchanged, scene.writes) == (250, {})

        # Somebody edits two that we are about to change, and makes one that we are about to create.
        scene.edit("E3", note="left-handed")
        scene.edit("E4", address={"city": "Ulm", "floor": 3})
        by_hand = threading.Lock()

        def faster() -> None:
            with by_hand:
                if "E250" not in scene.held:
                    kinto.put_many("many_crm", [{"id": "E250", "no": "E250", "name": "By hand", "address": {}}])

        proxy.next("/v1/batch", after(faster), times=4)
        scene.employ(*(person(number, name="Ada", address={"city": "Bonn"}) for number in range(120)))
        scene.employ(*(person(number) for number in range(250, 260)))
        for number in range(240, 250):
            kinto.delete("many_hr", f"hr-{number}")
        second = scene.run()

        assert (second.ending, second.counts.any_rejected) == (Ending.DONE, False)
        assert (wrote(second.counts), second.counts.adopted) == ((10, 120, 10), 1)
        assert scene.is_in_step()
        assert (scene.held["E3"]["note"], scene.held["E4"]["address"]) == ("left-handed", {"city": "Bonn", "floor": 3})
        assert scene.writes["batch"] == 4
        assert scene.writes["PATCH"] == 3
        assert (scene.run().counts.unchanged, scene.writes) == (250, {})


@pytest.mark.edge(23, 32)
def test_a_lost_answer_to_a_batch_at_kinto_doubles_nothing(kinto: Kinto, tmp_path: Path) -> None:
    with RewritingProxy(kinto.port) as proxy:
        scene = KintoScene(kinto, proxy, tmp_path, "lost_many")
        scene.employ(*(person(number) for number in range(20)))
        proxy.next("/v1/batch", lost, lost)

        scene.run()
        again = scene.run()

        assert (again.ending, again.counts.unchanged, scene.writes) == (Ending.DONE, 20, {})
        assert scene.is_in_step()
        assert len(scene.held) == 20


# ---- PocketBase --------------------------------------------------------------------------------------------------

FIELDS = ("no", "name", {"name": "email", "type": "email"})


def colleague(number: int, **fields: Any) -> dict[str, Any]:
    return {"no": f"E{number}", "name": f"Zoë {number}", "email": f"p{number}@example.test", **fields}


@pytest.mark.edge(32)
def test_pocketbase_does_all_or_nothing_and_the_bad_ones_stand_alone(pocketbase: PocketBase, tmp_path: Path) -> None:
    source = pocketbase.create_collection("many_hr", ["no", "name", "email"], superusers_only=True)
    target = pocketbase.create_collection("many_desk", FIELDS, unique=["no"], superusers_only=True)
    pocketbase.seed("many_hr", [colleague(number) for number in range(118)])
    pocketbase.seed("many_hr", [colleague(118, email="nobody"), colleague(119, email="at home")])
    with RewritingProxy(pocketbase.port) as proxy:
        replaced = {
            "https://hr.example.com/api": pocketbase.url,
            # One batch after the other, so that the first is the one with the record that is made meanwhile.
            "https://desk.example.com/api": f"{proxy.url}/api\n    quota: {{concurrency: 1}}",
            "collections/people/records": source.strip("/"),
            "collections/users/records": target.strip("/"),
        }
        token = pocketbase.superuser()
        spec = in_batches("how-to/pocketbase.md", replaced)
        desk = Desk(tmp_path, spec, secrets={"HR_TOKEN": token, "DESK_TOKEN": token})
        # A moment before the first batch, somebody makes one of its records.
        proxy.next("/api/batch", after(lambda: pocketbase.seed("many_desk", [colleague(7, name="By hand")])))

        first = desk.run().result

        assert (first.ending, wrote(first.counts), first.counts.adopted) == (Ending.REJECTED, (118, 0, 0), 1)
        assert sorted(desk.rejects()) == ["E118", "E119"]
        held = {one["no"]: one["name"] for one in pocketbase.all("many_desk")}
        assert held == {f"E{number}": f"Zoë {number}" for number in range(118)}
        batches = [one for one in proxy.writes() if one.path.endswith("/batch")]
        assert len(batches) <= 8

        by_key = {one["no"]: one["id"] for one in pocketbase.all("many_hr")}
        for number in range(40):
            pocketbase.change("many_hr", by_key[f"E{number}"], {"name": f"New {number}"})
        for number in (118, 119):
            pocketbase.change("many_hr", by_key[f"E{number}"], {"email": "back@example.test"})
        for number in range(100, 110):
            pocketbase.delete("many_hr", by_key[f"E{number}"])
        second = desk.run().result

        assert (second.ending, wrote(second.counts)) == (Ending.DONE, (2, 40, 10))
        assert len(pocketbase.all("many_desk")) == 110
        assert desk.run().result.counts.unchanged == 110
