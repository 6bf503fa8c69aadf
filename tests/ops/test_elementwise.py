"""What the registry's checks do not ask of elementwise ops: operators, dtypes, errors, composites, how native code calls.

Planted: a shift without its bound (seen at 31 and more), ``remainder``'s ∂/∂x2 without its sign, gelu's tail by
``erfc(-x/√2)`` alone (700 units off), ``erfc`` by SciPy alone (465 units), ``_sigmoid_difference`` without what rounds off.
"""

import math
import operator

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop.compile.passes.fuse import fuse
from bprop.core.simplify import simplify

X = np.array([-7, -2, 0, 3, 12])
Y = np.array([3, -5, 4, 2, 1])
BINARY = [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift, operator.floordiv, operator.mod]


@pytest.mark.parametrize("op", BINARY, ids=lambda op: op.__name__)
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint8, np.bool_])
def test_operators_are_numpys(op, dtype):
    shift = op in (operator.lshift, operator.rshift)
    if dtype is np.bool_ and op in (*BINARY[3:],):
        with pytest.raises(bprop.DTypeError, match="bool is no number"):
            op(bprop.asarray(X > 0), bprop.asarray(Y > 0))
        return
    x, y = np.abs(X).astype(dtype) if np.dtype(dtype).kind == "u" else X.astype(dtype), np.abs(Y).astype(dtype)
    ours = op(bprop.asarray(x), bprop.asarray(y))
    assert_array_equal(ours, op(x, y))
    assert ours.dtype == op(x, y).dtype
    one = True if dtype is np.bool_ else 2
    for ours, theirs in ((op(bprop.asarray(x), one), op(x, one)), (op(one, bprop.asarray(y)), op(one, y)),
                         (op(x, bprop.asarray(y)), op(x, y))):  # fmt: skip
        assert isinstance(ours, bprop.Array)
        assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    compiled = bprop.compile(lambda x, y: op(x, y))(x, y)
    assert_array_equal(compiled, op(x, y))
    assert not shift or op(bprop.asarray(x), 2).dtype == dtype


def test_python_protocols():
    x = np.array([-1.5, 0.5, 2.7])
    a = bprop.asarray(x)
    for ours, theirs in ((round(a), np.round(x)), (round(a, 1), np.round(x, 1)), (math.floor(a), np.floor(x)),
                         (math.ceil(a), np.ceil(x)), (math.trunc(a), np.trunc(x)), (divmod(a, 2)[0], x // 2),
                         (divmod(a, 2)[1], x % 2), (divmod(2, a)[1], 2 % x), (+a, x), (a.real, x), (a.imag, 0 * x), (a.conj(), x),
                         (a.round(1), x.round(1)), (a.clip(0, 1), x.clip(0, 1)), (a.clip(max=0), x.clip(max=0)),
                         (a.astype(int).round(-1), np.zeros(3)), (~bprop.asarray(x > 0), x <= 0)):  # fmt: skip
        assert isinstance(ours, bprop.Array)
        assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (lambda x: x & 1, bprop.DTypeError, r"bitwise_and: float64 has no bits.*astype"),
        (lambda x: ~x, bprop.DTypeError, r"bitwise_invert: float64 has no bits"),
        (lambda x: x << 1, bprop.DTypeError, r"bitwise_left_shift: float64 has no bits"),
        (lambda x: (x > 0) << (x > 0), bprop.DTypeError, r"bitwise_left_shift: bool is no number"),
        (lambda x: (x > 0) % (x > 0), bprop.DTypeError, r"remainder: bool is no number"),
        (lambda x: +(x > 0), bprop.DTypeError, r"positive: bool is no number"),
        (lambda x: bprop.gelu(x, approximate="fast"), bprop.ArgumentError, r"gelu: approximate is .*not 'fast'"),
        (lambda x: bprop.polygamma(x, 1), bprop.ArgumentError, r"polygamma: n is a whole number"),
        (lambda x: bprop.polygamma(-1, x), bprop.ArgumentError, r"polygamma: n is a whole number from 0"),
        (lambda x: bprop.hypot(x, bprop.ones(3)), bprop.ShapeError, r"hypot: .*\(2,\).*\(3,\)"),
        (lambda x: bprop.clip(x, bprop.ones(3), 2), bprop.ShapeError, r"clip: .*\(2,\).*\(3,\)"),
        (lambda x: bprop.sin("x"), bprop.ArgumentError, r"sin: an argument is str"),
    ],
)  # fmt: skip
def test_errors_name_the_op_and_say_what_to_do(f, error, message):
    x = bprop.asarray([1.0, 2.0])
    with pytest.raises(error, match=message):
        f(x)
    with pytest.raises(bprop.BpropError, match=message.partition(":")[0]):
        bprop.trace(f)(x)


def test_clip_is_numpys():
    x = np.array([-2.0, -0.0, 0.5, 3.0, np.nan, np.inf, -np.inf])
    for low, high in ((0, 1), (None, 1), (0, None), (None, None), (2, -1), (np.nan, 1.0), (0.0, x[::-1]), (x[::-1], x)):
        theirs = x if low is None and high is None else np.clip(x, low, high)
        assert_array_equal(bprop.clip(x, low, high), theirs)
        assert_array_equal(bprop.compile(lambda x, low=low, high=high: bprop.clip(x, low, high))(x), theirs)
    assert bprop.clip(X, 0, 5).dtype == np.int64
    assert bprop.clip(X.astype(np.float32), 0, 5.5).dtype == np.float32


