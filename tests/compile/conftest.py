"""What the tests of the compiler share: running a function compiled and eager, and comparing in units in the last place."""

import numpy as np
import pytest

import bprop
from bprop.compile import native, pipeline


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


@pytest.fixture(scope="session")
def distance():
    """`ulps` between the outputs of a function, compiled and eager."""

    def measure(f, *args):
        compiled, eager = both(f, *args)
        return max((ulps(a, b) for a, b in zip(compiled, eager, strict=True)), default=0.0)

    return measure


@pytest.fixture(scope="session")
def agree():
    """Assert that compiled and eager outputs differ by some roundings of ``terms`` numbers of size ``scale``."""

    def check(f, *args, terms=1, scale=None):
        compiled, eager = both(f, *args)
        for a, b in zip(compiled, eager, strict=True):
            assert a.dtype == b.dtype
            assert a.shape == b.shape
            if a.dtype.kind != "f":
                np.testing.assert_array_equal(a, b)
                continue
            largest = float(np.max(np.abs(b[np.isfinite(b)]), initial=0)) if scale is None else scale
            np.testing.assert_allclose(a, b, rtol=0, atol=8 * np.finfo(a.dtype).eps * terms * max(largest, 1e-300))

    return check


@pytest.fixture
def traces(monkeypatch):
    """Count how often a function is traced."""
    made = []
    original = pipeline.Step
    monkeypatch.setattr(pipeline, "Step", lambda *args: made.append(1) or original(*args))
    return made
