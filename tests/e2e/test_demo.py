"""`crudsd demo` as a reader meets it: a process of its own, whose every statement has to hold."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.demo import story
from daemon.demo.helpdesk import Helpdesk
from daemon.demo.http import Reply, Request
from daemon.errors import Exit


def demo(*options: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "daemon", "demo", *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def test_the_demo_tells_a_story_that_holds_whatever_the_reader_has_set(tmp_path: Path) -> None:
    nobody = dict.fromkeys(("HTTP_PROXY", "http_proxy"), "http://127.0.0.1:9")
    settings = {**nobody, "NO_PROXY": "", "no_proxy": "", "STATE_DIRECTORY": "/nonexistent"}
    told = demo("--dir", str(tmp_path / "demo"), environment=settings)
    assert told.returncode == Exit.DONE, told.stdout + told.stderr
    text = told.stdout
    assert "✓ 1,000 users were created for 1,000 employees" in text
    assert re.search(r"✓ [1-9]\d* answers got lost on the way, [1-9]\d* creates were repeated .* 0 doubles", text)
    assert "✓ the help desk was asked for 4 creates, 8 updates, 5 deletes" in text
    second = text.partition("5. A second run writes nothing")[2]
    assert "✓ the help desk was asked for 0 writes" in second.partition("6. ")[0]
    assert "✓ the guard refused: 999 deletes withheld, exit code 5" in text
    assert "✓ 999 employees, 999 equal users, 0 differences" in text
    assert "The two systems are equal." in text
    assert "✗" not in re.sub(r"(?m)^   │.*", "", text), "only a command's own output may hold a cross: the guard's"
    assert (tmp_path / "demo/crudsd.db").is_file()


class ForgetfulHelpdesk(Helpdesk):
    """Says that it has updated a user, and has not."""

    def answer(self, request: Request) -> Reply:
        return Reply(200, {"user": {}}) if request.method == "PATCH" else super().answer(request)


def test_a_story_that_does_not_hold_says_where_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "Helpdesk", ForgetfulHelpdesk)
    lines: list[str] = []
    assert story.tell(folder=None, out=lines.append) is Exit.ERROR
    assert "✗ The demo failed: 1 of its statements did not hold:" in lines
    assert "8 different" in lines[-1]
    assert "The two systems are equal." not in "".join(lines)
