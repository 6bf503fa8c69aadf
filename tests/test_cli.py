"""The command line, as a newcomer meets it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

COMMAND = [sys.executable, "-c", "from bprop.cli import main; main()"]
ENVIRONMENT = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}


def bprop(*arguments, cwd):
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, env=ENVIRONMENT, capture_output=True, encoding="utf-8", timeout=600
    )


def test_help_and_version(tmp_path):
    result = bprop(cwd=tmp_path)
    assert "bprop train digits" in result.stdout + result.stderr
    result = bprop("--help", cwd=tmp_path)
    assert result.returncode == 0
    assert "doctor" in result.stdout
    result = bprop("--version", cwd=tmp_path)
    assert result.stdout.startswith("bprop ")
    result = bprop("train", "digits", "--help", cwd=tmp_path)
    assert all(option in result.stdout for option in ("--epochs", "--seed", "--out", "--json", "--hidden"))


def test_train_digits(tmp_path):
    result = bprop("train", "digits", "--epochs", "3", "--hidden", "32", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "epoch   3" in result.stdout
    assert "test accuracy" in result.stdout
    assert "saturated" in result.stdout
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("digits-")
    assert f"record: runs/{folder.name}" in result.stdout
    assert {path.name for path in folder.iterdir()} == {
        "metrics.jsonl", "checkpoint.safetensors", "curves.png", "model.safetensors", "run.json"
    }  # fmt: skip


def test_json_is_the_last_line(tmp_path):
    result = bprop("train", "digits", "--epochs", "2", "--hidden", "16", "--json", "--out", "here", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 1
    answer = json.loads(result.stdout)
    assert {"test_accuracy", "train_loss", "seconds", "epochs", "parameters", "run"} <= answer.keys()
    assert answer["run"] == "here"
    assert answer["epochs"] == 2
    assert answer["parameters"] == 64 * 16 + 16 + 16 * 10 + 10
    assert "test accuracy" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--epochs", "0"], "--epochs"),
        (["--hidden", "a,b"], "list of sizes"),
        (["--hidden", "0"], "list of sizes"),
        (["--learning-rate", "-1"], "positive number"),
        (["--seed", "-1"], "--seed"),
        (["--nonsense"], "No such option"),
    ],
)
def test_bad_options(tmp_path, arguments, text):
    result = bprop("train", "digits", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert text in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_folders_that_cannot_be_used(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for out, text in (
        ("full", "exists and is not empty"),
        ("full/file", "a file, not a folder"),
        ("/proc/no", "cannot be"),
    ):
        result = bprop("train", "digits", "--epochs", "1", "--out", out, cwd=tmp_path)
        assert result.returncode == 1
        assert result.stderr.startswith("bprop: ")
        assert text in result.stderr
        assert "Traceback" not in result.stderr


def test_errors_of_the_library_have_no_traceback(tmp_path):
    result = bprop("train", "digits", "--epochs", "1", "--learning-rate", "1e300", "--out", "run", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("bprop: fit: epoch 1, batch 1 of 23")
    assert "Traceback" not in result.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's here")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.usefixtures("default_signals")
def test_interruption_says_what_was_saved(tmp_path, number, code):
    metrics = tmp_path / "run" / "metrics.jsonl"
    with subprocess.Popen(
        [*COMMAND, "train", "digits", "--epochs", "100000", "--hidden", "8", "--out", "run"],
        cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8",
    ) as process:  # fmt: skip
        end = time.monotonic() + 300
        while not (metrics.exists() and metrics.read_text()) and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(number)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == code, errors
    assert "run holds the metrics of" in errors
    assert "to go on:\n  bprop train digits --resume run" in errors
    assert "Traceback" not in errors
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"


def test_resume_takes_the_options_of_the_run(tmp_path):
    whole = bprop("train", "digits", "--epochs", "4", "--hidden", "16,8", "--seed", "3", "--out", "whole", cwd=tmp_path)
    first = bprop("train", "digits", "--epochs", "2", "--hidden", "16,8", "--seed", "3", "--out", "run", cwd=tmp_path)
    assert whole.returncode == first.returncode == 0, whole.stderr + first.stderr
    result = bprop("train", "digits", "--resume", "run", "--epochs", "4", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "epoch   3" in result.stdout
    assert "epoch   2" not in result.stdout
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "run")]
    assert weights[0] == weights[1]
    for options, text in (
        (["--resume", "run", "--seed", "4"], "seed was 3, here it is 4"),
        (["--resume", "nowhere"], "nowhere/checkpoint.safetensors: No such file"),
        (["--resume", "run", "--hidden", "9"], "model/layers.0.W is float32[16, 64], here float32[9, 64]"),
    ):
        result = bprop("train", "digits", *options, cwd=tmp_path)
        assert result.returncode == 1
        assert text in result.stderr
        assert "Traceback" not in result.stderr
    assert bprop("train", "digits", "--resume", "run", "--out", "other", cwd=tmp_path).returncode == 2


def test_doctor(tmp_path):
    result = bprop("doctor", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    for word in ("numpy", "llvmlite", "processor", "cores", "vectors", "threads", "cache", "gradients", "native code"):
        assert word in result.stdout
    assert "✗" not in result.stdout


def test_doctor_names_settings_that_cannot_be(tmp_path):
    environment = {**ENVIRONMENT, "BPROP_NUM_THREADS": "many", "BPROP_TARGET": "avx1"}
    result = subprocess.run(
        [*COMMAND, "doctor"], cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", timeout=600
    )
    assert result.returncode == 1
    assert "BPROP_NUM_THREADS is 'many': give a whole number" in result.stdout
    assert "target 'avx1' is none of avx512, avx2, x86-64" in result.stdout
    assert "Traceback" not in result.stderr


def test_the_command_line_starts_quickly():
    """Nothing heavy is imported before a command needs it."""
    code = "import sys, bprop.cli; print(sorted({'matplotlib', 'scipy', 'llvmlite', 'safetensors'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert result.stdout.strip() == "[]"


def test_tables_keep_their_numbers_on_a_narrow_terminal(tmp_path):
    environment = {**ENVIRONMENT, "COLUMNS": "40"}
    arguments = [*COMMAND, "train", "digits", "--epochs", "1", "--hidden", "16"]
    result = subprocess.run(
        arguments, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", timeout=600
    )
    assert "…" not in result.stdout
    assert "Linear(64 → 16, float32)" in result.stdout
    assert all(f" {digit} " in result.stdout for digit in range(10))


def test_an_encoding_without_our_signs_does_not_end_the_run(tmp_path):
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}
    arguments = [*COMMAND, "train", "digits", "--epochs", "1", "--hidden", "16"]
    result = subprocess.run(
        arguments, cwd=tmp_path, env=environment, capture_output=True, encoding="ascii", timeout=600
    )
    assert result.returncode == 0, result.stderr
    assert "test accuracy" in result.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_an_error_without_traceback(tmp_path):
    with open("/dev/full", "w") as full:
        arguments = [*COMMAND, "train", "digits", "--epochs", "1", "--hidden", "16"]
        result = subprocess.run(
            arguments, cwd=tmp_path, env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, timeout=600
        )
    assert result.returncode == 1
    assert b"No space left" in result.stderr
    assert b"Traceback" not in result.stderr
