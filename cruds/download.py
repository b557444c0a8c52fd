"""Downloads: a body into a file, under a name that can do no harm, whole or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from secrets import token_hex
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from .response import Response

_NAME_BYTES = 255
"""NAME_MAX of every file system that Linux mounts by default."""
_SUFFIX_BYTES = 20
_PARAMETER = re.compile(r';\s*(?P<name>[^\s=;"]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^;]*))', re.DOTALL)
_EXTENDED = re.compile(r"(utf-8|iso-8859-1)'[^']*'(.*)", re.IGNORECASE | re.DOTALL)


class Saving:
    """Saves the body of an answer. Used for one call; may be handed the body again after a lost answer."""

    def __init__(self, folder: Path, *, fallback: str | None, file: Path | None, overwrite: bool) -> None:
        if file is None and not folder.is_dir():
            raise NotADirectoryError(f"{folder} is not a folder; name a file of its own with `file`")
        self._folder, self._fallback, self._file, self._overwrite = folder, fallback, file, overwrite
        self.path: Path | None = None
        """Where the body was saved; None until it was."""

    def __call__(self, response: Response, body: Iterable[bytes]) -> None:
        """Write the body aside, then give it its name in one step.

        Raises FileExistsError, ValueError if there is no usable name, any other OSError of the disk, and what
        reading the body raises; nothing is left behind.
        """
        target = self._file or self._folder / file_name(response.headers, response.url, self._fallback)
        if not self._overwrite and os.path.lexists(target):
            raise FileExistsError(f"{target} is there already; say overwrite=True to replace it")
        aside = target.parent / f".{token_hex(8)}.part"
        try:
            with aside.open("xb") as out:
                for part in body:
                    out.write(part)
                out.flush()
                os.fsync(out.fileno())
            _publish(aside, target, overwrite=self._overwrite)
        finally:
            aside.unlink(missing_ok=True)
        self.path = target


def file_name(headers: Mapping[str, str], url: str, fallback: str | None) -> str:
    """Return a safe name: the server's (Content-Disposition), else the address's last segment, else the fallback."""
    last_segment = unquote(urlsplit(url).path.rpartition("/")[2])
    for candidate in (disposition_name(headers.get("content-disposition") or ""), last_segment, fallback):
        name = safe_name(candidate or "")
        if name:
            return name
    raise ValueError("neither the answer nor its address gives a usable file name; say filename")


def disposition_name(header: str) -> str | None:
    """Return the name that Content-Disposition proposes (RFC 6266 section 4.3); None if there is none to be read.

    `filename*` (RFC 5987, UTF-8 or ISO-8859-1) wins over `filename`. Of a repeated parameter the first counts.
    """
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(header):
        quoted = match["quoted"]
        value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else match["token"].strip()
        found.setdefault(match["name"].lower(), value)
    extended = _EXTENDED.fullmatch(found.get("filename*", ""))
    if extended is not None:
        try:
            return unquote_to_bytes(extended[2]).decode(extended[1])
        except UnicodeDecodeError:
            pass  # RFC 6266 section 4.3: what cannot be read is ignored, and filename counts
    plain = found.get("filename")
    if plain is None:
        return None
    try:
        # Headers arrive as latin-1, and servers write UTF-8 into them all the same.
        return plain.encode("latin-1").decode()
    except UnicodeError:
        return plain


def safe_name(text: str) -> str:
    """Return the name of a visible file in one folder; empty if nothing of the text is left.

    Only what stands behind the last slash or backslash counts. What cannot be printed goes (line ends, NUL, marks
    that turn the reading direction), so do dots and blanks in front; a long name is cut, its suffix kept.
    """
    last = re.split(r"[/\\]", text)[-1]
    name = "".join(filter(str.isprintable, last)).strip().lstrip(". ")
    if len(name.encode()) <= _NAME_BYTES:
        return name
    suffix = Path(name).suffix
    if len(suffix.encode()) > _SUFFIX_BYTES:
        suffix = ""
    stem = name.removesuffix(suffix).encode()[: _NAME_BYTES - len(suffix.encode())]
    return stem.decode(errors="ignore") + suffix


def _publish(aside: Path, target: Path, *, overwrite: bool) -> None:
    """Give the finished file its name, in one step; survive a power cut afterwards."""
    if overwrite:
        aside.replace(target)
    else:
        try:
            target.hardlink_to(aside)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links: take the name first, then fill it
            target.open("xb").close()
            aside.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
