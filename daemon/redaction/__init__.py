"""What must not be seen, taken out of texts and values on their way to people: logs, messages, reports of defects."""

from .known import KNOWN, KnownSecrets
from .looks import BLOT
from .redact import redact_text, redact_value

__all__ = ["BLOT", "KNOWN", "KnownSecrets", "redact_text", "redact_value"]
