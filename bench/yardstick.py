"""The lower limits by which the others are measured: the same jobs written by hand, for these records alone.

`yardstick.py plain|manifest|loop HOST`, in the folder that holds its `target.db`.

- `plain`: what a good programmer writes. Each page is decoded, each record mapped and its row hashed, the page's keys
  looked up in a ledger at once, and what differs is written with `executemany`: a commit a page.
- `manifest`: the same, but records are not decoded at first. The ordered hashes of a page's raw records are kept with
  their ledger ids: a page whose hashes are as before costs one comparison, a record that was on it one look-up.
- `loop`: creates. Eight threads (`THREADS` in the environment) with a urllib3 pool, and nothing that is remembered.

None of them has retries, checks, a journal, deletes or a configuration.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from itertools import compress

import msgspec
import urllib3
import xxhash

from bench.records import COLUMNS, Row, row_of

ITEMS = (
    "CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY, email TEXT, name TEXT, surname TEXT, active BOOLEAN, "
    "balance FLOAT, updated TEXT, city TEXT, country TEXT, company TEXT)"
)
LEDGER = (
    "CREATE TABLE IF NOT EXISTS ledger (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, hash BLOB NOT NULL, "
    "target_id TEXT NOT NULL, version INTEGER NOT NULL)"
)
MANIFEST = "CREATE TABLE IF NOT EXISTS manifest (page TEXT PRIMARY KEY, hashes BLOB, ids BLOB) WITHOUT ROWID"
CURSOR = "CREATE TABLE IF NOT EXISTS cursor (one INTEGER PRIMARY KEY, page TEXT)"
PUT_ROW = (
    f"INSERT INTO items VALUES ({', '.join('?' * len(COLUMNS))}) ON CONFLICT (id) DO UPDATE SET "
    f"{', '.join(f'{name} = excluded.{name}' for name in COLUMNS if name != 'id')}"
)
PUT_LEDGER = (
    "INSERT INTO ledger (key, hash, target_id, version) VALUES (?, ?, ?, 1) ON CONFLICT (key) DO UPDATE SET "
    "hash = excluded.hash, version = version + 1"
)
HASH = 16
"""Bytes of one."""


class Page(msgspec.Struct):
    """A page whose records stay raw."""

    data: list[msgspec.Raw]
    next: str | None


class Address(msgspec.Struct):
    city: str
    country: str


class Company(msgspec.Struct):
    name: str


class Person(msgspec.Struct, gc=False):
    """The part of a record that the job needs."""

    id: int
    email: str
    first_name: str
    last_name: str
    active: bool
    balance: float
    updated_at: str
    address: Address
    company: Company


decode_any = msgspec.json.Decoder().decode
decode_page = msgspec.json.Decoder(Page).decode
decode_person = msgspec.json.Decoder(Person).decode
encode = msgspec.json.encode


def pages(host: str) -> Iterator[tuple[str, bytes]]:
    """Yield each page's name and body, one after the other; where the next one is, is read without the records."""
    pool = urllib3.HTTPConnectionPool(host.removeprefix("http://"), maxsize=1)
    page: str | None = "1"
    while page:
        body = pool.urlopen("GET", f"/people?page={page}", redirect=False, retries=False).data
        name = page
        at = body.rfind(b'"next":') + 7
        page = msgspec.json.decode(body[at : body.find(b",", at)])
        yield name, body


