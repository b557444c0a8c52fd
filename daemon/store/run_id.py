"""Names for runs: short enough to type, in order of time, and never the same twice in any database.

Never twice matters: a run's id is part of its changes' idempotency keys, and a state restored from a backup must not
use a key again that the target has answered before.
"""

import secrets
from datetime import datetime

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_TIME_DIGITS = 10
_RANDOM_DIGITS = 8


def new_run_id(now: datetime) -> str:
    """Return 18 characters: the millisecond, then 40 random bits. Text order is time order."""
    moment = int(now.timestamp() * 1000)
    return _base32(moment, _TIME_DIGITS) + _base32(secrets.randbits(5 * _RANDOM_DIGITS), _RANDOM_DIGITS)


def least_run_id(moment: datetime) -> str:
    """Return what stands before the ids of all runs that were made from a moment on, and after all others."""
    return _base32(int(moment.timestamp() * 1000), _TIME_DIGITS)


def _base32(number: int, digits: int) -> str:
    return "".join(_DIGITS[number >> shift & 31] for shift in range(5 * (digits - 1), -1, -5))
