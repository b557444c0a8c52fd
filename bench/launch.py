"""Run a command and keep what it took: `launch.py COST_FILE SECONDS COMMAND …`; it ends as the command does.

The kernel counts what the parent has in memory at that time as a peak of the child, so the parent has to be small: this
one imports next to nothing. A command that takes longer than so many seconds is killed, with all that it started.
"""

import os
import signal
import sys
import time


def main(cost_file: str, seconds: int, command: list[str]) -> int:
    """Return the command's exit code; the file gets wall and CPU seconds (of all its processes) and the peak in MiB."""
    began = time.monotonic()
    child = os.posix_spawnp(command[0], command, os.environ, setpgroup=0)
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(child, signal.SIGKILL))
    signal.alarm(seconds)
    _, status, used = os.wait4(child, 0)
    signal.alarm(0)
    took = time.monotonic() - began
    with open(cost_file, "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib would be the largest part of this
        file.write(f"{took} {used.ru_utime + used.ru_stime} {used.ru_maxrss / 1024}")
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
