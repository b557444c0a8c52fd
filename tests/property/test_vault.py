"""The laws of sealing: open(seal(x)) is x, and nothing else opens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.vault.errors import TamperedError, VaultError
from daemon.vault.keys import KeyRing
from daemon.vault.vault import Vault

VAULT = Vault(KeyRing((("k1", b"1" * 32), ("k2", b"2" * 32))))
CONTEXT = {"profile": "hr", "version": "7", "issuer": "https://login.example.com/token", "client_id": "me"}
SEALED = VAULT.seal(b'{"access_token":"one"}', purpose="token-state", context=CONTEXT)

texts = st.text(max_size=20)
contexts = st.dictionaries(texts, texts, max_size=5)


@given(st.binary(max_size=500), texts, contexts)
def test_what_was_sealed_opens(plaintext: bytes, purpose: str, context: dict[str, str]) -> None:
    sealed = VAULT.seal(plaintext, purpose=purpose, context=context)
    reordered = dict(reversed(context.items()))
    assert VAULT.open(sealed, purpose=purpose, context=reordered) == plaintext


@pytest.mark.parametrize("place", range(len(SEALED)))
def test_no_flipped_byte_opens(place: int) -> None:
    for mask in (0x01, 0x80, 0xFF):
        changed = bytearray(SEALED)
        changed[place] ^= mask
        with pytest.raises(VaultError):
            VAULT.open(bytes(changed), purpose="token-state", context=CONTEXT)


@given(st.integers(min_value=0, max_value=len(SEALED) - 1))
def test_nothing_cut_opens(length: int) -> None:
    with pytest.raises(TamperedError):
        VAULT.open(SEALED[:length], purpose="token-state", context=CONTEXT)


@given(st.binary(min_size=1, max_size=50))
def test_nothing_lengthened_opens(more: bytes) -> None:
    with pytest.raises(TamperedError):
        VAULT.open(SEALED + more, purpose="token-state", context=CONTEXT)


@given(st.binary(max_size=200))
def test_no_other_bytes_open(junk: bytes) -> None:
    with pytest.raises(VaultError):
        VAULT.open(junk, purpose="token-state", context=CONTEXT)
    with pytest.raises(VaultError):
        VAULT.open(b"CT1\x02k1" + junk, purpose="token-state", context=CONTEXT)


@given(st.sampled_from(sorted(CONTEXT)), texts)
def test_no_other_context_opens(name: str, value: str) -> None:
    other = CONTEXT | {name: value if value != CONTEXT[name] else value + "x"}
    with pytest.raises(TamperedError):
        VAULT.open(SEALED, purpose="token-state", context=other)


@given(contexts, contexts, texts, texts)
def test_two_meanings_never_open_each_other(one: dict[str, str], two: dict[str, str], this: str, that: str) -> None:
    sealed = VAULT.seal(b"x", purpose=this, context=one)
    if (this, one) != (that, two):
        with pytest.raises(TamperedError):
            VAULT.open(sealed, purpose=that, context=two)
