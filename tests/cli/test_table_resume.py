"""`bprop train TABLE.csv` interrupted and killed: what is said, what it leaves, and that it goes on to the same end."""

import contextlib
import csv
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from support.training import draw_nothing

TABLE = "room climate.csv"
COMMAND = [sys.executable, "-c", "from bprop_command import main; main()"]
SLOW = """
import time
from bprop.train.training import Training
save = Training.save
Training.save = lambda self: (save(self), time.sleep(0.1))
from bprop_command import main
main()
"""
"""The command, with a pause after every checkpoint: however late the test looks, the training is not over."""
OPTIONS = ["--hidden", "8", "--epochs", "60", "--patience", "60"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's here")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """Have a table of 100 rows, of which 64 are learned from, and draw nothing in this process."""
    x = np.random.default_rng(0).normal(10, 2, (100, 2)).round(3)
    with open(tmp_path / TABLE, "w", newline="", encoding="utf-8") as file:
        rows = [[a if n % 9 else "unknown", b, "warm" if a + b > 20 else "cold"] for n, (a, b) in enumerate(x)]
        csv.writer(file, delimiter=";").writerows([["inside", "outside", "feeling"], *rows])
    monkeypatch.chdir(tmp_path)
    draw_nothing(monkeypatch)


@contextlib.contextmanager
def start(*arguments, command=COMMAND, **options):
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}
    command = [*command, *map(str, arguments)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, **options) as process:
        try:
            yield process
        finally:  # a test that fails does not wait for the end of a training
            process.kill()


def until(condition, process):
    end = time.monotonic() + 300
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)


def outcome(bprop, folder):
    code, predictions, errors = bprop("predict", folder, TABLE, "--missing", "unknown")
    assert code == 0, errors
    return (folder / "model.safetensors").read_bytes(), (folder / "table.json").read_bytes(), predictions


def test_killed_at_random_instants_it_goes_on_to_the_same_end(bprop, tmp_path):
    begin = ["train", TABLE, "--target", "feeling", "--missing", "unknown", *OPTIONS]
    assert bprop(*begin, "--out", tmp_path / "whole")[0] == 0
    place, rng = tmp_path / "run", random.Random()
    kills = 0
    for trial in range(4):
        resumed = (place / "table.json").exists()
        more = ["train", TABLE, "--resume", place] if resumed else [*begin, "--out", place]
        with start(*more, command=[sys.executable, "-c", SLOW], stderr=subprocess.PIPE) as process:
            held = place / "metrics.jsonl"
            before = held.stat().st_size if held.exists() else 0
            until(lambda held=held, before=before: held.exists() and held.stat().st_size != before, process)
            time.sleep(rng.random() * 0.2)
            process.kill()
            errors = process.communicate()[1]
        assert process.returncode in (-signal.SIGKILL, 0), errors
        kills += process.returncode != 0
        if trial == 0:
            assert bprop("runs", tmp_path)[1].count("killed") == 1
            assert f"bprop train 'room climate.csv' --resume {place}" in bprop("show", place)[1]
            assert bprop("predict", place, TABLE, "--missing", "unknown")[0] == 0
    assert kills
    code, stdout, stderr = bprop("train", TABLE, "--resume", place, "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["target"] == "feeling"
    assert outcome(bprop, place) == outcome(bprop, tmp_path / "whole")
    assert bprop("runs", tmp_path)[1].count("finished") == 2


@pytest.mark.usefixtures("default_signals")
def test_what_is_said_after_ctrl_c_goes_on_when_pasted(bprop, tmp_path):
    begin = ["train", TABLE, "--target", "feeling", "--missing", "unknown", "--epochs", "100000", "--patience", "99999"]
    out = tmp_path / "my runs" / "first"
    with start(*begin, "--out", out, stderr=subprocess.PIPE, encoding="utf-8") as process:
        until(lambda: (out / "metrics.jsonl").exists() and (out / "metrics.jsonl").read_text(), process)
        assert "running" in bprop("runs", out.parent)[1]
        refused = bprop("train", TABLE, "--resume", out, "--epochs", "1")[2]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    assert re.search(r"another training \(process \d+ on", " ".join(refused.split()))
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert re.search(r"holds the metrics of \d+ epochs? and a checkpoint; to go on:", errors)
    code, shown, stderr = bprop("show", out)
    assert code == 0, stderr
    assert "not measured: the training did not finish" in shown
    said = errors.splitlines()[-1].strip()
    assert said in shown
    code, stdout, stderr = bprop("predict", out, TABLE, "--missing", "unknown")
    assert code == 0
    assert "the training is not over" in stderr
    epochs = len((out / "metrics.jsonl").read_text().splitlines())
    code, stdout, stderr = bprop(*shlex.split(said)[1:], "--epochs", epochs + 1)
    assert code == 0, stderr
    assert f"record: {out}" in stdout.replace("\n", "")
    assert len((out / "metrics.jsonl").read_text().splitlines()) == epochs + 1


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--target", "outside"], 1, "target was feeling, here it is outside"),
        (["--hidden", "9"], 1, "hidden was [8], here it is [9]"),
        (["--patience", "9"], 1, "patience was 60, here it is 9"),
        (["--missing", "nothing"], 1, "'inside' holds other cells; it was read with missing ['unknown'], here with ['"),
        (["--out", "other"], 2, "without --out"),
        (["--resume", "none"], 1, "none is no folder of a run"),
        (["--resume", "."], 1, "there is no table.json in it"),
    ],
)
def test_what_differs_is_refused_in_one_line(bprop, begun, options, code, text):
    before = (begun / "table.json").read_bytes()
    found, _, stderr = bprop("train", TABLE, "--resume", begun, *options)
    assert found == code
    assert text in " ".join(stderr.replace("│", "").split())
    assert "Traceback" not in stderr
    assert code == 2 or stderr.count("\n") == 1
    assert (begun / "table.json").read_bytes() == before


@pytest.fixture
def begun(bprop, tmp_path, shared):
    """Return a copy of a run of one epoch, made once."""
    if not shared:
        options = ["--target", "feeling", "--missing", "unknown", *OPTIONS, "--epochs", "1"]
        assert bprop("train", TABLE, *options, "--out", tmp_path / "run")[0] == 0
        shared.update({path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()})
    (tmp_path / "run").mkdir(exist_ok=True)
    for name, content in shared.items():
        (tmp_path / "run" / name).write_bytes(content)
    return tmp_path / "run"


@pytest.fixture(scope="module")
def shared():
    return {}
