"""Certified digits on NIST's 27 nonlinear regression problems: prints docs/nist.md.

    python -m benchmarks.nist > docs/nist.md

Every problem is solved from both of NIST's starts by `bprop.scipy.optimize.least_squares`, methods lm and trf, with tolerances at
the rounding of float64. The data are in tests/scipy/data; the models are written below as a user would write them.
"""

import json
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bprop.scipy.optimize import least_squares

DATA = Path(__file__).parents[1] / "tests" / "scipy" / "data" / "nist_strd.json"
METHODS = ("lm", "trf")
DIGITS = 11  # as many as NIST certifies


def adsorption(b, x):
    return b[0] * (1 - np.exp(-b[1] * x))


def ultrasonic(b, x):
    return np.exp(-b[0] * x) / (b[1] + b[2] * x)


def exponentials(b, x):
    return b[0] * np.exp(-b[1] * x) + b[2] * np.exp(-b[3] * x) + b[4] * np.exp(-b[5] * x)


def peaks(b, x):
    return (
        b[0] * np.exp(-b[1] * x)
        + b[2] * np.exp(-((x - b[3]) ** 2) / b[4] ** 2)
        + b[5] * np.exp(-((x - b[6]) ** 2) / b[7] ** 2)
    )


def radiated_energy(b, x):
    return b[0] * x ** b[1]


def misra1b(b, x):
    return b[0] * (1 - (1 + b[1] * x / 2) ** -2)


def misra1c(b, x):
    return b[0] * (1 - (1 + 2 * b[1] * x) ** -0.5)


def misra1d(b, x):
    return b[0] * b[1] * x / (1 + b[1] * x)


def kirby2(b, x):
    return (b[0] + b[1] * x + b[2] * x**2) / (1 + b[3] * x + b[4] * x**2)


def cubic_ratio(b, x):
    return (b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3) / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)


def nelson(b, x1, x2):
    return b[0] - b[1] * x1 * np.exp(-b[2] * x2)


def mgh17(b, x):
    return b[0] + b[1] * np.exp(-x * b[3]) + b[2] * np.exp(-x * b[4])


def roszman1(b, x):
    return b[0] - b[1] * x - np.arctan(b[2] / (x - b[3])) / np.pi


def enso(b, x):
    w = 2 * np.pi * x
    year = b[1] * np.cos(w / 12) + b[2] * np.sin(w / 12)
    return (
        b[0]
        + year
        + b[4] * np.cos(w / b[3])
        + b[5] * np.sin(w / b[3])
        + b[7] * np.cos(w / b[6])
        + b[8] * np.sin(w / b[6])
    )


def mgh09(b, x):
    return b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3])


def rat42(b, x):
    return b[0] / (1 + np.exp(b[1] - b[2] * x))


def rat43(b, x):
    return b[0] / (1 + np.exp(b[1] - b[2] * x)) ** (1 / b[3])


def mgh10(b, x):
    return b[0] * np.exp(b[1] / (x + b[2]))


def eckerle4(b, x):
    return b[0] / b[1] * np.exp(-0.5 * ((x - b[2]) / b[1]) ** 2)


def bennett5(b, x):
    return b[0] * (b[1] + x) ** (-1 / b[2])


MODELS = {
    "Misra1a": adsorption, "Chwirut2": ultrasonic, "Chwirut1": ultrasonic, "Lanczos3": exponentials, "Gauss1": peaks,
    "Gauss2": peaks, "DanWood": radiated_energy, "Misra1b": misra1b, "Kirby2": kirby2, "Hahn1": cubic_ratio,
    "Nelson": nelson, "MGH17": mgh17, "Lanczos1": exponentials, "Lanczos2": exponentials, "Gauss3": peaks,
    "Misra1c": misra1c, "Misra1d": misra1d, "Roszman1": roszman1, "ENSO": enso, "MGH09": mgh09, "Thurber": cubic_ratio,
    "BoxBOD": adsorption, "Rat42": rat42, "MGH10": mgh10, "Eckerle4": eckerle4, "Rat43": rat43, "Bennett5": bennett5,
}  # fmt: skip


@dataclass
class Problem:
    """A model, its observations, and what NIST certifies of it."""

    name: str
    difficulty: str
    formula: str
    model: Callable[..., Any]
    y: np.ndarray
    x: list[np.ndarray]
    starts: list[list[float]]
    certified: np.ndarray
    deviations: np.ndarray
    sum_of_squares: float
    residual_deviation: float

    def residuals(self, b):
        return self.model(b, *self.x) - self.y

    @property
    def freedom(self) -> int:
        return self.y.size - self.certified.size


