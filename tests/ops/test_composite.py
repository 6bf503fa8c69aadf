"""Every public function that is no op of the registry, under every interpretation: a new one is tested by its entry.

A composite inherits its interpretations from the ops that it is written with; what it does itself (axes, keywords, shapes
of results, a Python `if`) is what can be wrong here. The table gives calls as functions of arrays, and the arrays' shapes.
"""

import inspect

import numpy as np
import pytest
from numpy.testing import assert_allclose

import bprop
from bprop import linalg
from bprop.core.dtype import is_float
from bprop.core.op import Op
from bprop.diagnose.case import Draw
from support.comparison import assert_close_to_largest

INDEX = np.array([[1, 0, 1], [2, 2, -1]])
MASK = np.array([[True, False, True], [False, False, True]])


def spd(draw):
    return draw.positive_definite(2, 3, 3)


def wide(draw):
    return draw.full_rank(2, 3)


def tall(draw):
    return draw.full_rank(2, 4, 3)


def square(draw):
    return draw.full_rank(2, 3, 3)


def shaped(*shape):
    return lambda draw: draw(*shape)


A, B, C, V, S, E = shaped(2, 3), shaped(3, 2), shaped(2, 1, 3), shaped(3), shaped(), shaped(0, 3)
"""Of rank 0 to 3, with an axis of size 1 and without entries."""

