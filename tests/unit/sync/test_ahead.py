"""Pages that are waited for are read ahead, and nothing else is different for it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from daemon.errors import UnavailableError
from daemon.sync.events import PageDone
from daemon.sync.outcome import Ending
from tests.unit.sync import harness
from tests.unit.sync.harness import Bench, people


@pytest.fixture(params=["inline", "threads"])
def pool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "inline":
        yield
        return
    with ThreadPoolExecutor(3) as threads:
        monkeypatch.setattr(harness, "InlinePool", lambda: threads)
        yield


def bench_of(took_s: float) -> Bench:
    bench = Bench()
    bench.source.records = people(range(60))
    bench.source.took_s = took_s
    return bench


@pytest.mark.parametrize(("took_s", "ahead"), [(0.0, 0), (0.5, 2)])
def test_pages_are_read_ahead_where_they_are_waited_for(took_s: float, ahead: int) -> None:
    bench = bench_of(took_s)
    asked = []

    def note() -> bool:
        asked.append((sum(isinstance(one, PageDone) for one in bench.events), len(bench.source.asked)))
        return False

    bench.run(stopping=note)

    assert min(number for done, number in asked if done == 1) == 1 + ahead
    assert bench.source.asked == list(range(1, 10))
    assert bench.is_in_step()


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("page", range(1, 9))
def test_an_outage_comes_after_the_pages_before_it(page: int) -> None:
    bench = bench_of(0.5)
    bench.source.breaks_at, bench.source.error = page, UnavailableError("gone")

    result = bench.run()

    assert (result.ending, result.counts.seen) == (Ending.UNAVAILABLE, 7 * (page - 1))
    bench.source.breaks_at = None
    assert bench.run().ending is Ending.DONE
    assert bench.is_in_step()


@pytest.mark.usefixtures("pool")
def test_a_run_that_is_asked_to_stop_reads_no_further_than_what_is_on_its_way() -> None:
    bench = bench_of(0.5)

    result = bench.run(stopping=lambda: any(isinstance(one, PageDone) for one in bench.events))

    assert (result.ending, result.counts.seen) == (Ending.INTERRUPTED, 7)
    assert len(bench.source.asked) <= 3
