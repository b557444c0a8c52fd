"""What is kept of a defect: one file that its owner alone can read."""

import os
import platform
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from daemon.redaction import redact_text
from daemon.report.identity import version


def write_report(error: BaseException, *, verb: str) -> Path | None:
    """Write the traceback aside and return its place; None where no file can be written.

    Holds the verb and no other argument, no environment, no configuration and no local variables: these may name
    secrets. The messages of errors, which may quote anything, are redacted as the log is.
    """
    facts = (
        f"crudsd {version()}, Python {platform.python_version()}, {platform.platform()}\n"
        f"{datetime.now(UTC).isoformat(timespec='seconds')}, verb {verb}\n\n"
    )
    trace = "".join(redact_text(part) for part in traceback.format_exception(error))
    try:
        handle, name = tempfile.mkstemp(prefix="crudsd-error-", suffix=".txt")  # mode 0600
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(facts + trace)
    except OSError:
        return None
    return Path(name)
