"""Secret references: read at the last moment, from where the operator put them, never from a job file."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel

from daemon.errors import ConfigError, UsageError
from daemon.values import Secret

from .load import Loaded
from .problems import Path_, Problem
from .types import NAME_PATTERN, SecretRef

_LARGEST_BYTES = 1_000_000
SECRETS = "/etc/crudsd/secrets"
"""The folder that the shipped unit loads credentials from."""
_OF_FOLDER = "secret_"
"""Put before the name of each file by `LoadCredential=secret:FOLDER`, which the shipped unit has."""


class SecretError(ConfigError):
    """A secret cannot be had. `message` says which and why; `cure` what to do."""

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(f"{message}; {cure}")
        self.message, self.cure = message, cure


LookUp: TypeAlias = Callable[[str], Secret]
"""Returns the secret of this name out of the vault, or raises SecretError."""


def no_vault(name: str) -> Secret:
    """Find no secret. Stands for the vault where there is none."""
    raise SecretError(f"secret {name} is not in the vault", f"set it: crudsd secret set {name}")


def resolve(
    ref: SecretRef,
    *,
    environment: Mapping[str, str],
    credentials: Path | None,
    folder: Path = Path(),
    vault: LookUp = no_vault,
) -> Secret:
    """Return the secret that a reference names, as text, without one newline at its end.

    `credentials` is systemd's $CREDENTIALS_DIRECTORY, None outside a unit; `folder` is where relative files are
    looked for; `vault` opens what `crudsd secret set` has kept. Reads anew each time, so that a rotated secret counts.
    Raises SecretError.
    """
    if ref.env is not None:
        return _checked(environment.get(ref.env), f"environment variable {ref.env}", f"set {ref.env}, or {_ELSE}")
    if ref.credential is not None:
        return _credential(ref.credential, credentials)
    if ref.file is not None:
        path = folder / ref.file
        return _checked(_read(path), f"file {path}", f"write the secret into {path} (mode 0600)")
    if ref.vault is not None:
        return vault(ref.vault)
    raise SecretError("the reference names no place", "name one (example: {env: NAME})")


def secret_file(ref: SecretRef, *, credentials: Path | None, folder: Path = Path()) -> Path | None:
    """Return the file that `resolve` reads for a reference; None where there is none."""
    if ref.file is not None:
        return folder / ref.file
    return _credential_file(ref.credential, credentials) if ref.credential is not None and credentials else None


def check_secrets(
    loaded: Loaded, environment: Mapping[str, str], credentials: Path | None = None, *, vault: LookUp = no_vault
) -> tuple[Problem, ...]:
    """Return a problem, at the reference's place in the file, for each secret that cannot be had now."""
    found = []
    blocks: list[tuple[Path_, Any]] = [(("state",), loaded.spec.state)]
    blocks += _holders(loaded)
    for place, block in blocks:
        for path, ref in _references(block, place):
            try:
                resolve(ref, environment=environment, credentials=credentials, vault=vault)
            except SecretError as error:
                found.append(loaded.problem(path, error.message, error.cure))
    return tuple(found)


def vault_references(loaded: Loaded) -> Mapping[str, tuple[str, ...]]:
    """Return the references to secrets in the vault: by name, the places as `keys (file:line:column)`."""
    found: dict[str, tuple[str, ...]] = {}
    for holder, block in _holders(loaded):
        for path, ref in _references(block, holder):
            if ref.vault is not None:
                place = f"{'.'.join(map(str, path[:-1]))} ({loaded.place_of(path)})"
                found[ref.vault] = (*found.get(ref.vault, ()), place)
    return found


def _holders(loaded: Loaded) -> list[tuple[Path_, Any]]:
    """Return the blocks that may refer to secrets, each with its place."""
    spec = loaded.spec
    connections: list[tuple[Path_, Any]] = [(("connections", name), one) for name, one in spec.connections.items()]
    return [*connections, *((("alerts", name), one) for name, one in spec.alerts.items())]


def entered_secret(name: str, entered: bytes) -> Secret:
    """Return what a person entered for a name, without one newline at its end.

    Raises UsageError for what is no name or no secret; the message never holds what was entered.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise UsageError(
            f"{name!r} is not a name for a secret; take lower-case letters, digits, and - _ . (example: hr-token)"
        )
    if len(entered) > _LARGEST_BYTES:
        raise UsageError(f"the value of {name} has more than {_LARGEST_BYTES:,} bytes; nothing was kept")
    try:
        return _checked(entered.decode(), f"the value of {name}", "nothing was kept")
    except UnicodeDecodeError:
        raise UsageError(
            f"the value of {name} is not UTF-8; a secret is text; encode it, in base64 for example"
        ) from None
    except SecretError as error:
        raise UsageError(str(error)) from None


_ELSE = "refer to a file or credential instead (example: {file: secret.txt})"


def _credential(name: str, credentials: Path | None) -> Secret:
    if credentials is None:
        raise SecretError(
            f"credential {name} needs systemd: $CREDENTIALS_DIRECTORY is not set",
            f"write it into {SECRETS}/{name} for the service, or use {{env: …}} or {{file: …}} here",
        )
    if "/" in name or name in {".", ".."}:
        raise SecretError(f"credential {name} is not a name", "write the name alone, without a path")
    cure = f"write it into {SECRETS}/{name} (or add LoadCredential={name}:/path to the unit) and restart the service"
    return _checked(_read(_credential_file(name, credentials)), f"credential {name}", cure)


def _credential_file(name: str, credentials: Path) -> Path:
    """Return where a credential is: loaded by its own name, or out of the folder of them."""
    of_folder = credentials / f"{_OF_FOLDER}{name}"
    return of_folder if of_folder.exists() and not (credentials / name).exists() else credentials / name


def _read(path: Path) -> str | None:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise SecretError(f"file {path} has more than {_LARGEST_BYTES:,} bytes", "is it the right file?")
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretError(
            f"file {path} cannot be read: {error.strerror or error}", "let the service's user read it"
        ) from None
    except UnicodeDecodeError:
        raise SecretError(f"file {path} is not UTF-8", "a secret is text; encode it, in base64 for example") from None


def _checked(text: str | None, what: str, cure: str) -> Secret:
    if text is None:
        raise SecretError(f"{what} is not there" if what.startswith(("file", "cred")) else f"{what} is not set", cure)
    stripped = text.removesuffix("\n").removesuffix("\r")
    if not stripped.strip():
        raise SecretError(f"{what} is empty", cure)
    return Secret(stripped)


def _references(value: Any, path: Path_) -> Iterator[tuple[Path_, SecretRef]]:
    if isinstance(value, SecretRef):
        place = next(name for name in ("env", "file", "credential", "vault") if getattr(value, name) is not None)
        yield (*path, place), value
    elif isinstance(value, BaseModel):
        for name, info in type(value).model_fields.items():
            yield from _references(getattr(value, name), (*path, info.alias or name))
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _references(inner, (*path, name))
