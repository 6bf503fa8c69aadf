"""`import bprop` is light: what is heavy is loaded on first use."""

import json
import subprocess
import sys

HEAVY = {"llvmlite", "scipy", "sklearn", "matplotlib", "rich", "typer", "safetensors"}

# Prints the top-level modules that bprop loads beyond NumPy.
LOADED = """
import json, sys
import numpy
before = set(sys.modules)
import bprop
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def test_import_loads_only_numpy():
    result = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, encoding="utf-8", check=True)
    names = set(json.loads(result.stdout))
    assert names & HEAVY == set()
    assert names - set(sys.stdlib_module_names) - {"numpy"} == {"bprop"}
