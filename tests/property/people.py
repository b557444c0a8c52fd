"""The people who use both systems of the model: what they do there, and what they rely on afterwards."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.property.mishaps import Edit
from tests.property.model import Desk, Feed, Shape
from tests.unit.sync.harness import person

FIELDS = ("no", "name", "email")

BETWEEN = (
    *("join", "join", "leave", "leave", "edit", "edit", "touch", "twin", "nobody"),
    *("note", "foreign", "claim", "drop", "spoil", "rekey"),
)
"""What people do between two runs."""

DURING = ("join", "leave", "edit", "touch", "touch", "twin", "nobody", "note", "foreign", "claim", "drop", "spoil")
"""What they do during one. To change a key on both sides takes them more than a moment."""


Keys = Callable[[], frozenset[str]]


class People:
    """What they do in both systems, and what they rely on afterwards."""

    def __init__(self, shape: Shape, feed: Feed, desk: Desk, *, linked: Keys, under_way: Keys) -> None:
        self._shape, self._feed, self._desk = shape, feed, desk
        self._linked, self._under_way = linked, under_way
        self.is_running = False
        self.notes: dict[str, str] = {}
        """Target ids and what somebody wrote into a field that the job does not map."""
        self.foreign: dict[str, dict[str, Any]] = {}
        """The records that are not the job's business, as they must stay."""
        self.unlike_before: set[str] = set()
        """Keys whose record was dropped at the target; only a value that was never there shows it to a job that
        compares with its links, so these get no other."""
        self.left: set[str] = set()
        """Keys that left once. Where the target cannot be seen, nobody can tell whether a delete without an answer was
        made, and who comes back after it is a case for a person."""
        self.retired: set[str] = set()
        """Keys that were changed to others on both sides. Given to somebody else before the next run, such a key would
        still lead to the record that had it: no run can tell the two people apart, so it is given to nobody."""
        self._others = 0

    def do(self, edit: Edit) -> None:
        getattr(self, f"_{edit.what}")(f"E{edit.number}", edit)

    def begin(self, staff: frozenset[int], there_before: frozenset[int]) -> None:
        """Some people are in the source, some in the target before the first run; and somebody else's record."""
        for number in sorted(staff):
            self.do(Edit("join", number, "a"))
        for number in sorted(there_before):
            self.do(Edit("claim", number, "a" if number % 2 else "b"))
        self.do(Edit("foreign", 0, "a"))

    def _new(self) -> int:
        self._others += 1
        return self._others

    def _record(self, key: str, value: str) -> dict[str, Any]:
        if key in self.unlike_before:
            value = f"new {self._new()}"
        return person(int(key[1:]), name=f"{key} {value}")

    def _join(self, key: str, edit: Edit) -> None:
        may = self._shape.sees or key not in self.left
        if may and key not in self._feed.keys() | self.retired:
            self._feed.put(self._record(key, edit.value))

    def _edit(self, key: str, edit: Edit) -> None:
        for row in self._feed.of(key)[:1]:
            self._feed.put(self._record(key, edit.value), place=row.place)

    def _touch(self, key: str, edit: Edit) -> None:
        """An edit that moves the record to the end, as in a list by last change."""
        if self._feed.of(key):
            self._feed.move(key, self._record(key, edit.value))

    def _leave(self, key: str, edit: Edit) -> None:
        del edit
        self.left.add(key)
        self._feed.take({row.place for row in self._feed.of(key)})

    def _twin(self, key: str, edit: Edit) -> None:
        if self._feed.of(key):
            self._feed.put(person(edit.number, name=f"{key} twin"))

    def _nobody(self, key: str, edit: Edit) -> None:
        self._feed.put({"name": f"Nobody {key} {edit.value}"})

    def _note(self, key: str, edit: Edit) -> None:
        target_id = self._desk.id_of(key)
        # A PUT of what was read a moment ago takes the note back with it, where no version guards it.
        if target_id is not None and not (self.is_running and self._shape.replaces):
            self._set(target_id, note=edit.value)
            self.notes[target_id] = edit.value

    def _foreign(self, key: str, edit: Edit) -> None:
        del key, edit
        name = f"f{self._new()}"
        self.foreign[name] = self._desk.records[name] = {"no": name.upper()}

    def _claim(self, key: str, edit: Edit) -> None:
        """Somebody makes a record of ours by hand, unless one is there or may be under way."""
        taken = self._linked() | self._under_way() | self.retired
        if self._shape.sees and self._desk.id_of(key) is None and key not in taken:
            self._desk.records[f"c{self._new()}"] = {"no": key, "name": f"{key} {edit.value}"}

    def _drop(self, key: str, edit: Edit) -> None:
        target_id = self._desk.id_of(key)
        if target_id is None or not (self._shape.looks_up or self._shape.compare == "target"):
            return
        del self._desk.records[target_id]
        self.notes.pop(target_id, None)
        if self._shape.compare == "links":
            self.unlike_before.add(key)
            self._edit(key, edit)

    def _spoil(self, key: str, edit: Edit) -> None:
        del edit
        target_id = self._desk.id_of(key)
        if target_id is not None and self._shape.compare == "target":
            # Never the same twice: who sets the same value back before each run is let have it (test_convergence).
            self._set(target_id, name=f"spoilt {self._new()}")

    def _rekey(self, key: str, edit: Edit) -> None:
        """Somebody gives a person another key on both sides; where the target is not seen, nobody could tell."""
        target_id, other = self._desk.id_of(key), f"E{(edit.number + 1) % 6}"
        if not self._shape.sees or target_id is None or len(self._feed.of(key)) != 1 or self._desk.id_of(other):
            return
        if {key, other} & self._under_way() or other in self._feed.keys() | self.retired | self._linked():
            return
        self.retired.add(key)
        self._feed.take({row.place for row in self._feed.of(key)})
        self._feed.put(self._record(other, edit.value))
        self._set(target_id, no=other)
        if target_id in self._desk.made:
            self._desk.made[target_id] = other

    def _set(self, target_id: str, **fields: str) -> None:
        self._desk.records[target_id] = {**self._desk.records[target_id], **fields}

    def tidy(self) -> None:
        """Somebody clears up the source: the first of two records with one key is the right one."""
        first = {row.record["no"]: row.place for row in reversed(self._feed.rows) if "no" in row.record}
        self._feed.take({row.place for row in self._feed.rows} - set(first.values()))

    # ---- what must be true ----

    def assert_safe(self) -> None:
        records = self._desk.records
        held = Counter(record["no"] for record in records.values())
        assert self._desk.wrongs == [], self._desk.wrongs
        assert [key for key, number in held.items() if number > 1] == [], records
        assert {one: records.get(one) for one in self.foreign} == self.foreign, records
        notes = {one: record["note"] for one, record in records.items() if "note" in record}
        assert notes == {one: note for one, note in self.notes.items() if one in records}, records

    def assert_in_step(self) -> None:
        """The target holds each record of the source as it should be, and of others only what somebody else made."""
        wanted = {row.record["no"]: as_mapped(row.record) for row in self._feed.rows}
        held = {record["no"]: record for record in self._desk.records.values()}
        found = {key: {name: held.get(key, {}).get(name) for name in FIELDS} for key in wanted}
        assert found == wanted, (found, wanted)
        stale = {key for one, key in self._desk.made.items() if one in self._desk.records} - set(wanted)
        assert stale == set(), f"records of ours whose people have left: {stale}"


def as_mapped(record: dict[str, Any]) -> dict[str, str]:
    return {"no": record["no"], "name": record["name"], "email": record["email"].strip().lower()}
