"""Every NumPy function with a rule of its own, called as users call it, in every transform.

Planted: a rule whose option is ignored (its value differs); `append` that stops the gradient of its second argument.
"""

import inspect

import numpy as np
import pytest

import bprop
from bprop.core.function import AS_NUMPY, NUMPY
from interop.case_table import CASES
from support.numpy_case import (
    assert_batched,
    assert_compiled,
    assert_first_order,
    assert_integers,
    assert_second_order,
    assert_value,
    outputs,
)

FIRST = {case.name: case for case in reversed(CASES)}.values()
"""One representative call of every function."""
every = pytest.mark.parametrize("case", CASES, ids=str)
representative = pytest.mark.parametrize("case", [case for case in FIRST if case.static], ids=str)


@every
def test_value_and_dtype_are_numpys(case):
    assert_value(case, np.float64, 1e-13)
    assert_value(case, np.float32, 2e-5)


@pytest.mark.parametrize("case", [case for case in CASES if not any(np.isnan(x).any() for x in case.xs)], ids=str)
def test_integers(case):
    if case.name == "unique_values":
        pytest.skip("NumPy's are in no order")
    assert_integers(case, np.int64)
    assert_integers(case, np.int32)


@every
def test_first_order(case, numerical):
    assert_first_order(case, numerical)


@every
def test_second_order(case, numerical):
    assert_second_order(case, numerical)


@representative
def test_batched_and_compiled(case):
    assert_batched(case)
    assert_compiled(case)


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", [case for case in CASES if case.static], ids=str)
def test_every_call_batched_and_compiled(case):
    assert_batched(case)
    assert_compiled(case)


def test_rules_have_numpys_parameters():
    for function, rule in NUMPY.items():
        if rule in AS_NUMPY and not isinstance(function, np.ufunc):
            ours, theirs = (
                [(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()]
                for f in (rule, function)
            )
            assert ours == theirs, function


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.trim_zeros(x[0, 0]),
        lambda x: np.polymul(x[0, :0], x[0]),
        lambda x: np.insert(x, [], x[:1], axis=0),
        lambda x: np.insert(x[0], slice(0, 0), 1.0),
        lambda x: np.nansum(x[:0], axis=0),
        lambda x: np.max(x[:0], axis=0, initial=-1.0),
        lambda x: np.quantile(x[:1], [], axis=0),
        lambda x: np.histogram(x[:0], 2),
        lambda x: np.kron(x[:0], x),
        lambda x: np.resize(x[:0], (2, 2)),
        lambda x: np.delete(x, [], 0),
        lambda x: np.cov(x[:0], rowvar=True),
    ],
)
def test_what_is_empty(f):
    x = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])
    for ours, numpys in zip(outputs(f(bprop.asarray(x))), outputs(f(x)), strict=True):
        assert ours.dtype == np.asarray(numpys).dtype
        np.testing.assert_array_equal(np.asarray(ours), numpys)


def test_interpolation_at_the_nodes():
    """The value of a node exactly; the slope of the interval behind it, at the last one of that before it."""
    nodes, values = np.array([0.0, 0.1, 0.7, 1.1]), np.array([0.3, 0.1, 0.9, -0.2])
    f = lambda x: np.interp(x, nodes, values)
    np.testing.assert_array_equal(np.asarray(f(bprop.asarray(nodes))), values)
    slopes = np.diff(values) / np.diff(nodes)
    np.testing.assert_allclose(bprop.grad(lambda x: np.sum(f(x)))(nodes), np.append(slopes, slopes[-1]))
