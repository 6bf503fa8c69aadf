"""Runs that are killed: whatever the instant, there is a readable checkpoint and the same end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills child processes, as POSIX has them")


def kills(*arguments, timeout):
    script = Path(__file__).with_name("killing.py")
    environment = {
        **os.environ,
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(script.parents[1]),
    }
    result = subprocess.run(
        [sys.executable, script, *map(str, arguments)], env=environment, capture_output=True, encoding="utf-8",
        timeout=timeout,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return int(result.stdout)


def test_killed_at_random_instants(tmp_path):
    assert kills("random", tmp_path, 12, timeout=600) == 12


def test_killed_at_calls_of_the_system(tmp_path):
    assert kills("calls", tmp_path, 41, timeout=600) > 20


@pytest.mark.exhaustive
def test_killed_at_many_random_instants(tmp_path):
    assert kills("random", tmp_path, 300, timeout=600) == 300


@pytest.mark.exhaustive
def test_killed_at_every_call_of_the_system(tmp_path):
    assert kills("calls", tmp_path, 1, timeout=1200) > 1000
