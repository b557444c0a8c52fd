"""Credentials go to the connection's own host and to those that were allowed, whatever the API says."""

from itertools import pairwise

import pytest

from daemon.sync.outcome import Ending
from tests.fakes.scripted import Reply, json_reply
from tests.integration.credentials.office import Office, went_well

BY_LINK = {"paginate": {"type": "link"}}
BY_FIELD = {"paginate": {"type": "next_url", "next": "next"}}
KINDS = {
    "bearer": "auth: {type: bearer, token: {env: KEY}}",
    "basic": "auth: {type: basic, username: me, password: {env: KEY}}",
    "header": "auth: {type: header, name: X-Api-Key, value: {env: KEY}}",
    "query": "auth: {type: query, name: api_key, value: {env: KEY}}",
}
KEY = "c4nary/of&the=key"
SHOWN = ("authorization", "x-api-key", "cookie", "x-tenant")
every_kind = pytest.mark.parametrize("auth", KINDS.values(), ids=KINDS.keys())


@pytest.fixture(autouse=True)
def _there_is_a_key(office: Office) -> None:
    office.secrets["KEY"] = KEY


def elsewhere(office: Office) -> str:
    """The API's other name, which is another host to whoever looks at names."""
    return f"http://localhost:{office.api.port}"


def hosts(office: Office) -> list[str]:
    return [seen.headers["host"].split(":")[0] for seen in office.api.journal]


def connection(office: Office, auth: str, allowed: str = "") -> str:
    return f"host: {office.api.url}\nheaders: {{X-Tenant: '7'}}\n{auth}\n{allowed}"


def is_proven(seen: object) -> bool:
    headers, query = seen.headers, dict(seen.query)  # type: ignore[attr-defined]
    return bool({"authorization", "x-api-key"} & set(headers)) or query.get("api_key") == KEY


@every_kind
@pytest.mark.parametrize("paging", [BY_LINK, BY_FIELD], ids=["link", "field"])
def test_a_next_page_on_an_allowed_host_is_read_with_credentials(office: Office, auth: str, paging: object) -> None:
    following = f"{elsewhere(office)}/rest?page=2"
    first = json_reply({"people": [{"id": "1"}], "next": following}, headers={"Link": f'<{following}>; rel="next"'})
    office.api.route("/people", first)
    office.api.route("/rest", json_reply({"people": [{"id": "2"}], "next": None}))
    allowed = f"allowed_hosts: ['{elsewhere(office)}']"

    assert went_well(office.run(connection(office, auth, allowed), **paging))  # type: ignore[arg-type]

    assert hosts(office) == ["127.0.0.1", "localhost"]
    assert all(is_proven(seen) for seen in office.api.journal)
    assert sorted(office.written()) == ["1", "2"]


@every_kind
def test_a_next_page_on_any_other_host_ends_the_run_unasked(office: Office, auth: str) -> None:
    following = f"{elsewhere(office)}/rest?page=2&api_key={KEY}"
    office.api.route("/people", json_reply({"people": [{"id": "1"}], "next": following}))

    result = office.run(connection(office, auth, "allowed_hosts: [https://files.example.com]"), **BY_FIELD).result

    assert result.ending is Ending.FAILED
    assert hosts(office) == ["127.0.0.1"]
    assert "next address is not on" in result.error
    assert KEY not in str(result)


@every_kind
@pytest.mark.parametrize("is_allowed", [True, False], ids=["allowed", "not allowed"])
def test_a_redirect_of_a_read_takes_credentials_only_where_they_belong(
    office: Office, auth: str, is_allowed: bool
) -> None:
    office.api.route("/people", Reply(302, {"Location": f"{elsewhere(office)}/moved"}))
    office.api.route("/moved", json_reply({"people": [{"id": "1"}]}))
    allowed = f"allowed_hosts: ['{elsewhere(office)}']" if is_allowed else ""

    assert went_well(office.run(connection(office, auth, allowed)))

    first, second = office.api.journal
    assert hosts(office) == ["127.0.0.1", "localhost"]
    assert is_proven(first)
    assert is_proven(second) is is_allowed
    if not is_allowed:
        assert not set(SHOWN) & set(second.headers)


@pytest.mark.parametrize("is_allowed", [True, False], ids=["allowed", "not allowed"])
def test_a_redirect_of_a_write_is_followed_only_where_it_belongs(office: Office, is_allowed: bool) -> None:
    """The target, this time: it holds what must not go astray, and the credentials."""
    there = f"http://localhost:{office.target.port}"
    office.target.route("/users", Reply(307, {"Location": f"{there}/new"}))
    office.target.route("/new", json_reply({"id": "u1"}, 201))
    spec = office.spec(connection(office, KINDS["bearer"]))
    spec["connections"]["desk"] |= {"auth": {"type": "bearer", "token": {"env": "KEY"}}}
    spec["connections"]["desk"] |= {"allowed_hosts": [there] if is_allowed else []}
    desk = office.desk(connection(office, KINDS["bearer"]))
    desk.write(spec)

    counts = desk.run().result.counts

    assert (counts.created, counts.rejected) == ((1, 0) if is_allowed else (0, 1))
    asked = [(seen.path, seen.headers["host"].split(":")[0]) for seen in office.target.journal]
    assert asked == [("/users", "127.0.0.1"), *([("/new", "localhost")] if is_allowed else [])]
    assert all(is_proven(seen) for seen in office.target.journal)


def test_an_api_that_repeats_the_key_in_its_next_addresses_does_not_get_it_into_the_state(office: Office) -> None:
    """After a hundred pages and an outage the read leaves a mark, and the mark is the next address."""
    letters = [first + second for first in "abcdefghijk" for second in "abcdefghijk"][:102]
    following = f"{office.api.url}/people?page=LETTERS&api_key=c4nary%2Fof%26the%3Dkey"
    pages = [
        json_reply({"people": [{"id": here}], "next": following.replace("LETTERS", there)})
        for here, there in pairwise(letters)
    ]
    office.api.route("/people", *pages, Reply(503))

    assert office.run(connection(office, KINDS["query"]), **BY_FIELD).result.ending is Ending.UNAVAILABLE

    state = b"".join(path.read_bytes() for path in office.folder.glob("crudsd.db*"))
    assert f"page={letters[-1]}".encode() in state, "there is a mark"
    assert b"c4nary" not in state
    assert all([value for name, value in seen.query if name == "api_key"] == [KEY] for seen in office.api.journal)
