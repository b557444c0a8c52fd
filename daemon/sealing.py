"""The vault of a configuration: its key, what that seals in the state database, and the secrets kept there."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from .clock import utc_clock
from .errors import ConfigError, StateError, UsageError
from .runtime.key_desk import (
    KEY_GONE,
    KeyCheck,
    check_source,
    check_state,
    key_check,
    locked_away,
    missing_keys,
    retire,
    writable_file,
)
from .runtime.resealing import Resealed, Resealing
from .runtime.sealed_records import Binding, SealedRecords
from .runtime.secret_desk import SealedSecrets, SecretDesk
from .settings import Settings
from .spec import Loaded, LookUp, OAuth2Auth, SecretError, SecretRef, load, resolve, vault_references
from .store import schema
from .store.database import Database, open_database
from .store.leases import Leases
from .store.owner import Owner
from .store.sealed import SealedRows
from .store.secrets import SqlSecrets
from .values import Secret
from .vault.key_file import add_key as add_to_file
from .vault.key_source import KeySource, find_key_source
from .vault.keys import KeyRing
from .vault.vault import LOST, Vault


def open_vault(settings: Settings, database: Database, *, needed: bool) -> tuple[Vault | None, tuple[str, ...]]:
    """Return the vault, None without a key, and what the operator should know about it.

    Raises ConfigError for a key that must not be used, or that does not open this state.
    """
    source = key_source(settings)
    if source is None:
        return None, _without_key(settings, database, needed=needed)
    vault = Vault(source.read(), reread=partial(_newest, settings), facts=database)
    vault.check_canary(database, source=source)
    return vault, (*source.warnings, *missing_keys(vault.ring, SealedRows(database)))


def _without_key(settings: Settings, database: Database, *, needed: bool) -> tuple[str, ...]:
    """Return what the operator should know where there is no key: that it was lost, or that one would be of use."""
    lost = locked_away(SealedRows(database).all())
    if lost is not None:
        return (_lost_key(settings, lost),)
    if not needed:
        return ()
    missing = (
        f"there is no key, so OAuth2 tokens stay in memory and each start asks for new ones; "
        f"`crudsd key generate {settings.key_file}` makes one"
    )
    return (missing,)


def _lost_key(settings: Settings, lost: str) -> str:
    back = f"put the key back as {settings.key_file}, or make a new one there with `crudsd key generate`"
    return f"there is no key, and {lost}; {back}. {LOST}"


def key_source(settings: Settings) -> KeySource | None:
    """Return where the key is, or None when there is none."""
    return find_key_source(settings.environment, settings.credentials, settings.key_file)


@contextmanager
def vault_lookup(settings: Settings, loaded: Loaded) -> Iterator[LookUp]:
    """Give what looks up `{vault: …}` references for a check; the state is opened only if there are some, to read.

    Raises ConfigError for a key or a schema that must not be used, StateError when the state cannot be read.
    """
    if not vault_references(loaded):
        yield SealedSecrets(None, None).look_up
        return
    source = key_source(settings)
    vault = None if source is None else Vault(source.read())
    with _existing_state(settings, loaded) as database:
        yield SealedSecrets(None if database is None else SqlSecrets(database, utc_clock), vault).look_up


def lookup(database: Database, vault: Vault | None) -> LookUp:
    """Return what looks up secrets in an open state."""
    return SealedSecrets(SqlSecrets(database, utc_clock), vault).look_up


# ---- the key --------------------------------------------------------------------------------------------------------


def add_key(settings: Callable[[], Settings], file: Path | None) -> tuple[Path, str]:
    """Put a new key at the top of the key file, or of `file`, and return which file, and the key's id.

    Raises UsageError where the key is in no file that crudsd may change, ConfigError for a file that is no good.
    """
    path = file or writable_file(key_source(settings()), None, "add")
    return path, add_to_file(path)


def check_key(settings: Settings) -> KeyCheck:
    """Look whether the key may be used and opens everything that is sealed. Writes nothing."""
    loaded = load(settings.config)
    source = key_source(settings)
    ring, faults = check_source(source)
    rows, location = None, _shown(settings.state_place(loaded.spec.state))
    try:
        with _existing_state(settings, loaded) as database:
            if database is not None:
                location = database.location
                sealed = SealedRows(database)
                rows = sealed.all()
                if ring is not None:
                    faults = (*faults, *check_state(ring, sealed, _bindings(settings, loaded, database, Vault(ring))))
    except (ConfigError, StateError) as error:
        faults = (*faults, str(error))
    lost = None if source is not None else locked_away(rows or ())
    if lost is not None:
        faults = (_lost_key(settings, lost),)
    return key_check(source, ring, location=location, rows=rows, faults=faults)


def rotate_key(settings: Settings, *, drop_unreadable: bool) -> Resealed:
    """Seal everything in the state with the first key; a daemon may run meanwhile.

    Raises ConfigError for a key that is no good or, without `drop_unreadable`, is not this state's; UsageError when
    there is no state.
    """
    loaded = load(settings.config)
    source = _needed(key_source(settings))
    with _existing_state(settings, loaded, read_only=False) as database:
        if database is None:
            raise UsageError(_no_state(settings, loaded))
        vault = Vault(source.read(), facts=database)
        if not drop_unreadable:
            vault.check_canary(database, source=source)
        records = SealedRecords(vault, _bindings(settings, loaded, database, vault))
        leases = Leases(database, utc_clock, Owner.here())
        return Resealing(SealedRows(database), records, leases).run(drop_unreadable=drop_unreadable)


def retire_key(settings: Settings, name: str, file: Path | None) -> Path:
    """Take a key that seals nothing any more out of the key file, or out of `file`, and return which file.

    Raises UsageError for a key that is still needed, ConfigError for a file that is no good.
    """
    loaded = load(settings.config)
    path = writable_file(key_source(settings), file, f"retire {name}")
    with _existing_state(settings, loaded) as database:
        if database is None:
            raise UsageError(f"{_no_state(settings, loaded)}; so nobody can tell what {name} has sealed")
        retire(name, path, SealedRows(database).all())
    return path


# ---- secrets --------------------------------------------------------------------------------------------------------


@contextmanager
def secret_desk(settings: Settings) -> Iterator[SecretDesk]:
    """Give what people may do with secrets. A state database that is new gets its tables.

    Raises SpecError and ConfigError for what the operator must change, StateError when the state cannot be used.
    """
    loaded = load(settings.config)
    with open_database(settings.state_place(loaded.spec.state)) as database:
        schema.prepare(database)
        vault, _ = open_vault(settings, database, needed=False)
        kept = SqlSecrets(database, utc_clock)
        yield SecretDesk(kept, vault, vault_references(loaded))


# ---- what both need -------------------------------------------------------------------------------------------------


@contextmanager
def _existing_state(settings: Settings, loaded: Loaded, *, read_only: bool = True) -> Iterator[Database | None]:
    """Give the state database with the schema of this program; None where there is none yet, and none is made."""
    place = settings.state_place(loaded.spec.state)
    if _is_file(place) and not Path(place.removeprefix("sqlite:///")).exists():
        yield None
        return
    with open_database(place, read_only=read_only) as database:
        if schema.current(database) is None:
            yield None
            return
        schema.check(database)
        yield database


def _bindings(settings: Settings, loaded: Loaded, database: Database, vault: Vault) -> Mapping[str, Binding]:
    """Return what the token of each connection is bound to."""
    find = partial(
        resolve,
        environment=settings.environment,
        credentials=settings.credentials,
        folder=settings.folder,
        vault=lookup(database, vault),
    )
    auths = {name: connection.auth for name, connection in loaded.spec.rest_connections.items()}
    return {
        name: Binding(auth.server, _client_id(auth, find), auth.is_personal)
        for name, auth in auths.items()
        if isinstance(auth, OAuth2Auth)
    }


def _client_id(auth: OAuth2Auth, find: Callable[[SecretRef], Secret]) -> str | SecretError:
    if isinstance(auth.client_id, str):
        return auth.client_id
    try:
        return find(auth.client_id).reveal()
    except SecretError as error:
        return error


def _newest(settings: Settings) -> KeyRing | None:
    source = key_source(settings)
    return None if source is None else source.read()


def _needed(source: KeySource | None) -> KeySource:
    if source is None:
        raise ConfigError(KEY_GONE)
    return source


def _no_state(settings: Settings, loaded: Loaded) -> str:
    return f"there is no state database {_shown(settings.state_place(loaded.spec.state))} yet"


def _is_file(place: str) -> bool:
    return "://" not in place or place.startswith("sqlite:///")


def _shown(place: str) -> str:
    """Return a place as it may be shown: the address of a server may hold a password."""
    return place if _is_file(place) else f"at {place.partition('://')[0]}://…"
