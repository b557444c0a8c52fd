"""By which texts a secret is known, and what looks like one without being known."""

import json

import pytest

from daemon.redaction import BLOT, KNOWN, redact_text
from tests.e2e.canary import JWK, PEM

PASSWORD = "p@ss/word-1"


def test_each_line_of_a_key_is_secret_and_its_frame_is_not() -> None:
    KNOWN.learn(PEM)

    lines = [line for line in PEM.splitlines() if not line.startswith("-----")]
    assert len(lines) > 1
    assert {redact_text(f"cannot read {line!r}") for line in lines} == {f"cannot read '{BLOT}'"}
    assert redact_text("it should begin with -----BEGIN") == "it should begin with -----BEGIN"


def test_the_private_part_of_a_key_in_json_is_secret_and_its_kind_is_not() -> None:
    KNOWN.learn(json.dumps(JWK))

    assert redact_text(f"d is {JWK['d']}") == f"d is {BLOT}"
    assert redact_text(f"x is {JWK['x']}, crv is P-256") == f"x is {JWK['x']}, crv is P-256"


def test_the_key_in_the_key_file_of_a_cloud_is_secret_and_its_addresses_are_not() -> None:
    KNOWN.learn(
        json.dumps({"private_key": PEM, "token_uri": "https://login.example.com/oauth/token", "type": "service"})
    )

    assert redact_text(PEM.splitlines()[1]) == BLOT
    assert redact_text("asked https://login.example.com/oauth/token") == "asked https://login.example.com/oauth/token"


def test_the_password_in_an_address_is_secret_by_itself() -> None:
    KNOWN.learn("postgresql://me:p%40ss%2Fword-1@db.example.com/crm")

    assert redact_text(f"FATAL: {PASSWORD} is not it") == f"FATAL: {BLOT} is not it"
    assert redact_text("cannot reach postgresql://db.example.com") == "cannot reach postgresql://db.example.com"


def test_what_stands_behind_the_scheme_in_a_header_is_secret_by_itself() -> None:
    KNOWN.learn("GenieKey 5f0c9a7be1d24c3d")
    KNOWN.learn("a phrase of many unguessable-but-single-words")

    assert redact_text("5f0c9a7be1d24c3d is unknown here") == f"{BLOT} is unknown here"
    assert redact_text("unguessable-but-single-words") == "unguessable-but-single-words"


@pytest.mark.parametrize("broken", ["{", '{"d": 1}', "[1]", "http://[bad", "\udc80\udc81 not text", "{" * 5000])
def test_what_is_no_key_and_no_address_is_secret_as_it_is(broken: str) -> None:
    KNOWN.learn(broken + "-and-more")

    assert "and-more" not in redact_text(f"it is {broken}-and-more")


def test_a_word_of_three_letters_is_no_secret() -> None:
    KNOWN.learn("abc")

    assert redact_text("abc") == "abc"


def test_the_longest_that_is_known_goes_first() -> None:
    for secret in ("user", "user:password", "word"):
        KNOWN.learn(secret)

    assert redact_text("as user:password") == f"as {BLOT}"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('{"password": "two words", "n": 1}', '{"password": "[redacted]", "n": 1}'),
        (r'"{\"client_secret\": \"abc\", \"n\": 1}"', r'"{\"client_secret\": \"[redacted]\", \"n\": 1}"'),
        ("{'api_key': 'it''s'}", "{'api_key': '[redacted]''s'}"),
        ("('Authorization', 'Basic dTpw')", "('Authorization', 'Basic [redacted]')"),
        ("Cookie: a=1; b=2\nHost: h", "Cookie: [redacted]\nHost: h"),
        ("X-Api-Key: abc", "X-Api-Key: [redacted]"),
        ("authorization=token abc", "authorization=token [redacted]"),
        ("see https://me:pw@h/x and https://ghp_token@h/y", "see https://[redacted]@h/x and https://[redacted]@h/y"),
        ("it is eyJhbGciOi.eyJzdWIiOiI.c2ln here", "it is [redacted] here"),
        ("-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----\nrest", "[redacted]\nrest"),
        ("-----BEGIN PRIVATE KEY-----\nMHc and so on", "[redacted]"),
        ('Bearer error="invalid_token", scope="a"', 'Bearer error="invalid_token", scope="a"'),
        ("the token endpoint answered", "the token endpoint answered"),
        ("POST https://a.test/token: no connection", "POST https://a.test/token: no connection"),
        ("POST https://a.test/x/oauth-token: refused", "POST https://a.test/x/oauth-token: refused"),
        ("/token=hunter2", "/token=[redacted]"),
        (f"x-{'a' * 60}-token: hunter2", f"x-{'a' * 60}-token: [redacted]"),
        ("token_url: https://login.example.com/x", "token_url: https://login.example.com/x"),
        ("crudsd secret set NAME", "crudsd secret set NAME"),
        ("people@example.com wrote to https://h/x", "people@example.com wrote to https://h/x"),
    ],
)  # fmt: skip
def test_what_is_called_a_secret_or_looks_like_one_goes(text: str, left: str) -> None:
    assert redact_text(text) == left
