"""The shipped unit, as the systemd of each Debian judges it, and the sandbox around the process that it starts."""

import re
from collections.abc import Callable

from tests.packaging.test_unit_file import EXPOSURE
from tests.packaging.test_unit_file import UNIT as SHIPPED

from .box import Box
from .desk import UNIT, Desk


def test_systemd_accepts_every_line(box: Box) -> None:
    box.put(UNIT, SHIPPED.read_text())
    verdict = box.run("systemd-analyze", "verify", "--man=no", UNIT, check=False)

    assert (verdict.returncode, verdict.stdout + verdict.stderr) == (0, "")


def test_the_service_is_exposed_no_more_than_it_was(box: Box, record_property: Callable[[str, object], None]) -> None:
    asked = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", UNIT]
    box.put(UNIT, SHIPPED.read_text())
    verdict = box.run(*asked, check=False)

    assert verdict.returncode == 0, verdict.stdout
    score = re.search(r"crudsd\.service: ([\d.]+)", verdict.stdout)
    assert score is not None
    (systemd, *_) = box.run("systemctl", "--version").stdout.splitlines()
    record_property(f"exposure, {systemd}", score[1])


def test_the_service_has_no_privilege_and_can_get_none(desk: Desk) -> None:
    desk.start()

    pid = desk.box.main_pid("crudsd")
    status = dict(line.split(":\t") for line in desk.box.sh(f"cat /proc/{pid}/status").splitlines() if ":\t" in line)

    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    # Compared with systemd's own: the container itself filters calls too.
    own = desk.box.sh("sed -n 's/^Seccomp_filters:\\t//p' /proc/1/status")
    assert int(status["Seccomp_filters"]) > int(own)


def test_the_service_can_write_nowhere_but_into_its_state(desk: Desk) -> None:
    """Nowhere means: not even where every user may."""
    everywhere = ("/etc/open", "/run/open", "/srv/open", "/opt/open", "/var/lib/open", "/tmp", "/var/tmp", "/mnt/open")
    desk.box.run("install", "--directory", "--mode=1777", *everywhere)
    places = " ".join((*everywhere, "/var/lib/crudsd"))
    script = f"for place in {places}; do touch $place/by-crudsd 2>/dev/null && echo wrote $place; done; true"
    desk.drop_in("try", f"ExecStartPre=/bin/sh -c '{script}'\n")

    desk.start()

    wrote = {line.removeprefix("wrote ") for line in desk.messages().splitlines() if line.startswith("wrote ")}
    assert wrote == {"/tmp", "/var/tmp", "/var/lib/crudsd"}
    assert desk.box.sh("ls /tmp/by-crudsd /var/tmp/by-crudsd 2>/dev/null || true") == "", "they are its own"
