"""What the tests of the service share."""

import threading
from collections.abc import Iterator

import pytest


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a run waits for; open at the end whatever happens."""
    opened = threading.Event()
    yield opened
    opened.set()
