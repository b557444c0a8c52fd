"""What looks like a secret: by the name in front of it, or by its own shape."""

import re
from functools import lru_cache

BLOT = "[redacted]"

_NAMES = (
    "token", "secret", "password", "passwd", "passphrase", "pwd", "authorization", "cookie", "dpop", "assertion",
    "code_verifier", "device_code", "api[_-]?key", "private[_-]?key", "access[_-]?key",
)  # fmt: skip
_TELLTALES = (
    "token", "secret", "pass", "pwd", "auth", "cookie", "dpop", "assertion", "_code", "code_", "key",
    "bearer", "basic", "eyj", "://",
)  # fmt: skip
"""One of these, in lower case, is in every text that a rule below has to do with: most texts hold none."""

_SECRET_NAME = re.compile("|".join((*_NAMES, "passw", "credential")), re.IGNORECASE)
_NAME = rf"[\w-]{{0,40}}(?:{'|'.join(_NAMES)})(?:s|_?\d{{1,3}})?"
_LONG_NAME = _NAME.replace("{0,40}", "{0,200}")
_SCHEME = r"(?:\b(?:bearer|basic|dpop|digest|negotiate|token|apikey)\s+)?"
_QUOTE = r"\\{0,15}[\"']"
"""Escaped up to four times. Not without end: a long run of backslashes would be walked through from each of them."""
_RULES = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?s:.)*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)", "{mark}"),
        (r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)*", "{mark}"),
        (r"(?<=://)[^\s/@\"'<>]+@", "{mark}@"),
        # "name": "value", a dict's or a pair's, also where its quotes were escaped.
        (rf"({_QUOTE}(?:{_NAME}){_QUOTE}\s*[:=,]\s*({_QUOTE}){_SCHEME})(?:(?!\2)(?s:\\.|.))*", r"\1{mark}"),
        (r"(\b(?:set-)?cookie2?\s*:\s*)[^\r\n\"']+", r"\1{mark}"),
        (rf"((?<![\w/-])(?:{_LONG_NAME})[\"']?\s*[:=]\s*{_SCHEME})[^\s\"',;&}})\]]+\]?", r"\1{mark}"),
        # After a slash it is the end of an address, and ": " begins what is said of that.
        (rf"((?<=/)(?:{_NAME})[\"']?(?:\s*=\s*|:){_SCHEME})[^\s\"',;&}})\]]+\]?", r"\1{mark}"),
        # Not the parameters of a challenge: Bearer error="invalid_token".
        (r"(\b(?:bearer|basic)\s+)(?!\w+=\\*\")[\w.~+/=-]{6,}", r"\1{mark}"),
    )
)
_QUERY = re.compile(r"(?<=[\w/%.~-])\?([^\s\"'<>]+)")
_VALUE = re.compile(r"(=[^&;#]*)|^[^=&]*$")


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Say whether what is called so is secret."""
    return _SECRET_NAME.search(name) is not None


def blot_looks(text: str, mark: str = BLOT) -> str:
    """Return a text with `mark` for what looks like a secret."""
    low = text.lower()
    if any(word in low for word in _TELLTALES):
        for pattern, replacement in _RULES:
            text = pattern.sub(replacement.replace("{mark}", mark), text)
    return text


def without_queries(text: str) -> str:
    """Return a text whose addresses have the names of their queries' parameters only."""
    return _QUERY.sub(_names_only, text) if "?" in text else text


def _names_only(query: re.Match[str]) -> str:
    return "?" + _VALUE.sub("=…", query[1])
