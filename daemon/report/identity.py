"""Which crudsd this is."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


def version() -> str:
    """Return crudsd's version; `unknown` when it runs from a folder that was never installed."""
    try:
        return installed("crudsd")
    except PackageNotFoundError:
        return "unknown"
