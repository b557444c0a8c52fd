"""The demo's two systems, inside a box: on fixed ports, since nobody else is there. Put there and run by desk.py.

    python systems.py FOLDER

The folder gets a crudsd.yaml with its secrets. Beside the demo's own control requests there is `POST /demo/late?ms=50`:
from now on each write is carried out at once and answered so much later, so that a run can be met in its middle.
"""

import os
import sys
import threading
from pathlib import Path

from daemon.demo.compare import Access
from daemon.demo.config import write_folder
from daemon.demo.helpdesk import Helpdesk
from daemon.demo.hr import Hr
from daemon.demo.http import Reply, Request, Server
from daemon.demo.systems import Control
from daemon.runtime.notify import Notifier

EMPLOYEES = 300
HR, HELPDESK, CONTROL = 8001, 8002, 8003


class LateHelpdesk(Helpdesk):
    """Carries a write out at once and answers it later, until it is told otherwise."""

    def __init__(self) -> None:
        super().__init__(lose_every=40)
        self.late_s = 0.0
        self._never = threading.Event()

    def answer(self, request: Request) -> Reply:
        reply = super().answer(request)
        if self.late_s and request.method != "GET":
            self._never.wait(self.late_s)
        return reply


class LateControl(Control):
    """Takes one request more than the demo's."""

    def __init__(self, hr: Hr, helpdesk: LateHelpdesk, server: Server) -> None:
        super().__init__(hr, helpdesk, server)
        self._late = helpdesk

    def answer(self, request: Request) -> Reply:
        if (request.method, request.path) == ("POST", "/demo/late"):
            self._late.late_s = int(request.query["ms"]) / 1000
            return Reply(200, {"ms": self._late.late_s * 1000})
        return super().answer(request)


def main(folder: Path) -> None:
    hr, helpdesk = Hr(employees=EMPLOYEES, fault_every=None), LateHelpdesk()
    with Server(hr.answer, port=HR) as first, Server(helpdesk.answer, port=HELPDESK) as second:
        control = LateControl(hr, helpdesk, second)
        access = Access(
            hr_url=first.url,
            client_id=hr.client_id,
            client_secret=hr.client_secret,
            helpdesk_url=second.url,
            helpdesk_token=helpdesk.token,
        )
        write_folder(folder, access)
        with Server(control.answer, port=CONTROL):
            Notifier(os.environ).send("READY=1")
            threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
