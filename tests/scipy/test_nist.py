"""NIST's nonlinear regression problems: the certified digits that docs/nist.md shows. The runs are in benchmarks/nist.py."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from bprop.scipy.optimize import curve_fit

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "nist.md"
spec = importlib.util.spec_from_file_location("nist", ROOT / "benchmarks" / "nist.py")
nist = importlib.util.module_from_spec(spec)
spec.loader.exec_module(nist)

PROBLEMS = nist.problems()
LEAST = 6
"""Certified digits of every parameter."""
LEAST_OF_DEVIATION = {"Lanczos1": 2}  # its residuals are rounding errors: docs/nist.md
UNSOLVED = {("BoxBOD", 0, "lm")}  # the first step leads to where the model is flat: docs/nist.md

each_problem = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)


def holds(problem, start, method):
    run = nist.solve(problem, start, method)
    if (problem.name, start, method) in UNSOLVED:
        assert run.parameters < LEAST, "solved: take it out of UNSOLVED, and of docs/nist.md"
        return
    assert run.parameters >= LEAST
    assert run.deviation >= LEAST_OF_DEVIATION.get(problem.name, 9)


def test_there_are_all_of_them():
    assert len(PROBLEMS) == len(nist.MODELS) == 27


@each_problem
def test_data_and_models_give_the_certified_sum_of_squares(problem):
    squares = np.sum(problem.residuals(problem.certified) ** 2)
    np.testing.assert_allclose(squares, problem.sum_of_squares, rtol=1e-9, atol=1e-20)
    np.testing.assert_allclose(problem.residual_deviation, np.sqrt(problem.sum_of_squares / problem.freedom), rtol=1e-9)


@each_problem
def test_certified_digits(problem):
    holds(problem, 1, "lm")


@pytest.mark.exhaustive
@pytest.mark.parametrize("method", nist.METHODS)
@pytest.mark.parametrize("start", [0, 1])
@each_problem
def test_certified_digits_from_both_starts_by_both_methods(problem, start, method):
    holds(problem, start, method)


@pytest.mark.parametrize("name", ["BoxBOD", "Rat42"])
def test_certified_digits_from_the_far_start(name):
    holds(next(problem for problem in PROBLEMS if problem.name == name), 0, "trf")


def test_boxbod_from_the_far_start_by_lm():
    holds(next(problem for problem in PROBLEMS if problem.name == "BoxBOD"), 0, "lm")


@pytest.mark.parametrize("name", ["Misra1a", "Thurber", "Rat43", "Roszman1"])
def test_curve_fit_gives_the_certified_standard_deviations(name):
    problem = next(problem for problem in PROBLEMS if problem.name == name)
    fitted, covariance = curve_fit(
        lambda x, *b: problem.model(b, x), problem.x[0], problem.y, problem.starts[1], compile=False,
        ftol=1e-14, xtol=1e-14,
    )  # fmt: skip
    np.testing.assert_allclose(fitted, problem.certified, rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), problem.deviations, rtol=1e-5)


def test_the_page_has_what_is_pinned():
    """Write it anew: python -m benchmarks.nist > docs/nist.md"""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][1:]
    assert [row[0] for row in rows] == [problem.name for problem in PROBLEMS]
    runs = [(start, method) for method in nist.METHODS for start in (0, 1)]
    for row in rows:
        solved = {run for run, digits in zip(runs, row[4:8], strict=True) if float(digits) >= LEAST}
        assert set(runs) - solved == {
            run for name, *run in map(tuple, UNSOLVED) for run in [tuple(run)] if name == row[0]
        }
