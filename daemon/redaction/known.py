"""The secrets that this process holds: whatever name stands before them, or none, they are known when they are seen."""

import threading
from collections import OrderedDict
from itertools import chain
from typing import TypeAlias

from .forms import SHORTEST, forms
from .looks import BLOT

_LASTING = 1024
"""How many secrets of job files, vault and key ring are remembered. Those used last, if there are more."""

_TOKENS = 128
"""How many issued tokens are remembered: they live for an hour or so each."""

_TELLING = 16
"""So many first characters give a longer secret away: one that was cut off is blotted out as far as it goes."""

_Shelf: TypeAlias = "OrderedDict[str, frozenset[str]]"
_Index: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]
"""First characters, and the forms that begin with them."""


class KnownSecrets:
    """Remembers secrets, within bounds, and takes them out of texts. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lasting: _Shelf = OrderedDict()
        self._tokens: _Shelf = OrderedDict()
        self._named: dict[str, str] = {}
        self._learned = 0
        # Replaced as a whole, never changed: who takes secrets out of a text takes no lock. None: out of date.
        self._index: _Index | None = ()

    @property
    def learned(self) -> int:
        """How often something new was learned, or forgotten."""
        return self._learned

    def learn(self, secret: str) -> None:
        """Remember a secret that an operator gave."""
        self._learn(self._lasting, secret, _LASTING)

    def learn_as(self, name: str, secret: str) -> None:
        """Remember a secret that may be rotated: the one that has this name now always, those before as the others."""
        self.learn(secret)
        with self._lock:
            self._named[name] = secret

    def learn_token(self, token: str) -> None:
        """Remember a token that was issued; the oldest ones are forgotten."""
        self._learn(self._tokens, token, _TOKENS)

    def forget(self) -> None:
        """Forget all."""
        with self._lock:
            self._lasting.clear()
            self._tokens.clear()
            self._named.clear()
            self._learned += 1
            self._index = ()

    def holds(self, text: str) -> bool:
        """Say whether something known is in a text."""
        return any(start in text for start, _ in self._forms())

    def blot(self, text: str, mark: str = BLOT) -> str:
        """Return the text with `mark` for everything known; the text itself if there is nothing."""
        for start, whole in self._forms():
            if start in text:
                text = _without(text, start, whole, mark)
        return text

    def _learn(self, shelf: _Shelf, secret: str, most: int) -> None:
        if len(secret) < SHORTEST:
            return
        with self._lock:
            if secret in shelf:
                shelf.move_to_end(secret)
                return
        found = forms(secret)
        with self._lock:
            shelf[secret] = found
            while len(shelf) > most:
                shelf.popitem(last=False)
            self._learned += 1
            self._index = None

    def _forms(self) -> _Index:
        index = self._index
        if index is None:
            with self._lock:
                held = (forms(secret) for secret in self._named.values() if secret not in self._lasting)
                known = chain.from_iterable((*self._lasting.values(), *self._tokens.values(), *held))
                index = self._index = _indexed(set(known))
        return index


KNOWN = KnownSecrets()
"""What this process as a whole knows: every secret that was revealed, every token that was issued or loaded."""


def _indexed(known: set[str]) -> _Index:
    """Return the forms by their first characters, the longest first: a shorter one may be a part of it."""
    groups: dict[str, list[str]] = {}
    for form in sorted(known, key=lambda form: (-len(form), form)):
        # What looks like a part of the mark would be found in the mark.
        if form not in BLOT:
            groups.setdefault(_start(form), []).append(form)
    return tuple((start, tuple(whole)) for start, whole in groups.items())


def _start(form: str) -> str:
    """Return what gives a form away. Not the beginning of an address or a PEM file: others begin like that too."""
    return form if "://" in form or form.startswith("-----") else form[:_TELLING]


def _without(text: str, start: str, whole: tuple[str, ...], mark: str) -> str:
    pieces, done = [], 0
    while (at := text.find(start, done)) >= 0:
        pieces += [text[done:at], mark]
        done = at + max(_common(form, text, at) for form in whole)
    return "".join([*pieces, text[done:]])


def _common(form: str, text: str, at: int) -> int:
    """Return how many characters of a form stand in a text from a place on."""
    if text.startswith(form, at):
        return len(form)
    return next((n for n, pair in enumerate(zip(form, text[at:], strict=False)) if pair[0] != pair[1]), len(text) - at)
