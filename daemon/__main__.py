"""Where the program begins: `crudsd` and `python -m daemon`."""

import sys

from daemon.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
