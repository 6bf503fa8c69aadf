"""From a table to a stored model and back: the same numbers, and no folder that was changed is believed."""

import json

import numpy as np
import pytest

from bprop.core.error import ArgumentError
from bprop.train import StorageError, Table, TableError, fit_table, load_table_model
from bprop.train.table import PreparedTable
from bprop.train.table.run_summary import read_summaries
from bprop.train.table.score import classification_scores, regression_scores

rng = np.random.default_rng(0)
LENGTH, SIDE = rng.normal(10, 2, 125), rng.choice(["left", "right", None], 125)
FLOWERS = Table.from_columns(
    {"length": LENGTH, "side": SIDE, "noise": rng.normal(size=125), "kind": np.where(LENGTH > 10, "long", "short")},
    "flowers",
)
PRICES = Table.from_columns(
    {"size": LENGTH, "side": SIDE, "price": 1000 * LENGTH + 500 * (SIDE == "left") + rng.normal(size=125)}, "prices"
)
QUICK = {"hidden": (16,), "epochs": 15, "progress": False, "learning_rate": 0.01}  # 5 batches of 16: one is compiled


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs") / "flowers"
    fit_table(FLOWERS, "kind", out=place, **QUICK)
    return place


def test_a_classification(tmp_path):
    result = fit_table(FLOWERS, "kind", out=tmp_path / "run", **QUICK)
    assert result.model.task == "classification"
    assert list(result.scores) == ["network", "majority", "logistic regression"]
    assert result.scores["network"]["accuracy"] > 0.8 > result.scores["majority"]["accuracy"]
    assert next(iter(result.influence)) == "length"
    files = {"metrics.jsonl", "run.json", "table.json", "model.safetensors", "checkpoint.safetensors"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == files
    found = result.model.predict(FLOWERS)
    assert np.allclose(found.probabilities.sum(axis=1), 1)
    assert found.values == [found.classes[k] for k in found.probabilities.argmax(axis=1)]


def test_a_regression_is_scored_in_the_targets_unit():
    ready = PreparedTable(PRICES, "price")
    result = ready.fit(**QUICK)
    assert result.scores["network"]["r2"] > 0.8
    assert result.scores["ridge regression"]["r2"] > 0.99
    y, truth = (np.array(values)[ready.parts.test] for values in (result.model.predict(PRICES).values, ready.t))
    assert result.scores["network"] == regression_scores(y, truth)
    assert 5000 < y.mean() < 15000


def test_the_weights_kept_are_those_of_the_best_validation_loss():
    ready = PreparedTable(PRICES, "price")
    result = ready.fit(**(QUICK | {"learning_rate": 0.1}))
    losses = [entry["validation_loss"] for entry in result.run.history]
    assert result.best_epoch == 1 + int(np.argmin(losses))
    assert result.best_epoch < len(losses), "choose a case in which the last epoch is not the best"
    x, t = ready.part(ready.parts.validation)
    error = (result.model.outputs(x) - t) / result.model.scale
    assert np.isclose(0.5 * np.mean(error**2), min(losses), rtol=1e-9)


def test_the_same_seed_gives_the_same_numbers():
    first, second, other = (fit_table(FLOWERS, "kind", seed=seed, **QUICK) for seed in (1, 1, 2))
    assert first.scores == second.scores
    assert first.influence == second.influence
    assert first.model.predict(FLOWERS).csv() == second.model.predict(FLOWERS).csv()
    assert first.influence != other.influence


def test_a_stored_model_predicts_what_the_trained_one_does(tmp_path):
    for table, target in ((FLOWERS, "kind"), (PRICES, "price")):
        result = fit_table(table, target, out=tmp_path / target, **QUICK)
        again = load_table_model(tmp_path / target)
        assert again.predict(table).csv() == result.model.predict(table).csv()


def test_test_rows_change_nothing_but_their_scores():
    ready = PreparedTable(PRICES, "price")
    columns = {name: list(cells) for name, cells in PRICES.columns.items()}
    for row in ready.parts.test:
        columns["size"][row], columns["price"][row] = "-77", "123456"
    first, second = ready.fit(**QUICK), fit_table(Table("prices", columns), "price", **QUICK)
    assert first.model.predict(PRICES).values == second.model.predict(PRICES).values
    assert first.influence == second.influence
    assert first.scores != second.scores


def test_prediction_finds_columns_by_name(folder):
    model = load_table_model(folder)
    columns = {name: FLOWERS[name] for name in reversed(list(FLOWERS))} | {"extra": ["1"] * 125}
    found = model.predict(Table("more", columns))
    assert found.values == model.predict(FLOWERS).values
    assert found.notes == ["not used, since training did not have it: 'extra'"]
    with pytest.raises(TableError, match="lacks the columns 'length', 'noise'"):
        model.predict(Table.from_columns({"side": ["left"]}))
    with pytest.raises(ArgumentError, match="read_table"):
        model.predict("flowers.csv")


def test_prediction_scores_where_the_target_is_known(folder):
    model = load_table_model(folder)
    columns = {name: cells[:6] for name, cells in FLOWERS.columns.items()} | {
        "kind": ["long", "short", None, "odd", "long", "long"]
    }
    found = model.predict(Table("some", columns))
    rows = [0, 1, 4, 5]
    assert found.scores == classification_scores(found.probabilities[rows], np.array([0, 1, 0, 0]))
    assert found.notes[-2:] == [
        "classes unseen in training are not scored: 'odd'",
        "scored: the 4 of 6 rows with a known target",
    ]
    del columns["kind"]
    assert model.predict(Table("some", columns)).scores is None


def test_a_target_that_cannot_be_read_does_not_hinder_a_prediction():
    model = fit_table(PRICES, "price", **QUICK).model
    found = model.predict(Table.from_columns({"size": [10.0], "side": ["left"], "price": ["soon"]}))
    assert found.scores is None
    assert found.notes[0].startswith("not scored: table: row 1, column 'price': 'soon' is not a number")


def test_arguments_that_are_wrong(tmp_path):
    for options, text in (
        ({"hidden": ()}, "layer sizes"),
        ({"hidden": (0,)}, "layer sizes"),
        ({"hidden": (10**9,)}, "layer sizes"),
        ({"seed": -1}, "seed is an integer from 0 to"),
        ({"categorical": "side"}, r"write \['side'\]"),
        ({"epochs": 0}, "epochs"),
    ):
        with pytest.raises(ArgumentError, match=text):
            fit_table(FLOWERS, "kind", out=tmp_path / "run", **(QUICK | options))
    with pytest.raises(ArgumentError, match="read_table"):
        fit_table("flowers.csv", "kind")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def copy(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        (["format"], "other", "format is 'bprop table', not 'other'"),
        (["version"], 2, "version: this bprop reads version 1, not 2"),
        (["hidden"], [16, 8], "do not belong together"),
        (["hidden"], [10**9], "hidden[0] is a whole number from 1 to 10000, not 1000000000"),
        (["hidden"], [], "hidden: there are 0 hidden layers"),
        (["target", "task"], "sorting", "target.task is 'classification' or 'regression'"),
        (["target", "classes"], ["long"], "target.classes: at least two"),
        (["target", "classes"], ["long", "long"], "target.classes: at least two, and each once"),
        (["target", "name"], "length", "columns: the target 'length' is among them"),
        (["columns"], [], "columns: no column becomes an input"),
        (["columns"], {}, "columns is a list, not {}"),
        (["columns", 0], None, "columns[0] is an object"),
    ],
)
def test_a_changed_record_is_refused(copy, path, value, text):
    record = json.loads((copy / "table.json").read_text(encoding="utf-8"))
    place = record
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (copy / "table.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(StorageError) as caught:
        load_table_model(copy)
    assert text in caught.value.message
    assert str(copy / "table.json") in caught.value.message


def test_a_damaged_folder_is_refused(copy):
    assert load_table_model(copy)
    whole = (copy / "table.json").read_bytes()
    for content, text in ((b"{", "line 1: this is no JSON"), (b"[" * 100_000, "no record"), (b"\xff", "is not text")):
        (copy / "table.json").write_bytes(content)
        with pytest.raises(StorageError, match=text):
            load_table_model(copy)
    (copy / "table.json").write_bytes(whole)
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[:-8])
    with pytest.raises(StorageError, match="no safetensors file"):
        load_table_model(copy)
    (copy / "model.safetensors").write_bytes(weights[:-8] + np.float64("nan").tobytes())
    with pytest.raises(StorageError, match="not finite"):
        load_table_model(copy)
    (copy / "model.safetensors").unlink()
    with pytest.raises(StorageError, match="No such file"):
        load_table_model(copy)
    (copy / "table.json").unlink()
    with pytest.raises(StorageError, match=r"holds no model of a table: there is no table.json"):
        load_table_model(copy)
    with pytest.raises(StorageError, match="is no folder of a run"):
        load_table_model(copy / "none")


def test_summaries_name_what_is_broken(copy, folder):
    runs = copy / "runs"
    for name in ("well", "status", "epochs", "metrics", "empty"):
        (runs / name).mkdir(parents=True)
        if name != "empty":
            for path in folder.iterdir():
                (runs / name / path.name).write_bytes(path.read_bytes())
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (runs / "status" / "run.json").write_text(json.dumps(record | {"status": 3}), encoding="utf-8")
    (runs / "epochs" / "run.json").write_text(json.dumps(record | {"epochs": 3}), encoding="utf-8")
    (runs / "metrics" / "metrics.jsonl").write_text('{"epoch": 1}\n{"epo', encoding="utf-8")
    found = {path.name: one for path, one in read_summaries(runs)}
    assert found["well"].score[0] == "accuracy"
    assert found["well"].task == "classification of kind"
    assert "run.json: status is 'running' or" in found["status"]
    assert "epochs: it says 3, and metrics.jsonl holds 15" in found["epochs"]
    assert "metrics.jsonl: line 2 is no JSON" in found["metrics"]
    assert "is no run: there is no run.json" in found["empty"]
