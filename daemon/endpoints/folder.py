"""A folder of files: on this machine, where a write is durable when it is done, or wherever fsspec leads.

A file is never changed in place: the new one is written aside, synced, and renamed over the old one, so that a reader,
and whoever comes after a crash, meets the old file or the new one, whole.
"""

import fcntl
import glob
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol

from daemon.errors import (
    AuthError,
    ConfigError,
    CrudsdError,
    EndpointError,
    RefusedError,
    UnavailableError,
    UnknownError,
)

from .blot import Blotter


class Folder(Protocol):
    """Where a connection's files are. Shared by threads. Paths are relative to it, with slashes."""

    name: str
    """The connection's."""
    blot: Blotter

    def matching(self, pattern: str) -> list[str]:
        """Return the files that a pattern fits, in order of their paths; those whose name begins with a dot do not."""

    def identity(self, path: str) -> str | None:
        """Return a text that is another one when the file is another one, or was changed; None without a file."""

    def reading(self, path: str) -> BinaryIO:
        """Open a file to be read."""

    @contextmanager
    def writing(self, path: str) -> Iterator[BinaryIO]:
        """Give a file to write into, which takes the place of the one at `path` when the block is left.

        It does so whole, or not at all. Raises UnavailableError when nothing has changed, UnknownError when that cannot
        be told.
        """

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others who write here away for the length of a block, as far as they can be reached."""


ASIDE = ".crudsd"
"""At the end of the name under which a file is written; a dot stands in front of it. It is never the name of two."""


LOCK_WAIT_S = 60.0
"""A walk over a large file takes seconds; who waits longer is told."""


class LocalFolder:
    """A folder on this machine."""

    def __init__(self, name: str, root: Path, blot: Blotter) -> None:
        self.name, self.blot, self._root = name, blot, root

    def matching(self, pattern: str) -> list[str]:
        """Return the files that a pattern fits."""
        with self._told(pattern):
            self._root.stat()  # a folder that is not there matches nothing, and that would look like "no files"
            found = glob.glob(pattern, root_dir=self._root, recursive=True)  # noqa: PTH207 - Path.glob shows what is hidden
            return sorted(path for path in found if (self._root / path).is_file())

    def identity(self, path: str) -> str | None:
        """Return size, moment of the last change, and inode."""
        with self._told(path):
            try:
                stat = self._below(path).stat()
            except FileNotFoundError:
                self._root.stat()  # without the folder, nobody knows what is in it
                return None
            return f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ino}"

    def reading(self, path: str) -> BinaryIO:
        """Open a file to be read."""
        with self._told(path):
            return self._below(path).open("rb")

    @contextmanager
    def writing(self, path: str) -> Iterator[BinaryIO]:
        """Give a file that takes the place of the one at `path`, synced, when the block is left."""
        place = self._inside(path)
        aside = place.with_name(f".{place.name}{ASIDE}")
        try:
            with self._told(path):
                self._make_folders(place.parent)
                with aside.open("wb") as file:
                    yield file
                    file.flush()
                    with suppress(FileNotFoundError):
                        os.fchmod(file.fileno(), place.stat().st_mode & 0o7777)
                    os.fsync(file.fileno())
                os.replace(aside, place)  # noqa: PTH105 - the step that a crash test strikes by its name
        except BaseException:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise
        try:
            _sync(place.parent)
        except OSError as error:
            raise UnknownError(f"{self.name}: {path}: written, but it may not outlive a crash: {error}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the folder itself, against threads and processes of this machine.

        Raises UnavailableError after a minute.
        """
        with self._told("the folder"):
            folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with self._told("the folder"):
                self._wait_for(folder)
            yield
        finally:
            os.close(folder)

    def _wait_for(self, folder: int) -> None:
        """Take the lock. Whoever holds it for long is paused or stuck: a dead process holds none."""
        end = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                return fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    said = f"{self.name}: another process has been writing into {self._root} for {LOCK_WAIT_S:g} s"
                    raise UnavailableError(said) from None
            time.sleep(0.02)

    def _below(self, path: str) -> Path:
        if ".." in PurePosixPath(path).parts or path.startswith("/"):
            raise RefusedError(f"{self.name}: {path} lies outside the folder {self._root}")
        return self._root / path

    def _inside(self, path: str) -> Path:
        """Return where a file is to be written. A link is followed, if it does not lead out of the folder."""
        place = self._below(path).resolve()
        if not place.is_relative_to(self._root.resolve()):
            raise RefusedError(f"{self.name}: {path} is a link to {place}, outside the folder {self._root}")
        return place

    def _make_folders(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._root.stat()  # the folder itself may be a disk that is not mounted: not to be made in its place
        self._make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)

    @contextmanager
    def _told(self, path: str) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise AuthError(f"{self.name}: {path}: not permitted; let this user into {self._root}") from error
        except OSError as error:
            reason = error.strerror or error
            raise UnavailableError(f"{self.name}: {path} in {self._root}: {reason}") from error


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class RemoteFolder:
    """A folder behind an fsspec address. How durable a write is depends on what is there."""

    def __init__(self, name: str, url: str, options: Mapping[str, Any], blot: Blotter) -> None:
        self.name, self.blot = name, blot
        self._lock = threading.Lock()
        try:
            from fsspec.core import url_to_fs  # noqa: PLC0415 - an extra
        except ImportError:
            cure = "install it: pip install 'crudsd[files]'"
            raise ConfigError(f"connections.{name}: an address needs fsspec; {cure}") from None
        try:
            self._system, self._root = url_to_fs(url, **options)
        except Exception as error:
            raise ConfigError(blot(f"connections.{name}: {_said(error)}")) from error

    def matching(self, pattern: str) -> list[str]:
        """Return the files that a pattern fits."""
        with self._told(pattern):
            self._system.invalidate_cache()
            found = self._system.glob(self._inside(pattern), detail=True)
            names = [
                path.removeprefix(self._root).lstrip("/") for path, info in found.items() if info["type"] == "file"
            ]
            return sorted(name for name in names if not any(part.startswith(".") for part in name.split("/")))

    def identity(self, path: str) -> str | None:
        """Return what the file system takes for the file's version: an ETag, or size and moment."""
        with self._told(path):
            self._system.invalidate_cache()
            try:
                return str(self._system.ukey(self._inside(path)))
            except FileNotFoundError:
                return None

    def reading(self, path: str) -> BinaryIO:
        """Open a file to be read."""
        with self._told(path):
            file: BinaryIO = self._system.open(self._inside(path), "rb")
            return file

    @contextmanager
    def writing(self, path: str) -> Iterator[BinaryIO]:
        """Give a file that is moved to the place of the one at `path` when the block is left."""
        place, name = self._inside(path), path.rpartition("/")[2]
        aside = f"{place.removesuffix(name)}.{name}{ASIDE}"
        try:
            with self._told(path):
                self._system.makedirs(place.rpartition("/")[0], exist_ok=True)
                with self._system.open(aside, "wb") as file:
                    yield file
        except BaseException:
            with suppress(Exception):
                self._system.rm_file(aside)
            raise
        try:
            self._system.mv(aside, place)
        except Exception as error:
            said = self.blot(f"{self.name}: {path}: the new file may or may not be in its place: {_said(error)}")
            raise UnknownError(said) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the other threads of this process away; nobody else can be reached."""
        with self._lock:
            yield

    def _inside(self, path: str) -> str:
        if ".." in path.split("/"):
            raise RefusedError(f"{self.name}: {path} lies outside the folder")
        return f"{self._root.rstrip('/')}/{path}"

    @contextmanager
    def _told(self, path: str) -> Iterator[None]:
        # Each file system raises what its own library does.
        try:
            yield
        except (GeneratorExit, CrudsdError):
            raise
        except PermissionError as error:
            raise AuthError(self.blot(f"{self.name}: {path}: not permitted: {_said(error)}")) from error
        except Exception as error:
            raise self._trouble(path, error) from error

    def _trouble(self, path: str, error: Exception) -> EndpointError:
        return UnavailableError(self.blot(f"{self.name}: {path}: {_said(error)}"))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