CALLS = {
    # arithmetic and activations
    "asarray": [(bprop.asarray, A), (bprop.asarray, S)], "from_dlpack": [(bprop.from_dlpack, A)],
    "conj": [(bprop.conj, A)], "real": [(bprop.real, A)], "imag": [(bprop.imag, A)], "positive": [(bprop.positive, A)],
    "sign": [(lambda x: x * bprop.sign(x), A)], "reciprocal": [(bprop.reciprocal, A), (bprop.reciprocal, E)],
    "relu": [(bprop.relu, A), (bprop.relu, S)], "hard_tanh": [(bprop.hard_tanh, A)],
    "softmax": [(bprop.softmax, A), (lambda x: bprop.softmax(x, axis=0), C), (bprop.softmax, E)],
    "log_softmax": [(bprop.log_softmax, A), (lambda x: bprop.log_softmax(x, -2), C)],
    "silu": [(bprop.silu, A)], "log_sigmoid": [(bprop.log_sigmoid, A), (bprop.log_sigmoid, S)],
    "gelu": [(bprop.gelu, A), (lambda x: bprop.gelu(x, approximate="tanh"), A)],
    "clip": [(lambda x: bprop.clip(x, -0.5, 0.5), A), (lambda x: bprop.clip(x, max=0.1), A),
             (lambda x, low: bprop.clip(x, low), A, V), (lambda x, low, high: bprop.clip(x, low, high), A, V, S)],
    "polygamma": [(lambda x: bprop.polygamma(1, bprop.exp(x)), A)],
    # creation
    "empty_like": [(lambda x: x * bprop.empty_like(x).shape[0], A)],
    "full_like": [(lambda x: x * bprop.full_like(x, 3), A)], "ones_like": [(lambda x: x + bprop.ones_like(x), A)],
    "zeros_like": [(lambda x: x - bprop.zeros_like(x), A)],
    "arange": [(lambda x: x * bprop.arange(3), A)], "empty": [(lambda x: x * bprop.empty((0, 3)), E)],
    "full": [(lambda x: x * bprop.full((2, 1), 3.0, dtype=x.dtype), A)],
    "ones": [(lambda x: x * bprop.ones(3, dtype=x.dtype), A)], "zeros": [(lambda x: x + bprop.zeros((2, 2, 3)), A)],
    "eye": [(lambda x: x @ bprop.eye(3, 4, k=1, dtype=x.dtype), A)], "tri": [(lambda x: x * bprop.tri(2, 3), A)],
    "linspace": [(lambda a, b: bprop.linspace(a, b, 5), S, S), (lambda a: bprop.linspace(a, 2, 3, endpoint=False), S)],
    "meshgrid": [(lambda a, b: bprop.stack(bprop.meshgrid(a, b)), V, V),
                 (lambda a, b: bprop.meshgrid(a, b, indexing="ij")[0], V, shaped(1))],
    # reductions and running sums
    "sum": [(bprop.sum, A), (lambda x: bprop.sum(x, axis=(0, -1), keepdims=True), C), (lambda x: bprop.sum(x, 0), E)],
    "mean": [(bprop.mean, A), (lambda x: bprop.mean(x, axis=-1), C)],
    "var": [(bprop.var, A), (lambda x: bprop.var(x, axis=(0, 2), correction=1), C)],
    "std": [(bprop.std, A), (lambda x: bprop.std(x, axis=-1, keepdims=True), A)],
    "moments": [(lambda x: bprop.stack(bprop.moments(x)), A),
                (lambda x: bprop.stack(bprop.moments(x, axis=(0, -1), keepdims=True)), C)],
    "max": [(bprop.max, A), (lambda x: bprop.max(x, axis=(-1, 0)), C)],
    "min": [(bprop.min, A), (lambda x: bprop.min(x, axis=-1, keepdims=True), E)],
    "prod": [(bprop.prod, A), (lambda x: bprop.prod(x, axis=(0, 2)), C), (lambda x: bprop.prod(x, axis=0), E)],
    "logsumexp": [(bprop.logsumexp, A), (lambda x: bprop.logsumexp(x, axis=(-1, 0), keepdims=True), C)],
    "median": [(bprop.median, A), (lambda x: bprop.median(x, axis=-2), A)],
    "any": [(lambda x: x * bprop.any(x > 0, axis=0), A)], "all": [(lambda x: x * bprop.all(x > 0), A)],
    "count_nonzero": [(lambda x: x * bprop.count_nonzero(x > 0, axis=-1, keepdims=True), A)],
    "cumulative_sum": [(lambda x: bprop.cumulative_sum(x, axis=-1, include_initial=True), A), (bprop.cumulative_sum, V),
                       (lambda x: bprop.cumulative_sum(x, axis=0), E)],
    "cumulative_prod": [(lambda x: bprop.cumulative_prod(x, axis=0, include_initial=True), A),
                        (bprop.cumulative_prod, V)],
    "linear_recurrence": [(bprop.linear_recurrence, A, A), (lambda a, b: bprop.linear_recurrence(a, b, axis=0), A, V)],
    "diff": [(bprop.diff, A), (lambda x, end: bprop.diff(x, axis=0, n=2, append=end), A, A)],
    # sorting and searching
    "sort": [(bprop.sort, A), (lambda x: bprop.sort(x, axis=0, descending=True), A)],
    "argsort": [(lambda x: x * bprop.argsort(x), A)], "argmax": [(lambda x: x * bprop.argmax(x), A)],
    "argmin": [(lambda x: x * bprop.argmin(x, axis=-1, keepdims=True), A)],
    "searchsorted": [(lambda x: x * bprop.searchsorted(bprop.sort(x[0]), x[0]), A)],
    # manipulation
    "astype": [(lambda x: bprop.astype(x, "float64"), A)],
    "broadcast_arrays": [(lambda a, b: bprop.stack(bprop.broadcast_arrays(a, b)), A, V)],
    "broadcast_to": [(lambda x: bprop.broadcast_to(x, (4, 2, 3)), A), (lambda x: bprop.broadcast_to(x, (2, 0)), S)],
    "expand_dims": [(lambda x: bprop.expand_dims(x, axis=-1), A), (lambda x: bprop.expand_dims(x, axis=(0, -1)), S)],
    "squeeze": [(lambda x: bprop.squeeze(x, axis=-2), C), (lambda x: bprop.squeeze(x), C)],
    "matrix_transpose": [(bprop.matrix_transpose, C)], "moveaxis": [(lambda x: bprop.moveaxis(x, 0, -1), C)],
    "permute_dims": [(lambda x: bprop.permute_dims(x, (2, 0, 1)), C)], "swapaxes": [(lambda x: bprop.swapaxes(x, 0, -1), C)],
    "ravel": [(bprop.ravel, A), (bprop.ravel, S)], "reshape": [(lambda x: bprop.reshape(x, (3, -1)), A)],
    "diag": [(lambda x: bprop.diag(x, k=1), V), (bprop.diag, A)], "diagonal": [(lambda x: bprop.diagonal(x, 1), A)],
    "tril": [(bprop.tril, C), (lambda x: bprop.tril(x, k=-1), A)], "triu": [(lambda x: bprop.triu(x, k=1), A)],
    "flip": [(bprop.flip, A), (lambda x: bprop.flip(x, axis=-1), C)],
    "roll": [(lambda x: bprop.roll(x, (1, -1), axis=(0, 1)), A), (lambda x: bprop.roll(x, 2), A)],
    "repeat": [(lambda x: bprop.repeat(x, 2, axis=-1), A), (lambda x: bprop.repeat(x, [1, 0, 2], axis=1), A)],
    "tile": [(lambda x: bprop.tile(x, (2, 1, 2)), A), (lambda x: bprop.tile(x, 3), V)],
    "pad": [(lambda x: bprop.pad(x, ((1, 0), (0, 2)), constant_values=1), A),
            (lambda x: bprop.pad(x, 2, mode="reflect"), shaped(3, 3)), (lambda x: bprop.pad(x, 1, mode="edge"), A)],
    "concat": [(lambda a, b: bprop.concat([a, b, a], axis=-1), A, shaped(2, 1)), (lambda a: bprop.concat([a, a], axis=None), A)],
    "stack": [(lambda a, b: bprop.stack([a, b], axis=-1), A, A), (lambda a, b: bprop.stack([a, b]), S, S)],
    "split": [(lambda x: bprop.split(x, 2, axis=-1)[0], A), (lambda x: bprop.split(x, [1, 2], axis=1)[2], A)],
    "unstack": [(lambda x: bprop.unstack(x, axis=-1)[1], A)],
    "take": [(lambda x: bprop.take(x, INDEX, axis=-1), A), (lambda x: bprop.take(x, INDEX), V)],
    "take_along_axis": [(lambda x: bprop.take_along_axis(x, INDEX, axis=-1), A)],
    # convolutions and pooling
    "conv": [(lambda x, W: bprop.conv(x, W, stride=2, padding=1), shaped(2, 4, 5), shaped(4, 4, 3)),
             (lambda x, W: bprop.conv(x, W, groups=2, layout="NHWC"), shaped(3, 3, 4), shaped(2, 2, 2, 2))],
    "conv_input_gradient": [(lambda y_bar, W: bprop.conv_input_gradient(y_bar, W, (2, 5), stride=2), shaped(3, 2), shaped(3, 2, 2))],
    "conv_weight_gradient": [(lambda x, y_bar: bprop.conv_weight_gradient(x, y_bar, (3, 2, 2), stride=2), shaped(2, 5), shaped(3, 2))],
    "conv_transpose": [(lambda x, W: bprop.conv_transpose(x, W, stride=2, output_padding=1), shaped(2, 3), shaped(2, 3, 2))],
    "max_pool": [(lambda x: bprop.max_pool(x, 2, padding=1), shaped(2, 3, 4)),
                 (lambda x: bprop.max_pool(x, 2, stride=1, dilation=2, layout="NLC"), shaped(5, 2))],
    "avg_pool": [(lambda x: bprop.avg_pool(x, 2, ceil_mode=True), shaped(2, 3, 4)),
                 (lambda x: bprop.avg_pool(x, 3, padding=1, count_include_pad=False, layout="NLC"), shaped(5, 2))],
    "adaptive_avg_pool": [(lambda x: bprop.adaptive_avg_pool(x, 2), shaped(2, 3, 4)),
                          (lambda x: bprop.adaptive_avg_pool(x, 1, "NLC"), shaped(5, 2))],
    "adaptive_max_pool": [(lambda x: bprop.adaptive_max_pool(x, (2, None)), shaped(2, 3, 4))],
    # linear algebra
    "einsum": [(lambda a, b: bprop.einsum("ij,kj->ik", a, b), A, A), (lambda a: bprop.einsum("ii->i", a), shaped(3, 3))],
    "matmul": [(bprop.matmul, A, B), (bprop.matmul, V, B), (bprop.matmul, C, shaped(3, 2)), (bprop.matmul, V, V), (bprop.matmul, E, B)],
    "angle": [(bprop.angle, A), (lambda a: bprop.angle(a, deg=True), V)], "vdot": [(bprop.vdot, A, A)],
    "dot": [(bprop.dot, A, B), (bprop.dot, V, V), (bprop.dot, S, V)], "inner": [(bprop.inner, A, A)],
    "outer": [(bprop.outer, V, V)], "kron": [(bprop.kron, A, B)], "cross": [(bprop.cross, A, V)],
    "tensordot": [(lambda a, b: bprop.tensordot(a, b, axes=1), A, B), (lambda a, b: bprop.tensordot(a, b, axes=((1, 0), (0, 1))), A, B)],
    "vecdot": [(bprop.vecdot, A, V), (lambda a, b: bprop.vecdot(a, b, axis=-2), C, shaped(1, 3))],
    "cholesky": [(bprop.cholesky, spd), (lambda x: linalg.cholesky(x, upper=True), spd)],
    "solve": [(bprop.solve, square, V), (bprop.solve, square, shaped(2, 3, 2))],
    "linalg.det": [(linalg.det, square)], "linalg.slogdet": [(lambda x: linalg.slogdet(x).logabsdet, square)],
    "linalg.inv": [(linalg.inv, square)], "linalg.pinv": [(linalg.pinv, tall), (linalg.pinv, wide)],
    "linalg.qr": [(lambda x: linalg.qr(x).R, tall)],
    "linalg.eig": [(lambda x: bprop.abs(linalg.eig(x).eigenvalues), spd)], "linalg.eigvals": [(lambda x: bprop.abs(linalg.eigvals(x)), spd)],
    "linalg.eigh": [(lambda x: linalg.eigh(x).eigenvalues, spd)], "linalg.eigvalsh": [(linalg.eigvalsh, spd)],
    "linalg.svd": [(lambda x: linalg.svd(x, full_matrices=False).S, tall)], "linalg.svdvals": [(linalg.svdvals, tall)],
    "linalg.lstsq": [(lambda a, b: linalg.lstsq(a, b)[0], shaped(4, 2), shaped(4, 3))],
    "linalg.triangular_solve": [(lambda a, b: linalg.triangular_solve(a, b, lower=True, transpose=True), square, shaped(2, 3, 2))],
    "linalg.matrix_power": [(lambda x: linalg.matrix_power(x, 3), square), (lambda x: linalg.matrix_power(x, -2), square),
                            (lambda x: x * linalg.matrix_power(x, 0), square)],
    "linalg.matrix_rank": [(lambda x: x * linalg.matrix_rank(x), wide)],
    "linalg.norm": [(linalg.norm, A), (lambda x: linalg.norm(x, ord=1, axis=-1), A), (lambda x: linalg.norm(x, "nuc"), wide)],
    "linalg.vector_norm": [(linalg.vector_norm, A), (lambda x: linalg.vector_norm(x, ord=3, axis=-1, keepdims=True), A),
                           (lambda x: linalg.vector_norm(x, ord=np.inf, axis=0), A)],
    "linalg.matrix_norm": [(linalg.matrix_norm, C), (lambda x: linalg.matrix_norm(x, ord=2), square), (lambda x: linalg.matrix_norm(x, ord=-1), C)],
    "linalg.multi_dot": [(lambda a, b, c: linalg.multi_dot([a, b, c]), A, B, A)],
    "linalg.diagonal": [(lambda x: linalg.diagonal(x, offset=1), square)], "linalg.trace": [(linalg.trace, square)],
    # operators and indexing, which are no names
    "[]": [(lambda x: x[1:, ::-2], A), (lambda x: x[..., None, -1], C), (lambda x: x[INDEX, [0, 1, 1]], B),
           (lambda x: x[:, MASK[0]], A)],
    "at": [(lambda x, v: x.at[:, 1].set(v), A, S), (lambda x, v: x.at[[1, 0, 1]].add(v), A, shaped(3, 3)),
           (lambda x, v: x.at[[1, 0, 1]].multiply(v), A, V), (lambda x, v: x.at[[1, 1]].set(v), A, A)],
}  # fmt: skip

