"""A source in parts: each is read to its own end, and the whole is proven only if each of them is."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from daemon.endpoints.memory import MemorySource
from daemon.errors import UnavailableError
from daemon.sync.certificate import End
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Ending
from daemon.sync.parts import NOTHING, Part
from daemon.sync.ports import Page
from tests.unit.sync.harness import Bench, job, people


class PartedSource:
    """A memory source for each part, which is told by its scope."""

    def __init__(self, **parts: MemorySource) -> None:
        self.parts = parts
        self.total: int | None = None

    def list(self) -> Iterator[Part | End]:
        yield from (Part(name, {"part": name}) for name in self.parts)
        yield End("no next page", 1, len(self.parts), self.total)

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any] = NOTHING) -> Iterator[Page | End]:
        return self.parts[scope["part"]].read(resume)


def bench_of(**parts: MemorySource) -> tuple[Bench, PartedSource]:
    bench, source = Bench(job(guards={"deletes": "100%"})), PartedSource(**parts)
    bench.source, bench.parts = source, source  # type: ignore[assignment]  # another source of the same port
    return bench, source


def three(**changes: Any) -> dict[str, MemorySource]:
    return {
        name: MemorySource(people(range(at, at + 6)), page_size=2, **changes)
        for name, at in (("a", 0), ("b", 10), ("c", 20))
    }


def test_all_parts_are_one_read_with_one_certificate() -> None:
    bench, _ = bench_of(**three(resumes=True))

    result = bench.run()

    assert (result.ending, result.counts.created) == (Ending.DONE, 18)
    assert str(result.certificate) == "complete: 18 records on 9 pages, ended by the end of each of 3 parts"


def test_what_is_gone_from_a_part_is_deleted_once_every_part_is_proven() -> None:
    bench, source = bench_of(**three(resumes=True))
    bench.run()

    del source.parts["b"].records[2]
    result = bench.run()

    assert (result.counts.deleted, result.counts.unchanged) == (1, 17)


@pytest.mark.parametrize("broken", ["a part", "the list of parts"])
def test_one_part_without_proof_withholds_every_delete(broken: str) -> None:
    bench, source = bench_of(**three(resumes=True))
    bench.run()

    del source.parts["a"].records[2]
    if broken == "a part":
        source.parts["c"].total = 7
    else:
        source.total = 4
    result = bench.run(allowance=Allowance(deletes=9))

    said = "c: the API counts 7 records" if broken == "a part" else "the list of parts: the API counts 4 records"
    assert said in str(result.certificate)
    assert (result.ending, result.counts.deleted, result.counts.deletes_withheld) == (Ending.HELD, 0, 1)


@pytest.mark.parametrize("page", [1, 3])
def test_a_read_that_was_cut_off_goes_on_in_its_part_and_is_one_read_all_the_same(page: int) -> None:
    bench, source = bench_of(**three(resumes=True))
    source.parts["b"].breaks_at, source.parts["b"].error = page, UnavailableError("down")
    assert bench.run(slice_pages=1).ending is Ending.UNAVAILABLE

    source.parts["b"].breaks_at = None
    asked = {name: len(part.asked) for name, part in source.parts.items()}
    result = bench.run(slice_pages=1)

    assert len(source.parts["a"].asked) == asked["a"]
    assert source.parts["b"].asked[asked["b"] :] == list(range(page, 4))
    assert (result.ending, result.counts.seen, result.counts.created) == (Ending.DONE, 18, 18)
    assert str(result.certificate) == "complete: 18 records on 9 pages, ended by the end of each of 3 parts"


def test_a_read_begins_anew_where_other_parts_come_before_the_mark() -> None:
    bench, source = bench_of(**three(resumes=True))
    source.parts["b"].breaks_at, source.parts["b"].error = 3, UnavailableError("down")
    bench.run(slice_pages=1)

    source.parts["b"].breaks_at = None
    source.parts = {"new": MemorySource(people([99])), **source.parts}
    result = bench.run(slice_pages=1)

    assert (result.counts.created, result.counts.unchanged) == (9, 10)
    assert result.certificate.issued


def test_the_doubts_of_many_parts_are_told_in_few_words() -> None:
    bench, _ = bench_of(**{f"p{number}": MemorySource(people([number]), total=9) for number in range(13)})

    result = bench.run()

    assert len(result.certificate.doubts) == 11
    assert result.certificate.doubts[-1] == "and 3 more parts are not complete"
