"""People of which every machine makes the same ones, in pages as an API shows them, and what becomes of them.

A record has fourteen fields and some 440 bytes. The job of all who are compared keeps ten of them, two out of nested
objects, as a flat row. Of the changed edition one record in a hundred is another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SIZE = 1_000
"""Records a page."""
COLUMNS = {
    "id": "id",
    "email": "email",
    "name": "first_name",
    "surname": "last_name",
    "active": "active",
    "balance": "balance",
    "updated": "updated_at",
    "city": "address.city",
    "country": "address.country",
    "company": "company.name",
}
"""The fields of a row, and where in the record each comes from."""
WORDS = tuple(hashlib.blake2b(b"%d" % number).hexdigest()[: 4 + number % 7] for number in range(512))
COUNTRIES = ("DE", "FR", "US", "GB", "NL", "SE", "PL", "IT", "ES", "JP")
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Edition:
    """A list of records in a folder, one file a page, and what a table of all its rows comes to."""

    name: str
    count: int
    pages: int
    checksum: int


def record(number: int, *, changed: bool) -> dict[str, Any]:
    """Return one person; `changed`: as the changed edition has them, which is the same for 99 of 100."""
    noise = hashlib.blake2b(b"person %d" % number, digest_size=32).digest()
    words = [WORDS[int.from_bytes(noise[at : at + 2]) % 512] for at in range(0, 22, 2)]
    is_another = changed and noise[30] * 256 + noise[31] < 655
    accent = "é" if number % 17 == 0 else ""
    return {
        "id": number,
        "uuid": noise[:16].hex(),
        "email": f"{words[0]}.{words[1]}{number}@example.com",
        "first_name": words[0].title(),
        "last_name": words[1].title() + accent,
        "active": noise[22] < 200,
        "balance": (int.from_bytes(noise[23:26]) % 1_000_000 + 100 * is_another) / 100,
        "score": noise[26] * 4,
        "created_at": _moment(2024, noise[8:13]),
        "updated_at": _moment(2026 if is_another else 2025, noise[13:18]),
        "address": {
            "street": f"{noise[27]} {words[2]} street",
            "city": words[3].title(),
            "zip": f"{int.from_bytes(noise[18:21]) % 100_000:05d}",
            "country": COUNTRIES[noise[28] % 10],
        },
        "tags": words[4 : 4 + noise[29] % 4],
        "company": {"id": noise[21] * 20, "name": words[7].upper() + " GmbH"},
        "note": None if noise[22] % 2 else " ".join(words[6:11]),
    }


def _moment(year: int, noise: bytes) -> str:
    month, day, hour, minute, second = noise
    return f"{year}-{month % 12 + 1:02d}-{day % 28 + 1:02d}T{hour % 24:02d}:{minute % 60:02d}:{second % 60:02d}Z"


def row_of(person: Mapping[str, Any]) -> Row:
    """Return what the job makes of a record, in the order of COLUMNS."""
    address = person["address"]
    return (
        person["id"],
        person["email"],
        person["first_name"],
        person["last_name"],
        person["active"],
        person["balance"],
        person["updated_at"],
        address["city"],
        address["country"],
        person["company"]["name"],
    )


def tally(rows: Iterable[Sequence[Any]]) -> tuple[int, int]:
    """Return how many rows there are, and a number for their set, in any order; one other value makes another number.

    Ids are whole numbers, booleans 0 or 1, amounts have two digits, everything else is text as it came.
    """
    count = total = 0
    for number, email, name, surname, active, balance, *rest in rows:
        count += 1
        text = json.dumps([int(number), email, name, surname, int(active), f"{float(balance):.2f}", *rest])
        total += int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
    return count, total % 2**64


def edition(place: Path, count: int, *, changed: bool = False) -> Edition:
    """Return the edition of so many records, made in a folder below `place` when it is not there yet."""
    name = f"people-{count}{'-changed' if changed else ''}"
    folder, told = place / name, place / f"{name}.json"
    if told.is_file():
        return Edition(**json.loads(told.read_text(encoding="utf-8")))
    folder.mkdir(parents=True, exist_ok=True)
    pages, total = -(-count // SIZE), 0
    for page in range(1, pages + 1):
        people = [
            record(number, changed=changed) for number in range((page - 1) * SIZE + 1, min(page * SIZE, count) + 1)
        ]
        total += tally(map(row_of, people))[1]
        body = {"data": people, "next": str(page + 1) if page < pages else None, "total": count}
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
        (folder / f"{page}.json").write_text(text, encoding="utf-8")
    made = Edition(name, count, pages, total % 2**64)
    told.write_text(json.dumps(asdict(made)), encoding="utf-8")
    return made
