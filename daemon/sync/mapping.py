"""From record to document: the job's key, filter and map, compiled once."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from daemon.spec import ExpressionError, Job, compile_expression, job_revision, job_selection, read_paths, record_paths
from daemon.values import MISSING, Document, Json, Missing, Record

from .canonical import fingerprint, key_text, raw_fingerprint
from .parts import NOTHING

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

    @property
    def name(self) -> str:
        """The field, as the job file writes it."""
        return ".".join(self.path)

    @property
    def is_plain(self) -> bool:
        """Whether the value, where there is one, is the field."""
        return len(self.path) == 1 and not self.required and not self.clears


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one field of a record's document."""

    name: str
    value: Json | Missing
    """MISSING where the field is left out."""
    trouble: str = ""
    """Why it cannot be made; empty when it can."""
    set_once: bool = False
    """Whether it is set when the record is created, and never updated."""


class JobMapping:
    """The compiled mapping of one job. Holds no state of a run; threads may share it."""

    def __init__(self, job: Job) -> None:
        keys = job.key if isinstance(job.key, list) else [job.key]
        self._keys = tuple(compile_expression(text) for text in keys)
        self._only_key = self._keys[0].quick if len(self._keys) == 1 else None
        self._ignored = tuple(tuple(path.split(".")) for path in job.ignore)
        self._where = compile_expression(job.where) if job.where is not None else None
        self._tombstone = compile_expression(job.source.tombstone) if job.source.tombstone is not None else None
        self._rules = (
            None
            if job.map is None
            else tuple(
                _Rule(
                    path=tuple(name.split(".")),
                    evaluate=compile_expression(field.from_).quick,
                    required=field.required,
                    clears=field.when_null == "clear",
                )
                for name, field in job.map.items()
            )
        )
        self._steps = [(rule.name, rule.evaluate, None if rule.is_plain else rule) for rule in self._rules or ()]
        """The rules as each record goes through them; what is None needs no look at its value."""
        self.set_once = frozenset(tuple(name.split(".")) for name, field in (job.map or {}).items() if field.set_once)
        self.key_fields = _key_fields(job, keys)
        """The document's fields that derive from the key, the target's match field among them."""
        self.revision = job_revision(job)
        self.selection = job_selection(job)
        """Digests of what the job picks and makes, block by block."""
        self.seed = int(self.revision, 16)
        """Seeds raw fingerprints, so that an edited job makes every record a candidate again."""
        self._scope: Mapping[str, Json] = NOTHING
        self._read_of_parents = _parent_paths(job, keys)
        self.may_move = not _names_parts(job, keys)
        """Whether a record may stand in another part tomorrow under the same key."""

    def within(self, scope: Mapping[str, Json]) -> "JobMapping":
        """Return the mapping of the records of one part, whose parents its expressions know by these names.

        What they read of the parents goes into the raw fingerprints, so that a parent that changes is news for its
        children too.
        """
        if not scope and not self._scope:
            return self
        inner = copy.copy(self)
        inner._scope = scope
        if self._read_of_parents:
            read = {".".join(path): _at(scope, path) for path in self._read_of_parents}
            mark = fingerprint({name: value for name, value in read.items() if value is not MISSING})
            inner.seed = int.from_bytes(raw_fingerprint(mark, int(self.revision, 16))[:8])
        return inner

    def _scope_of(self, record: Record) -> Mapping[str, Json]:
        return {**self._scope, "record": record} if self._scope else {"record": record}

    @property
    def ignores(self) -> bool:
        """Whether a record has to be heard before anything else looks at it."""
        return bool(self._ignored)

    def heard(self, record: Record) -> Record:
        """Return the record as if the source did not send the fields that the job ignores."""
        for path in self._ignored:
            record = _without(record, path)
        return record

    def key(self, record: Record) -> str:
        """Return the record's canonical key. Raises UnmappableError when it has none."""
        scope = self._scope_of(record)
        try:
            if self._only_key is not None and (value := self._only_key(scope)) is not MISSING:
                return key_text(value)
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
            answer = self._where(self._scope_of(record))
        except ExpressionError as error:
            raise UnmappableError(f"where: {error}") from error
        if answer is MISSING:
            # Left out it would count as gone from the source, and that is not what a missing field says.
            raise UnmappableError(f"where: {self._where.text} asks about a field that is missing")
        return bool(answer)

    def is_gone(self, record: Record) -> bool:
        """Say whether the record tells that it was deleted. Raises UnmappableError when it cannot be told."""
        if self._tombstone is None:
            return False
        try:
            return bool(self._tombstone(self._scope_of(record)))
        except ExpressionError as error:
            raise UnmappableError(f"tombstone: {error}") from error

    def document(self, record: Record) -> Document:
        """Return what the target should hold. Raises UnmappableError, naming the field, when it cannot be made."""
        if self._rules is None:
            return record
        scope = self._scope_of(record)
        document: dict[str, Json] = {}
        for name, evaluate, rule in self._steps:
            try:
                value = evaluate(scope)
            except ExpressionError as error:
                raise UnmappableError(f"{name}: {error}") from error
            if rule is None:
                if value is not None and value is not MISSING:
                    document[name] = value
            elif (value := _checked(rule, value)) is not MISSING:
                _put(document, rule.path, value)
        return document

    def tried(self, record: Record) -> tuple[Tried, ...]:
        """Return what becomes of each field, in the job file's order, past fields that cannot be made.

        For people: a document is made only where every field can be. Without `map`, the record's own fields.
        """
        if self._rules is None:
            return tuple(Tried(name, value) for name, value in record.items())
        scope, document = self._scope_of(record), dict[str, Json]()
        fields = []
        for rule in self._rules:
            name = rule.name
            try:
                value = _made(rule, scope)
                if value is not MISSING:
                    _put(document, rule.path, value)
                fields.append(Tried(name, value, set_once=rule.path in self.set_once))
            except UnmappableError as error:
                fields.append(Tried(name, MISSING, str(error)))
        return tuple(fields)


