"""Every op of the registry under every interpretation: a new op is tested by being there.

Each test runs the example calls of one op in one dtype (`bprop.diagnose.case`). Where two computations should give
the same number by different orders of summation, they may differ by some roundings of the largest term: `ROUNDINGS`
units in the last place of the largest entry, well above the 24 terms that the longest sum here has.
"""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop.compile import native
from bprop.core.dtype import is_float
from bprop.core.error import DerivativeError
from bprop.core.family import Elementwise, Linear, NoDerivative, Reduction, Region, Selection
from bprop.core.interpreter import using
from bprop.core.op import REGISTRY
from bprop.core.value import Spec
from bprop.diagnose.case import cases
from bprop.gradients.complex_step import ComplexStep, ComplexValue
from support.comparison import assert_close_to_largest

ROUNDINGS = 64
DTYPES = (np.float64, np.float32)
OPS = [op for op in REGISTRY.values() if not isinstance(op, Region)]


def over(ops, dtypes=DTYPES):
    pairs = [pytest.param(op, np.dtype(dtype), id=f"{op.name}-{np.dtype(dtype)}") for op in ops for dtype in dtypes]
    return pytest.mark.parametrize(("op", "dtype"), pairs)


every_op = over(OPS)
every_derivative = over([op for op in OPS if op.differentiable])
every_derivative_in_float64 = over([op for op in OPS if op.differentiable], [np.float64])


class Call:
    """One example call, as a function of its arrays and as a function of its floating-point arrays.

    Of an op with several outputs each is a call of its own: ``output`` says which.
    """

    def __init__(self, op, args, params, output=0):
        self.op, self.args, self.params, self.output = op, args, params, output
        self.arrays = [i for i, arg in enumerate(args) if isinstance(arg, np.ndarray)]
        self.floats = [i for i in self.arrays if is_float(args[i].dtype)]
        self.random = np.random.default_rng(7)  # not 5: its first two numbers are nearly the same

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is not None:
            shown = [f"{a.dtype}{list(a.shape)}" if isinstance(a, np.ndarray) else repr(a) for a in self.args]
            error.add_note(f"in the call {self.op.name}({', '.join(shown)}, {self.params})")

    def __call__(self, *args):
        return self.chosen(self.op(*args, **self.params))

    def chosen(self, y):
        return y[self.output] if self.op.several else y

    @property
    def operands(self):
        """What a shape rule sees."""
        return [Spec(a.shape, a.dtype) if isinstance(a, np.ndarray) else a for a in self.args]

    def at(self, positions):
        """Return the op as a function of the operands at ``positions``, and these operands."""

        def f(*values):
            new = list(self.args)
            for position, value in zip(positions, values, strict=True):
                new[position] = value
            return self(*new)

        f.__name__ = self.op.name
        return f, [self.args[position] for position in positions]

    def direction(self, like):
        return self.random.uniform(-1, 1, like.shape).astype(like.dtype)


@pytest.fixture
def calls(op, dtype, record_property):
    """The example calls, counted."""
    found = []
    for args, params in cases(op, dtype):
        call = Call(op, args, params)
        count = len(op.spec(*call.operands, **params)) if op.several else 1
        found += [call, *(Call(op, args, params, output) for output in range(1, count))]
    record_property("cases", len(found))
    return found


@pytest.fixture
def slopes(calls):
    """The example calls with something to differentiate: (call, f, floating operands, directions, cotangent)."""
    found = []
    for call in calls:
        f, xs = call.at(call.floats)
        y = call(*call.args)
        if xs and is_float(y.dtype):
            found.append((call, f, xs, [call.direction(x) for x in xs], call.direction(y)))
    if not found:
        pytest.skip("no example call has a derivative")
    return found


def assert_close(actual, expected, unit=None):
    """Equal up to `ROUNDINGS` roundings of the largest entry."""
    unit = np.finfo(np.asarray(actual).dtype).eps if unit is None else unit
    assert_close_to_largest(actual, expected, ROUNDINGS * unit, least=1e-30)


def same_bits(actual, expected):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    assert_array_equal(actual, expected)


