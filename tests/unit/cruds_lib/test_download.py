"""Downloads: a file under a name that can do no harm, whole or not at all."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path, PosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cruds import Client, Response
from cruds.download import Saving, disposition_name, file_name, safe_name
from cruds.exception import AnswerLostError, DeadlineError, HTTPStatusError, RedirectError, ResponseTooLargeError
from tests.fakes.scripted import Reply, ScriptedServer

PDF = b"%PDF-1.7\n" + bytes(range(256)) * 2_000


def files(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def named(header: str, body: bytes = PDF) -> Reply:
    return Reply(200, {"Content-Type": "application/pdf", "Content-Disposition": header}, body)


def test_a_download_is_a_file_under_the_servers_name(server: ScriptedServer, client: Client, tmp_path: Path) -> None:
    server.script(named('attachment; filename="invoice 7.pdf"'))
    saved = client.download("invoices/7/pdf", tmp_path, params={"draft": False})
    assert saved == tmp_path / "invoice 7.pdf"
    assert saved.read_bytes() == PDF
    assert files(tmp_path) == ["invoice 7.pdf"]
    seen = server.journal[0]
    assert (seen.method, seen.query, seen.headers["accept"]) == ("GET", [("draft", "false")], "*/*")


def test_a_download_goes_to_the_current_folder_if_none_is_named(
    server: ScriptedServer, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As programs call it today."""
    monkeypatch.chdir(tmp_path)
    server.script(named("attachment; filename=a.pdf"))
    assert client.download("x") == tmp_path / "a.pdf"


def test_the_name_is_the_servers_then_the_addresss_then_the_callers(
    server: ScriptedServer, client: Client, tmp_path: Path
) -> None:
    """The order that programs count on today."""
    server.script(
        named("attachment; filename=theirs.pdf"),
        Reply(302, {"Location": "/files/moved%20here.pdf?sig=1"}),
        Reply(200, {}, PDF),
        Reply(200, {}, PDF),
    )
    assert client.download("a.pdf", tmp_path, "ours.pdf").name == "theirs.pdf"
    assert client.download("a.pdf", tmp_path, "ours.pdf").name == "moved here.pdf"
    assert client.download("folder/", tmp_path, "ours.pdf").name == "ours.pdf"


def test_a_download_without_any_name_says_what_to_do(server: ScriptedServer, client: Client, tmp_path: Path) -> None:
    server.script(Reply(200, {}, PDF))
    with pytest.raises(ValueError, match="say filename"):
        client.download("folder/", tmp_path)
    assert files(tmp_path) == []


def test_the_caller_may_say_the_whole_path(server: ScriptedServer, client: Client, tmp_path: Path) -> None:
    server.script(named("attachment; filename=theirs.pdf"))
    assert client.download("x", file=tmp_path / "exactly.this") == tmp_path / "exactly.this"
    assert files(tmp_path) == ["exactly.this"]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment; filename=plain.txt", "plain.txt"),
        ('ATTACHMENT ; FileName = "with space.txt"', "with space.txt"),
        ('attachment; filename="a\\"b\\\\c.txt"', 'a"b\\c.txt'),
        ('attachment; filename="semi;colon.txt"; size=3', "semi;colon.txt"),
        ("attachment; filename*=UTF-8''%e2%82%ac%20rates.txt", "€ rates.txt"),
        ("attachment; filename*=utf-8'en'na%C3%AFve.txt; filename=naive.txt", "naïve.txt"),
        ("attachment; filename=\"old.txt\"; filename*=iso-8859-1''%A3.txt", "£.txt"),
        ("attachment; filename=old.txt; filename*=UTF-8''%ff%fe", "old.txt"),
        ("attachment; filename=old.txt; filename*=koi8-r''%C1", "old.txt"),
        ("attachment; filename=old.txt; filename*=nonsense", "old.txt"),
        ("attachment; filename=first.txt; filename=second.txt", "first.txt"),
        ('attachment; filename="' + "naïve.txt".encode().decode("latin-1") + '"', "naïve.txt"),
        ('attachment; filename="na\xefve.txt"', "naïve.txt"),
        ("inline; filename=", ""),
        ("attachment", None),
        ("", None),
        ("inline; name=x", None),
    ],
)
def test_the_proposed_name_is_read_as_rfc_6266_says(header: str, name: str | None) -> None:
    assert disposition_name(header) == name


