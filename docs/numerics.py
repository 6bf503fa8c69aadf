"""Prints the table of docs/numerics.md: how accurate softmax, its relatives and the losses on it are, against mpmath.

    python docs/numerics.py

Logits are rows (o, o + g, o + g/2) for offsets o from 0 to 1e30 and gaps g from 0 to 1e3, both with both signs, and for two
operands (o, o + g); a function of one operand gets the gaps. First derivatives are gradients, second derivatives all columns
of the Hessian. Errors are in units in the last place (ULP) of the exact result for the rounded logits.
"""

from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np

import bprop
from bprop import nn

DIGITS = 80
OFFSETS = (0.0, 0.3, 1.7, 11.3, 97.1, 1e3, 12345.6, 1e7, 1e16, 1e30)
GAPS = (0.0, 1e-30, 1e-12, 1e-8, 1e-4, 0.01, 0.3, 1.0, 3.7, 10.0, 17.3, 33.3, 40.0, 87.2, 99.9, 333.3, 700.1, 1000.0)

Rows = list[list[Any]]


def logits(classes: int, dtype: Any, offsets: Any = OFFSETS, gaps: Any = GAPS) -> np.ndarray:
    """Return every pair of an offset and a gap, as rows."""
    both = [(a * o, b * g) for o in offsets for g in gaps for a in (1, -1) for b in (1, -1)]
    rows = np.unique([[o, o + g, o + g / 2] for o, g in both], axis=0)
    return np.unique(rows.astype(dtype), axis=0)[:, :classes]


# --- the truth ---
def shares(x: list[Any]) -> tuple[Any, list[Any], list[Any]]:
    """Return logsumexp, softmax and 1 - softmax, which is added up: a difference would need a thousand digits."""
    m = max(x)
    e = [mpmath.exp(one - m) for one in x]
    rest = mpmath.fsum(sorted(e)[:-1])
    total = 1 + rest
    others = [mpmath.fsum(e[:i] + e[i + 1 :]) / total for i in range(len(e))]
    return m + mpmath.log1p(rest), [one / total for one in e], others


def curvature(x: list[Any]) -> list[list[Any]]:
    """Return p_i (δ_ij - p_j)."""
    _, p, q = shares(x)
    return [[p[i] * q[j] if i == j else -p[i] * p[j] for j in range(len(p))] for i in range(len(p))]


def log_shares(x: list[Any]) -> list[Any]:
    m = max(x)
    rest = mpmath.fsum(sorted(mpmath.exp(one - m) for one in x)[:-1])
    return [one - m - mpmath.log1p(rest) for one in x]