def _made(rule: _Rule, scope: Mapping[str, Json]) -> Json | Missing:
    """Return a field's value, MISSING where it is left out. Raises UnmappableError when it cannot be made."""
    try:
        value = rule.evaluate(scope)
    except ExpressionError as error:
        raise UnmappableError(f"{rule.name}: {error}") from error
    return _checked(rule, value)


def _checked(rule: _Rule, value: Json | Missing) -> Json | Missing:
    """Return a value as its field takes it, MISSING where that is left out. Raises UnmappableError where one lacks."""
    if rule.required and (value is MISSING or value is None or value == ""):
        state = "missing" if value is MISSING else "null" if value is None else "empty"
        raise UnmappableError(f"{rule.name} is required and is {state}")
    return MISSING if value is None and not rule.clears else value


def _key_fields(job: Job, keys: Sequence[str]) -> frozenset[str]:
    read = frozenset().union(*(record_paths(text) for text in keys))
    match = job.target.match
    fields = {name.split(".")[0] for name in ([match] if isinstance(match, str) else match or ())}
    if job.map is None:
        return frozenset(fields | {path[0] for path in read if path})
    for name, field in job.map.items():
        if any(_overlap(path, key) for path in record_paths(field.from_) for key in read):
            fields.add(name.split(".")[0])
    return frozenset(fields)


def _parent_paths(job: Job, keys: Sequence[str]) -> Sequence[tuple[str, ...]]:
    """Return what the job's expressions read of its parents, each with the parent's name before its fields."""
    if job.for_each is None:
        return ()
    texts = [*keys, *(text for text in (job.where, job.source.tombstone) if text is not None)]
    texts += [field.from_ for field in (job.map or {}).values()]
    return sorted({path for text in texts for path in read_paths(text) if path[0] in job.parent_names})


def _names_parts(job: Job, keys: Sequence[str]) -> bool:
    """Say whether the key holds all that names a part, so that no two parts can have records of one key."""
    if job.for_each is None:
        return False
    held = {text.replace(" ", "") for text in keys}
    return all(text.replace(" ", "") in held for block in job.for_each.chain for text in block.key_texts)


def _at(value: Json, path: tuple[str, ...]) -> Json | Missing:
    """Return what stands at a path, or where the path leaves the objects."""
    for name in path:
        if not isinstance(value, Mapping):
            return value
        value = value.get(name, MISSING)
    return value


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Say whether one path leads to the other, or to something around or inside it."""
    return all(left == right for left, right in zip(one, other, strict=False))


def _without(value: Json, path: tuple[str, ...]) -> Json:
    """Return a value without the field at this path, in each item where there is a list on the way."""
    if isinstance(value, list):
        return [_without(part, path) for part in value]
    name = path[0]
    if not isinstance(value, Mapping) or name not in value:
        return value
    if len(path) == 1:
        return {other: part for other, part in value.items() if other != name}
    return {other: _without(part, path[1:]) if other == name else part for other, part in value.items()}


def _put(document: dict[str, Json], path: tuple[str, ...], value: Json) -> None:
    """Set a nested field, making the objects on the way."""
    for name in path[:-1]:
        inner = document.setdefault(name, {})
        if not isinstance(inner, dict):
            raise UnmappableError(f"{'.'.join(path)}: {name} is already a value, not an object")
        document = inner
    document[path[-1]] = value
