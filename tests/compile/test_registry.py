"""Every op of the registry, compiled and eager: a new op is tested by being there.

How far they may lie apart: support/agreement.py.
"""

import numpy as np
import pytest

import bprop
from bprop.compile import native
from bprop.core.error import BpropError
from bprop.core.family import Elementwise, Region, Selection
from bprop.core.op import REGISTRY
from bprop.diagnose.case import cases
from support.agreement import LIBRARY, allowed, check_call

DTYPES = (np.float32, np.float64)
OPS = [op for op in REGISTRY.values() if not isinstance(op, Region)]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, 700.0, -700.0, 1e-30, 1e30, np.inf, -np.inf, np.nan]


def parameters(op):
    """What an op takes besides its operands, as in its first example."""
    return next(iter(cases(op)))[1]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_example_calls(op, dtype):
    for args, params in cases(op, dtype):
        check_call(op, args, params)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("op", [op for op in OPS if isinstance(op, Elementwise)], ids=lambda op: op.name)
def test_special_values(op, dtype, distance):
    x = np.array(SPECIAL, dtype)
    if op.kind in ("bits", "integer"):
        dtype = np.dtype(f"int{8 * x.itemsize}")
        x = np.array([0, 1, -1, 2, 31, 32, 63, 64, 100, -100, np.iinfo(dtype).max, np.iinfo(dtype).min], dtype)
    params = {"dtype": np.dtype(np.float32)} if op.kind == "given" else parameters(op)
    bound = allowed(op)
    if len(op.partials) == 1:
        assert distance(lambda x: op(x, **params), x) <= bound
    elif len(op.partials) == 2:
        grid = np.meshgrid(x, x)
        assert distance(lambda a, b: op(a, b, **params), *map(np.ravel, grid)) <= bound


@pytest.mark.parametrize("dtype", [*DTYPES, np.int32, np.int64, np.uint8, np.bool_], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("op", [op for op in OPS if isinstance(op, Selection)], ids=lambda op: op.name)
def test_selections_at_ties_and_not_a_number(op, dtype, distance):
    values = [0, 1, 1, 0] if np.dtype(dtype).kind != "f" else [0.0, 1.0, np.nan, np.inf]
    a, b = map(np.ravel, np.meshgrid(np.array(values, dtype), np.array(values, dtype)))
    controls = [a > b for fraction in op.tie_fractions if fraction is None]
    operands = [a, b, b[::-1]][: sum(fraction is not None for fraction in op.tie_fractions)]
    assert distance(lambda *xs: op(*xs), *controls, *operands) == 0


@pytest.mark.parametrize("pair", [(np.int8, np.int8), (np.int32, np.uint8), (np.int64, np.float32), (np.bool_, np.bool_),
                                  (np.bool_, np.int16), (np.uint8, np.uint8), (np.float32, np.float64)])  # fmt: skip
@pytest.mark.parametrize("op", [op for op in OPS if isinstance(op, Elementwise)], ids=lambda op: op.name)
def test_other_dtypes_agree_or_both_refuse(op, pair, distance):
    if op.kind == "given":
        pytest.skip("takes a dtype")
    if op.name in ("pow", "square") and pair[0] is np.bool_ and pair[1] in (np.bool_, np.int16):
        pytest.skip("NumPy's powers of truth values are int8, which the shape rule does not know")
    xs = [np.array([0, 1, 2, 3, 5, 7, 1, 0]).astype(pair[0]), np.array([1, 2, 0, 3, 1, 2, 2, 5]).astype(pair[1])]
    xs = xs[: len(op.partials)]
    params = parameters(op)
    try:
        op(*map(bprop.asarray, xs), **params)
    except BpropError:
        graph = bprop.trace(lambda *xs: op(*xs, **params))
        with pytest.raises(BpropError):
            native(graph(*map(bprop.asarray, xs)))(*xs)
        return
    assert distance(lambda *xs: op(*xs, **params), *xs) <= allowed(op)


@pytest.mark.parametrize("target", [np.float32, np.float64, np.int8, np.int32, np.int64, np.uint8, np.bool_])
@pytest.mark.parametrize("source", [np.float32, np.float64, np.int8, np.int64, np.uint64, np.bool_])
def test_casts(source, target, distance):
    x = np.array([0, 1, 2, 100, 1, 0, 3]).astype(source)
    if np.dtype(source).kind in "if":
        x = np.concatenate([x, -x])
    if np.dtype(source).kind == "f":
        x = x + source(0.4)
    if np.dtype(target).kind == "u":
        x = np.abs(x)
    assert distance(lambda x: bprop.astype(x, target), x) == 0


def test_a_planted_fault_is_seen(distance, monkeypatch):
    """The comparison itself is tested: subtraction compiled as addition must be noticed."""
    monkeypatch.setattr(REGISTRY["subtract"], "native", "add")
    assert distance(lambda a, b: a - b, np.array([1.0]), np.array([1.0])) > LIBRARY


def test_float16_is_refused_by_name():
    with pytest.raises(bprop.CompileError, match=r"float16.*no native code"):
        native(bprop.trace(bprop.exp)(bprop.ones(2, dtype="float16")))
