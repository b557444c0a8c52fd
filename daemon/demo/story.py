"""The story of `crudsd demo`: every sentence is computed from what happened, and what it claims is checked.

The commands are what a user would type, and what stands below them is what they print.
"""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from daemon import app
from daemon.errors import Exit
from daemon.report import text
from daemon.report.noticed import Noticed
from daemon.runtime.worker import Finished
from daemon.settings import Settings
from daemon.sync.outcome import EXITS, Ending

from .afterwards import go_on, try_next
from .compare import compare_over_http
from .config import JOB, job_file, write_folder
from .directly import without_proxy
from .helpdesk import OWN_USERS, Helpdesk
from .hr import TOKEN_LIFE_S, Hr, Turnover
from .systems import Systems, serving

EDITS, LEAVERS, JOINERS = 8, 5, 4
"""Few enough for the plan to be shown whole."""


def tell(
    *,
    folder: Path | None,
    out: Callable[[str], None],
    keep_serving: bool = False,
    stop: threading.Event | None = None,
) -> Exit:
    """Tell the story, a line at a time, and return DONE if everything it claims held, else ERROR.

    `folder` is new or empty and is kept; None takes a temporary one that is removed. `keep_serving` goes on with the
    two systems, a little changed every few seconds, until Ctrl-C or `stop`. Raises what the commands in it raise.
    """
    with without_proxy(), _folder(folder) as place, serving(Hr(), Helpdesk()) as systems:
        write_folder(place, systems.access)
        story = _Story(systems, place, out)
        story.tell()
        if not story.ends_well():
            return Exit.ERROR
        if keep_serving:
            go_on(systems, place, out, stop or threading.Event())
        else:
            try_next(folder, out)
    return Exit.DONE


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="crudsd-demo-") as temporary:
        yield Path(temporary)


@dataclass(frozen=True, slots=True)
class _Asked:
    """How often the systems had been asked for what, at one moment."""

    creates: int
    updates: int
    deletes: int
    writes: int


