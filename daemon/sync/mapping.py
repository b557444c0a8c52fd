"""From record to document: the job's key, filter and map, compiled once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from daemon.spec import ExpressionError, Job, compile_expression, job_revision, job_selection
from daemon.values import MISSING, Document, Json, Record

from .canonical import key_text

Evaluate = Callable[[Mapping[str, Json]], Json]


class UnmappableError(Exception):
    """This record cannot become a document; the message says why, for the operator."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """How one field is made."""

    path: tuple[str, ...]
    evaluate: Evaluate
    required: bool
    clears: bool


class JobMapping:
    """The compiled mapping of one job. Holds no state of a run; threads may share it."""

    def __init__(self, job: Job) -> None:
        keys = job.key if isinstance(job.key, list) else [job.key]
        self._keys = tuple(compile_expression(text) for text in keys)
        self._where = compile_expression(job.where) if job.where is not None else None
        self._rules = (
            None
            if job.map is None
            else tuple(
                _Rule(
                    path=tuple(name.split(".")),
                    evaluate=compile_expression(field.from_),
                    required=field.required,
                    clears=field.when_null == "clear",
                )
                for name, field in job.map.items()
            )
        )
        self.set_once = frozenset(tuple(name.split(".")) for name, field in (job.map or {}).items() if field.set_once)
        self.revision = job_revision(job)
        self.selection = job_selection(job)
        """Digests of what the job picks and makes, block by block."""
        self.seed = int(self.revision, 16)
        """Seeds raw fingerprints, so that an edited job makes every record a candidate again."""

    def key(self, record: Record) -> str:
        """Return the record's canonical key. Raises UnmappableError when it has none."""
        scope = {"record": record}
        try:
            parts = [expression(scope) for expression in self._keys]
            if MISSING in parts:
                raise UnmappableError(f"the key {self._keys[parts.index(MISSING)].text} is missing")
            return key_text(parts if len(parts) > 1 else parts[0])
        except (ExpressionError, ValueError) as error:
            raise UnmappableError(str(error)) from error

    def takes_part(self, record: Record) -> bool:
        """Say whether `where` lets this record in. Raises UnmappableError when it cannot be told."""
        if self._where is None:
            return True
        try:
            answer = self._where({"record": record})
        except ExpressionError as error:
            raise UnmappableError(f"where: {error}") from error
        if answer is MISSING:
            # Left out it would count as gone from the source, and that is not what a missing field says.
            raise UnmappableError(f"where: {self._where.text} asks about a field that is missing")
        return bool(answer)

    def document(self, record: Record) -> Document:
        """Return what the target should hold. Raises UnmappableError, naming the field, when it cannot be made."""
        if self._rules is None:
            return record
        scope = {"record": record}
        document: dict[str, Json] = {}
        for rule in self._rules:
            try:
                value = rule.evaluate(scope)
            except ExpressionError as error:
                raise UnmappableError(f"{'.'.join(rule.path)}: {error}") from error
            if rule.required and (value is MISSING or value is None or value == ""):
                state = "missing" if value is MISSING else "null" if value is None else "empty"
                raise UnmappableError(f"{'.'.join(rule.path)} is required and is {state}")
            if value is MISSING or (value is None and not rule.clears):
                continue
            _put(document, rule.path, value)
        return document


def _put(document: dict[str, Json], path: tuple[str, ...], value: Json) -> None:
    """Set a nested field, making the objects on the way."""
    for name in path[:-1]:
        inner = document.setdefault(name, {})
        if not isinstance(inner, dict):
            raise UnmappableError(f"{'.'.join(path)}: {name} is already a value, not an object")
        document = inner
    document[path[-1]] = value