# --- values, shapes, dtypes ---
@every_op
def test_value_is_that_of_an_outside_reference(op, dtype, calls, reference):
    outside = reference(op.name)
    if outside is None:
        pytest.skip(f"neither NumPy nor SciPy has a function {op.name}: its value is tested beside its composite")
    for call in calls:
        with call:
            y = np.asarray(call(*call.args))
            wide = [a.astype(np.longdouble) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
                    for a in call.args]  # fmt: skip
            expected = np.asarray(call.chosen(outside(*wide, **call.params)))
            if y.dtype.kind == "f" and op.name != "uniform":
                assert_close(y, expected)
            else:
                assert_array_equal(y, expected.astype(y.dtype))


@every_op
def test_rule_for_shape_and_dtype_is_what_evaluation_gives(op, dtype, calls):
    for call in calls:
        with call:
            y = call(*call.args)
            assert y.spec == call.chosen(op.spec(*call.operands, **call.params))
            # NumPy returns scalars where a result has no axes; an array is an array
            assert type(y.data) is np.ndarray


@every_op
def test_traced_graph_gives_the_same_bits(op, dtype, calls):
    for call in calls:
        with call:
            f, arrays = call.at(call.arrays)
            graph = bprop.trace(f)(*arrays)
            assert [node.op for node in graph.nodes] in ([op], [])  # nothing is computed while tracing
            (y,) = graph(*arrays)
            same_bits(y, f(*arrays))
            assert graph.specs == (y.spec,)
            assert op.name in str(graph) or op.text is not None


@every_op
def test_vmap_is_a_loop(op, dtype, calls):
    for call in calls:
        for subset in product((False, True), repeat=len(call.arrays)):
            if not any(subset):
                continue
            with call:
                f, arrays = call.at(call.arrays)
                # entry k of the batch: other numbers in the same domain, indices that stay valid, still no ties
                rows = [[np.roll(x, k) if x.dtype.kind != "f" else x * x.dtype.type(1 + 0.01 * k) for x in arrays]
                        for k in range(3)]  # fmt: skip
                axes = [(0 if i % 2 == 0 else -1) if own else None for i, own in enumerate(subset)]
                stacked = [x if axis is None else np.stack([row[i] for row in rows], axis=axis)
                           for i, (x, axis) in enumerate(zip(arrays, axes, strict=True))]  # fmt: skip
                batch = bprop.vmap(f, in_axes=tuple(axes))(*stacked)
                for k in range(3):
                    y = f(*(row if own else x for own, row, x in zip(subset, rows[k], arrays, strict=True)))
                    assert batch.dtype == y.dtype
                    (assert_close if y.dtype.kind == "f" else assert_array_equal)(np.asarray(batch)[k], y)


# --- derivatives ---
@every_derivative
def test_forward_is_numerical(op, dtype, slopes, numerical):
    for call, f, xs, x_dots, _ in slopes:
        with call:
            y, y_dot = bprop.jvp(f, xs, x_dots)
            assert y_dot.dtype == y.dtype
            if dtype == np.float64 and y.dtype == np.float64:
                finite = np.isfinite(np.asarray(y))  # the logsumexp of nothing is -inf, with derivative 0

                def line(t):
                    y = f(*(x + t * d for x, d in zip(xs, x_dots, strict=True)))  # noqa: B023
                    return [np.where(finite, np.asarray(y), 0)]  # noqa: B023

                # the error of the differences is 1e-12 (see `slope`); a thousand of them for the size of derivatives
                assert_close(y_dot, numerical(line)[0], unit=1e-9 / ROUNDINGS)
            else:  # differences in float32 show little: the same derivative in float64 shows all
                wide = [[x.astype(np.float64) for x in values] for values in (xs, x_dots)]
                assert_close(np.asarray(y_dot), bprop.jvp(f, *wide)[1], unit=np.finfo(np.float32).eps)


@every_derivative
def test_reverse_is_the_transpose_of_forward(op, dtype, slopes):
    for call, f, xs, x_dots, y_bar in slopes:
        with call:
            _, y_dot = bprop.jvp(f, xs, x_dots)
            x_bars = bprop.vjp(f, *xs)[1](y_bar)
            assert [x_bar.spec for x_bar in x_bars] == [Spec(x.shape, x.dtype) for x in xs]
            wide = lambda x: np.asarray(x, np.float64)
            terms = [wide(y_bar) * wide(y_dot)]
            others = [wide(x_bar) * wide(x_dot) for x_bar, x_dot in zip(x_bars, x_dots, strict=True)]
            scale = sum(float(np.abs(part).sum()) for part in terms + others)
            unit = max(np.finfo(dtype).eps, np.finfo(y_dot.dtype).eps)
            left, right = (sum(float(part.sum()) for part in parts) for parts in (terms, others))
            assert abs(left - right) <= ROUNDINGS * unit * scale


