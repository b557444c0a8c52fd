"""What systemd hears, and what it may say."""

import signal
import socket
import threading
import uuid
from pathlib import Path

import pytest

from daemon.runtime.notify import Notifier
from daemon.runtime.signals import stop_on_signals


@pytest.mark.parametrize("is_abstract", [False, True])
def test_state_lines_arrive_as_one_datagram(tmp_path: Path, is_abstract: bool) -> None:
    name = f"crudsd-test-{uuid.uuid4()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(20)
        systemd.bind("\0" + name if is_abstract else name)

        Notifier({"NOTIFY_SOCKET": "@" + name if is_abstract else name}).send("READY=1", "STATUS=2 jobs scheduled")

        assert systemd.recv(4096) == b"READY=1\nSTATUS=2 jobs scheduled"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_a_message_that_reaches_nobody_harms_nobody(environment: dict[str, str]) -> None:
    Notifier(environment).send("READY=1")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_for_the_end(number: signal.Signals) -> None:
    stop = threading.Event()

    with stop_on_signals(stop):
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.wait(20)


def test_a_signal_in_the_middle_of_the_events_own_work_does_not_wait_for_itself() -> None:
    stop = threading.Event()

    with stop_on_signals(stop):
        with stop._cond:  # type: ignore[attr-defined]  # where wait() and set() are for some instructions
            signal.raise_signal(signal.SIGTERM)
        assert stop.wait(20)


def test_the_handlers_from_before_come_back_and_no_thread_stays() -> None:
    before = (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
    threads = threading.active_count()

    with stop_on_signals(threading.Event()):
        assert signal.getsignal(signal.SIGTERM) is not before[0]

    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert threading.active_count() == threads
