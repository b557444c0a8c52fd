"""A key file is changed whole or not at all, and stays whose it is."""

import base64
import fcntl
import os
import stat
import threading
from pathlib import Path

import pytest

from daemon.errors import ConfigError, UsageError
from daemon.vault.key_file import add_key, guard_of, read_key_file, remove_key

ONE, TWO = (f"{name}:{base64.b64encode(name.encode() * 16).decode()}\n" for name in ("k1", "k2"))
TEXT = f"# of the east office\n\n{TWO}# the older one\n{ONE.strip()}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_new_key_comes_first_and_the_rest_stays_as_it_was(path: Path) -> None:
    name = add_key(path)

    assert read_key_file(path).names == (name, "k2", "k1")
    before, line, after = path.read_text().partition(next(one for one in path.read_text().splitlines() if name in one))
    assert line
    assert before + after.removeprefix("\n") == TEXT
    assert names_in(path.parent) == ["key"]


def test_a_key_is_taken_out_and_the_rest_stays_as_it_was(path: Path) -> None:
    remove_key(path, "k1")

    assert read_key_file(path).names == ("k2",)
    assert path.read_text() == TEXT.removesuffix(ONE.strip())
    assert names_in(path.parent) == ["key"]


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_the_mode_stays(path: Path, mode: int) -> None:
    path.chmod(mode)
    add_key(path)
    remove_key(path, "k1")
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_file_that_root_changes_for_another_user_stays_theirs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(path, -1, 12345)
    add_key(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (0, 12345)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("k2", "k2 is the key that seals, and stays; `crudsd key add`"), ("k3", "has no key k3; it holds k2, k1")],
)
def test_a_key_that_seals_or_is_not_there_is_not_taken_out(path: Path, name: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        remove_key(path, name)
    assert path.read_text() == TEXT


def test_the_only_key_is_not_taken_out(path: Path) -> None:
    path.write_text(ONE)
    with pytest.raises(UsageError, match="seals, and stays"):
        remove_key(path, "k1")


@pytest.mark.parametrize("spoil", ["chmod", "text", "link", "pipe", "missing", "folder"])
def test_a_file_that_is_not_guarded_or_no_key_file_is_not_changed(path: Path, spoil: str) -> None:
    if spoil == "chmod":
        path.chmod(0o644)
    elif spoil == "text":
        path.write_text("k1:hunter2")
    elif spoil == "folder":
        path.parent.chmod(0o777)
    else:
        path.rename(path.with_name("elsewhere"))
        if spoil == "link":
            path.symlink_to("elsewhere")
        elif spoil == "pipe":
            os.mkfifo(path, 0o600)
    before = names_in(path.parent)

    with pytest.raises(ConfigError, match=str(path)) as caught:
        add_key(path)

    assert "hunter2" not in str(caught.value)
    assert names_in(path.parent) == before
    path.parent.chmod(0o700)


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere/key: the key file cannot be written: No such file"):
        add_key(tmp_path / "nowhere" / "key")


def test_what_a_killed_change_left_aside_is_cleared_up(path: Path) -> None:
    others = ("key.0123abcd", ".key.0123abc", ".key.0123abcd.bak", ".other.0123abcd")
    for name in (".key.0123abcd", *others):
        path.with_name(name).write_text(ONE)

    add_key(path)

    assert names_in(path.parent) == sorted(("key", *others))


def test_two_at_once_do_not_undo_each_other(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another crudsd is changing the key file; try again"):
            add_key(path)
    finally:
        os.close(folder)
    assert path.read_text() == TEXT


def test_a_reader_never_sees_half_a_file(path: Path) -> None:
    over = threading.Event()
    seen: list[int] = []

    def look() -> None:
        while not over.is_set():
            seen.append(len(read_key_file(path).names))

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(20):
        add_key(path)
    over.set()
    reader.join()

    assert read_key_file(path).names[-2:] == ("k2", "k1")
    assert seen == sorted(seen)


def test_whose_a_file_is_can_be_told(path: Path) -> None:
    guard = guard_of(path)
    assert guard is not None
    assert (guard.user, guard.mode) == (os.geteuid(), 0o600)
    assert guard_of(path.with_name("gone")) is None