WITHOUT_TRACE = {"nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values"}
"""Their shapes depend on numbers; tests/ops/test_sorting.py has them, and their errors under tracing."""
WITHOUT_NUMBERS = {"can_cast", "result_type", "isdtype", "finfo", "iinfo", "Generator"}
"""They are asked about dtypes, or own a state."""


def test_every_composite_has_an_entry():
    def composites(room, names):
        public = {name: getattr(room, name) for name in names}
        return {name for name, one in public.items() if callable(one) and not isinstance(one, Op | type)}

    shared = composites(bprop, bprop.ops.__all__)
    own = {f"linalg.{name}" for name in composites(linalg, linalg.__all__) if name not in shared}
    wanted = (shared | own) - WITHOUT_TRACE - WITHOUT_NUMBERS
    assert wanted - set(CALLS) == set()
    assert set(CALLS) - shared - own == {"[]", "at", "linalg.diagonal"}


CASES = [
    pytest.param(f, makers, np.dtype(dtype), id=f"{name}-{number}-{np.dtype(dtype)}")
    for name, calls in CALLS.items()
    for number, (f, *makers) in enumerate(calls)
    for dtype in (np.float64, np.float32)[: 1 + (number == 0)]
]
every_call = pytest.mark.parametrize(("f", "makers", "dtype"), CASES)


