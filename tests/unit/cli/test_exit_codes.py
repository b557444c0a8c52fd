"""The exit codes in the code, in the page and in the help are the same."""

import re
from pathlib import Path

from daemon.cli import EPILOG
from daemon.errors import Exit
from daemon.sync.outcome import EXITS

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")


def test_the_page_lists_every_exit_code_by_its_name() -> None:
    listed = re.findall(r"^\| (\d+) \| (\w+) \|", PAGE, flags=re.MULTILINE)

    assert {(int(code), name) for code, name in listed} == {(code.value, code.name.lower()) for code in Exit}


def test_the_page_lists_the_code_of_every_ending() -> None:
    listed = re.findall(r"^\| `(\w+)` \| (\d+) \|", PAGE, flags=re.MULTILINE)

    assert {ending: int(code) for ending, code in listed} == {str(ending): code for ending, code in EXITS.items()}


def test_the_help_lists_every_exit_code() -> None:
    table = EPILOG[EPILOG.index("Exit codes:") : EPILOG.index("Start with:")]

    assert {int(code) for code in re.findall(r"(?<=  )\d+(?=  )", table)} == {code.value for code in Exit}
