import base64
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from daemon.errors import ConfigError
from daemon.vault.key_file import read_key_file, write_key
from daemon.vault.key_source import find_key_source
from daemon.vault.keys import KeyRing, parse_key_ring

KEY = base64.b64encode(b"1" * 32).decode()
LINE = f"k1:{KEY}\n"


def key_file(path: Path, content: str = LINE, mode: int = 0o600) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


class TestReading:
    def test_the_first_key_seals_and_all_are_found(self) -> None:
        ring = parse_key_ring(f"# mine\n\n  k2:{base64.b64encode(b'2' * 32).decode()}  \n{LINE}", "here")
        assert ring.sealing == ("k2", b"2" * 32)
        assert ring.find("k1") == b"1" * 32
        assert ring.find("k3") is None

    def test_a_ring_shows_only_names(self) -> None:
        ring = parse_key_ring(LINE, "here")
        assert f"{ring} {ring!r} {ring.__class__}" == f"KeyRing(k1) KeyRing(k1) {KeyRing}"

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("", "holds no key"),
            ("# only a comment\n", "holds no key"),
            (KEY, r"line 1: is not `name:base64"),
            (f"bad name:{KEY}", r"line 1: is not `name:base64"),
            (f"{'k' * 33}:{KEY}", r"line 1: is not `name:base64"),
            ("k1:not base64!", "line 1: what follows `k1:` is not base64"),
            (f"k1:{KEY[:-4]}", "the key k1 has 30 bytes, 32 are needed"),
            (LINE + LINE, "line 2: the ring has a key k1 already"),
        ],
    )
    def test_a_bad_ring_is_refused_without_showing_it(self, text: str, complaint: str) -> None:
        with pytest.raises(ConfigError, match=complaint) as caught:
            parse_key_ring(text, "here")
        assert KEY[:12] not in str(caught.value)
        assert caught.value.__cause__ is None


class TestFiles:
    def test_a_guarded_file_is_read(self, tmp_path: Path) -> None:
        assert read_key_file(key_file(tmp_path / "key")).sealing[0] == "k1"

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
    def test_a_file_that_others_may_use_is_refused(self, tmp_path: Path, mode: int) -> None:
        with pytest.raises(ConfigError, match=rf"key: others may use .*mode {mode:04o}.*chmod 0600"):
            read_key_file(key_file(tmp_path / "key", mode=mode))

    def test_a_link_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(key_file(tmp_path / "key"))
        with pytest.raises(ConfigError, match="link: the key file is a symbolic link"):
            read_key_file(tmp_path / "link")

    def test_a_pipe_is_refused_and_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe", 0o600)
        with pytest.raises(ConfigError, match="not a regular file"):
            read_key_file(tmp_path / "pipe")

    def test_a_directory_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="not a regular file"):
            read_key_file(tmp_path)

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="gone: the key file cannot be read: No such file"):
            read_key_file(tmp_path / "gone")

    @pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"# " + b"x" * 70_000])
    def test_another_file_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "key"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(ConfigError, match="crudsd key generate"):
            read_key_file(path)

    def test_a_file_that_anybody_may_replace_is_refused(self, tmp_path: Path) -> None:
        path = key_file(tmp_path / "key")
        tmp_path.chmod(0o777)
        with pytest.raises(ConfigError, match="anybody may replace"):
            read_key_file(path)
        tmp_path.chmod(0o1777)
        assert read_key_file(path).sealing[0] == "k1"

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
    def test_another_users_file_is_refused(self, tmp_path: Path) -> None:
        path = key_file(tmp_path / "key")
        os.chown(path, 12345, 12345)
        with pytest.raises(ConfigError, match="belongs to another user"):
            read_key_file(path)


def find_key_ring(
    environment: Mapping[str, str], credentials: Path | None, key_file: Path | None
) -> tuple[KeyRing | None, tuple[str, ...]]:
    """The ring at the place that counts, and what is warned about it."""
    source = find_key_source(environment, credentials, key_file)
    return (None, ()) if source is None else (source.read(), source.warnings)


