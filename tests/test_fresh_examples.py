"""Properties with examples that no run had before; elsewhere Hypothesis draws the same ones every time."""

import os
import random
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
SECONDS = 12
"""How long properties are tried, begun in an order of chance; the collection of the tests takes some seconds more."""

PLANTED = """
from hypothesis import given, strategies as st

@given(st.integers(0, 2**20), st.integers(0, 99))
def test_planted(x, y):
    assert y < 7
"""


def run(*arguments, seed):
    """Run properties in an interpreter of its own; return the exit code and what it says, the way to see it again included."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", "pytest", "-n0", "-q", "-rN", "--no-header", "-p", "no:cacheprovider"]
    command += ["-p", "support.fresh_examples", "-m", "hypothesis", f"--hypothesis-seed={seed}"]
    result = subprocess.run(
        [*command, *map(str, arguments)], env=environment, cwd=TESTS.parent, capture_output=True, encoding="utf-8"
    )
    say = f"again: pytest -n0 --hypothesis-profile=fresh --hypothesis-seed={seed} FILE::TEST"
    return result.returncode, f"{result.stdout}\n{result.stderr}\n{say}"


def test_properties_hold_for_fresh_examples():
    files = [path for path in sorted(TESTS.rglob("test_*.py")) if "\n@given(" in path.read_text(encoding="utf-8")]
    code, said = run(*files, f"--seconds={SECONDS}", seed=random.SystemRandom().getrandbits(32))
    assert code == 0, said


def test_a_planted_fault_is_seen_and_seen_again(tmp_path):
    (tmp_path / "test_planted.py").write_text(PLANTED)
    first, again = (run(tmp_path / "test_planted.py", seed=5) for _ in range(2))
    assert first[0] == again[0] == 1
    for _, said in (first, again):
        assert "y=7," in said
        assert "@reproduce_failure(" in said
        assert "--hypothesis-seed=5" in said
