"""libfiu: lets system calls of a program fail, as a bad disk does. Debian's `fiu-utils`, unpacked by `make servers`."""

import os
from pathlib import Path

from tests.servers.install import FIU
from tests.servers.process import require


class Fiu:
    """The installed libfiu; NotInstalledError where it is not."""

    def __init__(self, folder: Path = FIU) -> None:
        self._program = require(folder / "usr/bin/fiu-run")
        self._preloads = folder / "usr/lib/fiu"
        self._libraries = folder / "usr/lib"

    def prefix(self, *commands: str) -> list[str]:
        """What to put before a command so that its system calls fail as these commands of fiu-run's -c say."""
        path = os.pathsep.join(filter(None, [str(self._libraries), os.environ.get("LD_LIBRARY_PATH", "")]))
        told = [word for command in commands for word in ("-c", command)]
        # `-f ""`: no named pipe to steer it by, which would stay behind.
        return ["env", f"LD_LIBRARY_PATH={path}", str(self._program), "-l", str(self._preloads), "-f", "", "-x", *told]
