"""Tables from files: what csv.writer wrote is read back, and whatever cannot be read is named by row and column."""

import csv
import io
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bprop.core.error import ArgumentError
from bprop.train import StorageError, Table, TableError, read_table
from bprop.train.table.read import _csv, _text
from bprop.train.table.table import MISSING


def read(content, **options):
    text = content if isinstance(content, str) else _text("t.csv", content)
    return _csv("t.csv", text, options.get("delimiter"), MISSING)


cell = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)
name = cell.map(str.strip).filter(lambda text: text and not text.replace(".", "").isdigit())


@given(st.data(), st.sampled_from(",;\t|"), st.booleans())
def test_what_was_written_is_read(data, delimiter, mark):
    header = data.draw(st.lists(name, min_size=2, max_size=5, unique=True))
    rows = data.draw(
        st.lists(st.lists(cell, min_size=len(header), max_size=len(header)), min_size=1, max_size=5).filter(
            lambda rows: all(any(cells) for cells in rows)
        )
    )
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([header, *rows])
    content = text.getvalue().encode("utf-8-sig" if mark else "utf-8")
    table = read(content, delimiter=delimiter)
    assert list(table) == header
    for position, column in enumerate(header):
        written = [row[position].strip() for row in rows]
        read_back = table[column]
        if delimiter != "," and read_back != [None if one in MISSING else one for one in written]:
            assert all("," in one or one in MISSING or float(one) is not None for one in written)  # decimal commas
            continue
        assert read_back == [None if one in MISSING else one for one in written]


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8), st.sampled_from(",;\t|"))
def test_numbers_are_read_to_the_last_bit_and_the_delimiter_is_found(rows, delimiter):
    text = "a" + delimiter + "b\n" + "".join(f"{x!r}{delimiter}{y!r}\n" for x, y in rows)
    table = read(text)
    assert list(zip(table.numbers("a"), table.numbers("b"), strict=True)) == rows


def test_missing_cells_quotes_blank_lines_and_line_numbers(tmp_path):
    file = tmp_path / "t.csv"
    file.write_bytes(b'\xef\xbb\xbf a , "b" \r\n\r\n NA,"x, ""y""\nz"\r\n\r\n3, \r\n'.replace(b' "b" ', b'"b"'))
    table = read_table(file)
    assert list(table) == ["a", "b"]
    assert table["a"] == [None, "3"]
    assert table["b"] == ['x, "y"\nz', None]
    assert table.cell_name(1, "a") == f"{file}: row 2 (line 6), column 'a'"
    assert np.array_equal(table.numbers("a"), [np.nan, 3], equal_nan=True)
    assert read_table(file, missing=["3"])["a"] == [None, None]


def test_decimal_commas():
    table = read("a;b;c\n1,5;1,5;x\n-2,25e1;2.5;1,5\n")
    assert table.numbers("a").tolist() == [1.5, -22.5]
    assert table["b"] == ["1,5", "2.5"]
    assert table["c"] == ["x", "1,5"]
    assert table.notes == ["decimal commas are read as points in a"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "t.csv is empty"),
        (b" \n\n", "t.csv is empty"),
        (b"a,b\n", "has a header (a, b) and no rows"),
        (b"a,b,a\n1,2,3\n", "line 1: the name 'a' stands twice, at columns 1 and 3"),
        (b",b\n1,2\n", "line 1: column 1 of 2 has no name (pandas"),
        (b"a,,c\n1,2,3\n", "line 1: column 2 of 3 has no name"),
        (b"1.5,2\n1,2\n", "every column name is a number"),
        (b"a,b\n1,2\n\n1\n", "row 2 (line 4) has 1 cell, the header has 2: nothing for column 'b'"),
        (b"a,b\n1,2\n1,2,9\n", "row 2 (line 3) has 3 cells, the header has 2: '9' stands after the last column 'b'"),
        (
            b'a,b\n1,2\n"1,2\n3,4\n',
            'line 3: a quote (") is opened in the row that begins here (row 2) and never closed',
        ),
        (b'a,b\n"1"x,2\n', "line 2: text follows a closing quote (row 1)"),
        (b"a,b\n1,2\n1,\xe9\n", "line 3, byte 10: 0xe9 is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "line 1: the text is UTF-16"),
        (b"a,b\n1,\0\n", "line 2 holds a zero byte"),
        (b"PK\x03\x04abc", "is a spreadsheet or another zipped file"),
    ],
)
def test_what_is_no_table(tmp_path, content, text):
    file = tmp_path / "t.csv"
    file.write_bytes(content)
    with pytest.raises(TableError) as caught:
        read_table(file)
    assert text in caught.value.message
    assert caught.value.message.startswith(str(file))


def test_what_cannot_be_opened(tmp_path):
    with pytest.raises(StorageError, match="No such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(StorageError, match="directory"):
        read_table(tmp_path)
    with pytest.raises(ArgumentError, match="the path of a file"):
        read_table("")
    with pytest.raises(ArgumentError, match="delimiter"):
        read_table("t.csv", delimiter=",,")


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (["1", "abc"], "t: row 2, column 'a': 'abc' is not a number"),
        (["1", "1_0"], "row 2, column 'a': '1_0' is not a number"),
        (["1", None, "inf"], "row 3, column 'a': 'inf' is not finite"),
        (["1e999"], "row 1, column 'a': '1e999' is not finite"),
    ],
)
def test_numbers_that_are_none(cells, text):
    with pytest.raises(TableError) as caught:
        Table("t", {"a": cells}).numbers("a")
    assert text in caught.value.message


def test_rows_keep_their_numbers_when_some_are_taken():
    table = read("a,b\n1,2\nx,2\n").take(np.array([1]))
    with pytest.raises(TableError, match=r"row 2 \(line 3\), column 'a': 'x'"):
        table.numbers("a")


def test_columns_from_python():
    table = Table.from_columns({"a": np.array([1.5, np.nan]), "b": [True, None], "c": ("x", " ? ")})
    assert table.columns == {"a": ["1.5", None], "b": ["True", None], "c": ["x", None]}
    with pytest.raises(TableError, match="differ in length"):
        Table.from_columns({"a": [1], "b": [1, 2]})
    with pytest.raises(TableError, match=r"row 1, column 'a': .* is not one value"):
        Table.from_columns({"a": [[1]]})
    with pytest.raises(ArgumentError, match="map names"):
        Table.from_columns([1, 2])
    with pytest.raises(TableError, match="no column 'aa': did you mean 'a'"):
        table["aa"]


def test_parquet_needs_pyarrow(tmp_path, monkeypatch):
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(StorageError) as caught:
        read_table(tmp_path / "t.parquet")
    assert caught.value.message.endswith("reading Parquet needs pyarrow: pip install 'bprop[parquet]'")


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    data = {"a": [1.5, None, 2.0], "b": ["x", "NA", None], "n": [1, None, 3], "t": [True, False, None]}
    parquet.write_table(pyarrow.table(data), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.columns == Table.from_columns(data).columns
    assert table["n"] == ["1", None, "3"]
    (tmp_path / "fake.parquet").write_text("hello")
    with pytest.raises(TableError, match="no Parquet file"):
        read_table(tmp_path / "fake.parquet")


@given(st.binary(max_size=60) | st.text('a1.,;"\n\r \t-é', max_size=60).map(str.encode))
def test_whatever_the_bytes_there_is_a_table_or_a_message(content):
    try:
        table = read(content)
    except TableError as error:
        message = error.message
    else:
        message = "t.csv"
        assert {len(cells) for cells in table.columns.values()} == {len(table)}
        assert len(table) > 0
    assert message.startswith("t.csv")
