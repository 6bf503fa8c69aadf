"""``bprop train text``, ``generate`` and ``networks``, as their users meet them."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from bprop import networks
from bprop.cli.network import networks as listing

COMMAND = [sys.executable, "-c", "from bprop.cli import main; main()"]
ENVIRONMENT = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}
TEXT = "".join(f"{number} and {number + 1} are two numbers;\n" for number in range(60))
SMALL = ["--hidden", "8", "--embedding", "4", "--window", "8", "--batch-size", "8"]


def bprop(*arguments, cwd):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=cwd, env=ENVIRONMENT, capture_output=True, encoding="utf-8", timeout=600
    )


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "my numbers.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_a_text_from_training_to_writing(tmp_path, text):
    whole = bprop("train", "text", text.name, *SMALL, "--epochs", 3, "--seed", 5, "--out", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert f"{len(TEXT):,} characters" in whole.stdout
    assert f"the last {len(TEXT) // 10} are held out" in whole.stdout
    assert "3-gram, Witten-Bell smoothing" in whole.stdout
    assert {path.name for path in (tmp_path / "whole").iterdir()} == {
        "metrics.jsonl", "checkpoint.safetensors", "curves.png", "model.safetensors", "run.json", "text.json"
    }  # fmt: skip

    result = bprop("train", "text", text.name, *SMALL, "--epochs", 1, "--seed", 5, "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["run"].startswith("runs/my-numbers-")
    assert answer["epochs"] == 1
    assert answer["bits_per_character"].keys() == {"network", "ngram"}
    result = bprop("train", "text", text.name, "--resume", answer["run"], "--epochs", 3, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", answer["run"])]
    assert weights[0] == weights[1]

    written = [
        bprop("generate", "whole", "--prompt", "1", "--length", 12, "--seed", 1, *more, cwd=tmp_path)
        for more in ([], ["--json"])
    ]
    assert [result.returncode for result in written] == [0, 0]
    assert written[0].stdout == "1" + json.loads(written[1].stdout)["text"] + "\n"
    assert len(json.loads(written[1].stdout)["text"]) == 12
    listed = bprop("runs", cwd=tmp_path).stdout
    assert "bits" in listed
    shown = bprop("show", "whole", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "characters of my numbers.txt" in shown.stdout


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's here")
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(["digits", "--model", "cnn"], id="cnn", marks=pytest.mark.exhaustive),
        pytest.param(["digits", "--model", "resnet"], id="resnet", marks=pytest.mark.exhaustive),
        pytest.param(["text", "my numbers.txt", *SMALL], id="text"),
    ],
)
@pytest.mark.usefixtures("default_signals")
def test_interruption_says_how_to_go_on(tmp_path, text, data):
    metrics = tmp_path / "run" / "metrics.jsonl"
    with subprocess.Popen(
        [*COMMAND, "train", *data, "--epochs", "100000", "--out", "run"],
        cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8",
    ) as process:  # fmt: skip
        end = time.monotonic() + 300
        while not (metrics.exists() and metrics.read_text()) and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    name = "digits" if data[0] == "digits" else "text 'my numbers.txt'"
    assert f"to go on:\n  bprop train {name} --resume run" in errors
    shown = bprop("show", "run", cwd=tmp_path).stdout
    assert f"bprop train {name} --resume run" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["train", "digits", "--model", "tree"], 2, "'mlp', 'cnn', 'resnet'"),
        (
            ["train", "digits", "--model", "cnn", "--hidden", "3"],
            2,
            "sizes of hidden layers are for the mlp, not for cnn",
        ),
        (["train", "text"], 2, "FILE"),
        (["train", "text", "nowhere.txt"], 1, "nowhere.txt"),
        (["train", "text", "empty.txt"], 1, "empty.txt is empty"),
        (["train", "text", "latin.txt"], 1, "byte 3 of 4"),
        (["train", "text", "short.txt"], 1, "short.txt has 20 characters; with windows of 64 it has 72 or more"),
        (["train", "text", "short.txt", "--window", "0"], 2, "--window"),
        (["train", "text", "short.txt", "--resume", "nowhere"], 1, "nowhere is no folder of a run"),
        (["generate", "nowhere", "--prompt", "a"], 1, "nowhere is no folder of a run"),
        (["generate", "nowhere"], 2, "--prompt"),
        (["generate", "nowhere", "--prompt", "a", "--temperature", "-1"], 2, "--temperature"),
    ],
)
def test_errors(tmp_path, arguments, code, text):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "short.txt").write_text("ab" * 10)
    result = bprop(*arguments, cwd=tmp_path)
    assert result.returncode == code, result.stdout + result.stderr
    assert text in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "runs").exists()


def test_networks_are_listed(capsys, monkeypatch):
    monkeypatch.setattr(networks, "CATALOGUE", networks.CATALOGUE[:3])
    listing()
    assert capsys.readouterr().out.splitlines()[-1].split() == [
        "ResNet(20)",
        "269,722",
        "81,102,080",
        "3×32×32",
        "image",
    ]
    listing(as_json=True)
    rows = json.loads(capsys.readouterr().out)["networks"]
    assert rows[2] == {"name": "ResNet(20)", "parameters": 269722, "flops": 81102080, "input": [3, 32, 32]}