@every_derivative_in_float64
def test_second_order_is_numerical(op, dtype, slopes, numerical):
    for call, f, xs, x_dots, y_bar in slopes:
        with call:
            if f(*xs).dtype != np.float64:
                continue

            def gradient(*xs):
                return bprop.vjp(f, *xs)[1](y_bar)  # noqa: B023

            _, dots = bprop.jvp(gradient, xs, x_dots)
            line = lambda t: [np.asarray(g) for g in gradient(*(x + t * d for x, d in zip(xs, x_dots, strict=True)))]  # noqa: B023
            for dot, expected in zip(dots, numerical(line), strict=True):
                assert_close(dot, expected, unit=1e-9 / ROUNDINGS)
            # the Hessian of ⟨y_bar, f⟩ is symmetric: reverse over reverse gives the same product
            for bar, dot in zip(bprop.vjp(gradient, *xs)[1](tuple(x_dots)), dots, strict=True):
                assert_close(bar, dot)


@every_derivative
def test_jacobians_of_both_modes_agree(op, dtype, slopes):
    for call, f, xs, _, _ in slopes:
        with call:
            every = tuple(range(len(xs)))
            reverse = bprop.jacobian(f, every, mode="reverse")(*xs)
            for one, other in zip(reverse, bprop.jacobian(f, every, mode="forward")(*xs), strict=True):
                assert_close(one, other)


@every_derivative
def test_traced_derivatives_give_the_same_numbers(op, dtype, slopes):
    for call, f, xs, x_dots, y_bar in slopes:
        with call:
            sweep = lambda *xs: bprop.vjp(f, *xs)[1](y_bar)  # noqa: B023
            push = lambda *xs: bprop.jvp(f, xs, x_dots)[1]  # noqa: B023
            for x_bar, expected in zip(bprop.trace(sweep)(*xs)(*xs), sweep(*xs), strict=True):
                assert_close(x_bar, expected)
            assert_close(bprop.trace(push)(*xs)(*xs)[0], push(*xs))


@every_derivative_in_float64
def test_complex_step_is_forward_or_refused_by_name(op, dtype, slopes):
    for call, f, xs, x_dots, _ in slopes:
        with call:
            owner, h = ComplexStep(), 1e-30  # its error is h² relative: nothing
            points = [ComplexValue(owner, x + 1j * h * x_dot) for x, x_dot in zip(xs, x_dots, strict=True)]
            try:
                with using(owner):
                    y = f(*points)
            except DerivativeError as error:
                refusal = str(error)
            else:
                refusal = None
            if refusal is not None:
                assert op.name in refusal
                continue
            if isinstance(y, ComplexValue):
                y_dot = bprop.jvp(f, xs, x_dots)[1]
                assert_close(y.complex.imag / h, y_dot, unit=np.finfo(y_dot.dtype).eps)


@every_derivative
def test_mixed_dtypes_give_each_operand_a_cotangent_of_its_own_dtype(op, dtype, slopes):
    other = np.dtype(np.float32 if dtype == np.float64 else np.float64)
    for call, f, xs, _, _ in slopes:
        if len(xs) < 2:
            continue
        with call:
            mixed = [xs[0].astype(other), *xs[1:]]
            y, pullback = bprop.vjp(f, *mixed)
            assert [bar.dtype for bar in pullback(np.ones(y.shape, y.dtype))] == [x.dtype for x in mixed]


@every_derivative
def test_each_operand_alone_gets_the_cotangent_it_gets_among_all(op, dtype, slopes):
    """What is kept for the backward pass depends on which operands need gradients."""
    for call, f, xs, _, y_bar in slopes:
        with call:
            together = bprop.vjp(f, *xs)[1](y_bar)
            for position, expected in zip(call.floats, together, strict=True):
                alone, (x,) = call.at([position])
                assert_close(bprop.vjp(alone, x)[1](y_bar)[0], expected)


# --- where numbers are special ---
def special(dtype):
    if dtype.kind == "i":
        info = np.iinfo(dtype)
        return np.array([0, 1, -1, 5, info.bits - 1, info.bits, info.max, info.min], dtype)
    info = np.finfo(dtype)
    return np.array([0.0, -0.0, 1.0, -1.0, info.smallest_subnormal, info.max, np.inf, -np.inf, np.nan], dtype)