def sigma(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


# --- what is measured: f of rows (N, C), its value and derivatives of a row in many digits, the scale of the value ---
def _cross_entropy(**options: Any) -> Callable[[Any], Any]:
    loss = nn.CrossEntropy("none", **options)
    return lambda x: loss(x, bprop.zeros(x.shape[:1], dtype="int64"))


def _binary(t: float) -> Callable[[Any], Any]:
    loss = nn.BinaryCrossEntropy("none")
    return lambda x: loss(x, bprop.full(x.shape, t, dtype=x.dtype))[:, 0]


def _softplus(x: Any) -> Any:
    return mpmath.log1p(mpmath.exp(-abs(x))) + max(x, 0)


FUNCTIONS: dict[str, tuple[int, Callable[[Any], Any], Callable[[Any], tuple[Any, Any, Any]]]] = {
    "logsumexp": (3, lambda x: bprop.logsumexp(x, axis=-1), lambda x: (shares(x)[0], shares(x)[1], curvature(x))),
    "log_softmax": (
        3, lambda x: bprop.log_softmax(x)[:, 0],
        lambda x: (log_shares(x)[0], [shares(x)[2][0], *(-p for p in shares(x)[1][1:])], [[-h for h in r] for r in curvature(x)]),
    ),
    "softmax": (
        3, lambda x: bprop.softmax(x)[:, 0], lambda x: (shares(x)[1][0], curvature(x)[0], None),
    ),
    "CrossEntropy": (
        3, _cross_entropy(),
        lambda x: (-log_shares(x)[0], [-shares(x)[2][0], *shares(x)[1][1:]], curvature(x)),
    ),
    "logaddexp": (
        2, lambda x: bprop.logaddexp(x[:, 0], x[:, 1]), lambda x: (shares(x)[0], shares(x)[1], curvature(x)),
    ),
    "softplus": (1, lambda x: bprop.softplus(x[:, 0]), lambda x: (_softplus(x[0]), [sigma(x[0])], [[sigma(x[0]) * sigma(-x[0])]])),
    "BinaryCrossEntropy, t = 1": (
        1, _binary(1.0), lambda x: (_softplus(-x[0]), [-sigma(-x[0])], [[sigma(x[0]) * sigma(-x[0])]]),
    ),
    "BinaryCrossEntropy, t = ¾": (
        1, _binary(0.75),
        lambda x: (_softplus(-abs(x[0])) + x[0] * (0.25 if x[0] > 0 else -0.75),
                   [mpmath.mpf(0.25) - sigma(-x[0])], [[sigma(x[0]) * sigma(-x[0])]]),
    ),
}  # fmt: skip


# Where a sum of two terms crosses zero, the rounding of the larger one counts.
SCALE: dict[tuple[str, int], Callable[[Any], float]] = {
    ("logsumexp", 0): lambda row: float(np.max(np.abs(row))),
    ("logaddexp", 0): lambda row: float(np.max(np.abs(row))),
    ("BinaryCrossEntropy, t = ¾", 1): lambda row: 0.25,
}


def derivatives(f: Callable[[Any], Any], order: int, classes: int) -> Callable[[Any], Any]:
    """Return the derivative of that order of all rows at once: (N,), (N, C) or (N, C, C)."""
    if order == 0:
        return f
    gradient = bprop.grad(lambda x: bprop.sum(f(x)))
    if order == 1:
        return gradient

    def second(x: Any) -> Any:
        columns = []
        for j in range(classes):
            direction = bprop.zeros(x.shape, dtype=x.dtype) + bprop.asarray(np.eye(classes)[j].astype(str(x.dtype)))
            columns.append(bprop.jvp(gradient, (x,), (direction,))[1])
        return bprop.stack(columns, axis=-1)

    return second


def ulps(actual: float, expected: Any, dtype: Any, scale: Any = 0) -> float:
    """Return the distance in ULP of ``expected``, or of ``scale`` where that is larger."""
    info = np.finfo(dtype)
    if not np.isfinite(actual):
        return float("inf")
    size = max(abs(expected), abs(scale), mpmath.mpf(float(info.tiny)))
    unit = mpmath.mpf(2) ** (mpmath.floor(mpmath.log(size, 2)) - info.nmant)
    return float(abs(mpmath.mpf(float(actual)) - expected) / unit)


def errors(name: str, dtype: Any, how: str, offsets: Any = OFFSETS, gaps: Any = GAPS) -> Iterator[tuple[int, float]]:
    """Yield (order, the largest error in ULP) of the value and of the derivatives."""
    classes, f, truth = FUNCTIONS[name]
    x = logits(classes, dtype, offsets if classes > 1 else (0.0,), gaps) if classes > 1 else np.unique(
        np.concatenate([gaps, np.negative(gaps)]).astype(dtype))[:, None]  # fmt: skip
    with mpmath.workdps(DIGITS):
        exact = [truth([mpmath.mpf(float(one)) for one in row]) for row in x]
        for order in range(3):
            if exact[0][order] is None:
                continue
            g = derivatives(f, order, classes)
            y = np.asarray(bprop.compile(g)(x) if how == "compiled" else g(x))
            worst = 0.0
            for row, got, right in zip(x, y, exact, strict=True):
                scale = SCALE[name, order](row) if (name, order) in SCALE else 0
                pairs = zip(np.ravel(got), np.ravel(np.array(right[order], object)), strict=True)
                worst = max([worst, *(ulps(a, e, dtype, scale) for a, e in pairs)])
            yield order, worst


def table() -> str:
    """Return the table in Markdown: value, first and second derivative, the worse of eager and compiled."""
    lines = [
        "| function | float32: value | first | second | float64: value | first | second |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in FUNCTIONS:
        cells = []
        for dtype in (np.float32, np.float64):
            worst = {0: "–", 1: "–", 2: "–"}
            found = [dict(errors(name, dtype, how)) for how in ("eager", "compiled")]
            worst |= {order: f"{max(one[order] for one in found):.1f}" for order in found[0]}
            cells += worst.values()
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
