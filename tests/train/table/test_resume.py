"""Trainings of tables that were broken off: they go on to the same end, bit for bit, and with nothing else."""

import json

import numpy as np
import pytest

from bprop.train import StorageError, Table, fit_table, load_table_model, run
from bprop.train.table import fit as table_fit
from bprop.train.table.resume import check_same_task, fingerprint, table_settings
from bprop.train.table.run_summary import read_summary

rng = np.random.default_rng(0)
SIZE, SIDE = rng.normal(10, 2, 50), rng.choice(["left", "right", None], 50)
COLUMNS = {"size": SIZE, "side": SIDE, "code": rng.integers(0, 3, 50), "price": SIZE + rng.normal(size=50)}
PRICES = Table.from_columns(COLUMNS, "prices")
KINDS = Table.from_columns(COLUMNS | {"price": np.where(SIZE > 10, "high", "low")}, "kinds")
QUICK = {"hidden": (6,), "epochs": 8, "progress": False, "learning_rate": 0.05, "batch_size": 16}  # of 32 rows


@pytest.fixture
def broken_off(monkeypatch):
    """Train until ``epoch`` is over and about to be recorded."""

    def train(table, folder, epoch, **options):
        log = run.Run.log

        def logging(self, entry):
            if entry["epoch"] == epoch:
                raise KeyboardInterrupt
            log(self, entry)

        with monkeypatch.context() as patch:
            patch.setattr(run.Run, "log", logging)
            with pytest.raises(KeyboardInterrupt):
                fit_table(table, "price", out=folder, **(QUICK | options))

    return train


def outcome(folder, result, table):
    """Return all that came out, but for times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    history = [{name: value for name, value in line.items() if name != "seconds"} for line in lines]
    files = [(folder / name).read_bytes() for name in ("model.safetensors", "table.json")]
    return files, history, result.scores, result.influence, load_table_model(folder).predict(table).csv()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What comes out of trainings that nobody disturbed, by the name of the table."""
    places = {table: tmp_path_factory.mktemp("whole") / "run" for table in (PRICES, KINDS)}
    return {
        table.name: outcome(place, fit_table(table, "price", out=place, **QUICK), table)
        for table, place in places.items()
    }


@pytest.mark.parametrize(("table", "epoch"), [(PRICES, 1), (PRICES, 4), (KINDS, 4)])
def test_it_goes_on_as_if_never_broken_off(broken_off, tmp_path, whole, table, epoch):
    broken_off(table, tmp_path / "run", epoch)
    assert read_summary(tmp_path / "run").status == "interrupted"
    for name in ("table.json", "influence.png", "run.json"):  # as if killed while they were written
        (tmp_path / "run" / f".{name}.{'0' * 32}.part").touch()
    result = fit_table(table, "price", out=tmp_path / "run", resume=True, **QUICK)
    assert outcome(tmp_path / "run", result, table) == whole[table.name]
    assert not list((tmp_path / "run").glob(".*"))


def test_a_resume_without_a_run_begins_and_of_a_finished_one_changes_nothing(tmp_path, whole):
    for _ in range(2):
        result = fit_table(PRICES, "price", out=tmp_path / "run", resume=True, **QUICK)
        assert outcome(tmp_path / "run", result, PRICES) == whole["prices"]


def test_a_finished_run_goes_on_with_more_epochs(tmp_path, whole):
    fit_table(PRICES, "price", out=tmp_path / "run", **(QUICK | {"epochs": 3}))
    result = fit_table(PRICES, "price", out=tmp_path / "run", resume=True, **QUICK)
    assert outcome(tmp_path / "run", result, PRICES) == whole["prices"]


def test_patience_ends_the_training_also_after_a_resume(broken_off, tmp_path):
    options = QUICK | {"epochs": 200, "patience": 2, "learning_rate": 0.1}
    whole = fit_table(PRICES, "price", out=tmp_path / "whole", **options)
    epochs = len(whole.run.history)
    assert whole.best_epoch == epochs - 2 < 198
    broken_off(PRICES, tmp_path / "run", epochs, **options)
    result = fit_table(PRICES, "price", out=tmp_path / "run", resume=True, **options)
    assert outcome(tmp_path / "run", result, PRICES) == outcome(tmp_path / "whole", whole, PRICES)
    assert result.best_epoch == whole.best_epoch


def test_a_training_that_is_not_over_predicts_with_its_best_weights(broken_off, tmp_path):
    options = QUICK | {"learning_rate": 0.3}
    broken_off(PRICES, tmp_path / "run", 7, **options)
    model, read = load_table_model(tmp_path / "run"), read_summary(tmp_path / "run")
    short = fit_table(PRICES, "price", **(options | {"epochs": 6}))
    assert short.best_epoch < 6, "choose a case in which the last epoch is not the best"
    assert model.predict(PRICES).values == short.model.predict(PRICES).values
    assert f"weights of epoch {short.best_epoch}, the best until now" in model.predict(PRICES).notes[0]
    assert (read.status, read.resumable, read.table.scores, len(read.history)) == ("interrupted", True, {}, 6)


