"""`import bprop` is light: what is heavy is loaded on first use."""

import json
import subprocess
import sys

HEAVY = {"llvmlite", "scipy", "sklearn", "matplotlib", "rich", "typer", "safetensors"}

# Prints the top-level modules that bprop loads beyond NumPy, and how long it takes beyond NumPy (best of 5).
MEASURE = """
import json, sys, time
import numpy
before = set(sys.modules)
start = time.perf_counter()
import bprop
seconds = time.perf_counter() - start
print(json.dumps([sorted({name.partition(".")[0] for name in set(sys.modules) - before}), seconds]))
"""


def measure() -> tuple[set[str], float]:
    result = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, encoding="utf-8", check=True)
    names, seconds = json.loads(result.stdout)
    return set(names), seconds


def test_import_loads_only_numpy():
    runs = [measure() for _ in range(5)]
    names = runs[0][0]
    print(f"import bprop: {min(seconds for _, seconds in runs):.3f} s beyond numpy")
    assert names & HEAVY == set()
    assert names - set(sys.stdlib_module_names) - {"numpy"} == {"bprop"}
