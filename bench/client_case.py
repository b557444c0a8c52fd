"""One case in a process of its own: `client_case.py WHO get|post COUNT BASE_URL`.

Prints a line of JSON: the CPU and wall seconds of COUNT requests over one connection kept alive, each with a valid
bearer token (but for `cruds-none`) and its answer parsed, imports and the first requests left out.
"""

# ruff: noqa: PLC0415  a case must not pay for another's imports, or need them

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

WARM_UP = 50
TOKEN = {"access_token": "t" * 60, "token_type": "Bearer", "expires_in": 86_400}
BEARER = {"Authorization": f"Bearer {TOKEN['access_token']}"}
RECORD = {"email": "somebody.else@example.com", "name": "Somebody Else", "active": True, "tags": ["a", "b"]}

Turn = Callable[[], Any]


def urllib3_pool(base: str, verb: str) -> Turn:
    import urllib3

    pool = urllib3.HTTPConnectionPool(base.removeprefix("http://"), maxsize=1)
    read = {**BEARER, "Accept": "application/json"}
    write = {**read, "Content-Type": "application/json"}
    if verb == "get":
        return lambda: json.loads(pool.urlopen("GET", "/records/4711", headers=read).data)
    return lambda: json.loads(pool.urlopen("POST", "/records", json.dumps(RECORD).encode(), write).data)


def cruds_client(base: str, verb: str, auth: Any) -> Turn:
    import cruds

    client = cruds.Client(base, auth=auth)
    if verb == "get":
        return lambda: client.read("records/4711")
    return lambda: client.create("records", RECORD)


def oauth2(base: str) -> Any:
    import cruds

    return cruds.OAuth2(f"{base}/token", "client", "secret", "records")


def session(of: Any, base: str, verb: str) -> Turn:
    """Requests, what is built on it, and its heirs."""
    if verb == "get":
        return lambda: of.get(f"{base}/records/4711").json()
    return lambda: of.post(f"{base}/records", json=RECORD).json()


def requests_session(base: str, verb: str) -> Turn:
    import requests

    of = requests.Session()
    of.headers.update(BEARER)
    return session(of, base, verb)


def requests_oauthlib(base: str, verb: str) -> Turn:
    from requests_oauthlib import OAuth2Session

    return session(OAuth2Session("client", token=TOKEN), base, verb)


def httpx_client(base: str, verb: str) -> Turn:
    import httpx

    return session(httpx.Client(headers=BEARER), base, verb)


def niquests_session(base: str, verb: str) -> Turn:
    import niquests

    of = niquests.Session()
    of.headers.update(BEARER)
    return session(of, base, verb)


CASES: dict[str, tuple[str, Callable[[str, str], Turn]]] = {
    "urllib3": ("urllib3", urllib3_pool),
    "cruds": ("crudsd", lambda base, verb: cruds_client(base, verb, oauth2(base))),
    "cruds-none": ("crudsd", lambda base, verb: cruds_client(base, verb, None)),
    "requests": ("requests", requests_session),
    "requests-oauthlib": ("requests-oauthlib", requests_oauthlib),
    "httpx": ("httpx", httpx_client),
    "niquests": ("niquests", niquests_session),
}


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def token_cost(base: str, count: int) -> dict[str, Any]:
    """Take turns, a hundred requests each, with and without OAuth2; the medians' difference is the token's."""
    turns = [cruds_client(base, "get", None), cruds_client(base, "get", oauth2(base))]
    costs: tuple[list[float], list[float]] = ([], [])
    for number in range(max(6, count // 100)):
        for which in (0, 1) if number % 2 else (1, 0):
            began = cpu()
            for _ in range(100):
                turns[which]()
            costs[which].append((cpu() - began) / 100)
    without, with_token = (sorted(one[2:])[len(one[2:]) // 2] for one in costs)
    return {"n": count, "token_s": with_token - without}


def main(who: str, verb: str, count: int, base: str) -> dict[str, Any]:
    if who == "token":
        return token_cost(base, count)
    package, build = CASES[who]
    turn = build(base, verb)
    for _ in range(WARM_UP):
        found = turn()
    if found["id"] != 4711:
        raise SystemExit(f"{who} read {found}")
    wall, used = time.perf_counter(), cpu()
    for _ in range(count):
        turn()
    return {
        "n": count,
        "cpu_s": cpu() - used,
        "wall_s": time.perf_counter() - wall,
        "package": f"{package} {version(package)}",
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])))