@dataclass
class Digits:
    """Certified digits reached: the least over the parameters, and those of the residual standard deviation."""

    parameters: float
    deviation: float
    evaluations: int
    solution: np.ndarray


def problems() -> list[Problem]:
    """NIST's problems, in NIST's order of difficulty."""
    read = json.loads(DATA.read_text(encoding="ascii"))
    result = []
    for name, entry in read.items():
        y, *x = (np.array(column) for column in entry["data"])
        if name == "Nelson":
            y = np.log(y)
        result.append(
            Problem(
                name, entry["difficulty"], entry["model"], MODELS[name], y, x, entry["starts"], np.array(entry["certified"]),
                np.array(entry["deviations"]), entry["sum_of_squares"], entry["residual_deviation"],
            )
        )  # fmt: skip
    return result


def agreeing_digits(actual: Any, certified: Any) -> float:
    """-log₁₀ of the largest relative error, from 0 to the digits that are certified."""
    error = np.max(np.abs(np.asarray(actual) - certified) / np.abs(certified))
    return float(np.clip(-math.log10(error), 0, DIGITS)) if error > 0 else float(DIGITS)


def solve(problem: Problem, start: int, method: str, compile: bool = False) -> Digits:
    """Solve a problem from a start (0 or 1), and compare with what is certified."""
    eps = np.finfo(float).eps
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        result = least_squares(
            problem.residuals,
            problem.starts[start],
            method=method,
            xtol=eps,
            ftol=eps,
            gtol=eps,
            x_scale="jac",
            max_nfev=5000,
            compile=compile,
        )
    deviation = math.sqrt(2 * result.cost / problem.freedom)
    return Digits(
        agreeing_digits(result.x, problem.certified),
        agreeing_digits(deviation, problem.residual_deviation),
        result.nfev,
        result.x,
    )


HEAD = """# NIST's nonlinear regression problems

The [Statistical Reference Datasets](https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml) of the National Institute of Standards
and Technology have 27 problems with certified answers of eleven digits and two starts each, the first far from the answer.
`bprop.scipy.optimize.least_squares` solves them with Jacobians by bprop; the models are written with NumPy, in
`benchmarks/nist.py`. Tolerances are at the rounding of float64, `x_scale="jac"`.

Certified digits are -log₁₀ of the relative error, here the least over all parameters; "deviation" is that of the residual standard
deviation, the least of the four runs. `python -m benchmarks.nist > docs/nist.md` prints this page, and
`tests/scipy/test_nist.py` holds at least six digits of every parameter and nine of every deviation (all four runs with
`-m exhaustive`), but for the exceptions below.
The last digit or two depend on the machine: near the answer the sum of squares changes by less than its rounding.

| problem | level | parameters | observations | lm, start 1 | lm, start 2 | trf, start 1 | trf, start 2 | deviation | evaluations |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"""
TAIL = """
Evaluations are those of the residuals in all four runs. Two exceptions:

- **BoxBOD, lm, start 1**: scaled by the columns of the Jacobian, the first step leads to b2 ≈ {b2:.0f}, where exp(-b2·x) and its
  derivative are 0 for every x: any b2 is as good. trf reaches the answer, and so does lm with `x_scale=1.0`.
- **Lanczos1, deviation**: the data are exact to 14 digits, and the certified sum of squares, 1.4e-25, is that of their rounding.
  The deviation of residuals computed in float64 has three digits; the parameters have all but the last.

The data are works of the United States government and in the public domain; `tests/scipy/data/` says where they come from."""


def main() -> None:
    print(HEAD)
    for problem in problems():
        runs = {(method, start): solve(problem, start, method, compile=True) for method in METHODS for start in (0, 1)}
        deviation = min(run.deviation for run in runs.values() if run.parameters)
        cells = [problem.name, problem.difficulty, problem.certified.size, problem.y.size]
        cells += [f"{run.parameters:.1f}" for run in runs.values()]
        cells += [f"{deviation:.1f}", sum(run.evaluations for run in runs.values())]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
        if problem.name == "BoxBOD":
            b2 = runs["lm", 0].solution[1]
    print(TAIL.format(b2=b2))


if __name__ == "__main__":
    main()
