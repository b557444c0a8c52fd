"""The how-to pages on logins are true: their files are used as they stand, their commands give what they say.

Only names and addresses are others: those of a certified server on this machine, where a person does as the page says.
"""

import logging
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from daemon.cli import main
from daemon.upkeep import generate_key
from tests.e2e.harness import Folder, ended
from tests.integration.harness import DOCS, yaml_of
from tests.integration.oauth.person import enter, log_in
from tests.servers.exchange import ask
from tests.servers.oidc import Oidc, pem
from tests.servers.rewriting_proxy import RewritingProxy, members

pytestmark = pytest.mark.servers

TRANSCRIPT = re.compile(r"^```\n(\$ crudsd .*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ crudsd (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
SAID = re.compile(r"(paste it here:|waits for you \(Ctrl-C ends it\)\.)$", re.MULTILINE)
"""The last line before the person acts."""
VARYING = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "MOMENT"),
    (r"\b\d+ (min|s)\b", r"N \1"),
    (r"[A-Z]{4}-[A-Z]{4}", "CODE"),
    (r" {2,}", "  "),
)
"""What is another thing each time, and blanks that set columns."""


@dataclass
class Page:
    """A page, and a folder in which it is followed."""

    name: str
    folder: Folder
    names: dict[str, str]
    """What the page calls things, and what they are here."""
    capture: pytest.CaptureFixture[str]

    def commands(self) -> list[tuple[str, str]]:
        """Each command that the page shows with what it prints."""
        text = (DOCS / self.name).read_text(encoding="utf-8")
        return [(one[0], one[1]) for block in TRANSCRIPT.findall(text) for one in COMMAND.findall(block)]

    def follow(self, person: Callable[[str], None] | None = None) -> None:
        """Carry out the next command of the page, with a person who acts on what it shows, and compare."""
        command, expected = self._left.pop(0)
        if person is None:
            self.ended.append(main(command.split()))
            found = "".join(self.capture.readouterr())
        else:
            found = self._talk(command, person)
        for theirs, ours in self.names.items():
            found = re.sub(rf"(client |client_id=|\b(?=http)){re.escape(ours)}\b", rf"\1{theirs}", found)
        assert re.search(rf"(^|\n){pattern_of(expected)}\Z", alike(found)), f"{command} says\n{found}"

    def _talk(self, command: str, person: Callable[[str], None]) -> str:
        with self.folder.started(*command.split(), stdin=subprocess.PIPE) as process:
            assert process.stdout is not None
            said = ""
            while not SAID.search(said):  # what comes with the line is lost to who reads on later
                line = process.stdout.readline()
                assert line, ended(process)
                said += line
            person(said)
            code, out, err = ended(process)
        self.ended.append(code)
        return said + out + err

    def __post_init__(self) -> None:
        self._left = self.commands()
        self.ended: list[int] = []
        config = yaml_of(self.name, self.names)
        (self.folder.path / "crudsd.yaml").write_text(config, encoding="utf-8")
        generate_key(self.folder.path / "crudsd.key")

    @property
    def is_over(self) -> bool:
        return not self._left


def alike(text: str) -> str:
    for varying, word in VARYING:
        text = re.sub(varying, word, text)
    return text


def pattern_of(expected: str) -> str:
    return ".*".join(map(re.escape, alike(expected).split("…")))


@pytest.fixture
def page(
    oidc: Oidc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Page]]:
    monkeypatch.chdir(tmp_path)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def made(name: str, client_id: str, *, login: str = oidc.issuer) -> Page:
        names = {"https://login.example.com": login, "desk-sync": client_id}
        return Page(f"how-to/{name}.md", Folder(tmp_path), names, capsys)

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield made
    root.handlers[:], root.level = handlers, level  # the commands of this process set up a log
    structlog.reset_defaults()


def test_client_credentials_work_as_the_page_says(page: Any, oidc: Oidc) -> None:
    followed = page("client-credentials", "cc-basic")
    secret = followed.folder.path / "hr-secret"
    secret.write_text(oidc.clients["cc-basic"].secret + "\n")

    followed.follow()
    secret.write_text("another")
    followed.follow()

    assert (followed.ended, followed.is_over) == ([0, 1], True)


def test_a_private_key_works_as_the_page_says(page: Any) -> None:
    followed = page("private-key", "cc-es256")
    (followed.folder.path / "hr-client.pem").write_text(pem("ES256"))

    followed.follow()

    assert (followed.ended, followed.is_over) == ([0], True)


def test_the_key_that_the_page_makes_can_sign(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl here")
    text = (DOCS / "how-to/private-key.md").read_text(encoding="utf-8")
    for command in re.findall(r"^ {4}(openssl .*)$", text, re.MULTILINE):
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True, timeout=30)
    from cruds.oauth2 import SigningKey

    SigningKey((tmp_path / "hr-client.pem").read_text())
    assert "PUBLIC KEY" in (tmp_path / "hr-client-public.pem").read_text()


def test_a_device_login_works_as_the_page_says(page: Any, oidc: Oidc) -> None:
    def person(said: str) -> None:
        shown = re.search(r"^  (http\S+)\n\nand enter the code  (\S+)$", said, re.MULTILINE)
        assert shown is not None, said
        enter(shown[1], shown[2])

    with RewritingProxy(oidc.port) as proxy:
        proxy.next("/device/auth", members(interval=1))
        followed = page("device-login", "device", login=proxy.url)
        followed.follow(person)
        followed.follow()
        followed.follow()

    assert (followed.ended, followed.is_over) == ([0, 0, 0], True)


def test_a_browser_login_works_as_the_page_says(page: Any) -> None:
    followed = page("browser-login", "native")

    followed.follow(come_back)
    followed.follow(lambda said: come_back(said, answer="deny"))
    followed.follow()
    followed.follow()

    assert (followed.ended, followed.is_over) == ([0, 1, 0, 0], True)


def come_back(said: str, **says: str) -> None:
    """Open the address that is shown, answer there, and let the browser end where it is sent."""
    address = re.search(r"^(http\S+/auth\?\S+)$", said, re.MULTILINE)
    assert address is not None, said
    ask("GET", log_in(address[1], **says)).expect(200)