class TestFinding:
    @pytest.fixture
    def credentials(self, tmp_path: Path) -> Path:
        folder = tmp_path / "credentials"
        folder.mkdir()
        return folder

    def test_no_key_is_no_error(self, credentials: Path, tmp_path: Path) -> None:
        assert find_key_ring({}, credentials, tmp_path / "crudsd.key") == (None, ())
        assert find_key_ring({"CRUDSD_KEY": "", "CRUDSD_KEY_FILE": ""}, None, None) == (None, ())

    def test_the_sources_come_in_order(self, credentials: Path, tmp_path: Path) -> None:
        environment = {"CRUDSD_KEY": f"value:{KEY}"}
        found = [find_key_ring(environment, credentials, tmp_path / "crudsd.key")]
        environment["CRUDSD_KEY_FILE"] = str(key_file(tmp_path / "named", f"named:{KEY}"))
        found.append(find_key_ring(environment, credentials, tmp_path / "crudsd.key"))
        key_file(tmp_path / "crudsd.key", f"usual:{KEY}")
        found.append(find_key_ring(environment, credentials, tmp_path / "crudsd.key"))
        key_file(credentials / "crudsd-key", f"credential:{KEY}", mode=0o440)
        found.append(find_key_ring(environment, credentials, tmp_path / "crudsd.key"))
        assert [ring.sealing[0] for ring, _ in found if ring] == ["value", "named", "usual", "credential"]

    def test_only_the_environment_is_warned_about(self, tmp_path: Path) -> None:
        _, warnings = find_key_ring({"CRUDSD_KEY": LINE}, None, None)
        assert len(warnings) == 1
        assert "CRUDSD_KEY" in warnings[0]
        assert KEY not in warnings[0]
        assert find_key_ring({}, None, key_file(tmp_path / "key"))[1] == ()

    def test_a_key_that_must_not_be_used_is_not_passed_over(self, tmp_path: Path) -> None:
        open_to_all = key_file(tmp_path / "crudsd.key", mode=0o644)
        with pytest.raises(ConfigError):
            find_key_ring({"CRUDSD_KEY": LINE}, None, open_to_all)
        with pytest.raises(ConfigError, match="gone"):
            find_key_ring({"CRUDSD_KEY": LINE, "CRUDSD_KEY_FILE": str(tmp_path / "gone")}, None, None)

    def test_a_link_to_nowhere_is_not_passed_over(self, tmp_path: Path) -> None:
        (tmp_path / "crudsd.key").symlink_to(tmp_path / "gone")
        with pytest.raises(ConfigError, match="symbolic link"):
            find_key_ring({}, None, tmp_path / "crudsd.key")


class TestWriting:
    def test_a_new_key_can_be_read_by_its_owner_only(self, tmp_path: Path) -> None:
        old = os.umask(0)
        try:
            name = write_key(tmp_path / "key")
        finally:
            os.umask(old)
        assert read_key_file(tmp_path / "key").sealing[0] == name
        assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
        assert [path.name for path in tmp_path.iterdir()] == ["key"]

    def test_no_two_are_alike(self, tmp_path: Path) -> None:
        names = {write_key(tmp_path / name) for name in ("a", "b")}
        assert len(names) == 2
        assert (tmp_path / "a").read_text() != (tmp_path / "b").read_text()

    def test_a_file_that_is_there_is_never_overwritten(self, tmp_path: Path) -> None:
        key_file(tmp_path / "key")
        (tmp_path / "link").symlink_to(tmp_path / "gone")
        for name in ("key", "link"):
            with pytest.raises(ConfigError, match="is there already"):
                write_key(tmp_path / name)
        assert (tmp_path / "key").read_text() == LINE
        assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "link"]

    def test_a_missing_directory_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="nowhere/key: the key cannot be written: No such file"):
            write_key(tmp_path / "nowhere" / "key")
