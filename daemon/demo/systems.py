"""Both demo systems as servers, with a control endpoint for whoever wants to shake them from outside.

    python -m daemon.demo.systems --dir ./soak --control-port 9000

`POST /demo/outage?on=true|false` empties the source's lists or restores them; `POST /demo/change?n=40` changes the
staff; `POST /demo/forget-tokens` takes the tokens back; `GET /demo/compare` counts the differences, `GET /demo/writes`
what the help desk was asked to do, and how many of its deletes were wrong.
"""

import argparse
import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from daemon.values import Json

from .compare import Access, compare
from .config import write_folder
from .helpdesk import Helpdesk
from .hr import Hr, Turnover
from .http import BadRequestError, Reply, Request, Server


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the servers listen; 0 takes a free port."""

    hr: int = 0
    helpdesk: int = 0
    control: int = 0


@dataclass(frozen=True, slots=True)
class Systems:
    """Both systems while they serve."""

    hr: Hr
    helpdesk: Helpdesk
    hr_server: Server
    helpdesk_server: Server
    control: Server

    @property
    def access(self) -> Access:
        """Where they are, and the credentials for them."""
        return Access(
            hr_url=self.hr_server.url,
            client_id=self.hr.client_id,
            client_secret=self.hr.client_secret,
            helpdesk_url=self.helpdesk_server.url,
            helpdesk_token=self.helpdesk.token,
        )


@contextmanager
def serving(hr: Hr, helpdesk: Helpdesk, ports: Ports = Ports()) -> Iterator[Systems]:
    """Serve both systems and their control endpoint within the block."""
    hr_server = Server(hr.answer, port=ports.hr)
    with hr_server, Server(helpdesk.answer, port=ports.helpdesk) as helpdesk_server:
        control = Control(hr, helpdesk, helpdesk_server)
        with Server(control.answer, port=ports.control) as control_server:
            yield Systems(hr, helpdesk, hr_server, helpdesk_server, control_server)


def churn(hr: Hr, number: int) -> Turnover:
    """Change about so many employees: half are edited, a quarter leaves, and as many join."""
    moves = number // 4
    return hr.turn_over(edits=number - 2 * moves, leavers=moves, joiners=moves)


class Control:
    """The control endpoint: no part of either system, and without credentials."""

    def __init__(self, hr: Hr, helpdesk: Helpdesk, helpdesk_server: Server) -> None:
        self._hr = hr
        self._helpdesk = helpdesk
        self._journal = helpdesk_server.journal

    def answer(self, request: Request) -> Reply:
        """Answer one request."""
        match request.method, request.path:
            case "POST", "/demo/outage":
                return self._outage(request.query.get("on", "true"))
            case "POST", "/demo/change":
                return Reply(200, asdict(churn(self._hr, request.number("n", 40))))
            case "POST", "/demo/forget-tokens":
                self._hr.forget_tokens()
                return Reply(200, {"forgotten": True})
            case "GET", "/demo/compare":
                return Reply(200, compare(self._hr.active(), self._helpdesk.users()).counts())
            case "GET", "/demo/writes":
                return Reply(200, self._writes())
        return Reply(404, {"error": "see the help of `python -m daemon.demo.systems`"})

    def _outage(self, on: str) -> Reply:
        if on not in {"true", "false"}:
            raise BadRequestError("on is true or false")
        self._hr.outage(on == "true")
        return Reply(200, {"outage": on == "true"})

    def _writes(self) -> dict[str, Json]:
        """Return what was asked of the help desk.

        A delete is wrong when its employee is active: nobody is hired twice.
        """
        active = {person["employee_no"] for person in self._hr.active()}
        return {
            "requests": self._journal.count(),
            "writes": self._journal.writes,
            "created": self._helpdesk.created,
            "updates": self._journal.count(method="PATCH"),
            "deleted": len(self._helpdesk.deleted),
            "wrongly_deleted": sum(key in active for key in self._helpdesk.deleted),
            "refused_doubles": self._journal.count(method="POST", status=409),
            "replayed": self._helpdesk.replayed,
            "lost_answers": self._helpdesk.lost_answers,
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; the first line on stdout is JSON and says where."""
    parser = argparse.ArgumentParser(prog="python -m daemon.demo.systems", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--dir", type=Path, help="write crudsd.yaml, its secrets and its key into this new folder")
    parser.add_argument("--employees", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--calm", action="store_true", help="no 429, no 503, no lost answers")
    for name in ("hr", "helpdesk", "control"):
        parser.add_argument(f"--{name}-port", type=int, default=0, help="default: a free one")
    given = parser.parse_args(arguments)
    hr = Hr(employees=given.employees, seed=given.seed, fault_every=None if given.calm else 7)
    helpdesk = Helpdesk(lose_every=None if given.calm else 300)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with serving(hr, helpdesk, Ports(given.hr_port, given.helpdesk_port, given.control_port)) as systems:
        places = {"hr": systems.hr_server.url, "helpdesk": systems.helpdesk_server.url, "control": systems.control.url}
        if given.dir is not None:
            places["config"] = str(write_folder(given.dir, systems.access))
        sys.stdout.write(json.dumps(places) + "\n")
        sys.stdout.flush()
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
