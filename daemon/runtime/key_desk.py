"""What people ask about the key, and do with it: does it open this state, what does it seal, may it go."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import ConfigError, UsageError
from daemon.store.sealed import Holding, SealedRow, SealedRows
from daemon.vault.errors import VaultError
from daemon.vault.key_file import Guard, guard_of, read_key_file, remove_key
from daemon.vault.key_source import CREDENTIAL, KeySource, SourceKind
from daemon.vault.keys import KeyRing
from daemon.vault.vault import Vault

from .sealed_records import Binding, SealedRecords, UnreadableError, key_id

NO_KEY = "there is no key; `crudsd key generate` makes one"
KEY_GONE = "there is no key; put back the one that was there, or `crudsd key generate` makes one"


@dataclass(frozen=True, slots=True)
class KeyInRing:
    """One key of the ring, and how much of this state it seals."""

    id: str
    seals: bool
    """Whether it is the first one."""
    records: int | None
    """None where the state is not known."""


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """What is known about a key and the state that it is for."""

    source: KeySource | None
    guard: Guard | None
    """None where the key is in no file."""
    keys: tuple[KeyInRing, ...]
    location: str
    """The state database."""
    records: int | None
    """How many sealed records it has; None where there is none yet, or it could not be opened."""
    faults: tuple[str, ...]
    """Why the key, or something that is sealed, cannot be used; each with its cure."""
    warnings: tuple[str, ...]


def check_source(source: KeySource | None) -> tuple[KeyRing | None, tuple[str, ...]]:
    """Return the ring of a source, or why there is none."""
    if source is None:
        return None, (NO_KEY,)
    try:
        return source.read(), ()
    except ConfigError as error:
        return None, (str(error),)


def check_state(ring: KeyRing, rows: SealedRows, bindings: Mapping[str, Binding]) -> tuple[str, ...]:
    """Return why records do not open, each with its cure; empty when the ring opens everything."""
    records = SealedRecords(Vault(ring), bindings)
    faults = []
    for row in rows.all():
        try:
            records.open(row)
        except UnreadableError as error:
            faults.append(str(error))
    return tuple(faults)


def key_check(
    source: KeySource | None,
    ring: KeyRing | None,
    *,
    location: str,
    rows: tuple[SealedRow, ...] | None,
    faults: tuple[str, ...],
) -> KeyCheck:
    """Put together what was found; `rows` is None where there is no state to look into."""
    counts = Counter(key_id(row) for row in rows or ())
    keys = (
        ()
        if ring is None
        else tuple(
            KeyInRing(name, seals=place == 0, records=None if rows is None else counts[name])
            for place, name in enumerate(ring.names)
        )
    )
    return KeyCheck(
        source=source,
        guard=None if source is None or source.path is None else guard_of(source.path),
        keys=keys,
        location=location,
        records=None if rows is None else len(rows),
        faults=faults,
        warnings=() if source is None else source.warnings,
    )


def missing_keys(ring: KeyRing, rows: SealedRows) -> tuple[str, ...]:
    """Return a warning for each record whose key is not in the ring. Opens none: it is asked at each start."""
    lost: dict[str, list[str]] = {}
    for row in rows.all():
        if ring.find(key_id(row)) is None:
            lost.setdefault(key_id(row), []).append(str(row))
    return tuple(
        f"{', '.join(names)}: sealed with the key {key or '?'}, which is not in the key ring: lost, or taken out too "
        "early; `crudsd key check` says what to do"
        for key, names in sorted(lost.items())
    )


def locked_away(rows: tuple[SealedRow, ...]) -> str | None:
    """Return in words what nobody can open without a key; None when that is nothing of use."""
    sealed = [row for row in rows if row.holding is not Holding.CANARY]
    if not sealed:
        return None
    verb = "is" if len(sealed) == 1 else "are"
    return f"{_some(sealed)} {verb} sealed (with {', '.join(sorted({key_id(row) or '?' for row in sealed}))})"


def _some(rows: Sequence[SealedRow]) -> str:
    return ", ".join(str(row) for row in rows[:3]) + (f" and {len(rows) - 3} more" if len(rows) > 3 else "")


def writable_file(source: KeySource | None, given: Path | None, command: str) -> Path:
    """Return the key file that a command may change.

    Raises UsageError, with what to do, where crudsd may change none; ConfigError when there is no key at all.
    """
    if given is not None:
        return given
    if source is None:
        raise ConfigError(KEY_GONE)
    if source.kind is SourceKind.FILE and source.path is not None:
        return source.path
    if source.kind is SourceKind.CREDENTIAL:
        raise UsageError(
            f"the key is {source}, a copy that crudsd cannot change; as its owner, run `crudsd key {command} --file "
            f"PATH` with the file that LoadCredential={CREDENTIAL}:PATH of the unit names, and restart the service"
        )
    raise UsageError(
        f"the key is in {source}, which crudsd cannot change; write its value into a file (mode 0600) that "
        f"CRUDSD_KEY_FILE names, and run `crudsd key {command}` again"
    )


def retire(name: str, path: Path, rows: tuple[SealedRow, ...]) -> None:
    """Take a key that seals nothing any more out of its file.

    Raises UsageError for the key that seals, one that is not there, and one that a record still needs; ConfigError for
    a file that is no good, or whose other keys do not open this state.
    """
    ring = read_key_file(path)
    rest = ring.without(name)
    if rest is None or name in {*ring.names[:1]} or ring.find(name) is None:
        remove_key(path, name)  # refuses, and says why
        return
    needed = [row for row in rows if key_id(row) == name]
    if needed:
        raise UsageError(
            f"{len(needed)} {'record is' if len(needed) == 1 else 'records are'} still sealed with {name} "
            f"({_some(needed)}); "
            "run `crudsd key rotate`, and then this again"
        )
    for row in rows:
        if row.holding is Holding.CANARY:
            try:
                Vault(rest).opens_canary(row.sealed)
            except VaultError as error:
                raise ConfigError(f"{path}: is not the key file of this state database: {error}") from error
    remove_key(path, name)
