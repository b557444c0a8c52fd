"""Pages of measurements: each bench keeps its own section of one, between two marks."""

from __future__ import annotations

import os
import platform
import re
import time
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks-service.md"
"""Of what the service takes over time."""
_HEAD = "# What the service takes over time\n\nHow it is measured: [bench/README.md](../bench/README.md).\n"


def where(load_before: float) -> str:
    """Say when, where and beside what something was measured."""
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load {load_before:.1f} before it began and {os.getloadavg()[0]:.1f} at the end."
    )


def write(section: str, lines: list[str], page: Path = PAGE) -> None:
    """Put a section in the place of the one of its name, or at the end of the page."""
    begin, end = f"<!-- {section} -->", f"<!-- end of {section} -->"
    text = page.read_text(encoding="utf-8") if page.exists() else _HEAD
    block = "\n".join([begin, "", *lines, "", end])
    if begin in text:
        text = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: block, text, flags=re.DOTALL)
    else:
        text = f"{text.rstrip()}\n\n{block}\n"
    page.write_text(text, encoding="utf-8")
