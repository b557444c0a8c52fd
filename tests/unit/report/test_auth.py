"""What a person reads of logins and sessions."""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from daemon.endpoints.standing import AuthStatus, Standing
from daemon.report import auth_login, auth_status

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HR = AuthStatus(
    "hr",
    "authorization_code",
    "client desk-sync",
    Standing.VALID,
    server="https://login.example.com",
    scope_asked=("people.read", "people.write"),
    scope_granted=("people.read", "people.write"),
    expires_at=NOW + timedelta(minutes=52),
    obtained_at=NOW - timedelta(minutes=8),
    renews=True,
)


TABLE = """\
CONNECTION  AUTH                WHO               SCOPE   EXPIRES (UTC)                         LAST REFRESH (UTC)   STATE
hr          authorization_code  client desk-sync  2 of 2  in 52 min (2026-11-23 12:52:00)       2026-11-23 11:52:00  valid
old         authorization_code  client desk-sync  2 of 2  3 h 00 min ago (2026-11-23 09:00:00)  2026-11-23 11:52:00  expired, will be renewed
desk        bearer              -                 -       -                                     -                    static
billing     client_credentials  client b1         -       -                                     -                    not yet used\
"""  # noqa: E501  as it stands on a wide terminal
WHOLE = """\
hr

  auth          authorization_code at https://login.example.com
  who           client desk-sync
  scope         people.read
  expires       in 52 min (2026-11-23 12:52:00 UTC); it is renewed by itself
  last refresh  2026-11-23 11:52:00 UTC
  state         valid
  ! not granted: people.write\
"""
CANNOT = "    ! it cannot be renewed: the server gave no refresh token, so a login is needed again"


@dataclass(frozen=True)
class Browser:
    connection: str = "hr"
    address: str = "https://login.example.com/authorize?state=s"
    comes_back_to: str = "http://127.0.0.1:8765/callback"
    is_listening: bool = True
    may_paste: bool = True


@dataclass(frozen=True)
class Code:
    user_code: str = "WDJB-MJHT"
    address: str = "https://login.example.com/device"
    address_with_code: str | None = None
    expires_at: datetime = NOW + timedelta(minutes=5)


def test_the_table_has_a_row_for_each_connection() -> None:
    rows = [
        HR,
        replace(HR, connection="old", standing=Standing.EXPIRED, expires_at=NOW - timedelta(hours=3)),
        AuthStatus("desk", "bearer", None, Standing.STATIC),
        AuthStatus("billing", "client_credentials", "client b1", Standing.NOT_USED),
    ]

    assert "\n".join(auth_status.table(rows, NOW)) == TABLE


@pytest.mark.parametrize(
    ("row", "note"),
    [
        (
            AuthStatus("hr", "device_code", None, Standing.NEEDS_LOGIN, "the person took it back", since=NOW),
            "    ✗ since 2026-11-23 12:00:00 UTC: the person took it back; run crudsd auth login hr",
        ),
        (
            AuthStatus("hr", "device_code", None, Standing.NEEDS_LOGIN, "nobody is logged in"),
            "    ✗ nobody is logged in; run crudsd auth login hr",
        ),
        (AuthStatus("hr", "device_code", None, Standing.UNREADABLE, "there is no key"), "    ✗ there is no key"),
        (replace(HR, scope_granted=("people.read",)), "    ! not granted: people.write"),
        (replace(HR, scope_granted=("other",)), "    ! not granted: people.read people.write"),
        (replace(HR, renews=False), f"{CANNOT} at 2026-11-23 12:52:00 UTC"),
        (replace(HR, renews=False, expires_at=None), f"{CANNOT} when the token runs out"),
    ],
)
def test_what_is_amiss_stands_below_its_row_with_what_to_do(row: AuthStatus, note: str) -> None:
    assert list(auth_status.table([row], NOW))[2:] == [note]


def test_one_connection_is_told_whole() -> None:
    assert "\n".join(auth_status.whole(replace(HR, scope_granted=("people.read",)), NOW)) == WHOLE


def test_of_one_that_needs_a_login_it_is_told_since_when_and_why() -> None:
    row = AuthStatus("hr", "device_code", "client c1", Standing.NEEDS_LOGIN, "it was revoked", since=NOW)

    assert list(auth_status.whole(row, NOW))[-2:] == [
        "  state  needs login",
        "  ✗ since 2026-11-23 12:00:00 UTC: it was revoked; run crudsd auth login hr",
    ]


@pytest.mark.parametrize(
    ("granted", "told"),
    [(("people.read",), "1 of 2"), (("more", "people.read", "people.write"), "2 of 2"), (None, "2 of 2")],
)
def test_the_table_tells_how_much_of_the_scope_was_granted(granted: tuple[str, ...] | None, told: str) -> None:
    assert told in list(auth_status.table([replace(HR, scope_granted=granted)], NOW))[1]


def test_a_token_of_unknown_life_is_said_to_be_good_until_it_is_refused() -> None:
    assert "when it is refused" in list(auth_status.table([replace(HR, expires_at=None)], NOW))[1]


def test_a_configuration_without_connections_says_so() -> None:
    assert list(auth_status.table([], NOW)) == ["No connections."]


@pytest.mark.parametrize("standing", Standing)
def test_every_standing_has_its_words(standing: Standing) -> None:
    assert auth_status.STANDINGS[standing] in list(auth_status.table([replace(HR, standing=standing)], NOW))[1]


