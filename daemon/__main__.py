"""Where the program begins: `crudsd` and `python -m daemon`."""

import sys

from daemon import cli
from daemon.cli.process import guard, starts

__all__ = ["main"]


def main() -> int:
    """Carry out the command of this process and return its exit code."""
    guard()
    starts()
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
