"""Where the program begins: `crudsd` and `python -m daemon`."""

import gc
import sys

from daemon import cli
from daemon.cli.process import guard, starts

__all__ = ["main"]

COLLECT_AFTER = 10_000
"""New objects after which Python looks for cycles among them. Ours are hardly ever in one, and to look every 700 is a
tenth of what a first load costs."""


def main() -> int:
    """Carry out the command of this process and return its exit code."""
    gc.set_threshold(COLLECT_AFTER)
    guard()
    starts()
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
