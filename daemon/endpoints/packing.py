"""Compressed files as streams of their contents: gzip, and zstd where its module is there.

A file that was cut off is told from one that ends: both formats have an end of their own.
"""

import gzip
import importlib
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from daemon.errors import ConfigError, MalformedError
from daemon.spec import Compression, FileSource, FileTarget, compression_of

_BUFFER_BYTES = 1 << 18


@contextmanager
def unpacked(file: BinaryIO, compression: Compression) -> Iterator[io.BufferedReader]:
    """Give the contents of a file as a stream; closes the file. To be used within `whole`."""
    with file:
        raw: Any = file
        if compression != "none":
            if not file.read(1):
                raise EOFError  # not even an empty one has no bytes, and neither library minds
            file.seek(0)
            raw = gzip.GzipFile(fileobj=file, mode="rb") if compression == "gzip" else _zstd().ZstdFile(file, "rb")
        with io.BufferedReader(raw, _BUFFER_BYTES) as stream:
            yield stream


@contextmanager
def packed(file: BinaryIO, compression: Compression) -> Iterator[BinaryIO]:
    """Give a stream whose contents go into a file; the file itself stays open.

    Equal contents give an equal file: no name and no moment in it.
    """
    if compression == "gzip":
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0) as stream:
            yield cast("BinaryIO", stream)
    elif compression == "zstd":
        with _zstd().ZstdFile(file, "wb") as stream:
            yield stream
    else:
        yield file


@contextmanager
def whole(where: str, compression: Compression) -> Iterator[None]:
    """Raise MalformedError when what is read in the block is cut off, or not compressed at all."""
    broken: tuple[type[Exception], ...] = (EOFError, zlib.error, gzip.BadGzipFile)
    if compression == "zstd":
        broken = (*broken, _zstd().ZstdError)
    try:
        yield
    except broken as error:
        cut = isinstance(error, EOFError)
        reason = "breaks off; is it still being written?" if cut else f"is no {compression} file, or damaged: {error}"
        raise MalformedError(f"{where} {reason}") from error


def packing_problem(block: FileSource | FileTarget) -> str:
    """Return why files of a source or target cannot be unpacked on this machine; empty when they can."""
    if (block.compression or compression_of(block.path)) == "zstd":
        try:
            _zstd()
        except ConfigError as error:
            return str(error).partition(";")[0]
    return ""


def _zstd() -> Any:
    module = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ConfigError("a file is compressed by zstd; install what reads it: pip install 'crudsd[files]'") from None