@pytest.fixture
def xs(makers, dtype):
    draw = Draw("composite", dtype)
    return [bprop.asarray(make(draw)) for make in makers]


def assert_close_by_unit(actual, expected, dtype, factor=1):
    """Equal up to 300 roundings, times ``factor``, of 1 or the largest entry."""
    assert_close_to_largest(actual, expected, factor * 300 * np.finfo(dtype).eps, least=1)


def inner(x1, x2):
    return float(np.vdot(np.asarray(x1, float), np.asarray(x2, float)))


def energy(f, weight):
    return lambda *xs: bprop.sum(weight * f(*xs))


@every_call
def test_composite(f, makers, dtype, xs, numerical):
    y = f(*xs)
    every = tuple(range(len(xs)))
    draw = Draw("directions", dtype)
    x_dots, y_bar = [draw(*x.shape) for x in xs], draw(*y.shape).astype(y.dtype)
    E = energy(f, y_bar)
    assert is_float(y.dtype)

    # first order: forward, reverse and differences
    _, y_dot = bprop.jvp(f, xs, x_dots)
    x_bars = bprop.grad(E, every, unreached="zeros")(*xs)
    assert y_dot.spec == y.spec
    assert [x_bar.dtype for x_bar in x_bars] == [dtype] * len(xs)
    assert [x_bar.shape for x_bar in x_bars] == [x.shape for x in xs]
    slope = sum(inner(x_bar, x_dot) for x_bar, x_dot in zip(x_bars, x_dots, strict=True))
    assert abs(slope - inner(y_bar, y_dot)) <= 3000 * np.finfo(dtype).eps * (1 + abs(slope))
    if dtype == np.float64:
        along = lambda t: [np.asarray(f(*(x + t * d for x, d in zip(xs, x_dots, strict=True))))]
        assert_allclose(
            np.asarray(y_dot), numerical(along)[0], rtol=1e-7, atol=1e-7 * max(1, np.abs(y_dot.data).max(initial=0))
        )
        # second order: forward over reverse is reverse over reverse
        dots = bprop.jvp(bprop.grad(E, every, unreached="zeros"), xs, x_dots)[1]
        bars = bprop.vjp(bprop.grad(E, every, unreached="zeros"), *xs)[1](tuple(x_dots))
        for dot, bar in zip(dots, bars, strict=True):
            assert_close_by_unit(dot, bar, dtype, factor=10)
        for one, other in zip(
            *(bprop.jacobian(f, every, mode=mode)(*xs) for mode in ("reverse", "forward")), strict=True
        ):
            assert_close_by_unit(one, other, dtype)

    # traced and compiled; inside checkpoint
    assert_close_by_unit(bprop.trace(f)(*xs)(*xs)[0], y, dtype)
    step = bprop.compile(lambda *xs: (f(*xs), bprop.grad(E, every, unreached="zeros")(*xs)))
    z, z_bars = step(*xs)
    assert z.spec == y.spec
    assert_close_by_unit(z, y, dtype)
    again = bprop.grad(energy(bprop.checkpoint(f), y_bar), every, unreached="zeros")(*xs)
    for x_bar, compiled, kept in zip(x_bars, z_bars, again, strict=True):
        assert compiled.dtype == dtype
        assert_close_by_unit(compiled, x_bar, dtype)
        assert_close_by_unit(kept, x_bar, dtype)


