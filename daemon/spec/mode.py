"""Which kinds of change a job may make."""

from enum import StrEnum


class Mode(StrEnum):
    """Which kinds of change a job may make."""

    MIRROR = "mirror"
    """Create, update, and delete what is provably gone from the source."""
    UPSERT = "upsert"
    """Create and update; never delete by absence."""
    UPDATE_ONLY = "update_only"
    """Update records that exist in the target; never create."""
    CREATE_ONLY = "create_only"
    """Create what is not there; never touch what is."""
    APPEND = "append"
    """Create each new key once and never look back."""
