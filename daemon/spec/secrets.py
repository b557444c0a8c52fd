"""Secret references: read at the last moment, from where the operator put them, never from a job file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from daemon.errors import ConfigError
from daemon.values import Secret

from .load import Loaded
from .problems import Path_, Problem
from .types import SecretRef

_LARGEST_BYTES = 1_000_000


class SecretError(ConfigError):
    """A secret cannot be had. `message` says which and why; `cure` what to do."""

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(f"{message}; {cure}")
        self.message, self.cure = message, cure


def resolve(
    ref: SecretRef, *, environment: Mapping[str, str], credentials: Path | None, folder: Path = Path()
) -> Secret:
    """Return the secret that a reference names, as text, without one newline at its end.

    `credentials` is systemd's $CREDENTIALS_DIRECTORY, None outside a unit; `folder` is where relative files are
    looked for. Reads anew each time, so that a rotated file counts. Raises SecretError.
    """
    if ref.env is not None:
        return _checked(environment.get(ref.env), f"environment variable {ref.env}", f"set {ref.env}, or {_ELSE}")
    if ref.credential is not None:
        return _credential(ref.credential, credentials)
    if ref.file is not None:
        path = folder / ref.file
        return _checked(_read(path), f"file {path}", f"write the secret into {path} (mode 0600)")
    if ref.vault is not None:
        raise SecretError(f"secret {ref.vault} is not in the vault", f"set it: crudsd secret set {ref.vault}")
    raise SecretError("the reference names no place", "name one (example: {env: NAME})")


def check_secrets(
    loaded: Loaded, environment: Mapping[str, str], credentials: Path | None = None
) -> tuple[Problem, ...]:
    """Return a problem, at the reference's place in the file, for each secret that cannot be had now."""
    found = []
    for name, connection in loaded.spec.connections.items():
        for path, ref in _references(connection, ("connections", name)):
            try:
                resolve(ref, environment=environment, credentials=credentials)
            except SecretError as error:
                found.append(loaded.problem(path, error.message, error.cure))
    return tuple(found)


_ELSE = "refer to a file or credential instead (example: {file: secret.txt})"


def _credential(name: str, credentials: Path | None) -> Secret:
    if credentials is None:
        raise SecretError(
            f"credential {name} needs systemd: $CREDENTIALS_DIRECTORY is not set",
            f"start the service with LoadCredential={name}:/path, or use {{env: …}} or {{file: …}} here",
        )
    if "/" in name or name in {".", ".."}:
        raise SecretError(f"credential {name} is not a name", "write the name alone, without a path")
    return _checked(_read(credentials / name), f"credential {name}", f"add LoadCredential={name}:/path to the unit")


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
