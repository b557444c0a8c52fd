"""libfaketime: sets the clock of a program, also while it runs. Debian's, unpacked by `make servers`."""

from pathlib import Path

from tests.servers.install import FAKETIME
from tests.servers.process import NotInstalledError


class Faketime:
    """The installed libfaketime; NotInstalledError where it is not."""

    def __init__(self, folder: Path = FAKETIME) -> None:
        found = sorted(folder.glob("usr/lib/*/faketime/libfaketimeMT.so.1"))
        if not found:
            raise NotInstalledError("libfaketime is not installed: run `make servers`")
        self.library = found[0]

    def environment(self, clock: "ClockFile", *, within_s: int = 0) -> dict[str, str]:
        """What a program is started with so that its time of day is that of the file. Waits and time-outs are real.

        A clock that is set is noticed within so many seconds. At once, each look at the clock reads the file.
        """
        return {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(clock.path),
            **({"FAKETIME_CACHE_DURATION": str(within_s)} if within_s else {"FAKETIME_NO_CACHE": "1"}),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


class ClockFile:
    """A clock that several programs share and that can be set."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set(0)

    def set(self, seconds: int) -> None:
        """Let it be so many seconds later than it is, or earlier; for all of them in the same moment."""
        new = self.path.with_suffix(".new")
        new.write_text(f"{seconds:+d}s\n", encoding="ascii")
        new.replace(self.path)