def test_every_entry_of_clip_gets_one_cotangent():
    x, low, high = np.random.default_rng(3).integers(-2, 3, (3, 200)).astype(float)
    bars = bprop.grad(lambda x, low, high: bprop.sum(bprop.clip(x, low, high)), (0, 1, 2))(x, low, high)
    assert_array_equal(sum(np.asarray(bar) for bar in bars), 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logaddexp_of_infinities_and_ties(dtype):
    x = np.array([np.inf, -np.inf, 1e30, -3, np.inf, 2], dtype)
    y = np.array([np.inf, -np.inf, 1e30, -3, 0, np.inf], dtype)
    bars = bprop.grad(lambda x, y: bprop.sum(bprop.logaddexp(x, y)[2:4]) + bprop.sum(bprop.logaddexp(x, y)), (0, 1))(
        x, y
    )
    assert_array_equal(bars[0], [0.5, 0.5, 1, 1, 1, 0])
    assert_array_equal(bars[1], [0.5, 0.5, 1, 1, 0, 1])


def test_activations_at_their_limits():
    x = np.array([-np.inf, -1e300, -800.0, 0.0, 800.0, 1e300, np.inf])
    for f in (bprop.silu, bprop.gelu, lambda x: bprop.gelu(x, approximate="tanh")):
        for run in (f, bprop.compile(f)):
            assert_array_equal(run(x), np.where(x < 0, 0, x))
        assert_array_equal(bprop.grad(lambda x, f=f: bprop.sum(f(x)))(x[1:-1]), [0, 0, 0.5, 1, 1])
    for f in (bprop.silu, bprop.gelu):
        assert_array_equal(bprop.grad(lambda x, f=f: bprop.sum(f(x)))(x), [0, 0, 0, 0.5, 1, 1, 1])


def test_gelu_by_tanh_is_the_formula():
    x = np.random.default_rng(0).uniform(-6, 6, 100)
    with mpmath.workdps(40):
        u = [mpmath.sqrt(2 / mpmath.pi) * (t + mpmath.mpf("0.044715") * t**3) for t in map(mpmath.mpf, x)]
        expected = [float(t * (1 + mpmath.tanh(v)) / 2) for t, v in zip(x, u, strict=True)]
    assert_allclose(bprop.gelu(x, approximate="tanh"), expected, rtol=2e-15 * 36)


@pytest.fixture
def digits():
    with mpmath.workdps(40):
        yield


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 20])
def test_polygamma_of_any_order_on_both_sides_of_zero(n, digits):
    x = np.array([0.01, 0.5, 1.0, 1.5, 3.7, 40.0, 1e6, -0.3, -1.6, -12.25])
    expected = [float(mpmath.polygamma(n, mpmath.mpf(t))) for t in x]
    assert_allclose(bprop.polygamma(n, x), expected, rtol=1e-12)


def test_gammaln_where_it_crosses_zero(digits):
    x = np.concatenate(
        [c + s * 2.0 ** -np.arange(2, 50) for c in (1, 2) for s in (1, -1)] + [[0.26, 0.49, 1e-300, 5e-324]]
    )
    expected = [float(mpmath.loggamma(mpmath.mpf(t))) for t in x]
    assert_allclose(bprop.gammaln(x), expected, rtol=1e-15)


def test_digamma_where_it_crosses_zero(digits):
    x = 1.4616321449683623 + 2.0 ** -np.arange(2, 50) * np.array([[1], [-1]])
    expected = [[float(mpmath.digamma(mpmath.mpf(t))) for t in row] for row in x]
    assert_allclose(bprop.digamma(x), expected, rtol=1e-15)


def test_an_op_without_native_code_gets_a_kernel_of_its_own():
    x = np.linspace(-0.9, 0.9, 7)
    f = lambda x: bprop.sum(bprop.exp(bprop.erfinv(x * 0.5) * 2))
    assert_allclose(bprop.compile(f)(x), f(x), rtol=1e-15)
    assert [kernel.kind for kernel in fuse(simplify(bprop.trace(f)(x)))] == ["map", "callback", "reduce"]
    assert_allclose(bprop.compile(bprop.grad(f))(x), bprop.grad(f)(x), rtol=1e-14)
    assert_allclose(bprop.vmap(bprop.grad(f))(np.stack([x, x]))[1], bprop.grad(f)(x), rtol=1e-14)


@pytest.mark.parametrize("exponent", [2, 2.0, 3.0, True])
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, np.float32, np.float64])
def test_powers_have_the_dtype_of_numpy(dtype, exponent):
    x = np.array([0, 1, 1]).astype(dtype)
    expected = x**exponent
    for y in (bprop.asarray(x) ** exponent, bprop.compile(lambda x: x**exponent)(x)):
        assert (y.dtype, y.data.tolist()) == (expected.dtype, expected.tolist())
