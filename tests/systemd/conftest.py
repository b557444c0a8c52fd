"""A box for each test. Only when asked for (`--box bookworm`, `make e2e`): then a box that cannot be is a failure."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .base import Base, NoBoxError, find_base
from .box import Box, booted
from .desk import Desk, build_wheel, install_program


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how exposed each systemd finds the unit."""
    for report in terminalreporter.stats.get("passed", ()):
        for name, value in report.user_properties:
            if name.startswith("exposure"):
                terminalreporter.write_line(f"{name}: {value}")


def pytest_pycollect_makemodule(parent: pytest.Collector) -> None:
    """Skip them all at once, not one by one, unless they were asked for."""
    if not parent.config.getoption("--box"):
        pytest.skip("boots a whole Debian, as root: ask for it with `make e2e`", allow_module_level=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test in a box of each release that was asked for."""
    if "release" in metafunc.fixturenames:
        metafunc.parametrize("release", metafunc.config.getoption("--box"), scope="session")


@pytest.fixture(scope="session")
def base(release: str) -> Base:
    """The Debian that is booted."""
    try:
        return find_base(release)
    except NoBoxError as reason:
        pytest.fail(str(reason))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Path:
    """The project's wheel. It needs `base` so that nothing is built where no box can be."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def program(base: Base, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layer with the program, installed."""
    layer = tmp_path_factory.mktemp(f"program-{base.release}")
    layer.chmod(0o755)
    install_program(base, wheel, layer)
    return layer


@pytest.fixture
def box(base: Base, program: Path, tmp_path: Path) -> Iterator[Box]:
    """A machine of its own, with the program in it."""
    with booted(program, base.root, work=tmp_path) as machine:
        yield machine


@pytest.fixture
def desk(box: Box) -> Desk:
    """The same with crudsd installed as a service that was not started yet."""
    installed = Desk(box)
    installed.prepare()
    installed.install()
    return installed
