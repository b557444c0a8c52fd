"""What is kept of sessions, as far as no key is needed: whether there is something, and its end."""

from .database import Database
from .statements import execute


def has_token(database: Database, profile: str) -> bool:
    """Whether anything is kept for a profile, readable or not."""
    with database.read() as connection:
        return execute(connection, "SELECT 1 FROM tokens WHERE profile = ?", (profile,)).first() is not None


def forget(database: Database, profile: str) -> None:
    """Forget what is kept for a profile. Nothing happens if there is nothing."""
    with database.write() as connection:
        execute(connection, "DELETE FROM tokens WHERE profile = ?", (profile,))
