"""Compare both systems record by record, by rules that are written here a second time and not by crudsd's own."""

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from daemon.errors import UnavailableError
from daemon.values import Json, Record

ATTEMPTS = 5
"""Tries of one request: both systems refuse one now and then."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What both systems hold, side by side. The differences are employee numbers, sorted."""

    employees: int
    equal: int
    missing: tuple[str, ...]
    """Employees whom the help desk does not know."""
    different: tuple[str, ...]
    surplus: tuple[str, ...]
    """Users of people who are not employed."""
    doubled: tuple[str, ...]
    """Employees with more than one user."""
    own: tuple[str, ...]
    """Names of users without an employee number: the help desk's own, which are no difference."""

    @property
    def differences(self) -> int:
        """How many things are not as they should be."""
        return len(self.missing) + len(self.different) + len(self.surplus) + len(self.doubled)

    def counts(self) -> dict[str, int]:
        """Return every figure by its name."""
        groups = ("missing", "different", "surplus", "doubled", "own")
        lengths = {name: len(getattr(self, name)) for name in groups}
        return {"employees": self.employees, "equal": self.equal, "differences": self.differences, **lengths}


def compare(employees: Iterable[Record], users: Iterable[Record]) -> Comparison:
    """Compare the active employees with the users of the help desk."""
    wanted = {employee["employee_no"]: _expected(employee) for employee in employees}
    own: list[str] = []
    held: dict[str, list[Record]] = defaultdict(list)
    for user in users:
        if user.get("external_id") is None:
            own.append(user["name"])
        else:
            held[user["external_id"]].append(user)
    same = {key for key, fields in wanted.items() if len(held[key]) == 1 and _holds(held[key][0], fields)}
    return Comparison(
        employees=len(wanted),
        equal=len(same),
        missing=tuple(sorted(key for key in wanted if not held[key])),
        different=tuple(sorted(key for key in wanted if len(held[key]) == 1 and key not in same)),
        surplus=tuple(sorted(key for key in held if key not in wanted)),
        doubled=tuple(sorted(key for key in wanted if len(held[key]) > 1)),
        own=tuple(own),
    )


def _expected(employee: Record) -> Record:
    """Return what the help desk should hold of an employee."""
    return {
        "external_id": employee["employee_no"],
        "name": employee["given_name"] + " " + employee["family_name"],
        "email": employee["work_email"].lower(),
        "phone": employee["mobile"],
        "locale": employee.get("language", "en"),
    }


def _holds(user: Record, fields: Record) -> bool:
    return all(user.get(name) == value for name, value in fields.items())


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """Where both systems are, and the credentials for them. Printing it shows none."""

    hr_url: str
    client_id: str
    client_secret: str
    helpdesk_url: str
    helpdesk_token: str


def compare_over_http(access: Access) -> Comparison:
    """Read both systems through their APIs, as any client would, and compare. Raises UnavailableError."""
    return compare(_employees(access), _users(access))


def _employees(access: Access) -> Iterator[Record]:
    pair = base64.b64encode(f"{access.client_id}:{access.client_secret}".encode()).decode()
    form = b"grant_type=client_credentials"
    token = _fetch(f"{access.hr_url}/oauth/token", {"Authorization": f"Basic {pair}"}, form)["access_token"]
    query = {"status": "active", "page_size": "200"}
    while True:
        address = f"{access.hr_url}/api/employees?{urllib.parse.urlencode(query)}"
        data = _fetch(address, {"Authorization": f"Bearer {token}"})["data"]
        yield from data["items"]
        if data["next_cursor"] is None:
            return
        query["cursor"] = data["next_cursor"]


def _users(access: Access) -> Iterator[Record]:
    headers = {"Authorization": f"Bearer {access.helpdesk_token}"}
    page = 1
    while users := _fetch(f"{access.helpdesk_url}/v1/users?page={page}", headers)["users"]:
        yield from users
        page += 1


def _fetch(address: str, headers: Mapping[str, str], body: bytes | None = None) -> Json:
    """Return the JSON of an answer, asking again where the answer is 429 or 503. Goes through no proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(address, data=body, headers=dict(headers))  # noqa: S310 - our own loopback
    for _ in range(ATTEMPTS):
        try:
            with opener.open(request, timeout=10) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                if error.code not in {429, 503}:
                    raise UnavailableError(f"{address} answered {error.code}", status=error.code) from error
                time.sleep(float(error.headers.get("Retry-After", "0.1")))
    raise UnavailableError(f"{address} refused {ATTEMPTS} times")