@pytest.mark.parametrize("standing", Standing)
def test_what_a_server_named_cannot_steer_the_terminal(standing: Standing) -> None:
    row = replace(HR, who="\x1b[2Jada", scope_granted=("\x1b[31mred",), reason="\x07", standing=standing)

    told = "\n".join([*auth_status.table([row], NOW), *auth_status.whole(row, NOW)])

    assert told.replace("\n", "").isprintable()


def test_json_holds_every_fact_under_its_own_key() -> None:
    (told,) = auth_status.as_json([HR])["connections"]

    assert told == {
        "connection": "hr",
        "auth": "authorization_code",
        "who": "client desk-sync",
        "server": "https://login.example.com",
        "state": "valid",
        "reason": "",
        "since": None,
        "scope_asked": ("people.read", "people.write"),
        "scope_granted": ("people.read", "people.write"),
        "scope_missing": (),
        "expires_at": NOW + timedelta(minutes=52),
        "obtained_at": NOW - timedelta(minutes=8),
        "renews": True,
    }
    assert set(asdict(HR)) - set(told) == {"kind", "standing"}


# ---- logins ----


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (timedelta(seconds=40.4), "in 40 s ("),
        (timedelta(minutes=59, seconds=29), "in 59 min ("),
        (timedelta(minutes=59, seconds=31), "in 1 h 00 min ("),
        (timedelta(days=3, hours=4), "in 3 d 04 h ("),
        (timedelta(0), "0 s ago ("),
    ],
)
def test_how_long_a_token_is_still_good_is_told_as_exactly_as_it_matters(left: timedelta, told: str) -> None:
    assert told in list(auth_status.table([replace(HR, expires_at=NOW + left)], NOW))[1]


def test_a_browser_login_says_what_to_open_where_it_ends_and_how_it_works_over_ssh() -> None:
    assert list(auth_login.browser(Browser(), minutes=10)) == [
        "To log in to hr, open this address in a browser:",
        "",
        "https://login.example.com/authorize?state=s",
        "",
        f"It comes back to {Browser.comes_back_to}, where this command waits for it (10 minutes; Ctrl-C ends it).",
        "Where the browser runs on another machine, that page does not open there. Then copy its whole address",
        "from the browser's address bar and paste it here:",
    ]


def test_one_that_is_not_listened_for_asks_for_the_address() -> None:
    told = list(auth_login.browser(Browser(is_listening=False), minutes=10))

    assert told[-1] == "Copy that page's whole address from the browser's address bar and paste it here:"
    assert "waits" not in "".join(told)


def test_one_that_nobody_can_paste_to_does_not_ask_for_it() -> None:
    assert "paste" not in "".join(auth_login.browser(Browser(may_paste=False), minutes=10))


def test_a_device_login_shows_address_code_and_how_long_it_is_good() -> None:
    told = list(auth_login.device("hr", Code(), NOW))

    assert "  https://login.example.com/device" in told
    assert "and enter the code  WDJB-MJHT" in told
    assert told[-1].startswith("The code is good for 5 min;")


def test_the_address_with_the_code_in_it_is_shown_where_the_server_has_one() -> None:
    whole = "https://login.example.com/device?user_code=WDJB-MJHT"

    assert f"Or open it with the code in it: {whole}" in list(
        auth_login.device("hr", Code(address_with_code=whole), NOW)
    )


def test_after_a_login_it_is_told_what_it_gave() -> None:
    assert list(auth_login.logged_in(HR, NOW)) == [
        "",
        "Logged in to hr; a running crudsd serve goes on with it by itself.",
        "  who      client desk-sync",
        "  scope    people.read people.write",
        "  expires  in 52 min (2026-11-23 12:52:00 UTC); it is renewed by itself",
    ]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("none", "hr needs no login: it sends no credentials."),
        ("bearer", "hr needs no login: its credentials (bearer) stay the same."),
    ],
)
def test_who_would_log_in_without_need_is_told_why_not(kind: str, said: str) -> None:
    assert list(auth_login.tried_out(AuthStatus("hr", kind, None, Standing.STATIC), NOW)) == [said]


def test_a_session_that_is_over_runs_out_no_more() -> None:
    over = replace(HR, standing=Standing.NEEDS_LOGIN, reason="it was revoked", expires_at=None, renews=False)

    lines = list(auth_status.whole(over, NOW))

    assert [line for line in lines if "expires" in line or "renewed" in line] == []


def test_a_token_that_was_tried_and_not_kept_is_said_to_be_so() -> None:
    status = AuthStatus("hr", "client_credentials", "client desk-sync", Standing.NOT_USED)

    assert list(auth_login.tried_out(status, NOW))[-1] == (
        "  ! it is not kept, for there is no key: `crudsd key generate` makes one"
    )


@pytest.mark.parametrize(
    ("was_in", "local", "personal", "said"),
    [
        (False, False, True, ("hr has no session that could be ended.",)),
        (True, False, True, ("given back to the server", "crudsd auth login hr")),
        (True, True, True, ("stay good until they run out", "crudsd auth login hr")),
        (True, False, False, ("given back to the server", "asks for a new token by itself")),
    ],
)
def test_after_a_logout_it_is_told_what_follows(
    was_in: bool, local: bool, personal: bool, said: tuple[str, ...]
) -> None:
    lines = list(auth_login.logged_out("hr", was_in=was_in, local=local, personal=personal))

    assert len(lines) == len(said)
    assert all(part in line for part, line in zip(said, lines, strict=True))
