"""What is kept of a defect: one file that its owner alone can read."""

import os
import platform
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from .version import version


def write_report(error: BaseException, *, verb: str) -> Path | None:
    """Write the traceback aside and return its place; None where no file can be written.

    Holds the verb and no other argument, no environment and no configuration: these may name secrets.
    """
    facts = (
        f"crudsd {version()}, Python {platform.python_version()}, {platform.platform()}\n"
        f"{datetime.now(UTC).isoformat(timespec='seconds')}, verb {verb}\n\n"
    )
    try:
        handle, name = tempfile.mkstemp(prefix="crudsd-error-", suffix=".txt")  # mode 0600
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(facts + "".join(traceback.format_exception(error)))
    except OSError:
        return None
    return Path(name)