class Book:
    """The database: the table, the ledger beside it, and how far a read has come."""

    def __init__(self) -> None:
        self.written = 0
        self.seen = bytearray()
        self.database = sqlite3.connect("target.db", isolation_level=None)
        # A commit does not wait for the disk: the ledger can be made anew.
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", ITEMS, LEDGER, MANIFEST, CURSOR):
            self.database.execute(statement)

    def known(self, keys: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        """Return ledger id and hash of those keys that have them."""
        sql = f"SELECT key, id, hash FROM ledger WHERE key IN ({', '.join('?' * len(keys))})"
        return {key: (number, kept) for key, number, kept in self.database.execute(sql, keys)}

    def store(self, page: str, rows: Sequence[Row], hashes: Sequence[bytes]) -> None:
        """Write what differs, and how far the read has come, inside the caller's transaction."""
        ledger = [(str(row[0]), digest, str(row[0])) for row, digest in zip(rows, hashes, strict=True)]
        self.database.executemany(PUT_ROW, rows)
        self.database.executemany(PUT_LEDGER, ledger)
        self.database.execute("INSERT OR REPLACE INTO cursor VALUES (1, ?)", (page,))
        self.written += len(rows)

    def mark(self, ids: Sequence[int]) -> None:
        """Note that these ledger rows were met: a byte each, and in one go where they follow one another."""
        highest = max(ids)
        if highest >= len(self.seen):
            self.seen.extend(bytes(highest + 1 - len(self.seen)))
        if highest - ids[0] + 1 == len(ids):
            self.seen[ids[0] : highest + 1] = b"\1" * len(ids)
        else:
            for number in ids:
                self.seen[number] = 1


def plain(host: str) -> int:
    """Decode everything and look everything up."""
    book = Book()
    for page, body in pages(host):
        rows = [row_of(person) for person in decode_any(body)["data"]]
        hashes = [blake2b(encode(row), digest_size=HASH).digest() for row in rows]
        before = book.known([str(row[0]) for row in rows])
        found = [before.get(str(row[0]), (0, b"")) for row in rows]
        book.mark([number for number, _ in found])
        differs = [kept != digest for (_, kept), digest in zip(found, hashes, strict=True)]
        book.database.execute("BEGIN")
        book.store(page, list(compress(rows, differs)), list(compress(hashes, differs)))
        book.database.execute("COMMIT")
    book.database.close()
    return book.written


def manifest(host: str) -> int:
    """Decode only what the page's manifest does not know."""
    book = Book()
    for page, body in pages(host):
        people = decode_page(body).data
        hashes = [xxhash.xxh3_128_digest(memoryview(person)) for person in people]
        whole = b"".join(hashes)
        told = book.database.execute("SELECT hashes, ids FROM manifest WHERE page = ?", (page,)).fetchone()
        before, ids = told or (b"", b"")
        if before != whole:
            chunks = [before[at : at + HASH] for at in range(0, len(before), HASH)]
            old = dict(zip(chunks, array("I", ids), strict=True))
            book.database.execute("BEGIN")
            ids = misses(book, page, people, hashes, old).tobytes()
            book.database.execute("INSERT OR REPLACE INTO manifest VALUES (?, ?, ?)", (page, whole, ids))
            book.database.execute("COMMIT")
        book.mark(array("I", ids))
    book.database.close()
    return book.written


def misses(
    book: Book, page: str, people: Sequence[msgspec.Raw], hashes: Sequence[bytes], old: dict[bytes, int]
) -> array[int]:
    """Write the records whose hashes the old manifest does not have, and return the ids of all."""
    fresh = {digest: decode_person(one) for one, digest in zip(people, hashes, strict=True) if digest not in old}
    keys = [str(person.id) for person in fresh.values()]
    before = book.known(keys)
    todo = [digest for key, digest in zip(keys, fresh, strict=True) if before.get(key, (0, b""))[1] != digest]
    book.store(page, [flat(fresh[digest]) for digest in todo], todo)
    after = book.known(keys)
    new = {digest: after[key][0] for key, digest in zip(keys, fresh, strict=True)}
    return array("I", [old.get(digest) or new[digest] for digest in hashes])


def flat(person: Person) -> Row:
    """Return the row of a decoded person, in the order of COLUMNS."""
    return (
        person.id,
        person.email,
        person.first_name,
        person.last_name,
        person.active,
        person.balance,
        person.updated_at,
        person.address.city,
        person.address.country,
        person.company.name,
    )


def loop(host: str) -> int:
    """Create every record at the other side, and read its new id."""
    threads = int(os.environ.get("THREADS", "8"))
    pool = urllib3.HTTPConnectionPool(host.removeprefix("http://"), maxsize=threads)
    head = {"Content-Type": "application/json", "Accept": "application/json"}

    def create(row: Row) -> int:
        body = encode(dict(zip(COLUMNS, row, strict=True)))
        told: int = decode_any(pool.urlopen("POST", "/people", body, head, redirect=False, retries=False).data)["id"]
        return told

    with ThreadPoolExecutor(threads) as workers:
        return sum(len(list(workers.map(create, map(row_of, decode_any(body)["data"])))) for _, body in pages(host))


if __name__ == "__main__":
    print(json.dumps({"rows": {"plain": plain, "manifest": manifest, "loop": loop}[sys.argv[1]](sys.argv[2])}))
