"""Compiled against eager: the distance of their results, and how far they may lie apart.

Arithmetic, comparisons, selections and re-indexings are equal bit by bit. Functions of the C library and NumPy's own
vector loops differ: each is within 4 units in the last place (float32) of the true value in the worst case (NumPy's
float32 loops; the C library stays below 1), so `LIBRARY` of them may lie between the two. Sums are taken in another
order: see `agree`.
"""

import numpy as np

import bprop
from bprop.compile import native
from bprop.core.family import Bilinear, Elementwise, General, Random, Reduction, Selection
from support.op_call import function_of_arrays

LIBRARY = 4
EXACT = {
    "add", "subtract", "multiply", "divide", "negative", "sqrt", "square", "sign", "abs", "astype", "stop_gradient",
    "less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "logical_and", "logical_or", "logical_not",
    "floor", "ceil", "trunc", "round", "copysign", "nextafter", "signbit", "isnan", "isinf", "isfinite", "logical_xor",
    "floor_divide", "remainder", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert", "bitwise_left_shift",
    "bitwise_right_shift", "uniform", "permutation",
}  # fmt: skip


def ulps(actual, expected):
    """Return the largest distance in units in the last place; equal infinities and two NaNs are at distance 0."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    if actual.dtype.kind != "f" or actual.size == 0:
        return 0.0 if np.array_equal(actual, expected) else np.inf
    with np.errstate(all="ignore"):
        same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
        distance = np.abs(actual.astype(np.longdouble) - expected) / np.spacing(np.abs(expected)).astype(np.longdouble)
        return float(np.max(np.where(same, 0, np.where(np.isfinite(distance), distance, np.inf))))


def both(f, *args):
    """Return the outputs of ``f``, compiled as a graph and eager, as lists of NumPy arrays."""
    arrays = [bprop.asarray(x, copy=False) if isinstance(x, np.ndarray) else bprop.asarray(x) for x in args]
    eager = f(*arrays)
    eager = eager if isinstance(eager, tuple) else (eager,)
    compiled = native(bprop.trace(f)(*arrays))(*arrays)
    return [x.data for x in compiled], [np.asarray(x) for x in eager]


def distance(f, *args):
    """Return the largest `ulps` between the outputs of ``f``, compiled and eager."""
    compiled, eager = both(f, *args)
    return max((ulps(a, b) for a, b in zip(compiled, eager, strict=True)), default=0.0)


def agree(f, *args, terms=1, scale=None):
    """Assert that compiled and eager outputs differ by some roundings of ``terms`` numbers of size ``scale``."""
    compiled, eager = both(f, *args)
    for a, b in zip(compiled, eager, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        if a.dtype.kind != "f":
            np.testing.assert_array_equal(a, b)
            continue
        largest = float(np.max(np.abs(b[np.isfinite(b)]), initial=0)) if scale is None else scale
        np.testing.assert_allclose(a, b, rtol=0, atol=8 * np.finfo(a.dtype).eps * terms * max(largest, 1e-300))


def allowed(op):
    if op.name in EXACT or not isinstance(op, Elementwise | Selection | Random):
        return 0
    if op.name == "gelu_slope":
        return 2 * 3  # eager and native code compute it by different formulas, each within 3 units in the last place
    return 0 if isinstance(op, Selection) else LIBRARY


def check_call(op, args, params):
    """Assert that a call gives what the family of the op allows, compiled and eager."""
    f, xs = function_of_arrays(op, args, params)
    if isinstance(op, Reduction | Bilinear):
        largest = max((np.abs(x).max(initial=0) for x in xs), default=1.0)
        agree(f, *xs, terms=24, scale=max(float(largest) ** len(xs), 1e-30))
    elif isinstance(op, General):
        agree(f, *xs, terms=8)
    else:
        assert distance(f, *xs) <= allowed(op), (args, params)