def test_a_training_without_an_epoch_cannot_predict_yet(broken_off, tmp_path):
    broken_off(PRICES, tmp_path / "run", 1)
    with pytest.raises(StorageError, match="cannot predict yet: no epoch of its training has ended"):
        load_table_model(tmp_path / "run")


def test_broken_off_while_it_is_measured(tmp_path, whole, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(table_fit, "sensitivity", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit_table(PRICES, "price", out=tmp_path / "run", **QUICK)
    read = read_summary(tmp_path / "run")
    assert (read.status, read.resumable, read.table.scores) == ("interrupted", True, {})
    result = fit_table(PRICES, "price", out=tmp_path / "run", resume=True, **QUICK)
    assert outcome(tmp_path / "run", result, PRICES) == whole["prices"]


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs") / "prices"
    fit_table(PRICES, "price", out=place, **(QUICK | {"epochs": 1}))
    return place


def changed(**columns):
    cells = {name: list(values) for name, values in PRICES.columns.items()} | columns
    return Table("other", {name: values for name, values in cells.items() if values is not None})


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (changed(side=[*PRICES["side"][:-1], "middle"]), "column 'side' holds other cells"),
        (changed(side=None, code=None), "columns 'side', 'code' are not there"),
        (changed(extra=["1", "2"] * 25), "column 'extra' was not there"),
        (PRICES.take(np.arange(49)), "it had 50 rows, here it has 49"),
        (Table("other", dict(reversed(PRICES.columns.items()))), "its columns stand in another order"),
    ],
)
def test_another_table_is_refused(begun, table, text):
    before = (begun / "table.json").read_bytes()
    with pytest.raises(StorageError) as caught:
        fit_table(table, "price", out=begun, resume=True, **QUICK)
    assert text in caught.value.message
    assert str(begun) in caught.value.message
    assert (begun / "table.json").read_bytes() == before
    assert read_summary(begun).table.scores


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"hidden": (6, 3)}, "hidden was [6], here it is [6, 3]"),
        ({"batch_size": 8}, "batch size was 16, here it is 8"),
        ({"learning_rate": 0.1}, "learning rate was 0.05, here it is 0.1"),
        ({"patience": 3}, "patience was 20, here it is 3"),
        ({"seed": 1}, "seed was 0, here it is 1"),
        ({"ignore": ["side"]}, "ignore was none, here it is ['side']"),
        ({"categorical": ["code"]}, "categorical was none, here it is ['code']"),
        ({"target": "size"}, "target was price, here it is size"),
        ({"target": "side"}, "task was regression, here it is classification"),
    ],
)
def test_other_options_are_refused(begun, options, text):
    before = (begun / "table.json").read_bytes()
    with pytest.raises(StorageError) as caught:
        fit_table(PRICES, options.pop("target", "price"), out=begun, resume=True, **(QUICK | options))
    assert text in caught.value.message
    assert (begun / "table.json").read_bytes() == before


def test_the_table_is_digested_once(begun, monkeypatch):
    """Its digest is compared with the record, and written into it before the first step and at the end."""
    digested = []
    monkeypatch.setattr(table_fit, "fingerprint", lambda table: digested.append(table) or fingerprint(table))
    fit_table(PRICES, "price", out=begun, resume=True, **QUICK)
    assert len(digested) == 1


def test_every_option_that_matters_is_compared(begun):
    """Whatever is in the settings is compared, or is one of those that may differ."""
    known = table_settings(begun)
    for name in known.keys() - {"epochs", "delimiter", "missing"}:
        with pytest.raises(StorageError, match=f"{name.replace('_', ' ')} was"):
            check_same_task(begun, {name: "another"}, PRICES, fingerprint(PRICES))


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        (["settings"], None, "settings is an object"),
        (["settings", "patience"], 0, "settings.patience is a whole number from 1"),
        (["settings", "learning_rate"], -1, "settings.learning_rate is a number above 0"),
        (["settings", "ignore"], "side", "settings.ignore is a list"),
        (["settings", "task"], "sorting", "settings.task is 'classification' or 'regression'"),
        (["fingerprint", "columns"], [], "fingerprint.columns is an object"),
        (["fingerprint", "rows"], "50", "fingerprint.rows is a whole number"),
    ],
)
def test_a_changed_record_is_refused(begun, tmp_path, path, value, text):
    for file in begun.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    record = place = json.loads((begun / "table.json").read_text(encoding="utf-8"))
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (tmp_path / "table.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(StorageError) as caught:
        fit_table(PRICES, "price", out=tmp_path, resume=True, **QUICK)
    assert text in caught.value.message


def test_a_half_written_line_of_a_run_that_did_not_end_is_no_damage(broken_off, tmp_path):
    broken_off(PRICES, tmp_path / "run", 4)
    with open(tmp_path / "run" / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"epoch": 4, "train')
    assert len(read_summary(tmp_path / "run").history) == 3
    assert fit_table(PRICES, "price", out=tmp_path / "run", resume=True, **QUICK).run.status == "finished"