@pytest.mark.parametrize(
    ("proposed", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\Windows\\evil.exe", "evil.exe"),
        ("..", ""),
        ("...", ""),
        ("../", ""),
        (".bashrc", "bashrc"),
        (" . .profile ", "profile"),
        ("a\x00b\r\n.txt", "ab.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("", ""),
        ("größe.txt", "größe.txt"),
    ],
)
def test_a_proposed_name_is_made_harmless(proposed: str, name: str) -> None:
    """K30, for files: no other folder, nothing hidden, nothing that reads as something else."""
    assert safe_name(proposed) == name


@given(st.text())
def test_no_text_leads_out_of_the_folder_or_into_hiding(text: str) -> None:
    name = safe_name(text)
    assert "/" not in name
    assert "\\" not in name
    assert not name.startswith((".", " "))
    assert name.isprintable()
    assert len(name.encode()) <= 255
    assert safe_name(name) == name


@given(st.text())
def test_no_header_breaks_the_reader(header: str) -> None:
    assert file_name({"content-disposition": f"attachment; filename{header}"}, "https://h.example/last", None)


def test_a_long_name_is_cut_and_keeps_its_suffix() -> None:
    name = safe_name("ä" * 300 + ".xlsx")
    assert len(name.encode()) <= 255
    assert name.endswith("ä.xlsx")
    assert len(safe_name("x." + "y" * 300)) == 255


@pytest.mark.parametrize(
    "header",
    [
        'attachment; filename="../../up.txt"',
        "attachment; filename*=UTF-8''%2e%2e%2fup.txt",
        "attachment; filename*=UTF-8''..%5Cup.txt",
    ],
)
def test_a_server_cannot_write_outside_the_folder(
    server: ScriptedServer, client: Client, tmp_path: Path, header: str
) -> None:
    """K30, for files."""
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    server.script(named(header))
    assert client.download("x", folder) == folder / "up.txt"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [folder / "up.txt"]


def test_a_file_that_is_there_is_not_replaced_unless_asked(
    server: ScriptedServer, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "a.pdf").write_text("precious")
    server.route("/api/x", named("attachment; filename=a.pdf"))
    with pytest.raises(FileExistsError, match="overwrite=True"):
        client.download("x", tmp_path)
    assert (tmp_path / "a.pdf").read_text() == "precious"
    assert client.download("x", tmp_path, overwrite=True).read_bytes() == PDF
    assert files(tmp_path) == ["a.pdf"]


def test_a_file_that_appears_meanwhile_is_not_replaced_either(tmp_path: Path) -> None:
    """The last step takes the name only if it is free."""
    target = tmp_path / "a.pdf"
    saving = Saving(tmp_path, fallback=None, file=target, overwrite=False)

    class Meanwhile:
        def __iter__(self) -> Iterator[bytes]:
            yield PDF
            target.write_text("precious")

    with pytest.raises(FileExistsError):
        saving(Response(200, {}, b"", "https://h.example/x", "GET"), Meanwhile())
    assert target.read_text() == "precious"
    assert files(tmp_path) == ["a.pdf"]


class WithoutLinks(PosixPath):
    """A path on a file system that has no hard links."""

    def hardlink_to(self, target: object) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")


def test_a_file_system_without_hard_links_will_do(tmp_path: Path) -> None:
    """FAT and some network shares: the same promises."""
    target = WithoutLinks(tmp_path / "a.pdf")
    answer = Response(200, {}, b"", "https://h.example/x", "GET")
    for expected in (nullcontext(), pytest.raises(FileExistsError)):
        with expected:
            Saving(tmp_path, fallback=None, file=target, overwrite=False)(answer, [PDF])
    assert target.read_bytes() == PDF
    assert files(tmp_path) == ["a.pdf"]


def test_a_link_is_replaced_and_not_followed(server: ScriptedServer, client: Client, tmp_path: Path) -> None:
    """Who may make links in the folder does not choose what is written over."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.pdf").symlink_to(precious)
    (folder / "b.pdf").symlink_to(tmp_path / "nowhere")
    server.script(named("attachment; filename=a.pdf"), named("attachment; filename=b.pdf"))
    assert client.download("x", folder, overwrite=True).read_bytes() == PDF
    with pytest.raises(FileExistsError):
        client.download("x", folder)
    assert precious.read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("how", ["folder", "file"])
def test_a_folder_that_is_not_there_is_an_error(
    server: ScriptedServer, client: Client, tmp_path: Path, how: str
) -> None:
    if how == "folder":
        with pytest.raises(NotADirectoryError, match="nowhere"):
            client.download("x", tmp_path / "nowhere")
        assert server.journal == []
    else:
        server.script(named("attachment; filename=a.pdf"))
        with pytest.raises(FileNotFoundError):
            client.download("x", file=tmp_path / "nowhere" / "a.pdf")


def test_a_download_that_breaks_off_is_asked_for_again(server: ScriptedServer, client: Client, tmp_path: Path) -> None:
    """K02: a GET is harmless to repeat, and the file begins anew."""
    server.script(
        Reply(200, {"Content-Disposition": "attachment; filename=a.pdf"}, PDF, cut=100_000),
        named("attachment; filename=a.pdf"),
    )
    assert client.download("x", tmp_path).read_bytes() == PDF
    assert len(server.journal) == 2
    assert files(tmp_path) == ["a.pdf"]


def test_a_download_that_fails_leaves_nothing_behind(
    server: ScriptedServer, client_of: Callable[..., Client], tmp_path: Path
) -> None:
    """K07, K24: neither half a file nor the one it was written to."""
    client = client_of(server, retries=0)
    server.script(
        Reply(200, {}, PDF, cut=100_000),
        Reply(200, {}, PDF),
        Reply(200, {}, PDF, drip=True),
        Reply(200, {"Content-Encoding": "gzip"}, b"no gzip"),
    )
    with pytest.raises(AnswerLostError):
        client.download("a.pdf", tmp_path)
    with pytest.raises(ResponseTooLargeError):
        client.download("a.pdf", tmp_path, max_bytes=100_000)
    with pytest.raises(DeadlineError):
        client.download("a.pdf", tmp_path, timeout=0.6)
    with pytest.raises(Exception, match="does not decode"):
        client.download("a.pdf", tmp_path)
    assert files(tmp_path) == []


def test_an_error_page_is_never_the_file(
    server: ScriptedServer, client_of: Callable[..., Client], tmp_path: Path
) -> None:
    """K05: whatever the client does with statuses."""
    client = client_of(server, raise_status=False)
    client.status_ignore = {404, 304}
    server.script(Reply(404, {"Content-Disposition": "attachment; filename=a.pdf"}, b"<html>"), Reply(304))
    for status in (404, 304):
        with pytest.raises(HTTPStatusError) as caught:
            client.download("x", tmp_path)
        assert caught.value.status == status
    assert files(tmp_path) == []


def test_a_redirect_that_is_not_followed_is_never_the_file(
    server: ScriptedServer, client_of: Callable[..., Client], tmp_path: Path
) -> None:
    """K15, K29."""
    server.script(Reply(302, {"Location": "mailto:a@b.c"}, b"<html>"))
    with pytest.raises(RedirectError):
        client_of(server, raise_status=False).download("a.pdf", tmp_path)
    assert files(tmp_path) == []


def test_an_empty_answer_is_an_empty_file(server: ScriptedServer, client: Client, tmp_path: Path) -> None:
    server.script(named("attachment; filename=empty.csv", b""))
    assert client.download("x", tmp_path).read_bytes() == b""


def test_a_downloaded_file_has_the_rights_of_any_new_file(
    server: ScriptedServer, client: Client, tmp_path: Path
) -> None:
    """The umask decides, as for a file written in one go."""
    other = tmp_path / "other"
    other.touch()
    server.script(named("attachment; filename=a.pdf"))
    saved = client.download("x", tmp_path)
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_a_connection_is_used_again_after_a_download(server: ScriptedServer, client: Client, tmp_path: Path) -> None:
    server.script(named("attachment; filename=a.pdf"), Reply(204))
    client.download("x", tmp_path, headers={"Accept": "application/pdf"})
    client.read("x")
    assert {seen.connection for seen in server.journal} == {1}
    assert server.journal[0].headers["accept"] == "application/pdf"
