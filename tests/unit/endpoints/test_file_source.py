"""Files as a source: what is a record, what is a fault of one row, and what is no proof of a whole file."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from daemon.endpoints import lines
from daemon.errors import AuthError, MalformedError, RefusedError, UnavailableError
from daemon.sync.certificate import certify
from daemon.sync.ports import Page
from tests.fakes.files import file_source, read, records

PACKED: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstd.compress}
HEAD = b"no,name\r\n"


def put(folder: Path, name: str, content: bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def values(folder: Path, **source: Any) -> list[Any]:
    return [json.loads(raw) for raw in records(file_source(folder, **source))]


# ---- JSON Lines ----------------------------------------------------------------------------------------------------


@pytest.mark.edge(18, 19)
def test_a_line_of_json_is_a_record_byte_for_byte(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", b'{"id": 9007199254740993, "n": 19.90}\n\n  {"id":"Zo\xc3\xab"} \r\n')

    assert records(file_source(tmp_path, path="a.jsonl")) == [
        b'{"id": 9007199254740993, "n": 19.90}',
        b'{"id":"Zo\xc3\xab"}',
    ]


def test_a_byte_order_mark_is_not_part_of_the_first_record(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", b'\xef\xbb\xbf{"id": 1}\n')
    put(tmp_path, "a.csv", b"\xef\xbb\xbfno,name\n1,Ada\n")

    assert records(file_source(tmp_path, path="a.jsonl")) == [b'{"id": 1}']
    assert values(tmp_path, path="a.csv") == [{"no": "1", "name": "Ada"}]


def test_a_line_that_is_no_json_has_its_place(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", b'{"id": 1}\n\n{"id": \n{"id": 3}\n')

    pages, end = read(file_source(tmp_path, path="a.jsonl"))

    assert list(pages[0].places) == ["a.jsonl:1", "a.jsonl:3", "a.jsonl:4"]
    assert end.records == 3  # the engine finds that one of them is unreadable, and withholds the certificate


@pytest.mark.edge(13)
@pytest.mark.parametrize("cut", [b'{"id": 2', b'{"id": 2, "name": "A', b"12"], ids=["object", "text", "number"])
def test_a_last_line_that_breaks_off_is_no_end(tmp_path: Path, cut: bytes) -> None:
    put(tmp_path, "a.jsonl", b'{"id": 1}\n' + cut)

    with pytest.raises(MalformedError, match=r"a\.jsonl:2: the last line breaks off"):
        read(file_source(tmp_path, path="a.jsonl"))


def test_a_whole_last_line_needs_no_line_end(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", b'{"id": 1}\n{"id": 2}')

    pages, end = read(file_source(tmp_path, path="a.jsonl"))

    assert len(pages[0].records) == 2
    assert certify(end, ()).issued


@pytest.mark.edge(12)
def test_an_empty_file_of_lines_is_an_empty_list(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", b"")

    pages, end = read(file_source(tmp_path, path="a.jsonl"))

    assert (pages, end.records) == ([], 0)
    assert certify(end, ()).issued


# ---- CSV -----------------------------------------------------------------------------------------------------------


def test_a_row_is_an_object_of_texts(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", HEAD + b'01,"Lovelace, ""Ada""\r\nof London"\r\n\r\n2,\r\n')

    assert values(tmp_path, path="a.csv") == [
        {"no": "01", "name": 'Lovelace, "Ada"\r\nof London'},
        {"no": "2", "name": ""},
    ]


def test_an_empty_field_is_null_where_the_job_says_so(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", HEAD + b"2,\r\n")

    assert values(tmp_path, path="a.csv", csv={"empty_is_null": True}) == [{"no": "2", "name": None}]


def test_a_tab_is_the_delimiter_of_a_tsv(tmp_path: Path) -> None:
    put(tmp_path, "a.tsv", b"no\tname\n1\tAda, of London\n")

    assert values(tmp_path, path="a.tsv") == [{"no": "1", "name": "Ada, of London"}]


@pytest.mark.edge(19)
def test_an_encoding_is_what_the_job_says(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "no,name\n1,Zoë €\n".encode("cp1252"))

    assert values(tmp_path, path="a.csv", csv={"encoding": "cp1252"}) == [{"no": "1", "name": "Zoë €"}]


@pytest.mark.edge(19)
@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (b"1", "it has 1 fields, and the header 2"),
        (b"1,Ada,x", "it has 3 fields, and the header 2"),
        (b"1,A\x00da", "column name holds a NUL"),
        (b"1,Zo\xeb", "column name is not UTF-8"),
        (b'1,"Ada"x', "it is no row: ',' expected after '\"'"),
    ],
    ids=["too few", "too many", "NUL", "no UTF-8", "text after a quote"],
)
def test_a_bad_row_is_a_fault_of_that_row_alone(tmp_path: Path, row: bytes, fault: str) -> None:
    put(tmp_path, "a.csv", HEAD + b"0,Bob\r\n" + row + b"\r\n2,Eve\r\n")

    pages, end = read(file_source(tmp_path, path="a.csv"))

    assert pages[0].faults == {1: fault}
    assert pages[0].places[1] == "a.csv:3"
    assert [json.loads(pages[0].records[place])["no"] for place in (0, 2)] == ["0", "2"]
    assert end.records == 3


def test_the_place_of_a_row_counts_the_lines_of_the_rows_before(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", HEAD + b'1,"two\nlines"\n2,Eve\n')

    pages, _ = read(file_source(tmp_path, path="a.csv"))

    assert list(pages[0].places) == ["a.csv:2", "a.csv:4"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "a.csv is empty: it has not even a header"),
        (b"no,name,no\n", "a.csv:1, column 3: the header has 'no' twice"),
        (b"no,,name\n", "a.csv:1, column 2: the header has no name here"),
        (b"no,na", "a.csv:1: the header has no line end"),
        (HEAD + b'1,"Ada\r\n2,Bob\r\n', "a.csv:2: a quote is opened and never closed"),
        (HEAD + b"1,Ada\r\n2", "a.csv:3: the last row breaks off"),
    ],
    ids=["empty", "twice", "no name", "cut header", "open quote", "cut row"],
)
def test_a_file_that_is_no_table_is_an_error_with_its_place(tmp_path: Path, content: bytes, said: str) -> None:
    put(tmp_path, "a.csv", content)

    with pytest.raises(MalformedError) as caught:
        read(file_source(tmp_path, path="a.csv"))

    assert said in str(caught.value)


def test_a_last_row_without_a_line_end_is_read_and_proves_nothing(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", HEAD + b"1,Ada\r\n2,Bo")

    pages, end = read(file_source(tmp_path, path="a.csv"))

    assert len(pages[0].records) == 2
    assert certify(end, ()).doubts == ("the last row of a.csv has no line end, so the file may be cut off",)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"no,full_name\n", "a.csv:1, column 2: 'full_name' is not one of the declared ones (no, name)"),
        (b"no,name,email\n", "a.csv:1, column 3: 'email' is not one of the declared ones (no, name)"),
        (b"no\n", "a.csv:1: the header lacks 'name', of the declared ones; it has no"),
    ],
    ids=["renamed", "more", "fewer"],
)
def test_a_changed_header_is_an_error_with_its_place(tmp_path: Path, header: bytes, said: str) -> None:
    put(tmp_path, "a.csv", header)

    with pytest.raises(MalformedError) as caught:
        read(file_source(tmp_path, path="a.csv", csv={"columns": ["no", "name"]}))

    assert said in str(caught.value)


def test_the_order_of_the_columns_does_not_matter(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", b"name,no\nAda,1\n")

    assert values(tmp_path, path="a.csv", csv={"columns": ["no", "name"]}) == [{"no": "1", "name": "Ada"}]


def test_a_row_that_never_ends_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 100)
    put(tmp_path, "a.csv", HEAD + b'1,"' + b"x\n" * 200)
    put(tmp_path, "a.jsonl", b"x" * 200)

    with pytest.raises(MalformedError, match=r"a\.csv:2: a row of more than 100 bytes; is a quote never closed"):
        read(file_source(tmp_path, path="a.csv"))
    with pytest.raises(MalformedError, match=r"a\.jsonl:1: a line of more than 100 bytes"):
        read(file_source(tmp_path, path="a.jsonl"))


# ---- packed files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", PACKED, ids=["plain", "gzip", "zstd"])
def test_the_name_says_how_a_file_is_packed(tmp_path: Path, suffix: str) -> None:
    put(tmp_path, f"a.csv{suffix}", PACKED[suffix](HEAD + b"1,Ada\r\n"))

    assert values(tmp_path, path=f"a.csv{suffix}") == [{"no": "1", "name": "Ada"}]


@pytest.mark.edge(13)
@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_packed_file_that_is_cut_off_is_no_end(tmp_path: Path, suffix: str) -> None:
    whole = PACKED[suffix](b"".join(b'{"id": %d}\n' % number for number in range(5_000)))

    for length in (len(whole) - 1, len(whole) - 9, len(whole) // 2, 0):
        put(tmp_path, f"a.jsonl{suffix}", whole[:length])
        with pytest.raises(MalformedError, match=rf"a\.jsonl\{suffix}(:\d+: the last line)? breaks off"):
            read(file_source(tmp_path, path=f"a.jsonl{suffix}"))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_file_that_is_not_packed_as_its_name_says_is_an_error(tmp_path: Path, suffix: str) -> None:
    put(tmp_path, f"a.jsonl{suffix}", b'{"id": 1}\n')

    with pytest.raises(MalformedError, match="or damaged"):
        read(file_source(tmp_path, path=f"a.jsonl{suffix}"))
    assert records(file_source(tmp_path, path=f"a.jsonl{suffix}", compression="none", format="jsonl"))


# ---- which files ---------------------------------------------------------------------------------------------------


def test_a_pattern_takes_files_in_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b", "a", "c/d", ".hidden"):
        put(tmp_path, f"in/{name}.jsonl", b'{"from": "%b"}\n' % name.encode())

    assert [one["from"] for one in values(tmp_path, path="in/*.jsonl")] == ["a", "b"]
    assert [one["from"] for one in values(tmp_path, path="in/**/*.jsonl")] == ["a", "b", "c/d"]


def test_files_of_one_pattern_have_one_header(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", HEAD + b"1,Ada\n")
    put(tmp_path, "b.csv", b"no,title\n2,Dr\n")

    with pytest.raises(MalformedError) as caught:
        read(file_source(tmp_path, path="*.csv"))

    assert "b.csv:1, column 2: 'title' is not one of those of a.csv (no, name)" in str(caught.value)


@pytest.mark.parametrize("path", ["a.jsonl", "*.jsonl"])
def test_no_file_is_an_error_and_not_an_empty_list(tmp_path: Path, path: str) -> None:
    with pytest.raises(UnavailableError, match="there is no file"):
        read(file_source(tmp_path, path=path))

    pages, end = read(file_source(tmp_path, path=path, may_be_missing=True))
    assert (pages, end.records, certify(end, ()).issued) == ([], 0, True)


def test_a_folder_that_is_not_there_is_never_an_empty_list(tmp_path: Path) -> None:
    for path in ("a.jsonl", "*.jsonl"):
        with pytest.raises(UnavailableError, match="No such file"):
            read(file_source(tmp_path / "not mounted", path=path, may_be_missing=True))


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.jsonl", b"")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, whom no mode keeps out

    with pytest.raises(AuthError, match=r"a\.jsonl: not permitted"):
        read(file_source(tmp_path, path="a.jsonl"))


def test_a_value_in_a_path_is_part_of_one_name(tmp_path: Path) -> None:
    put(tmp_path, "people-a*.jsonl", b'{"id": 1}\n')
    put(tmp_path, "people-ab.jsonl", b'{"id": 2}\n')
    source = file_source(tmp_path, path="people-{{ cursor.start }}.jsonl")

    first, _ = source.read(scope={"cursor": {"start": "a*"}})

    assert isinstance(first, Page)
    assert first.records == (b'{"id": 1}',)
    for value in ("../up", "a/b", "..", "", ".hidden", None):
        with pytest.raises(RefusedError, match=r"source\.path cannot be made"):
            list(source.read(scope={"cursor": {"start": value}}))


def test_a_wildcard_in_a_value_stands_for_itself_in_a_pattern_too(tmp_path: Path) -> None:
    put(tmp_path, "x*-1.jsonl", b'{"id": 1}\n')
    put(tmp_path, "xy-1.jsonl", b'{"id": 2}\n')
    source = file_source(tmp_path, path="{{ cursor.start }}-*.jsonl")

    first, _ = source.read(scope={"cursor": {"start": "x*"}})

    assert isinstance(first, Page)
    assert first.records == (b'{"id": 1}',)


# ---- a file that changes, and a read that goes on -----------------------------------------------------------------


def long(folder: Path, name: str = "a.csv", number: int = 2_500) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["no", "name"], *([one, f"line\n{one}"] for one in range(number))])
    put(folder, name, PACKED[Path(name).suffix if not name.endswith(".csv") else ""](text.getvalue().encode()))


@pytest.mark.edge(15)
@pytest.mark.parametrize("how", ["appended", "replaced", "removed", "another one"])
def test_a_file_that_changes_while_it_is_read_proves_nothing(tmp_path: Path, how: str) -> None:
    long(tmp_path)
    steps = file_source(tmp_path, path="*.csv").read()
    next(steps)

    if how == "appended":
        with (tmp_path / "a.csv").open("ab") as file:
            file.write(b"9999,late\r\n")
    elif how == "replaced":
        put(tmp_path, "new", (tmp_path / "a.csv").read_bytes())
        (tmp_path / "new").rename(tmp_path / "a.csv")
    elif how == "removed":
        put(tmp_path, "b.csv", HEAD)
        (tmp_path / "a.csv").unlink()
    else:
        put(tmp_path, "0.csv", HEAD + b"1,Eve\r\n")

    *_, end = steps
    assert certify(end, ()).doubts == ("a.csv changed while it was read",)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst"])
def test_a_read_goes_on_in_the_middle_of_a_file(tmp_path: Path, name: str) -> None:
    long(tmp_path, name)
    long(tmp_path, f"b{name[1:]}", 1_200)
    source = file_source(tmp_path, path=f"*{name[1:]}")
    pages, end = read(source)

    for number, page in enumerate(pages[:-1], 1):
        rest, same_end = read(source, page.resume)
        assert [one.records for one in rest] == [one.records for one in pages[number:]]
        assert [list(one.places) for one in rest] == [list(one.places) for one in pages[number:]]
        assert same_end == end
    assert (len(pages), end.records) == (5, 3_700)
    assert pages[-1].resume is None


def test_a_read_goes_on_only_in_the_file_that_it_was(tmp_path: Path) -> None:
    long(tmp_path)
    source = file_source(tmp_path, path="a.csv")
    pages, _ = read(source)
    put(tmp_path, "new", (tmp_path / "a.csv").read_bytes())
    (tmp_path / "new").rename(tmp_path / "a.csv")

    with pytest.raises(MalformedError, match="it is not the file that it was"):
        read(source, pages[0].resume)
    with pytest.raises(MalformedError, match="cannot be taken up"):
        read(source, "nonsense")


@pytest.mark.edge(20)
def test_long_lines_make_pages_of_fewer_records(tmp_path: Path) -> None:
    line = b'{"id": 1, "text": "' + b"x" * 4_000_000 + b'"}\n'
    put(tmp_path, "a.jsonl.gz", gzip.compress(line * 9, 1))

    pages, _ = read(file_source(tmp_path, path="a.jsonl.gz"))

    assert [len(page.records) for page in pages] == [4, 4, 1]
