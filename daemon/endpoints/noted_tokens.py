"""A token store that lets the blotter know every token before anybody can send, and echo, it: refresh tokens too."""

from contextlib import AbstractContextManager
from dataclasses import replace

from cruds.oauth2.store import TokenState, TokenStore

from .blot import Blotter


class NotedTokens:
    """A `TokenStore` in front of another. Threads may share it."""

    def __init__(self, store: TokenStore, blot: Blotter) -> None:
        self._store = store
        self._blot = blot

    def load(self, profile: str) -> TokenState | None:
        """Return what was last saved, or None."""
        state = self._store.load(profile)
        if state is not None:
            self._note(state)
        return state

    def save(self, profile: str, state: TokenState, *, expected_version: int) -> bool:
        """Compare and swap."""
        self._note(state)
        if state.over_because:
            # A server may quote the token that it refuses, and other processes, which do not know it, tell the reason.
            state = replace(state, over_because=self._blot(state.over_because))
        return self._store.save(profile, state, expected_version=expected_version)

    def lease(self, profile: str, *, seconds: float) -> AbstractContextManager[bool]:
        """Ask for the right to renew this profile."""
        return self._store.lease(profile, seconds=seconds)

    def clear(self, profile: str) -> None:
        """Forget the state."""
        self._store.clear(profile)

    def _note(self, state: TokenState) -> None:
        for token in (state.access_token, state.refresh_token):
            if token:
                self._blot.learn_token(token)
