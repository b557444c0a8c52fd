"""OAuth 2.0 as logic without a socket: what to ask, what an answer means, what to keep."""

from .answer import TokenAnswer, read_answer
from .grants import ClientAuth, Grant, Registration, TokenRequest
from .seal import Sealer
from .single_flight import SingleFlight
from .store import MemoryTokenStore, TokenStore
from .token import TokenState, leeway

__all__ = [
    "ClientAuth",
    "Grant",
    "MemoryTokenStore",
    "Registration",
    "Sealer",
    "SingleFlight",
    "TokenAnswer",
    "TokenRequest",
    "TokenState",
    "TokenStore",
    "leeway",
    "read_answer",
]
