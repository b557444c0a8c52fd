"""The law of an explanation: what it says the next run would do with a record is what the next run then does."""

from copy import deepcopy
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from daemon.spec import Mode
from daemon.sync.change import Change, Kind
from daemon.sync.forecast import Forecast, Verb
from tests.fakes.rehearsing import forecast_of
from tests.property.test_sync import EDITS, EVERYTHING, STORIES, Desk, Edit, Shape, Story, Trouble, World, beginning

KEYS = (*(f"E{number}" for number in range(6)), "X1")
WRITES = {Verb.CREATE: Kind.CREATE, Verb.UPDATE: Kind.UPDATE, Verb.DELETE: Kind.DELETE, Verb.WITHHOLD: Kind.DELETE}


JOBS = st.fixed_dictionaries(
    {
        "mode": st.sampled_from([Mode.MIRROR, Mode.MIRROR, Mode.MIRROR, *Mode]),
        "where": st.sampled_from([None, None, "record.name != 'E1 a'", "record.email and record.name != 'E2 b'"]),
    }
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STORIES, JOBS, st.lists(EDITS, max_size=6), st.booleans())
def test_what_is_foretold_of_every_record_is_what_the_next_run_does(
    story: Story, job: dict[str, Any], last: list[Edit], is_tidied: bool
) -> None:
    world = beginning(story, NotingWorld)
    assert isinstance(world.target, NotingDesk)
    world.job = world.job.model_copy(update=job)
    for step in story.steps:
        for edit in step.edits:
            world.happens(edit)
        world.source.page_size = step.page_size
        world.run(step.trouble, writes=not step.is_plan, slice_changes=step.slice_changes, window=step.window)
    for edit in last:
        world.happens(edit)
    # A run that takes up another one's read does not look again at what was met before; an explanation says so.
    world.state.mark = None
    if is_tidied:
        world.tidy()
    world.target.begin(Trouble(), world.employed(), is_certain=world.is_tidy())
    world.source.breaks_at = None
    before, records, writes = deepcopy(world.state), deepcopy(world.target.records), list(world.target.writes)

    told = {key: forecast_of(world.job, world.source, world.target, world.state, key) for key in KEYS}

    assert (world.state, world.target.records, world.target.writes) == (before, records, writes)
    rejects = dict(world.state.rejects)
    world.target.arrived.clear()
    world.run(Trouble(), allowance=EVERYTHING)
    rejected = {key for key, one in world.state.rejects.items() if one is not rejects.get(key)}
    for key, (foretold, found) in told.items():
        event(foretold.verb)
        if found.is_met and found.times < times(world, key):
            continue  # a second record stands on a later page, and no run has met it yet
        if foretold.change is not None and has_another_key(records, key, foretold.change):
            continue  # a new record of the source takes it over; an explanation says that its key is another one
        it_came_true(world, key, foretold, is_rejected=key in rejected)


def it_came_true(world: World, key: str, forecast: Forecast, *, is_rejected: bool) -> None:
    assert isinstance(world.target, NotingDesk)
    asked = [change for change in world.target.arrived if change.key == key]
    told = forecast.change
    assert forecast.verb is not Verb.UNKNOWN, forecast
    if told is not None:
        # What follows may depend on the answer, so the law is about the first request. A guard's word on deletes is
        # waived in this run, so that it can be seen what would be withheld.
        assert [essence(change) for change in asked[:1]] == [essence(told)], forecast
        assert forecast.verb is Verb.RESOLVE or told.kind is WRITES[forecast.verb]
        return
    assert asked == [], forecast
    assert is_rejected == (forecast.verb is Verb.REJECT), forecast
    if forecast.verb is Verb.ADOPT:
        assert not world.state.links[key].owned


class NotingDesk(Desk):
    """Notes what it is asked to write."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.arrived: list[Change] = []

    def _arrive(self, change: Change) -> None:
        self.arrived.append(change)
        super()._arrive(change)


class NotingWorld(World):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.target = NotingDesk(self.shape)


def essence(change: Change) -> tuple[object, ...]:
    return change.kind, change.target_id, change.version, change.document, change.before, change.fields, change.owned


def has_another_key(records: dict[str, Any], key: str, change: Change) -> bool:
    """Say whether somebody gave the target's record another key."""
    return change.kind is Kind.DELETE and records.get(change.target_id or "", {}).get("no", key) != key


def times(world: World, key: str) -> int:
    return sum(record.get("no") == key for record in world.source.records)
