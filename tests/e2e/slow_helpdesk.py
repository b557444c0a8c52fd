"""The demo's help desk, slow enough that a run can be caught in its middle."""

import time

from daemon.demo.helpdesk import Helpdesk
from daemon.demo.http import Reply, Request


class SlowHelpdesk(Helpdesk):
    """Carries a write out at once and answers it a little later."""

    late_s = 0.0

    def answer(self, request: Request) -> Reply:
        reply = super().answer(request)
        if self.late_s and request.method != "GET":
            time.sleep(self.late_s)
        return reply