class _Story:
    """One telling."""

    def __init__(self, systems: Systems, folder: Path, out: Callable[[str], None]) -> None:
        self._systems = systems
        self._out = out
        self._settings = Settings(config=folder / "crudsd.yaml", environment={})
        """Without the environment, so that nothing outside the folder has a say."""
        self._chapter = 0
        self._began = time.monotonic()
        self._is_spaced = False
        self._broken: list[str] = []

    def tell(self) -> None:
        """Tell the chapters in their order."""
        self._two_systems()
        self._one_file()
        self._first_run()
        self._the_source_changes()
        self._second_run()
        self._an_outage()
        self._the_comparison()

    def ends_well(self) -> bool:
        """Say whether everything held, and what did not."""
        self._out("")
        if self._broken:
            self._out(f"✗ The demo failed: {len(self._broken)} of its statements did not hold:")
            for claim in self._broken:
                self._out(f"  ✗ {claim}")
            return False
        took_s = time.monotonic() - self._began
        self._out(f"✓ Everything above was measured at the two systems, and all of it held ({took_s:.1f} s).")
        return True

    # ---- the chapters ----

    def _two_systems(self) -> None:
        self._begin("Two real HTTP systems on this machine")
        systems = self._systems
        self._say(f"HR system: {systems.hr_server.url}/api, {len(systems.hr.active()):,} employees")
        self._say(f"  OAuth2 tokens that live {TOKEN_LIFE_S} seconds; pages by cursor; now and then a 429 or a 503")
        self._say(f"Help desk: {systems.helpdesk_server.url}/v1, {len(systems.helpdesk.users())} users of its own")
        self._say("  a bearer token; numbered pages; now and then an answer that never arrives")

    def _one_file(self) -> None:
        self._begin("One file says what shall be")
        self._type("cat crudsd.yaml")
        for line in job_file(self._systems.access).splitlines():
            self._print(line)

    def _first_run(self) -> None:
        self._begin("The first run creates everybody")
        employees = len(self._systems.hr.active())
        asked, _ = self._run()
        desk, hr = self._systems.helpdesk, self._systems.hr
        self._check(f"{desk.created:,} users were created for {employees:,} employees", desk.created == employees)
        self._check(
            f"{desk.lost_answers} answers got lost on the way, {desk.replayed} creates were repeated with their "
            f"idempotency key: {asked.creates:,} requests, {self._doubles()} doubles",
            desk.replayed >= desk.lost_answers and self._doubles() == 0,
        )
        self._check(f"refusals with 429 or 503 by the HR system, each asked again: {hr.faults}", hr.faults > 0)

    def _the_source_changes(self) -> None:
        self._begin("The source changes")
        hr = self._systems.hr
        change = hr.turn_over(edits=EDITS, leavers=LEAVERS, joiners=JOINERS)
        self._say(f"At the HR system: {change}. Its tokens are void, as if a minute had passed.")
        hr.forget_tokens()
        self._plan(change)
        asked, _ = self._run()
        expected = _Asked(JOINERS, EDITS, LEAVERS, JOINERS + EDITS + LEAVERS)
        self._check(
            f"the help desk was asked for {asked.creates} creates, {asked.updates} updates, {asked.deletes} deletes",
            asked == expected,
        )
        needed = 2 + int((time.monotonic() - self._began) // TOKEN_LIFE_S)
        self._check(
            f"the HR system gave {hr.tokens_issued} access tokens for three commands: one is kept until it is void",
            2 <= hr.tokens_issued <= needed,
        )

    def _second_run(self) -> None:
        self._begin("A second run writes nothing")
        asked, _ = self._run()
        self._check(f"the help desk was asked for {asked.writes} writes", asked.writes == 0)

    def _an_outage(self) -> None:
        self._begin("An outage: the HR system answers 200, and its list is empty")
        desk = self._systems.helpdesk
        users = len(desk.users())
        self._systems.hr.outage(True)
        asked, finished = self._run()
        self._systems.hr.outage(False)
        held = finished.result.counts.deletes_withheld
        self._check(
            f"the guard refused: {held:,} deletes withheld, exit code {EXITS[finished.result.ending]:d}",
            finished.result.ending is Ending.HELD and held == users - len(OWN_USERS),
        )
        self._check(
            f"the help desk was asked for {asked.writes} writes and holds {len(desk.users()):,} users, as before",
            asked.writes == 0 and len(desk.users()) == users,
        )
        self._say("The outage ends.")
        asked, finished = self._run()
        self._check(
            f"the run after it ends {finished.result.ending}, with {asked.writes} writes",
            finished.result.ending is Ending.DONE and asked.writes == 0,
        )

    def _the_comparison(self) -> None:
        self._begin("Both systems, compared record by record over HTTP")
        found = compare_over_http(self._systems.access)
        self._check(
            f"{found.employees:,} employees, {found.equal:,} equal users, {found.differences} differences "
            f"({len(found.missing)} missing, {len(found.different)} different, {len(found.surplus)} too many, "
            f"{len(found.doubled)} doubled)",
            found.differences == 0 and found.equal == found.employees > 0,
        )
        own = tuple(found.own)
        self._check(f"the help desk's own {len(own)} users are untouched: {', '.join(own)}", own == OWN_USERS)
        if found.differences == 0:
            self._say("The two systems are equal.")

    # ---- commands ----

    def _run(self) -> tuple[_Asked, Finished]:
        """Do what `crudsd run` does; returns what the help desk was asked meanwhile, and the run's end."""
        self._type(f"crudsd run {JOB}")
        before, noticed = self._asked(), Noticed()
        with app.open_app(self._settings) as opened:
            finished = opened.run(JOB, observe=noticed)
        for line in text.finish(finished, noticed.causes):
            self._print(line)
        after = self._asked()
        asked = _Asked(
            creates=after.creates - before.creates,
            updates=after.updates - before.updates,
            deletes=after.deletes - before.deletes,
            writes=after.writes - before.writes,
        )
        return asked, finished

    def _plan(self, change: Turnover) -> None:
        self._type(f"crudsd plan {JOB}")
        before, noticed = self._asked(), Noticed()
        with app.open_app(self._settings) as opened, opened.plan(JOB, observe=noticed) as planned:
            for line in text.plan(planned, noticed.causes):
                self._print(line)
            total = sum(planned.tally.values())
        made = len(change.left) + len(change.edited) + len(change.joined)
        self._check(f"{made} changes were made, {total} are planned", total == made)
        self._check("the plan wrote nothing", self._asked() == before)

    def _asked(self) -> _Asked:
        journal = self._systems.helpdesk_server.journal
        return _Asked(
            creates=journal.count(method="POST"),
            updates=journal.count(method="PATCH"),
            deletes=journal.count(method="DELETE"),
            writes=journal.writes,
        )

    def _doubles(self) -> int:
        known = [user["external_id"] for user in self._systems.helpdesk.users() if "external_id" in user]
        return len(known) - len(set(known))

    # ---- telling ----

    def _begin(self, title: str) -> None:
        self._chapter += 1
        self._out("")
        self._out(f"{self._chapter}. {title}")
        self._is_spaced = False

    def _say(self, sentence: str) -> None:
        self._space()
        self._out(f"   {sentence}")

    def _type(self, command: str) -> None:
        self._is_spaced = False
        self._space()
        self._out(f"   $ {command}")

    def _print(self, line: str) -> None:
        self._out(f"   │ {line}".rstrip())

    def _space(self) -> None:
        """Leave one blank line below a heading and above a command."""
        if not self._is_spaced:
            self._out("")
        self._is_spaced = True

    def _check(self, claim: str, holds: bool) -> None:  # noqa: FBT001 - what is claimed, and whether it is so
        self._say(f"{'✓' if holds else '✗'} {claim}")
        if not holds:
            self._broken.append(claim)
