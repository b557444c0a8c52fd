"""What a job file says of files: how they are written, and where in a folder they are."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from .types import Flag, Strict

Format: TypeAlias = Literal["jsonl", "csv"]
Compression: TypeAlias = Literal["none", "gzip", "zstd"]
CellType: TypeAlias = Literal["text", "number", "boolean", "json"]

_FORMATS: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv"}
_COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}


class Dialect(Strict):
    """How a CSV file is written (RFC 4180, and what the world made of it)."""

    delimiter: str | None = Field(
        default=None, min_length=1, max_length=1, description="Between two fields. Default: a comma; a tab in *.tsv."
    )
    quote: str = Field(default='"', min_length=1, max_length=1, description='Around fields that need it. Default: ".')
    encoding: Literal["utf-8", "utf-8-sig", "latin-1", "iso-8859-15", "cp1252"] = Field(
        default="utf-8",
        description="Default: utf-8, with or without a byte order mark; utf-8-sig writes one, for Excel.",
    )

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> "Dialect":
        if self.quote == self.delimiter or {self.quote, self.delimiter} & {"\r", "\n"}:
            raise ValueError('delimiter and quote are two characters, and no line ends (example: delimiter: ";")')
        return self


class CsvRead(Dialect):
    """A CSV file as a source reads it."""

    columns: list[str] | None = Field(
        default=None,
        min_length=1,
        description="The header as it has to be, in any order; another one is an error. Default: any header.",
    )
    empty_is_null: Flag = Field(default=False, description="An empty field is null. Default: it is an empty text.")


def _with_types(value: object) -> object:
    return dict.fromkeys(value, "text") if isinstance(value, list) else value


class CsvWrite(Dialect):
    """A CSV file as a target writes it."""

    columns: Annotated[dict[str, CellType], BeforeValidator(_with_types)] | None = Field(
        default=None,
        min_length=1,
        description="The header, in this order, each column with what it holds: text, number, boolean or json. A list "
        "of names is all text. Default: the fields of `map`, all text.",
    )


def format_of(path: str) -> Format | None:
    """Return what a file's name says of its format; None where it says nothing."""
    return _FORMATS.get(_suffix(path.lower().removesuffix(_packing(path))))


def compression_of(path: str) -> Compression:
    """Return what a file's name says of its compression."""
    return _COMPRESSIONS.get(_packing(path), "none")


def delimiter_of(path: str) -> str:
    """Return what a CSV file's name says of its delimiter."""
    return "\t" if _suffix(path.lower().removesuffix(_packing(path))) == ".tsv" else ","


def path_trouble(path: str, said: Format | None) -> str:
    """Return what is wrong with the path of a file below a folder; empty when nothing is."""
    if path.startswith("/") or ".." in path.split("/"):
        return "a path lies below the connection's folder: no / in front, and no .. (example: in/people.csv)"
    if not path or path.endswith("/"):
        return "a path names a file (example: people.jsonl)"
    if said is None and format_of(path) is None:
        return "the file's name does not say its format: write format: jsonl or format: csv"
    return ""


def _packing(path: str) -> str:
    suffix = _suffix(path.lower())
    return suffix if suffix in _COMPRESSIONS else ""


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix}" if dot and stem else ""
