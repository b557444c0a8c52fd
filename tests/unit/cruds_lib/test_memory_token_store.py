"""The in-memory store is the reference: it keeps the contract."""

import base64
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cruds.exception import TokenStateError
from cruds.oauth2 import Sealer
from cruds.oauth2.store import MemoryTokenStore, TokenStore
from tests.contract.token_store import STATE, TokenStoreContract


class TestMemoryTokenStore(TokenStoreContract):
    def make(self) -> TokenStore:
        return MemoryTokenStore()


class TestSealedMemoryTokenStore(TokenStoreContract):
    def make(self) -> TokenStore:
        return MemoryTokenStore(Sealer(KEY))


KEY = base64.b64encode(bytes(range(32))).decode()
SEALER = Sealer(KEY, bound_to=("https://login.example/token", "id"))
SEALED = SEALER.seal("hr", replace(STATE, version=3))


def test_what_is_sealed_opens_again() -> None:
    """C01."""
    assert SEALER.open("hr", 3, SEALED) == replace(STATE, version=3)
    assert b"access-1" not in SEALED


def test_equal_states_are_sealed_differently() -> None:
    """C02: a fresh salt, so a fresh key, for each record."""
    assert SEALER.seal("hr", STATE) != SEALER.seal("hr", STATE)


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(at: int, change: int) -> None:
    """C07: damaged is a named error."""
    damaged = bytearray(SEALED)
    damaged[at] ^= change
    with pytest.raises(TokenStateError):
        SEALER.open("hr", 3, bytes(damaged))


@given(st.binary(max_size=60))
def test_what_was_never_sealed_does_not_open(rubbish: bytes) -> None:
    """C07."""
    with pytest.raises(TokenStateError):
        SEALER.open("hr", 3, rubbish)


@pytest.mark.parametrize(
    ("sealer", "profile", "version"),
    [
        (SEALER, "desk", 3),
        (SEALER, "hr", 2),
        (Sealer(KEY, bound_to=("https://evil.example/token", "id")), "hr", 3),
        (Sealer(KEY, bound_to=("https://login.example/token", "other")), "hr", 3),
        (Sealer(base64.b64encode(os.urandom(32)).decode(), bound_to=("https://login.example/token", "id")), "hr", 3),
    ],
    ids=["profile", "version", "issuer", "client", "key"],
)
def test_a_state_opens_only_in_its_own_place(sealer: Sealer, profile: str, version: int) -> None:
    """Section 3.1: a row that was moved, put back or re-addressed does not open."""
    with pytest.raises(TokenStateError):
        sealer.open(profile, version, SEALED)


def test_a_passphrase_is_a_key_too_and_not_the_same_one_twice() -> None:
    """C03: stretched with a random salt, never a bare hash."""
    one, two = Sealer("correct horse"), Sealer("correct horse")
    sealed = one.seal("hr", STATE)
    assert one.open("hr", 0, sealed) == STATE
    with pytest.raises(TokenStateError):
        two.open("hr", 0, sealed)


def test_an_empty_key_is_no_key() -> None:
    with pytest.raises(ValueError, match="empty"):
        Sealer("")


def test_a_state_that_is_printed_shows_no_token() -> None:
    """C05: what is printed by mistake holds no secret."""
    assert "access-1" not in repr(STATE)
    assert "refresh-1" not in repr(STATE)
