"""crudsd as a service of a real systemd: started, killed, stopped, misconfigured, and met by commands by hand."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from daemon.demo.config import JOB
from daemon.errors import Exit

from .desk import CHECKOUT, CREDENTIALS, WITHIN_S, Desk


def test_a_started_service_is_ready_and_keeps_both_systems_in_step(desk: Desk) -> None:
    desk.start()

    assert desk.shows("ActiveState") == "active"
    assert desk.shows("StatusText").startswith("1 job; ")
    desk.wait_until_in_step()
    desk.change()
    desk.wait_until_in_step()
    desk.assert_nothing_was_doubled_or_lost()
    assert desk.box.sh("stat --format='%U %a' /var/lib/crudsd /var/lib/crudsd/state.db") == "crudsd 700\ncrudsd 600\n"


def test_what_went_wrong_stands_out_in_the_journal(desk: Desk) -> None:
    """Each line has the priority of its level, and the prefix that says so to journald is not in its text."""
    desk.box.sh("echo wrong > /etc/crudsd/secrets/helpdesk-token")
    desk.start()
    desk.box.until(lambda: "error" in {event["level"] for event in desk.events()}, what="a run fails")

    priorities = {event["level"]: event["priority"] for event in desk.events()}

    assert priorities.items() <= {"info": 6, "warning": 4, "error": 3}.items()


class TestSecrets:
    def test_credentials_are_read_and_stand_in_no_environment_command_line_or_journal(self, desk: Desk) -> None:
        desk.start()
        desk.wait_until_in_step()  # so both secrets were read and used

        pid = desk.box.main_pid("crudsd")
        open_to_others = desk.box.sh(f"cat /proc/{pid}/environ /proc/{pid}/cmdline") + desk.messages()
        key = desk.box.sh("grep -v '^#' /etc/crudsd/key").strip()
        for secret in (key, *(desk.box.run("cat", f"{CHECKOUT}/secrets/{name}").stdout for name in CREDENTIALS)):
            assert len(secret) > 20
            assert secret not in open_to_others
        assert "CREDENTIALS_DIRECTORY=/run/credentials/crudsd.service" in open_to_others

    def test_another_user_reads_neither_credentials_nor_state(self, desk: Desk) -> None:
        desk.start()

        for path in ("/run/credentials/crudsd.service/crudsd-key", "/etc/crudsd/key", "/var/lib/crudsd/state.db"):
            tried = desk.box.run(
                "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", path, check=False
            )
            assert "Permission denied" in tried.stderr


class TestEnds:
    def test_a_killed_service_comes_back_at_once_and_finishes_its_run(self, desk: Desk) -> None:
        desk.late(10)
        desk.start()
        desk.wait_for_a_run_in_its_middle()

        desk.box.run("systemctl", "kill", "--signal=KILL", "crudsd")
        desk.box.until(lambda: desk.shows("NRestarts") == "1", what="systemd starts it again", within_s=WITHIN_S)
        desk.late(0)
        desk.wait_until_in_step()

        assert desk.shows("NRestarts") == "1", "it met its own lease, and ended until that ran out"
        assert (desk.runs("ending = 'interrupted'"), desk.runs("trigger = 'resume'")) == (1, 1)
        desk.assert_nothing_was_doubled_or_lost()

    def test_a_service_that_stands_still_is_ended_by_the_watchdog_and_comes_back(self, desk: Desk) -> None:
        desk.box.put("/etc/systemd/system/crudsd.service.d/quick.conf", "[Service]\nWatchdogSec=4s\nRestartSec=1s\n")
        desk.box.sh("systemctl daemon-reload")
        desk.start()
        desk.wait_until_in_step()
        desk.box.sh("sleep 8")
        assert desk.shows("NRestarts") == "0", "it pets in time while it runs"

        desk.box.sh(f"kill -STOP {desk.box.main_pid('crudsd')}")
        desk.box.until(lambda: desk.shows("NRestarts") == "1", what="a restart")
        desk.box.until(lambda: desk.shows("ActiveState") == "active", what="the service")

        desk.change()
        desk.wait_until_in_step()
        desk.assert_nothing_was_doubled_or_lost()

    def test_a_reload_takes_up_what_changed_refuses_what_is_no_good_and_keeps_the_process(self, desk: Desk) -> None:
        desk.start()
        desk.wait_until_in_step()
        pid = desk.box.main_pid("crudsd")

        desk.edit_config("mode: mirror", "mode: mirrow")
        desk.box.run("systemctl", "reload", "crudsd")
        desk.box.until(lambda: "is refused" in desk.shows("StatusText"), what="a refusal")
        desk.edit_config("mode: mirrow", "mode: mirror")
        desk.box.run("systemctl", "reload", "crudsd")
        desk.box.until(lambda: "service.reloaded" in {event["event"] for event in desk.events()}, what="a reload")

        desk.change()
        desk.wait_until_in_step()
        assert (desk.box.main_pid("crudsd"), desk.shows("NRestarts")) == (pid, "0")
        desk.assert_nothing_was_doubled_or_lost()

    def test_a_service_that_is_stopped_in_mid_run_commits_what_is_in_hand_and_goes(self, desk: Desk) -> None:
        desk.late(10)
        desk.start()
        desk.wait_for_a_run_in_its_middle()

        desk.box.run("systemctl", "stop", "crudsd")

        assert (desk.shows("Result"), desk.shows("ExecMainStatus")) == ("success", "0")
        assert "service.stopped" in {event["event"] for event in desk.events()}
        assert desk.runs("phase <> 'over'") == 0
        assert desk.asked("select count(*) from changes where fate = 'sent'") == "0"
        desk.late(0)
        desk.start()
        desk.wait_until_in_step()
        desk.assert_nothing_was_doubled_or_lost()


class TestWhatMustChangeFirst:
    """systemd does not try again, the journal says why, and once it is mended the next start succeeds."""

    def test_a_mistake_in_the_configuration(self, desk: Desk) -> None:
        desk.edit_config("mode: mirror", "mode: miror")

        self.refused(desk, status=Exit.CONFIG, why="/etc/crudsd/crudsd.yaml:20:11")
        desk.edit_config("mode: miror", "mode: mirror")
        desk.start()

    def test_a_secret_that_is_not_in_the_folder(self, desk: Desk) -> None:
        desk.box.sh("mv /etc/crudsd/secrets/helpdesk-token /srv")

        self.refused(desk, status=Exit.CONFIG, why="write it into /etc/crudsd/secrets/helpdesk-token")
        errors = desk.box.run("journalctl", "--unit=crudsd", "--priority=err", "--output=cat").stdout
        assert "the configuration is not usable" in errors, "it stands out"
        desk.box.sh("mv /srv/helpdesk-token /etc/crudsd/secrets")
        desk.start()

    def test_a_key_that_is_another(self, desk: Desk) -> None:
        desk.start()
        desk.box.run("systemctl", "stop", "crudsd")
        desk.box.sh("mv /etc/crudsd/key /etc/crudsd/key.old; /opt/crudsd/bin/crudsd key generate /etc/crudsd/key")

        self.refused(desk, status=Exit.CONFIG, why="key")
        desk.box.sh("mv /etc/crudsd/key.old /etc/crudsd/key")
        desk.start()

    def test_a_key_that_is_not_there(self, desk: Desk) -> None:
        desk.box.run("mv", "/etc/crudsd/key", "/etc/crudsd/key.old")

        self.refused(desk, status=243, why="credentials")
        desk.box.run("mv", "/etc/crudsd/key.old", "/etc/crudsd/key")
        desk.start()

    def test_a_command_line_that_is_wrong(self, desk: Desk) -> None:
        desk.drop_in("wrong", "ExecStart=\nExecStart=/opt/crudsd/bin/crudsd serve --confg x\n")

        self.refused(desk, status=Exit.USAGE, why="--confg")

    @pytest.mark.parametrize(("revision", "why", "cured"), [("0001", "behind", True), ("9999", "ahead", False)])
    def test_a_schema_of_another_version(self, desk: Desk, revision: str, why: str, cured: bool) -> None:
        desk.make_schema(revision)

        self.refused(desk, status=Exit.CONFIG, why=why)
        upgraded = desk.as_service("db", "upgrade")
        assert (upgraded.returncode == Exit.DONE) is cured, upgraded.stderr
        if cured:
            desk.start()
            desk.wait_until_in_step()

    def refused(self, desk: Desk, *, status: int, why: str) -> None:
        """Start it; it must stay failed, with this status, and the journal must hold the reason."""
        started = desk.box.run("systemctl", "start", "crudsd", check=False)

        assert started.returncode
        assert (desk.shows("ActiveState"), desk.shows("SubState")) == ("failed", "failed"), "it is tried again"
        assert (desk.shows("ExecMainStatus"), desk.shows("NRestarts")) == (str(int(status)), "0")
        assert why in desk.messages()


class TestByHand:
    def test_a_run_by_hand_of_a_job_that_the_service_runs_is_refused_by_name(self, desk: Desk) -> None:
        desk.late(100)
        desk.start()
        desk.wait_for_a_run_in_its_middle()

        tried = desk.as_service("run", JOB)

        assert tried.returncode == Exit.LOCKED, tried.stderr
        assert f"held by box, process {desk.box.main_pid('crudsd')}," in tried.stderr

    def test_a_second_service_on_the_same_state_is_refused_by_name(self, desk: Desk) -> None:
        desk.start()

        tried = desk.as_service("serve")

        assert tried.returncode == Exit.LOCKED, tried.stderr
        assert f"held by box, process {desk.box.main_pid('crudsd')}," in tried.stderr

    def test_a_run_by_hand_is_left_alone_though_the_sandbox_hides_its_process(self, desk: Desk) -> None:
        desk.late(200)
        with ThreadPoolExecutor(1) as pool:
            by_hand = pool.submit(desk.as_service, "run", JOB)
            desk.wait_for_a_run_in_its_middle()
            desk.start()
            desk.box.until(lambda: desk.runs("ending = 'skipped'") > 0, what="the service meets the run")
            desk.late(0)
            ended = by_hand.result()

        assert ended.returncode == Exit.DONE, ended.stderr
        assert desk.runs("ending = 'interrupted'") == 0
        desk.wait_until_in_step()
        desk.assert_nothing_was_doubled_or_lost()