@every_call
def test_composite_in_a_batch_and_a_scan(f, makers, dtype, xs):
    if dtype == np.float32:
        pytest.skip("the dtype is the other test's matter")
    y = f(*xs)
    y_bar = Draw("directions", dtype)(*y.shape).astype(y.dtype)
    every = tuple(range(len(xs)))
    gradient = bprop.grad(energy(f, y_bar), every, unreached="zeros")
    rows = [tuple(x * (1 + 0.01 * k) for x in xs) for k in range(2)]
    batch = [np.stack(column) for column in zip(*rows, strict=True)]
    ys = bprop.vmap(f)(*batch)
    inner = bprop.vmap(gradient)(*batch)
    outer = bprop.grad(lambda *xs: bprop.sum(y_bar * bprop.vmap(f)(*xs)), every, unreached="zeros")(*batch)
    carried = lambda *batch: bprop.scan(
        lambda c, row: (c + bprop.sum(y_bar * f(*row)), f(*row)), bprop.asarray(0.0), batch
    )
    total, scanned = carried(*batch)
    through = bprop.grad(lambda *batch: carried(*batch)[0], every, unreached="zeros")(*batch)
    expected_total = 0.0
    for k, row in enumerate(rows):
        expected = f(*row)
        expected_total += float(bprop.sum(y_bar * expected))
        assert_close_by_unit(ys[k], expected, dtype)
        assert_close_by_unit(scanned[k], expected, dtype)
        for position, x_bar in enumerate(gradient(*row)):
            assert_close_by_unit(inner[position][k], x_bar, dtype)
            assert_close_by_unit(outer[position][k], x_bar, dtype)
            assert_close_by_unit(through[position][k], x_bar, dtype)
    assert_close_by_unit(total, expected_total, dtype)


@pytest.mark.parametrize("name", [name for name in CALLS if name not in ("[]", "at")])
def test_composite_is_documented_with_its_source(name):
    public = linalg if name.startswith("linalg.") else bprop
    text = inspect.getdoc(getattr(public, name.removeprefix("linalg.")))
    assert "**Source:**" in text
    assert ">>>" in text
