"""From the configuration to what may run at once."""

from pathlib import Path
from typing import Any

import pytest

from daemon.runtime.capacity import capacity_of
from daemon.runtime.work import Capacity
from daemon.spec import Spec, SpecError, load


def spec(service: dict[str, Any] | None = None, **quotas: dict[str, Any]) -> Spec:
    job = {"source": {"connection": "hr", "read": "x"}, "key": "record.no", "target": {"connection": "desk"}}
    return Spec.model_validate(
        {
            "version": 1,
            **({} if service is None else {"service": service}),
            "connections": {name: {"host": "h.example", "quota": quota} for name, quota in quotas.items()},
            "jobs": {"people": {"mode": "append", **job, "target": {"connection": "desk", "create": "x"}}},
        }
    )


def test_without_a_word_one_system_gets_half_of_the_workers_at_most() -> None:
    found = capacity_of(spec(hr={}, desk={"concurrency": 256}, careful={"concurrency": 2}))

    assert (found.workers, found.drain_s) == (8, 60)
    assert found.runs == {"hr": 4, "desk": 4, "careful": 2}
    assert found.connections == {"people": frozenset({"hr", "desk"})}


def test_what_the_file_says_counts() -> None:
    found = capacity_of(spec({"workers": 3, "drain": "5m"}, hr={"runs": 7, "concurrency": 1}, desk={}))

    assert (found.workers, found.drain_s, found.runs) == (3, 300, {"hr": 7, "desk": 1})


def test_a_system_that_is_not_limited_may_have_all_workers() -> None:
    assert Capacity(workers=5).most("hr") == 5


def test_the_service_is_bounded_in_the_main_file_only(tmp_path: Path) -> None:
    (tmp_path / "crudsd.yaml").write_text("version: 1\n")
    (tmp_path / "jobs.d").mkdir()
    (tmp_path / "jobs.d" / "more.yaml").write_text("service: {workers: 2}\n")

    with pytest.raises(SpecError, match="belongs in the main file"):
        load(tmp_path)
