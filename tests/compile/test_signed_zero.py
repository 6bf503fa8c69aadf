"""Zeros have signs, NaN is not lost, and what no dtype holds is converted one way: eager and compiled, bit for bit.

Planted: an identity ``x + 0`` in simplification, ``>=`` for ``>`` in the maximum of native code.
"""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import bprop
from bprop import nn
from bprop.compile import native
from bprop.core.family import Elementwise, Selection
from bprop.core.op import REGISTRY
from bprop.core.simplify import simplify

X = np.array([-0.0, 0.0, -1.5, 1.5, np.inf, -np.inf, np.nan, -0.3, 0.5, 2.5, -2.5])
CONSTANTS = (0, 0.0, -0.0, 1, -1, 2, 0.5, -0.5)
BINARY = ["add", "subtract", "multiply", "divide", "pow", "maximum", "minimum", "copysign", "remainder", "floor_divide"]
UNARY = [
    op.name
    for op in REGISTRY.values()
    if isinstance(op, Elementwise | Selection)
    and op.arity == 1
    and op.kind not in ("given", "bits")
    and not op.examples
]
INTEGERS = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"]


def compiled(f, *xs):
    (y,) = native(bprop.trace(f)(*xs))(*xs)
    return np.asarray(y)


def assert_same_zeros(functions, x):
    """Equal zeros, signs included, and NaN in the same places; the other numbers may differ by roundings."""
    together = native(bprop.trace(lambda x: tuple(f(x) for f in functions))(x))(x)
    for f, y in zip(functions, map(np.asarray, together), strict=True):
        eager = np.asarray(f(bprop.asarray(x)))
        assert eager.dtype == y.dtype
        if eager.dtype.kind != "f":
            assert_array_equal(y, eager)
            continue
        zero = eager == 0
        assert_array_equal(np.isnan(y), np.isnan(eager))
        assert_array_equal(y == 0, zero)
        assert_array_equal(np.signbit(y[zero]), np.signbit(eager[zero]))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", BINARY)
def test_identities_keep_the_sign_of_zero(name, dtype):
    op = getattr(bprop, name)
    weak = [lambda x, c=c: op(x, c) for c in CONSTANTS] + [lambda x, c=c: op(c, x) for c in CONSTANTS]
    arrays = [lambda x, c=c: op(x, bprop.full(x.shape, c, dtype=dtype)) for c in CONSTANTS]
    assert_same_zeros(weak + arrays, X.astype(dtype))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_functions_keep_the_sign_of_zero(dtype):
    assert_same_zeros([REGISTRY[name] for name in UNARY], X.astype(dtype))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_selections_and_sums_keep_the_sign_of_zero(dtype):
    functions = (
        bprop.relu, bprop.hard_tanh, lambda x: bprop.clip(x, 0, 1), lambda x: bprop.clip(x, -0.0, 1),
        lambda x: bprop.clip(x, max=0), lambda x: bprop.sum(x, axis=()), lambda x: bprop.mean(x[:, None], axis=1),
    )  # fmt: skip
    assert_same_zeros(functions, X.astype(dtype))
    assert np.signbit(np.asarray(bprop.sign(np.array([-0.0])))).tolist() == [False]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_entries_that_are_put_apart_keep_the_sign_of_zero(dtype):
    """A scatter stores them; it adds only where several may meet."""
    functions = (
        lambda x: x.at[1].set(-0.0), lambda x: x.at[0].add(-0.0), lambda x: x.at[1:9:3].set(x[0]),
        lambda x: bprop.pad(x, (1, 2)), lambda x: bprop.pad(x, 1, constant_values=-0.0),
        lambda x: bprop.vjp(lambda x: x[::2], x)[1](-0.0 * bprop.ones(6, dtype=dtype))[0],
    )  # fmt: skip
    assert_same_zeros(functions, X.astype(dtype))
    assert np.signbit(compiled(functions[0], X.astype(dtype)))[1]


def test_what_is_neutral_is_dropped():
    """x - 0 and x + -0 are x; x + 0 is not, but for integers and in formulas to be read."""
    x = bprop.ones(3)
    ops = lambda f, x, **options: [node.op.name for node in simplify(bprop.trace(f)(x), **options).nodes]
    assert ops(lambda x: x - 0, x) == ops(lambda x: x + -0.0, x) == ops(lambda x: x + 0, x, algebraic=True) == []
    assert ops(lambda x: x + 0, bprop.arange(3)) == []
    assert ops(lambda x: x + 0, x) == ops(lambda x: 0.0 + x, x) == ["add"]


@pytest.mark.parametrize("target", [*INTEGERS, "?"])
@pytest.mark.parametrize("source", ["f4", "f8"])
def test_what_no_integer_holds_is_converted_one_way(source, target):
    """Alone and among others, where NumPy itself gives different numbers for uint32."""
    powers = np.array([2.0**n for n in (7, 8, 15, 16, 31, 32, 53, 62, 63, 64, 80)])
    x = np.concatenate([powers, -powers, powers + 5, [-0.5, 0.5, -1, 255, np.inf, -np.inf, np.nan]]).astype(source)
    f = lambda x: bprop.astype(x, target)
    together = np.asarray(f(x))
    assert_array_equal(compiled(f, x), together)
    assert_array_equal([np.asarray(f(x[i : i + 1]))[0] for i in range(x.size)], together)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_activations_of_integers(dtype):
    x = np.array([0, 1, 2, 3, np.iinfo(dtype).max, np.iinfo(dtype).min], dtype)
    modules = (nn.HardTanh(), nn.ReLU6(), nn.Threshold(1.0, -5.0), nn.HardShrink())
    assert_same_zeros((bprop.relu, bprop.hard_tanh, *modules), x)


def test_a_number_that_no_branch_holds_is_refused():
    with pytest.raises(bprop.BpropError, match="-1 out of bounds for uint8"):
        bprop.where(np.array([True]), -1, bprop.asarray(np.array([3], np.uint8)))


ACTIVATIONS = [
    name
    for name in nn.__all__
    if getattr(getattr(nn, name), "__module__", "").rpartition(".")[2]
    in ("activation", "piecewise", "rectifier", "gate")
]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_lets_nan_through(name):
    module = getattr(nn, name)(*{"Threshold": (1.0, -5.0), "Maxout": (4, 3)}.get(name, ()))
    x = np.full((2, 4), np.nan, np.float32)
    assert np.isnan(np.asarray(module(bprop.asarray(x)))).all()
    assert np.isnan(compiled(module, x)).all()
