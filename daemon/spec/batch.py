"""Several changes in one request: what is sent, and where the answer says what became of each of them."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from .request import Rule
from .templates import compile_template
from .types import Flag, Method, Strict, Template, TemplateTree, Whole

_Path = tuple[str | int, ...]
_Finding = tuple[_Path, str, str | None]

WHOLE: Final = frozenset({"documents", "items", "keys", "ids"})
"""What the request of a batch knows: a list with one item for each change, in their order."""


def _word(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError("a status is a number or a word (example: ok: [200, created])")  # noqa: TRY004 - for pydantic
    return value


Word: TypeAlias = Annotated[int | str, BeforeValidator(_word), WithJsonSchema({"type": ["integer", "string"]})]
"""The status of one result as APIs write it: 201, "201" or created."""


class Batch(Strict):
    """Several changes of one kind in one request. Each result in the answer says what became of one of them."""

    uri: Template = Field(description="Path below the connection's host.")
    method: Method = Field(default="POST", description="Default: POST.")
    params: dict[str, TemplateTree] = Field(default_factory=dict, description="Query values. A null is left out.")
    headers: dict[str, Template] = Field(default_factory=dict)
    size: Whole = Field(default=100, ge=1, le=10_000, description="Changes in one request at most. Default: 100.")
    item: TemplateTree = Field(
        default=None,
        description="What stands for one change in `items`; knows what the request of a single change knows, and "
        "`version`. Default: its key, id, document and changed.",
    )
    body: TemplateTree = Field(
        default=None,
        description="Any YAML value with templates in it; knows the lists `documents`, `items`, `keys` and `ids`, with "
        "one entry for each change. Default: none.",
    )
    results: str | None = Field(
        default=None, description="JMESPath to the list of results in the answer. Default: the answer."
    )
    by: Literal["order", "key", "id"] | None = Field(
        default=None,
        description="How results find their changes: in the order of the request, by the key at `item_key`, or by the "
        "target's id at `item_id`. Default: key where there is an item_key.",
    )
    item_key: str | None = Field(default=None, description="JMESPath in a result to the key of its record.")
    item_status: str | None = Field(
        default=None,
        description="JMESPath in a result to its status: a number, its digits, or a word. Default: a result without an "
        "error is a success.",
    )
    ok: list[Word] = Field(
        default_factory=list, description="Statuses of a result, numbers or words, that mean success beside 2xx."
    )
    item_error: str | None = Field(
        default=None, description="JMESPath in a result to its error; anything but null and nothing there is a refusal."
    )
    item_body: str | None = Field(
        default=None,
        description="JMESPath in a result to what the answer to a single request would hold; `id`, `version` and the "
        "rules of the request read it. Default: the result.",
    )
    item_id: str | None = Field(
        default=None,
        description="JMESPath in a result to the record's id. Default: `id` of the request, or target.id, in its body.",
    )
    item_version: str | None = Field(default=None, description="JMESPath in a result to the record's version.")
    atomic: Flag = Field(
        default=False,
        description="The API does all or nothing: when it refuses the whole, nothing was done. Without `by`, its "
        "success is the success of each.",
    )
    failures: str | None = Field(
        default=None,
        description="JMESPath in the refusal of an atomic batch to what is wrong: an object that has the place of each "
        "bad item, from 0, as a name, and its result as the value.",
    )
    repeatable: Flag | None = Field(
        default=None,
        description="Whether a batch of creates may be sent twice and makes each record once. Default: true where an "
        "item carries `idempotency_key`.",
    )
    idempotency_header: str | None = Field(
        default=None, description="Header that carries one key per batch, the same for the same changes."
    )
    on_response: list[Rule] = Field(
        default_factory=list, description="Rules for answers to the whole request; the first that fits decides."
    )

    @model_validator(mode="after")
    def _tells_what_it_is_about(self) -> "Batch":
        sent = compile_template([self.uri, self.params, self.headers, self.body]).names
        if not sent & WHOLE:
            raise ValueError(
                "nothing in this batch says which changes it is about: let its body hold documents, items, keys or ids "
                '(example: body: {users: "{{ documents }}"})'
            )
        if self.item is not None and "items" not in sent:
            raise ValueError(
                'item makes the list items, and nothing sends it (example: body: {requests: "{{ items }}"})'
            )
        return self

    @model_validator(mode="after")
    def _tells_what_became_of_each(self) -> "Batch":
        if self.item_key is not None and self.by not in {None, "key"}:
            raise ValueError(
                f"item_key finds results by the key, and by: {self.by} says otherwise; leave one of them out"
            )
        if self.by == "key" and self.item_key is None:
            raise ValueError("by: key needs item_key, the path to the key in a result (example: item_key: external_id)")
        if self.matching is None and not self.atomic:
            raise ValueError(
                "say how a result is known to be of a change: item_key (example: item_key: external_id), by: id, or "
                "by: order; where the API does all or nothing, atomic: true"
            )
        if self.failures is not None and not self.atomic:
            raise ValueError("failures is for an API that does all or nothing: say atomic: true")
        if self.item_status is None and any(isinstance(word, str) and not word.isdigit() for word in self.ok):
            raise ValueError(
                "ok has words, and nothing says where they stand: add item_status (example: item_status: status)"
            )
        return self

    @property
    def matching(self) -> Literal["order", "key", "id"] | None:
        """How results find their changes; None where the answer speaks of all of them at once."""
        return self.by or ("key" if self.item_key is not None else None)

    @property
    def repeats(self) -> bool:
        """Whether a batch of creates may be sent twice."""
        if self.repeatable is not None:
            return self.repeatable
        return "idempotency_key" in self.item_names

    @property
    def item_names(self) -> frozenset[str]:
        """The names that an item reads."""
        return compile_template(self.item).names


def batch_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield batches that do not go with their request: path, message, cure."""
    for job, block in _items(tree.get("jobs")):
        target = block.get("target") if isinstance(block, dict) else None
        for kind in ("create", "update", "delete"):
            request = target.get(kind) if isinstance(target, dict) else None
            batch = request.get("batch") if isinstance(request, dict) else None
            if isinstance(batch, dict) and isinstance(request, dict):
                path: _Path = ("jobs", job, "target", kind, "batch")
                yield from _misfits(path, kind, batch, request)


def _misfits(path: _Path, kind: str, batch: Mapping[str, Any], request: Mapping[str, Any]) -> Iterator[_Finding]:
    named = _names(batch.get("item"))
    if request.get("if_match") is True and "version" not in named:
        cure = 'send it with each item (example: item: {id: "{{ target.id }}", version: "{{ version }}"})'
        yield path, "a batch has no If-Match, so it would overwrite what others changed", cure
    if kind != "create":
        return
    if batch.get("by") == "id":
        yield (*path, "by"), "a new record has no id before it is made", "write item_key, or by: order"
    elif batch.get("by") is None and batch.get("item_key") is None and batch.get("atomic") is True:
        cure = "say where they stand (example: results: data, by: order)"
        yield path, "the ids of new records are read from their results, and none are named", cure
    is_keyed = request.get("idempotency_header") is not None or request.get("method") == "PUT"
    if is_keyed and batch.get("repeatable") is not True and "idempotency_key" not in named:
        message = "a single create may be repeated, and what a batch made would be made again by it"
        cure = 'put "{{ idempotency_key }}" into item; or say repeatable: true where a batch sent twice makes no second'
        yield path, message, cure


def _names(template: Any) -> frozenset[str]:
    try:
        return compile_template(template).names
    except ValueError:
        return frozenset()  # told already: the models check the syntax


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    yield from value.items() if isinstance(value, dict) else ()