@over([op for op in OPS if isinstance(op, Elementwise | Selection)])
def test_special_values_of_elementwise_ops(op, dtype, reference):
    flags = (
        [fraction is None for fraction in op.tie_fractions] if isinstance(op, Selection) else [False] * len(op.partials)
    )
    if getattr(op, "kind", None) in ("bits", "integer"):
        dtype = np.dtype(f"int{8 * dtype.itemsize}")
    values = [np.array([True, False]) if flag else special(dtype) for flag in flags]
    xs = [np.ascontiguousarray(x) for x in np.meshgrid(*values, indexing="ij")]
    params = next(iter(cases(op, dtype)))[1]
    y = op(*xs, **params)
    outside = reference(op.name)
    if outside is not None and not params:
        # in the dtype itself: beyond its range the extended format has other answers
        expected = np.asarray(outside(*xs)).astype(y.dtype)
        assert_allclose(np.asarray(y), expected, rtol=4 * np.finfo(dtype).eps if is_float(dtype) else 0, atol=0)
    refused = [isinstance(partial, NoDerivative) for partial in getattr(op, "partials", [False] * len(xs))]
    floats = [i for i, x in enumerate(xs) if x.dtype.kind == "f" and not refused[i]]
    for position in floats if op.differentiable and is_float(y.dtype) else ():

        def f(x, position=position):
            return op(*(x if i == position else other for i, other in enumerate(xs)), **params)

        _, y_dot = bprop.jvp(f, (xs[position],), (np.ones_like(xs[position]),))
        _, pullback = bprop.vjp(f, xs[position])
        assert_array_equal(
            np.asarray(y_dot, np.float64), np.asarray(pullback(np.ones(y.shape, y.dtype))[0], np.float64)
        )


@over([op for op in OPS if isinstance(op, Reduction)])
@pytest.mark.parametrize(
    "entries", ["1 3 3", "inf 1 inf", "-inf -inf", "nan 1", "1 nan 5", "0 -0", "-inf 1", "inf -inf 2"]
)
def test_special_values_of_reductions(op, dtype, entries, reference):
    x = np.array(entries.split(), dtype)
    y = op(x, axis=(0,), keepdims=False)
    assert_allclose(np.asarray(y), reference(op.name)(x, axis=0, keepdims=False), rtol=4 * np.finfo(dtype).eps)
    if not op.differentiable:
        return
    f = lambda x: op(x, axis=(0,), keepdims=False)
    reverse, forward = (bprop.jacobian(f, mode=mode)(x) for mode in ("reverse", "forward"))
    assert_array_equal(np.asarray(reverse), np.asarray(forward))


@over([op for op in OPS if isinstance(op, Linear)], [np.float64])
def test_a_linear_op_moves_nan_and_inf_only_where_it_moves_the_entry(op, dtype, calls):
    for call in calls:
        with call:
            f, (x, *_) = call.at(call.floats)
            plain = np.asarray(f(x))
            for bad in (np.nan, np.inf) if x.size else ():
                marked = x.copy()
                marked.flat[0] = bad
                y = np.asarray(f(marked))
                assert_array_equal(y[np.isfinite(y)], plain[np.isfinite(y)])


# --- the formula ---
@every_derivative_in_float64
def test_symbolic_derivative_is_the_number(op, dtype, slopes):
    for call, f, xs, _, y_bar in slopes:
        with call:
            if f(*xs).dtype != np.float64:
                continue
            energy = lambda *xs: bprop.sum(f(*xs) * y_bar)  # noqa: B023
            every = tuple(range(len(xs)))
            formulas = bprop.symbolic(energy, every)(*xs)
            for formula, expected in zip(formulas, bprop.grad(energy, every, unreached="zeros")(*xs), strict=True):
                assert_close(formula(*xs), expected)
                assert str(formula)


# --- native code ---
@every_op
def test_compiled_is_eager(op, dtype, calls):
    for call in calls:
        with call:
            f, arrays = call.at(call.arrays)
            compiled = native(bprop.trace(f)(*arrays))
            (y,) = compiled(*arrays)
            expected = np.asarray(f(*arrays))
            assert np.asarray(y).dtype == expected.dtype
            (assert_close if expected.dtype.kind == "f" else assert_array_equal)(np.asarray(y), expected)
