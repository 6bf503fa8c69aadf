"""What is learned from the training part, found out of the target, and applied to other tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bprop.core.error import ArgumentError
from bprop.train import Table, TableError
from bprop.train.record import Field, RecordError
from bprop.train.table import PreparedTable
from bprop.train.table.encoding import MOST_CATEGORIES, Encoding
from bprop.train.table.target import find_target, split, target_values


def table(**columns):
    return Table.from_columns(columns, "t")


def test_numbers_are_standardised():
    rng = np.random.default_rng(0)
    x = rng.normal(5, 3, 40)
    x[[3, 7]] = np.nan
    encoding = Encoding.learn(table(x=x))
    inputs, notes = encoding(table(x=x))
    assert notes == []
    assert encoding.inputs == ["x", "x: missing"]
    assert inputs[:, 1].tolist() == np.isnan(x).astype(float).tolist()
    assert inputs[[3, 7], 0].tolist() == [0, 0]
    present = x[~np.isnan(x)]
    assert np.allclose(inputs[~np.isnan(x), 0], (present - present.mean()) / present.std(), rtol=1e-14)


@given(st.floats(-1e300, 1e300), st.floats(1e-3, 1e3), st.integers(0, 5))
def test_no_size_of_numbers_overflows(centre, width, seed):
    x = centre * (1 + width * np.random.default_rng(seed).random(12) * 1e-3) + width
    inputs, _ = Encoding.learn(table(x=x, z=range(12)))(table(x=x, z=range(12)))
    assert np.isfinite(inputs).all()
    assert np.abs(inputs).max() <= np.sqrt(12) * 1.01


def test_categories():
    encoding = Encoding.learn(table(c=["b", "a", "b", None]))
    assert encoding.inputs == ["c=b", "c=a", "c: missing"]
    inputs, notes = encoding(table(c=["a", "zz", None]))
    assert inputs.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert notes == ["'c': 1 row with a category unseen in training ('zz'): all inputs are 0"]
    never = Encoding.learn(table(c=["b", "a"], x=[1, 2]))
    inputs, notes = never(table(c=[None, "a"], x=[None, 1]))
    assert inputs[0].tolist() == [0, 0, 0]
    assert [note.partition(",")[0] for note in notes] == ["'c': 1 row without a value", "'x': 1 row without a value"]


def test_rare_categories_become_other():
    cells = [f"k{i}" for i in range(60) for _ in range(60 - i)]
    encoding = Encoding.learn(table(c=cells))
    (column,) = encoding.columns
    assert column.categories == tuple(f"k{i}" for i in range(MOST_CATEGORIES))
    inputs, notes = encoding(table(c=["k59", "never seen", "k0"]))
    assert inputs.argmax(axis=1).tolist() == [MOST_CATEGORIES, MOST_CATEGORIES, 0]
    assert notes == []


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (["p"] * 30, "always 'p'"),
        ([7.0] * 30, "always 7"),
        ([None] * 30, "no value"),
        ([f"name {i}" for i in range(30)], "30 different texts in 30 cells"),
        ([f"2024-01-{i + 1:02d}" for i in range(30)], "dates"),
        ([f"{i + 1}.1.2024 12:30" for i in range(30)], "dates"),
    ],
)
def test_columns_that_say_nothing_are_ignored(cells, reason):
    encoding = Encoding.learn(table(c=cells, x=range(30)))
    assert encoding.columns[0].kind == "ignored"
    assert reason in encoding.columns[0].reason
    assert encoding.inputs == ["x"]


def test_a_count_of_the_rows_is_ignored_and_a_year_is_not():
    assert Encoding.learn(table(row_id=range(30), year=range(30))).inputs == ["year"]


def test_a_stray_cell_is_named_unless_the_column_is_categorical():
    cells = [*map(str, range(30)), "abc"]
    with pytest.raises(TableError) as caught:
        Encoding.learn(table(c=cells))
    assert caught.value.message.startswith("t: row 31, column 'c': 'abc' is not a number")
    assert "declare 'c' categorical" in caught.value.message
    assert Encoding.learn(table(c=cells), categorical=["c"]).columns[0].kind == "categorical"
    with pytest.raises(TableError, match="row 1, column 'c': 'abc'"):
        Encoding.learn(table(c=range(9)))(table(c=["abc"]))


def test_names_that_are_wrong():
    data = table(a=[1, 2], b=[3, 4])
    with pytest.raises(TableError, match="no column 'aa' to be categorical: did you mean 'a'"):
        Encoding.learn(data, categorical=["aa"])
    with pytest.raises(TableError, match="target 'b' cannot be ignored"):
        Encoding.learn(data, ignore=["b"], target="b")
    with pytest.raises(TableError, match="no column is left"):
        Encoding.learn(data, ignore=["a"], target="b")
    with pytest.raises(ArgumentError, match="both"):
        Encoding.learn(data, ["a"], ["a"])
    with pytest.raises(
        TableError, match="lacks the columns 'a', 'b', which the model was trained with; it has the column 'c'"
    ):
        Encoding.learn(data)(table(c=[1]))


def test_the_record_gives_the_encoding_back():
    data = table(x=[1.1, 2.7, None], c=["p", "q", None], one=["u"] * 3)
    encoding = Encoding.learn(data)
    again = Encoding.restore(Field(encoding.record(), "table.json", "columns"))
    assert again.columns == encoding.columns
    assert np.array_equal(again(data)[0], encoding(data)[0])


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ((0, "scale"), 0, "columns[0].scale is a number above 0, not 0"),
        ((0, "mean"), "abc", "columns[0].mean is a finite number, not 'abc'"),
        ((0, "mean"), float("nan"), "columns[0].mean is a finite number"),
        ((0, "kind"), "text", "columns[0].kind is 'numeric' or 'categorical' or 'ignored', not 'text'"),
        ((0, "missing"), 1, "columns[0].missing is true or false, not 1"),
        ((1, "name"), "x", "columns[1].name: the column 'x' stands twice"),
        ((1, "categories"), "pq", "columns[1].categories is a list"),
        ((1, "categories"), ["p", "p"], "columns[1].categories: a category stands twice"),
        ((1, "categories"), ["p", 3], "columns[1].categories[1] is a text, not 3"),
        ((1,), [], "columns[1] is an object"),
    ],
)
def test_a_changed_record_is_refused_by_field(path, value, text):
    record = Encoding.learn(table(x=[1.1, 2.7], c=["p", "q"])).record()
    place = record
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(RecordError) as caught:
        Encoding.restore(Field(record, "table.json", "columns"))
    assert text in caught.value.message


@pytest.mark.parametrize(
    ("cells", "task", "why"),
    [
        (["no", "yes"] * 20, "classification", "yes or no, 2"),
        ([True, False] * 20, "classification", "yes or no, 2"),
        (["p", "q", "r", "p"] * 10, "classification", "text, 3"),
        ([0.5, 1.5] * 20, "classification", "numbers, only 2"),
        ([0, 1, 2, 3] * 10, "classification", "whole numbers, only 4"),
        (list(range(10)) * 4, "regression", "whole numbers, 10"),
        (list(range(21)) * 40, "regression", "whole numbers, 21"),
        ([i / 7 for i in range(4)] * 10, "regression", "numbers, 4"),
    ],
)
def test_the_task_is_found(cells, task, why):
    target = find_target(table(y=cells, x=range(len(cells))), "y")
    assert (target.task, target.why.removeprefix("it holds ").removesuffix(" different values")) == (task, why)


def test_the_task_may_be_given():
    data = table(y=[0, 1, 2, 3] * 10, x=range(40))
    assert find_target(data, "y", "regression").values.tolist() == [0.0, 1.0, 2.0, 3.0] * 10
    assert find_target(table(y=list(range(10)) * 4, x=range(40)), "y", "classification").classes[-1] == "9"
    with pytest.raises(TableError, match=r"row 1, column 'y': 'a' is not a number, and regression needs numbers"):
        find_target(table(y=["a", "b"] * 10, x=range(20)), "y", "regression")
    with pytest.raises(ArgumentError, match="'sorting'"):
        find_target(data, "y", "sorting")


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (["a"] * 20, "is 'a' in every row"),
        ([3.5] * 20, "is 3.5 in every row"),
        ([f"n{i}" for i in range(20)], "20 classes in 20 rows"),
        ([*range(19), "x"], "row 20, column 'y': 'x' is not a number; 19 of 20 values"),
        ([*range(19), "inf"], "row 20, column 'y': 'inf' is not finite"),
        ([f"2024-01-{i % 9 + 1:02d}" for i in range(20)], "holds dates"),
        ([1e101 * i for i in range(20)], "choose a larger unit"),
        ([1, 2, *[None] * 18], "2 rows have a value in 'y'; at least 10"),
    ],
)
def test_targets_that_cannot_be_learned(cells, text):
    with pytest.raises(TableError) as caught:
        find_target(table(y=cells, x=range(20)), "y")
    assert text in caught.value.message


def test_the_target_has_to_be_there():
    with pytest.raises(TableError, match="no column 'kin' for the target: did you mean 'kind'"):
        find_target(table(kind=[1], x=[2]), "kin")
    with pytest.raises(TableError, match="no column besides the target"):
        find_target(table(kind=[1] * 20), "kind")


def test_rows_without_a_target_are_left_out():
    target = find_target(table(y=["a", None, "b"] * 10, x=range(30)), "y")
    assert target.rows.tolist() == [i for i in range(30) if i % 3 != 1]
    assert target.notes == ("10 rows without a value in 'y' left out",)


def test_one_and_one_point_zero_are_one_class():
    data = table(y=["1", "1.0", "2", "02"] * 5, x=range(20))
    target = find_target(data, "y")
    assert target.classes == ("1", "2")
    assert target_values(table(y=["2.0", "3", None]), "y", target.classes)[0].tolist() == [1, -1, -1]


def test_parts_do_not_overlap_and_keep_the_shares():
    target = find_target(table(y=["a"] * 80 + ["b"] * 20, x=range(100)), "y")
    parts = split(target, 3)
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))
    assert [len(part) for part in parts] == [64, 16, 20]
    assert [int(target.values[part].sum()) for part in parts] == [13, 3, 4]
    assert split(target, 3).test.tolist() == parts.test.tolist() != split(target, 4).test.tolist()


def test_nothing_is_learned_from_rows_held_out():
    rng = np.random.default_rng(0)
    x, c, y = rng.normal(size=80), rng.choice(["p", "q"], 80), rng.normal(size=80)
    ready = PreparedTable(table(x=x, c=c, y=y), "y")
    held_out = np.concatenate([ready.parts.validation, ready.parts.test])
    x[held_out], c[held_out], y[held_out] = 1e9, "unseen", -1e9
    changed = PreparedTable(table(x=x, c=c, y=y), "y")
    assert changed.encoding.columns == ready.encoding.columns
    assert np.array_equal(changed.x[ready.parts.train], ready.x[ready.parts.train])
    x[ready.parts.train[0]] += 1
    assert PreparedTable(table(x=x, c=c, y=y), "y").encoding.columns != ready.encoding.columns


cell = (
    st.sampled_from(["1", "2.5", "-3e300", "1e-320", "inf", "x", "yes", "2024-01-01", None])
    | st.floats()
    | st.text(max_size=2)
)


@given(
    st.lists(st.tuples(cell, cell), min_size=10, max_size=25), st.sampled_from([None, "classification", "regression"])
)
def test_whatever_the_cells_there_are_finite_inputs_or_a_message(rows, task):
    first, second = zip(*rows, strict=True)
    try:
        ready = PreparedTable(table(a=list(first), b=list(second), c=range(len(rows))), "a", task=task)
    except TableError as error:
        message = error.message
    else:
        message = "t"
        assert np.isfinite(ready.x).all()
        assert np.isfinite(ready.t).all()
        assert min(map(len, ready.parts)) > 0
    assert message.startswith("t")


def test_classes_of_two_rows_leave_something_to_validate_with():
    parts = split(find_target(table(y=[*"aabbccddee"], x=range(10)), "y"), 0)
    assert [len(part) for part in parts] == [4, 1, 5]
