"""Calls of NumPy's functions as users write them, and what holds for each of them.

The oracle of a value is NumPy on plain numbers, that of a derivative central differences of it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import bprop
from bprop.core.tree import flatten


@dataclass(frozen=True)
class Case:
    """``f(*xs)`` calls the NumPy function ``name``; ``static``: the shape of its result depends on no numbers."""

    name: str
    number: int
    f: Any
    xs: tuple[Any, ...]
    static: bool = True

    def __str__(self) -> str:
        return f"{self.name}-{self.number}"


def outputs(y):
    """Return the arrays of a result of NumPy's or ours."""
    leaves = [y] if isinstance(y, np.ndarray | np.generic | bprop.Array | float | int) else None
    if leaves is None:
        leaves = [leaf for part in y for leaf in outputs(part)]
    return leaves


def weighed(f):
    """Return Σ w y over the entries of all floating outputs, with weights that tell them apart."""

    def scalar(*xs):
        total = 0.0
        for y in outputs(f(*xs)):
            if getattr(y, "dtype", np.dtype(int)).kind == "f":
                weights = np.cos(np.arange(1.0, y.size + 1.0)).reshape(y.shape)
                total = total + np.sum(y * weights)
        return total

    return scalar


def assert_value(case, dtype, rtol):
    xs = [x.astype(dtype) for x in case.xs]
    theirs, ours = outputs(case.f(*xs)), outputs(case.f(*map(bprop.asarray, xs)))
    assert len(ours) == len(theirs)
    for y, numpys in zip(ours, theirs, strict=True):
        assert isinstance(y, bprop.Array), type(y)
        assert y.shape == np.shape(numpys)
        assert y.dtype == np.asarray(numpys).dtype
        assert_allclose(y, numpys, rtol=rtol, atol=rtol)


def assert_integers(case, dtype):
    """Of integers, too, value and dtype are NumPy's, and an error where NumPy has one."""
    xs = [np.round(4 * x).astype(dtype) for x in case.xs]
    try:
        theirs = outputs(case.f(*xs))
    except (ValueError, TypeError, ZeroDivisionError, IndexError):
        with pytest.raises(bprop.BpropError):
            case.f(*map(bprop.asarray, xs))
        return
    for y, numpys in zip(outputs(case.f(*map(bprop.asarray, xs))), theirs, strict=True):
        assert y.shape == np.shape(numpys)
        assert y.dtype == np.asarray(numpys).dtype
        assert_allclose(y, numpys, rtol=1e-12, atol=1e-12)


def directions(case):
    return tuple(np.sin(np.arange(1.0, x.size + 1.0) + 0.3 * x.size).reshape(x.shape) for x in case.xs)


def gradient_of(case):
    g = weighed(case.f)
    return bprop.grad(g, argnums=tuple(range(len(case.xs))), unreached="zeros")


def moved(case, t):
    return tuple(x + t * d for x, d in zip(case.xs, directions(case), strict=True))


def assert_first_order(case, slope):
    g, towards = weighed(case.f), directions(case)
    numerical = slope(lambda t: [np.asarray(g(*moved(case, t)))])[0]
    gradients = gradient_of(case)(*case.xs)
    reverse = sum(np.sum(np.asarray(x_bar) * d) for x_bar, d in zip(gradients, towards, strict=True))
    forward = bprop.jvp(g, case.xs, towards)[1]
    assert_allclose(forward, numerical, rtol=2e-8, atol=2e-8)
    assert_allclose(reverse, forward, rtol=1e-11, atol=1e-11)


def assert_second_order(case, slope):
    gradients, towards = gradient_of(case), directions(case)
    numerical = slope(lambda t: [np.asarray(x_bar) for x_bar in gradients(*moved(case, t))])
    for ours, theirs in zip(bprop.jvp(gradients, case.xs, towards)[1], numerical, strict=True):
        assert_allclose(ours, theirs, rtol=2e-7, atol=2e-7)


def assert_batched(case):
    rows = [np.stack([x, x + 0.01 * d]) for x, d in zip(case.xs, directions(case), strict=True)]
    for f in (lambda *xs: outputs(case.f(*xs)), gradient_of(case)):
        batched = bprop.vmap(f)(*rows)
        for entry in range(2):
            for y, alone in zip(batched, f(*(bprop.asarray(row[entry]) for row in rows)), strict=True):
                assert_allclose(y[entry], alone, rtol=1e-11, atol=1e-11)


def assert_compiled(case):
    gradients = gradient_of(case)

    def both(*xs):
        return outputs(case.f(*xs)), gradients(*xs)

    for ours, eager in zip(
        flatten(bprop.compile(both)(*case.xs))[0], flatten(both(*map(bprop.asarray, case.xs)))[0], strict=True
    ):
        assert ours.dtype == eager.dtype
        assert_allclose(ours, eager, rtol=1e-11, atol=1e-11)
