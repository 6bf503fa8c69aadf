"""Tables on the command line: train, predict, runs, show, and what each says when something is wrong."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest

rng = np.random.default_rng(0)
X = rng.normal(10, 2, (100, 2))
ROWS = [[f"{a:.3f}", f"{b:.3f}", "warm" if a + b > 20 else "cold"] for a, b in X]
HEADER = ["inside", "outside", "feeling"]


def write(path, rows, header=HEADER):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Make a folder with a table and one run of it, made by the command."""
    folder = tmp_path_factory.mktemp("place")
    write(folder / "room climate.csv", ROWS)
    command = "from bprop.cli import main; main()"
    arguments = ["train", "room climate.csv", "--target", "feeling", "--epochs", "12", "--hidden", "8"]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}
    result = subprocess.run(
        [sys.executable, "-c", command, *arguments], cwd=folder, env=environment, capture_output=True, encoding="utf-8"
    )
    assert result.returncode == 0, result.stderr
    (folder / "said.txt").write_text(result.stdout, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _inside(place, monkeypatch):
    monkeypatch.chdir(place)


def test_training_says_what_it_read_found_and_measured(place):
    said = (place / "said.txt").read_text(encoding="utf-8")
    for text in (
        "room climate.csv: 100 rows, 3 columns",
        "target feeling: classification (2 classes), since it holds text, 2 different values",
        "rows: 64 train, 16 validation, 20 test; 2 inputs",
        "epoch  12",
        "Held-out score (20 test rows)",
        "majority",
        "logistic regression",
        "Influence of the columns",
        "record: runs/room-climate-",
    ):
        assert text in " ".join(said.split()).replace("epoch 12", "epoch  12")
    assert max(map(len, said.splitlines())) <= 80
    (run,) = (place / "runs").iterdir()
    pictures, records = {"curves.png", "influence.png"}, {"metrics.jsonl", "run.json", "table.json"}
    files = pictures | records | {"model.safetensors", "checkpoint.safetensors"}
    assert {path.name for path in run.iterdir()} == files


def test_training_in_json(place, bprop, tmp_path):
    out = tmp_path / "run"
    arguments = ["train", "--target", "inside", "room climate.csv", "--epochs", "2", "--json", "--out", out]
    code, stdout, stderr = bprop(*arguments)
    assert code == 0, stderr
    answer = json.loads(stdout)
    assert (answer["task"], answer["run"]) == ("regression", str(out))
    assert set(answer["scores"]) == {"network", "mean", "ridge regression"}
    assert answer["rows"] == {"train": 64, "validation": 16, "test": 20}
    assert set(answer["influence"]) == {"outside", "feeling"}


def test_prediction(place, bprop, tmp_path):
    (run,) = (place / "runs").iterdir()
    write(tmp_path / "new.csv", [[b, "x", a] for a, b, _ in ROWS[:5]], ["outside", "more", "inside"])
    code, stdout, stderr = bprop("predict", run.name, tmp_path / "new.csv")
    assert code == 0, stderr
    rows = list(csv.DictReader(io.StringIO(stdout)))
    assert [row["row"] for row in rows] == ["1", "2", "3", "4", "5"]
    for row in rows:
        chances = {name: float(row[f"probability of {name}"]) for name in ("cold", "warm")}
        assert row["feeling"] == max(chances, key=chances.get)
        assert np.isclose(sum(chances.values()), 1)
    assert "note: not used, since training did not have it: 'more'" in stderr

    code, stdout, _ = bprop("predict", run, tmp_path / "new.csv", "--json")
    answer = json.loads(stdout)
    assert [entry["feeling"] for entry in answer["predictions"]] == [row["feeling"] for row in rows]
    assert answer["scores"] is None

    out = tmp_path / "predictions.csv"
    code, stdout, stderr = bprop("predict", run, place / "room climate.csv", "--out", out)
    assert (code, stdout) == (0, "")
    assert "100 rows; accuracy" in stderr
    assert len(out.read_text(encoding="utf-8").splitlines()) == 101
    code, _, stderr = bprop("predict", run, place / "room climate.csv", "--out", out)
    assert code == 1
    assert "never overwrite a file" in stderr


def test_runs_and_show(place, bprop):
    (run,) = (place / "runs").iterdir()
    code, stdout, stderr = bprop("runs")
    assert code == 0, stderr
    assert run.name in stdout
    assert "classification" in stdout
    assert "feeling" in stdout
    assert "accuracy" in stdout
    assert "finished" in stdout
    code, stdout, _ = bprop("runs", "--json")
    (entry,) = json.loads(stdout)["runs"]
    assert entry["status"] == "finished"
    assert 0 <= entry["score"]["accuracy"] <= 1

    code, stdout, stderr = bprop("show", run.name)
    assert code == 0, stderr
    for text in ("batch size", "epoch   1", "…", "epoch  12", "inside", "Held-out score", "Influence", "table.json"):
        assert text in stdout
    code, stdout, _ = bprop("show", run, "--json")
    answer = json.loads(stdout)
    assert len(answer["history"]) == 12
    assert [column["kind"] for column in answer["table"]["columns"]] == ["numeric", "numeric"]
    assert set(answer["table"]["scores"]) == {"network", "majority", "logistic regression"}


def test_runs_of_other_kinds_are_listed_and_shown(bprop, tmp_path):
    code, _, stderr = bprop("train", "digits", "--epochs", "1", "--hidden", "8", "--out", tmp_path / "numerals")
    assert code == 0, stderr
    code, stdout, _ = bprop("runs", tmp_path)
    assert "handwritten digits" in stdout
    assert "accuracy" in stdout
    code, stdout, _ = bprop("show", tmp_path / "numerals")
    assert code == 0
    assert "Linear(64 → 8" in stdout
    code, _, stderr = bprop("predict", tmp_path / "numerals", "room climate.csv")
    assert code == 1
    assert "holds no model of a table" in stderr


def test_broken_runs_are_named(place, bprop, tmp_path):
    (tmp_path / "broken" / "inside").mkdir(parents=True)
    (tmp_path / "broken" / "run.json").write_text('{"status": "[red]\\u001b[2J"}')
    code, stdout, _ = bprop("runs", tmp_path)
    assert code == 0
    assert "broken/run.json: status is 'running' or" in " ".join(stdout.split())
    (tmp_path / "empty").mkdir()
    assert "empty holds no runs" in bprop("runs", tmp_path / "empty")[1]
    assert bprop("runs", tmp_path / "none")[0] == 1
    for command in (["show"], ["predict"]):
        arguments = [*command, tmp_path / "broken", *(["room climate.csv"] if command == ["predict"] else [])]
        code, stdout, stderr = bprop(*arguments)
        assert (code, stdout) == (1, "")
        assert stderr.startswith("bprop: ")
        assert "Traceback" not in stderr


def test_text_of_a_file_cannot_control_the_terminal(bprop, tmp_path):
    write(tmp_path / "t.csv", ROWS, ["[bold]in\x1b[2Jside[/]", "outside", "feeling"])
    code, stdout, stderr = bprop(
        "train", tmp_path / "t.csv", "--target", "feeling", "--epochs", "1", "--out", tmp_path / "r"
    )
    assert code == 0, stderr
    assert "\x1b[2J" not in stdout
    assert "[bold]in" in stdout


@pytest.mark.parametrize(
    ("rows", "options", "code", "text"),
    [
        ([*ROWS[:7], ["x", "1", "warm"], *ROWS], [], 1, "row 8 (line 9), column 'inside': 'x' is not a number"),
        ([*ROWS[:7], ["1", "warm"], *ROWS], [], 1, "row 8 (line 9) has 2 cells, the header has 3"),
        ([*ROWS[:7], ["inf", "1", "warm"], *ROWS], [], 1, "row 8 (line 9), column 'inside': 'inf' is not finite"),
        ([], [], 1, "no rows"),
        (ROWS[:5], [], 1, "5 rows have a value"),
        (ROWS, ["--target", "feling"], 1, "did you mean 'feeling'?"),
        (ROWS, ["--task", "sorting"], 1, "'classification' or 'regression', not 'sorting'"),
        (ROWS, ["--ignore", "nothing"], 1, "no column 'nothing' to be ignored"),
        (ROWS, ["--ignore", "inside", "--ignore", "outside"], 1, "no column is left"),
        (ROWS, ["--delimiter", "ab"], 1, "the delimiter is one character"),
        (ROWS, ["--seed", "-1"], 2, "-1 is not a whole number from 0"),
        (ROWS, ["--seed", str(2**64)], 2, "--seed"),
        (ROWS, ["--out", ""], 2, "the path is empty"),
        (ROWS, ["--hidden", "a"], 2, "list of sizes"),
        (ROWS, ["--hidden", "100000"], 1, "layer sizes up to 10,000"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(bprop, tmp_path, monkeypatch, rows, options, code, text):
    monkeypatch.chdir(tmp_path)
    write("t.csv", rows)
    target = [] if "--target" in options else ["--target", "feeling"]
    found, _, stderr = bprop("train", "t.csv", *target, *options)
    assert found == code
    assert text in " ".join(stderr.replace("│", "").split())
    assert "Traceback" not in stderr
    if code == 1:
        assert stderr.startswith("bprop: ")
        assert stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "t.csv"] == []


def test_help_is_for_whoever_forgot_something(bprop, tmp_path):
    code, _, stderr = bprop("train", "room climate.csv")
    assert code == 2
    assert "say which column to predict; there are inside, outside, feeling" in " ".join(
        stderr.replace("│", "").split()
    )
    code, _, stderr = bprop("train", "digist")
    assert code == 2
    assert "neither a file nor data that comes with the library" in " ".join(stderr.replace("│", "").split())
    code, stdout, _ = bprop("train", "--help")
    assert code == 0
    assert "TABLE.csv" in stdout
    assert "digits" in stdout
    code, stdout, _ = bprop("train", "TABLE.csv", "--help")
    assert code == 0
    assert "Usage: bprop train TABLE.csv --target COLUMN [OPTIONS]" in stdout
    for command in ("predict", "runs", "show"):
        assert bprop(command, "--help")[0] == 0


def test_an_interruption_while_the_library_loads_has_no_traceback():
    code = (
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == {name!r}: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from bprop_command import main; main()"
    )
    for name in ("numpy", "typer", "bprop.cli"):
        result = subprocess.run([sys.executable, "-c", code.format(name=name)], capture_output=True, encoding="utf-8")
        assert (result.returncode, result.stderr) == (130, ""), name
