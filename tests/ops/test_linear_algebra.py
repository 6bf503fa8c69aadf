"""Linear algebra against NumPy and SciPy, over random shapes, and where it is delicate: equal eigenvalues, singular
matrices, kinks, no entries at all. The registry's checks of single ops are not repeated here.

Planted: the sign of a term in the rules of eigh, svd and qr, a factor in the wrong place in that of pinv, the term of a
wide matrix left out; cofactors as det(x) x⁺ᵀ; all of a where a triangle counts; singular values without their kink;
`numpy.trace` over the last axes; an absent cotangent taken from another output. Each made a test here or in the
registry fail.
"""

import inspect

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop import linalg
from support.profile import examples

quick = examples(25, suppress_health_check=list(HealthCheck))


def matrices(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def symmetric(x):
    return (x + x.mT) / 2


def folded(x):
    """The gradient in the lower triangle of a function that reads only that, from the symmetric one."""
    return np.tril(x) + np.tril(x.mT, -1)


def central(f, x, h=1e-6):
    """The gradient of a function of a matrix giving one number, by central differences."""
    g = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = h
        g[place] = (float(f(x + step)) - float(f(x - step))) / (2 * h)
    return g


shapes = st.tuples(st.sampled_from([(), (2,), (0,), (2, 1)]), st.integers(0, 4), st.integers(0, 4), st.integers(0, 99))
squares = shapes.map(lambda drawn: (drawn[0], drawn[1], drawn[1], drawn[3]))


# --- values are NumPy's ---
@quick
@given(shapes)
def test_values_of_any_matrix(drawn):
    batch, m, n, seed = drawn
    x = matrices(*batch, m, n, seed=seed)
    pairs = [
        (linalg.svdvals(x), np.linalg.svdvals(x)),
        (linalg.pinv(x), np.linalg.pinv(x, rtol=None)),
        (linalg.matrix_rank(x), np.linalg.matrix_rank(x) if min(m, n) else np.zeros(batch)),
        (linalg.trace(x, offset=1), np.linalg.trace(x, offset=1)),
        *zip(linalg.qr(x), np.linalg.qr(x), strict=True),
        *zip(linalg.qr(x, mode="complete"), np.linalg.qr(x, mode="complete"), strict=True),
        *zip(linalg.svd(x), np.linalg.svd(x), strict=True),
        *((linalg.diagonal(x, offset=k), np.linalg.diagonal(x, offset=k)) for k in range(-m, n + 1)),
    ]
    if m and n:
        orders = ["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]
        pairs += [(linalg.matrix_norm(x, ord=one), np.linalg.matrix_norm(x, ord=one)) for one in orders]
    for ours, theirs in pairs:
        assert ours.shape == np.shape(theirs)
        assert_allclose(np.asarray(ours), theirs, atol=1e-11)


@quick
@given(squares)
def test_values_of_square_matrices(drawn):
    batch, n, _, seed = drawn
    x = matrices(*batch, n, n, seed=seed)
    pairs = [
        (linalg.det(x), np.linalg.det(x)),
        (linalg.inv(x), np.linalg.inv(x)),
        (linalg.matrix_power(x, 5), np.linalg.matrix_power(x, 5)),
        (linalg.matrix_power(x, -2), np.linalg.matrix_power(x, -2)),
        (linalg.matrix_power(x, 0), np.linalg.matrix_power(x, 0)),
        *zip(linalg.slogdet(x), np.linalg.slogdet(x), strict=True),
        *zip(linalg.eigh(x), np.linalg.eigh(x), strict=True),
        *zip(linalg.eigh(x, UPLO="U"), np.linalg.eigh(x, UPLO="U"), strict=True),
    ]
    for ours, theirs in pairs:
        assert ours.shape == np.shape(theirs)
        assert_allclose(np.asarray(ours), theirs, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("ord", [2, 1, 0, 3, 2.5, 0.5, -1, -2, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
def test_vector_norms(ord, axis):
    x = matrices(3, 4, 2)
    for keepdims in (False, True):
        expected = np.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=ord)
        y = linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=ord)
        assert y.shape == expected.shape
        assert_allclose(np.asarray(y), expected, rtol=1e-13)
    f = lambda x: bprop.sum(linalg.vector_norm(x, axis=axis, ord=ord) ** 2)
    assert_allclose(np.asarray(bprop.grad(f, unreached="zeros")(x)), central(f, x), rtol=1e-6, atol=1e-6)


NUMPY_CODE = {
    "tensordot": lambda x, y: np.tensordot(x, y, axes=([1, 2], [0, 1])), "tensordot 1": lambda x, y: np.tensordot(x[0], y[0], 1),
    "tensordot 0": lambda x, y: np.tensordot(x[0], y[0], 0),
    "inner": lambda x, y: np.inner(x, y[0].T), "outer": lambda x, y: np.outer(x, y), "vecdot": lambda x, y: np.vecdot(x, y.mT),
    "linalg.vecdot": lambda x, y: np.linalg.vecdot(x[0], y[0].T, axis=0), "cross": lambda x, y: np.cross(x[:, 0, :3], y[0, :3, 0]),
    "linalg.cross": lambda x, y: np.linalg.cross(x[:, :, :3], y[0, 1:].mT), "cross axis": lambda x, y: np.linalg.cross(x[:, :3, :3].mT, y[:, 1:], axis=-2),
    "kron": lambda x, y: np.kron(x[0], y), "trace": lambda x, y: np.trace(x, 1), "trace axes": lambda x, y: np.trace(x, 0, 2, 0),
    "diagonal": lambda x, y: np.diagonal(x, -1), "diagonal axes": lambda x, y: np.diagonal(x, axis1=1, axis2=2),
    "linalg.diagonal": lambda x, y: np.linalg.diagonal(x, offset=1), "linalg.trace": lambda x, y: np.linalg.trace(x),
    "linalg.outer": lambda x, y: np.linalg.outer(x[0, 0], y[0, 0]), "linalg.matmul": lambda x, y: np.linalg.matmul(x, y),
    "linalg.tensordot": lambda x, y: np.linalg.tensordot(x, y, axes=2) if x.shape == y.shape[::-1] else x,
    "matrix_transpose": lambda x, y: np.linalg.matrix_transpose(x), "multi_dot": lambda x, y: np.linalg.multi_dot([x[0, 0], y[0], x[1], y[1], x[1, :, 0]]),
    "norm": lambda x, y: np.linalg.norm(x), "norm axis": lambda x, y: np.linalg.norm(x, axis=1), "norm nuc": lambda x, y: np.linalg.norm(x, "nuc", (0, 2)),
    "norm 1": lambda x, y: np.linalg.norm(x[0], 1), "norm keepdims": lambda x, y: np.linalg.norm(x, 2, (2, 0), keepdims=True),
    "vector_norm": lambda x, y: np.linalg.vector_norm(x, ord=3, axis=(0, 1)), "matrix_norm": lambda x, y: np.linalg.matrix_norm(x, ord=2),
    "inv": lambda x, y: np.linalg.inv(x @ y), "det": lambda x, y: np.linalg.det(x @ y), "slogdet": lambda x, y: np.linalg.slogdet(x @ y).logabsdet,
    "pinv": lambda x, y: np.linalg.pinv(x), "qr": lambda x, y: np.linalg.qr(x)[1], "eigh": lambda x, y: np.linalg.eigh(x @ x.mT)[0],
    "eigvalsh": lambda x, y: np.linalg.eigvalsh(x @ x.mT), "svd": lambda x, y: np.linalg.svd(x, full_matrices=False).S,
    "svd values": lambda x, y: np.linalg.svd(x, compute_uv=False), "svdvals": lambda x, y: np.linalg.svdvals(x),
    "matrix_power": lambda x, y: np.linalg.matrix_power(x @ y, 3), "lstsq": lambda x, y: np.linalg.lstsq(x[0].T, y[0][:, 0])[0],
    "solve": lambda x, y: np.linalg.solve(x @ y, x), "cholesky": lambda x, y: np.linalg.cholesky(x @ x.mT),
}  # fmt: skip


@pytest.mark.parametrize("name", NUMPY_CODE)
def test_numpy_code_is_differentiated_unchanged(name):
    f, x, y = NUMPY_CODE[name], matrices(2, 3, 4), matrices(2, 4, 3, seed=1)
    if name == "tensordot":
        y = matrices(3, 4, 2, seed=1)
    expected = f(x, y)
    ours = f(bprop.asarray(x), bprop.asarray(y))
    assert isinstance(ours, bprop.Array)
    assert ours.shape == expected.shape
    assert_allclose(np.asarray(ours), expected, rtol=1e-10, atol=1e-12)
    weights = np.cos(np.arange(expected.size)).reshape(expected.shape)
    energy = lambda x, y: np.sum(f(x, y) * weights)
    gradients = bprop.grad(energy, (0, 1), unreached="zeros")(x, y)
    assert_allclose(np.asarray(gradients[0]), central(lambda x: energy(x, y), x), rtol=1e-5, atol=1e-6)
    assert_allclose(np.asarray(gradients[1]), central(lambda y: energy(x, y), y), rtol=1e-5, atol=1e-6)


def test_matrix_rank_counts():
    x = matrices(5, 2) @ matrices(2, 4, seed=1)
    assert linalg.matrix_rank(x).item() == np.linalg.matrix_rank(bprop.asarray(x)).item() == 2
    assert linalg.matrix_rank(np.diag([1.0, 0.1, 0.01]), rtol=0.05).item() == 2


@pytest.mark.parametrize("f", ["pinv", "matrix_rank"])
def test_a_tolerance_may_be_one_for_each_matrix(f):
    ours, numpys = getattr(linalg, f), getattr(np.linalg, f)
    x = np.random.default_rng(0).normal(size=(2, 5, 3, 2))
    for rtol in (np.linspace(0, 1, 5), np.full((2, 1), 0.5), np.array(0.5)):
        expected = numpys(x, rtol=np.broadcast_to(rtol, (2, 5)))
        for y in (
            ours(x, rtol=rtol),
            ours(x, rtol=bprop.asarray(rtol)),
            bprop.compile(lambda x: ours(x, rtol=rtol))(x),  # noqa: B023
        ):
            assert_allclose(y, expected, rtol=1e-12, atol=1e-13)
    rtol = np.linspace(0, 1, 5)
    assert_allclose(bprop.vmap(lambda x: ours(x, rtol=rtol))(x), ours(x, rtol=rtol), rtol=1e-12, atol=1e-13)
    assert ours(np.zeros((0, 3, 2)), rtol=np.zeros(0)).shape[0] == 0


def test_outer_products_keep_the_signs_of_zeros():
    x = np.array([-0.0, 0.0, -1.0])
    assert_array_equal(np.signbit(linalg.outer(x, x)), np.signbit(np.outer(x, x)))


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_norms_of_complex_matrices(ord):
    z = matrices(3, 2) + 1j * matrices(3, 2, seed=1)
    assert_allclose(linalg.matrix_norm(z, ord=ord), np.linalg.norm(z, ord=ord), rtol=1e-12)


# --- what factorisations satisfy, differentiated ---
RECONSTRUCTIONS = {
    "qr": lambda x: bprop.matmul(*linalg.qr(x)),
    "svd": lambda x: (lambda u, s, vt: (u * s[..., None, :]) @ vt)(*linalg.svd(x, full_matrices=False)),
    "pinv": lambda x: x @ linalg.pinv(x) @ x,
    "pinv twice": lambda x: linalg.pinv(linalg.pinv(x)),
    "lstsq": lambda x: (
        bprop.matrix_transpose(linalg.lstsq(bprop.matrix_transpose(x), bprop.matrix_transpose(x)).x) @ x
        if x.shape[-2] <= x.shape[-1]
        else x @ linalg.lstsq(x, x).x
    ),
}
SYMMETRIC = {
    "eigh": lambda x: (lambda w, v: (v * w[..., None, :]) @ bprop.matrix_transpose(v))(*linalg.eigh(x)),
    "cholesky": lambda x: (lambda y: y @ bprop.matrix_transpose(y))(bprop.cholesky(x)),
    "inv twice": lambda x: symmetric(linalg.inv(linalg.inv(x))),
    "square root": lambda x: (lambda w, v: ((v * bprop.sqrt(w)[..., None, :]) @ bprop.matrix_transpose(v)))(*linalg.eigh(x @ x)),
}  # fmt: skip


def is_the_identity(f, x, c, x_dot):
    """f(x) = x in value, gradient, tangent, second derivative, over a batch and compiled."""
    assert_allclose(np.asarray(f(x)), x, atol=1e-9)
    energy = lambda x: bprop.sum(c * f(x))
    assert_allclose(np.asarray(bprop.grad(energy)(x)), c, atol=1e-7)
    assert_allclose(np.asarray(bprop.jvp(f, (x,), (x_dot,))[1]), x_dot, atol=1e-7)
    assert_allclose(np.asarray(bprop.hvp(energy, (x,), (x_dot,))), 0 * x, atol=1e-5)
    if x.ndim > 2:
        assert_allclose(np.asarray(bprop.vmap(bprop.grad(lambda x: bprop.sum(c[0] * f(x))))(x))[0], c[0], atol=1e-7)


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (3, 3), (2, 3, 2), (2, 2, 3), (1, 1)])
@pytest.mark.parametrize("name", RECONSTRUCTIONS)
def test_reconstruction_is_the_identity(name, shape):
    x, c, x_dot = (matrices(*shape, seed=seed) for seed in (5, 1, 2))
    is_the_identity(RECONSTRUCTIONS[name], x, c, x_dot)


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3), (1, 1)])
@pytest.mark.parametrize("name", SYMMETRIC)
def test_reconstruction_of_symmetric_matrices_is_the_identity(name, shape):
    x, c, x_dot = (symmetric(matrices(*shape, seed=seed)) for seed in (0, 1, 2))
    is_the_identity(lambda x: SYMMETRIC[name](symmetric(x)), x @ x + 0.5 * np.eye(shape[-1]), c, x_dot)


@pytest.mark.parametrize("name", ["eigh", "svd", "qr", "slogdet"])
def test_ops_with_several_outputs_in_a_compiled_step(name):
    f = {
        "eigh": lambda x: bprop.sum(linalg.eigh(x).eigenvectors[:, 0] ** 3) + linalg.eigh(x).eigenvalues[1],
        "svd": lambda x: bprop.sum(linalg.svd(x).U[:, 0] ** 3) + linalg.svd(x).S[1],
        "qr": lambda x: bprop.sum(linalg.qr(x).R),
        "slogdet": lambda x: linalg.slogdet(x).logabsdet * linalg.slogdet(x).sign,
    }[name]
    x = matrices(3, 3)
    expected = bprop.value_and_grad(f)(x)
    for ours, eager in zip(bprop.compile(bprop.value_and_grad(f))(x), expected, strict=True):
        assert_allclose(np.asarray(ours), np.asarray(eager), rtol=1e-12, atol=1e-13)
    assert_allclose(np.asarray(expected[1]), central(f, x), rtol=1e-6, atol=1e-7)
    ways = [bprop.paths(f)(x).gradient, bprop.symbolic(f)(x)(x), bprop.derivative(f, method="forward")(x)]
    for way in ways:
        assert_allclose(np.asarray(way), np.asarray(expected[1]), rtol=1e-9, atol=1e-12)


def test_complete_qr_and_full_svd_have_values_everywhere_and_refuse_derivatives():
    x = matrices(2, 4, 3)
    for f in (lambda x: linalg.qr(x, mode="complete")[0], lambda x: linalg.svd(x)[0]):
        expected = np.asarray(f(x))
        assert expected.shape == (2, 4, 4)
        assert_array_equal(np.asarray(bprop.vmap(f)(x)), expected)
        assert_allclose(np.asarray(bprop.compile(f)(x)), expected, atol=1e-14)
        for _ in range(2):  # the rule is looked at once and remembered
            with pytest.raises(bprop.DerivativeError, match=r"use (mode='reduced'|full_matrices=False)"):
                bprop.grad(lambda x: bprop.sum(f(x)))(x)  # noqa: B023
        with pytest.raises(bprop.DerivativeError, match="turned freely"):
            bprop.jvp(f, (x,), (x,))
    assert_allclose(bprop.grad(lambda x: bprop.sum(linalg.svd(x).S))(matrices(3, 3)).shape, (3, 3))
    wide = lambda x: bprop.sum(bprop.matmul(*linalg.qr(x, mode="complete")))  # nothing is added to a wide matrix
    assert_allclose(np.asarray(bprop.grad(wide)(matrices(2, 3))), np.ones((2, 3)), atol=1e-12)


# --- equal eigenvalues ---
TIED = np.diag([2.0, 2.0, 2.0, 5.0])


def test_symmetric_functions_of_equal_eigenvalues_have_their_derivative():
    turn = np.linalg.qr(matrices(4, 4))[0]
    for x in (TIED, turn @ TIED @ turn.T, np.zeros((3, 3))):
        n = len(x)
        assert_allclose(np.asarray(bprop.grad(lambda x: bprop.sum(linalg.eigvalsh(x)))(x)), np.eye(n), atol=1e-12)
        square = bprop.grad(lambda x: bprop.sum(linalg.eigvalsh(x) ** 2))(x)  # Σ w² = |x|²
        assert_allclose(np.asarray(square), folded(2 * x), atol=1e-12)
        direction = symmetric(matrices(n, n))
        y_dot = bprop.jvp(lambda x: bprop.sum(linalg.eigvalsh(x) ** 3), (x,), (direction,))[1]
        assert_allclose(y_dot.item(), 3 * np.trace(x @ x @ direction), atol=1e-11)
        squares = bprop.grad(lambda x: bprop.sum(linalg.svdvals(x) ** 2))(x)
        assert_allclose(np.asarray(squares), 2 * x, atol=1e-12)


def test_eigenvectors_that_stand_alone_have_a_derivative_among_equal_ones():
    f = lambda x: bprop.sum(linalg.eigh(x).eigenvectors[:, 3] ** 4)
    x = TIED + 0.1 * np.outer(np.ones(4), np.ones(4)) * 0
    g = np.asarray(bprop.grad(f)(x))
    assert np.isfinite(g).all()
    projector = lambda x: (lambda v: v[:, None] * v)(linalg.eigh(x).eigenvectors[:, 3])
    c = matrices(4, 4)
    g = np.asarray(bprop.grad(lambda x: bprop.sum(c * projector(x)))(x))
    numpy = lambda x: np.sum(c * np.outer(*[np.linalg.eigh(symmetric(x))[1][:, 3]] * 2))
    assert_allclose(g, folded(symmetric(central(numpy, x))), atol=1e-7)


def test_eigenvectors_of_equal_eigenvalues_have_none():
    g = bprop.grad(lambda x: bprop.sum(linalg.eigh(x).eigenvectors ** 3))(TIED)
    assert not np.isfinite(np.asarray(g)).all()


# --- singular matrices ---
@pytest.mark.parametrize("n", [2, 3, 4, 5])
@pytest.mark.parametrize("missing", [0, 1, 2, 3])
def test_derivatives_of_det_at_any_rank(n, missing):
    """Against the polynomial itself: second differences of a determinant are exact up to rounding."""
    if missing > n:
        return
    x = matrices(n, n - missing, seed=n) @ matrices(n - missing, n, seed=missing) if missing < n else np.zeros((n, n))
    z, c = matrices(n, n, seed=7), matrices(n, n, seed=8)
    slope = lambda x, z: (np.linalg.det(x + 1e-4 * z) - np.linalg.det(x - 1e-4 * z)) / 2e-4
    g = np.asarray(bprop.grad(linalg.det)(x))
    assert_allclose(g, central(np.linalg.det, x, h=1e-4), atol=1e-6)
    if missing == 1:
        assert np.abs(g).max() > 1e-3  # rank n - 1 has a gradient
    if missing >= 2:
        assert_allclose(g, 0 * x, atol=1e-12)
    curved = bprop.hvp(linalg.det, (x,), (z,))
    expected = (slope(x + 1e-4 * c, z) - slope(x - 1e-4 * c, z)) / 2e-4
    assert_allclose(np.sum(np.asarray(curved) * c), expected, rtol=1e-5, atol=2e-5)
    if missing == 2 and n > 1:
        assert np.abs(np.asarray(curved)).max() > 1e-3


def test_third_derivative_of_det():
    x, a, b, c = (matrices(3, 3, seed=seed) for seed in range(4))
    f = lambda x: linalg.det(x)
    for z in (a, b, c):
        f = lambda x, f=f, z=z: bprop.jvp(f, (x,), (z,))[1]
    third = lambda s: sum(np.linalg.det(x + sum(s_i * z for s_i, z in zip(signs, (a, b, c), strict=True))) * np.prod(signs)
                          for signs in np.array(np.meshgrid(*[[-s, s]] * 3)).reshape(3, -1).T) / (8 * s**6)  # fmt: skip
    assert_allclose(f(x).item(), third(0.5), rtol=1e-10)
    g = bprop.grad(lambda x: bprop.sum(a * bprop.hvp(linalg.det, (x,), (b,))))(x)
    assert_allclose(np.sum(np.asarray(g) * c), third(0.5), rtol=1e-9)


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (3, 3)])
def test_pinv_and_lstsq_of_deficient_rank_along_perturbations_that_keep_it(shape):
    m, n = shape
    left, right = matrices(m, 2), matrices(2, n, seed=1)
    b, c = matrices(m, 2, seed=2), matrices(n, 2, seed=3)
    for f, numpy in (
        (lambda x: linalg.pinv(x, rtol=1e-9) @ b, lambda x: np.linalg.pinv(x, rtol=1e-9) @ b),
        (lambda x: linalg.lstsq(x, b, rtol=1e-9).x, lambda x: np.linalg.lstsq(x, b, rcond=1e-9)[0]),
    ):
        energy = lambda left: bprop.sum(c * f(left @ right))  # noqa: B023
        expected = central(lambda left: np.sum(c * numpy(left @ right)), left)  # noqa: B023
        assert_allclose(np.asarray(bprop.grad(energy)(left)), expected, rtol=1e-5, atol=1e-6)
        x_dot = matrices(m, 2, seed=5)
        y_dot = bprop.jvp(energy, (left,), (x_dot,))[1]
        assert_allclose(y_dot.item(), np.sum(expected * x_dot), rtol=1e-5)


@pytest.mark.parametrize(
    "values", [(3.0, 2.0, 0.9), (2.0, 2.0, 0.5), (3.0, 1.0, 1.0), (2.0, 0.7, 0.0), (3.0, 2.99, 2.9)]
)
@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (3, 3)])
def test_pinv_and_lstsq_of_singular_values_that_are_cut_off_and_not_zero(shape, values):
    """Among those that are kept, and among those that are cut, they may be equal."""
    m, n = shape
    rtol = 0.5 if values[1] < 2.9 else 0.98
    left, right = np.linalg.qr(matrices(m, 3))[0], np.linalg.qr(matrices(n, 3, seed=1))[0]
    x, x_dot = (left * np.array(values)) @ right.T, matrices(m, n, seed=4)
    b, c = matrices(m, 2, seed=2), matrices(n, 2, seed=3)
    for f, numpy in (
        (lambda x: linalg.pinv(x, rtol=rtol) @ b, lambda x: np.linalg.pinv(x, rtol=rtol) @ b),
        (lambda x: linalg.lstsq(x, b, rtol=rtol).x, lambda x: np.linalg.lstsq(x, b, rcond=rtol)[0]),
    ):
        energy = lambda x: bprop.sum(c * f(x))  # noqa: B023
        expected = central(lambda x: np.sum(c * numpy(x)), x)  # noqa: B023
        scale = np.abs(expected).max()
        for gradient in (bprop.grad(energy), bprop.compile(bprop.grad(energy))):
            assert_allclose(np.asarray(gradient(x)), expected, rtol=1e-6, atol=1e-6 * scale)
        y_dot = bprop.jvp(energy, (x,), (x_dot,))[1]
        assert_allclose(y_dot.item(), np.sum(expected * x_dot), rtol=1e-5, atol=1e-6 * scale)
        slope = lambda x: np.sum(np.asarray(bprop.grad(energy)(x)) * x_dot)  # noqa: B023
        second = np.asarray(bprop.hvp(energy, (x,), (x_dot,)))
        expected = central(slope, x)
        assert_allclose(second, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_lstsq_gives_what_numpy_gives():
    a, b = matrices(5, 3), matrices(5, 2, seed=1)
    for right in (b, b[:, 0]):
        ours, theirs = linalg.lstsq(a, right), np.linalg.lstsq(a, right)
        assert ours.rank.item() == theirs[2]
        for one, other in ((ours.x, theirs[0]), (ours.residuals, np.squeeze(theirs[1])), (ours[3], theirs[3])):
            assert_allclose(np.asarray(one), other, rtol=1e-12)


# --- kinks, and numbers at the end of the range ---
@pytest.mark.parametrize("ord", ["fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf])
def test_norms_have_derivative_zero_at_zero(ord):
    for shape in ((3, 3), (2, 3)):
        g = bprop.grad(lambda x: linalg.matrix_norm(x, ord=ord))(np.zeros(shape))
        assert_array_equal(np.asarray(g), np.zeros(shape))


@pytest.mark.parametrize("ord", [2, 1, 3, 1.5, 0.5, np.inf, -np.inf])
def test_vector_norms_have_derivative_zero_at_zero(ord):
    f = lambda x: linalg.vector_norm(x, ord=ord)
    assert_array_equal(np.asarray(bprop.grad(f)(np.zeros(3))), np.zeros(3))
    assert_array_equal(np.asarray(bprop.jacobian(f, mode="forward")(np.zeros(3))), np.zeros(3))
    assert_array_equal(np.asarray(bprop.compile(bprop.grad(f))(np.zeros(3))), np.zeros(3))
    # round norms have no second derivative there; straight pieces have that of each piece
    expected = np.full((3, 3), np.nan if ord in (2, 3, 1.5) else 0.0)
    for hessian in (bprop.hessian(f), bprop.compile(bprop.hessian(f))):
        assert_array_equal(np.asarray(hessian(np.zeros(3))), expected)


@pytest.mark.parametrize("size", [1e200, 1e-200, 1.0])
@pytest.mark.parametrize("ord", [2, 3, 1.5])
def test_norms_neither_overflow_nor_vanish(size, ord):
    x = size * np.array([3.0, -4.0, 0.0])
    expected = size * np.linalg.norm(x / size, ord)
    f = lambda x: linalg.vector_norm(x, ord=ord)
    assert_allclose(f(x).item(), expected, rtol=1e-14)
    assert_allclose(bprop.compile(f)(x).item(), expected, rtol=1e-14)
    assert_allclose(np.asarray(bprop.grad(f)(x)), np.asarray(bprop.grad(f)(x / size)), rtol=1e-13)


def test_the_norm_of_infinity():
    for x in ([np.inf, 1.0], [0.0, -np.inf, 2.0], [1.0, np.inf, np.inf]):
        assert linalg.norm(np.array(x)).item() == bprop.compile(linalg.norm)(np.array(x)).item() == np.inf
    assert np.isnan(linalg.norm(np.array([np.nan, 1.0])).item())


# --- dtypes, interpretations, errors ---
FUNCTIONS = {
    "inv": linalg.inv, "det": linalg.det, "slogdet": linalg.slogdet, "eigh": linalg.eigh, "qr": linalg.qr,
    "svd": linalg.svd, "svdvals": linalg.svdvals, "pinv": linalg.pinv, "norm": linalg.norm, "eigvalsh": linalg.eigvalsh,
    "solve": lambda x: linalg.solve(x, x), "lstsq": lambda x: linalg.lstsq(x, x).x, "cholesky": linalg.cholesky,
    "triangular_solve": lambda x: linalg.triangular_solve(x, x), "nuc": lambda x: linalg.matrix_norm(x, ord="nuc"),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_dtypes(name):
    f = lambda x: (lambda y: y if isinstance(y, tuple) else (y,))(FUNCTIONS[name](x))
    for given_dtype, expected in ((np.int8, np.float64), (np.float32, np.float32), (np.float64, np.float64)):
        assert {y.dtype for y in f(np.array([[2, 1], [1, 3]], given_dtype))} == {np.dtype(expected)}
    if name != "norm":
        with pytest.raises(bprop.DTypeError, match="float16"):
            f(np.eye(2, dtype=np.float16))


CALLS = [
    (lambda x: linalg.inv(x), bprop.ArgumentError, r"inv\(float64\[3,3\]\): the matrix is singular.*pinv"),
    (lambda x: linalg.inv(x[0]), bprop.ShapeError, r"inv: the matrix has shape \(3,\), not"),
    (lambda x: linalg.eigh(x[:1]), bprop.ShapeError, r"eigh: the matrix has shape \(1, 3\), not"),
    (lambda x: linalg.eigh(x / 0), bprop.ArgumentError, r"eigh\(float64\[3,3\]\): .*NaN"),
    (lambda x: linalg.svd(x / 0), bprop.ArgumentError, r"svd\(float64\[3,3\]\): .*NaN"),
    (lambda x: linalg.pinv(x / 0), bprop.ArgumentError, r"pinv\(float64\[3,3\]\): .*NaN"),
    (lambda x: linalg.svd(x[0]), bprop.ShapeError, r"svd: the matrix has shape \(3,\), not"),
    (lambda x: linalg.triangular_solve(x, x), bprop.ArgumentError, r"triangular_solve.*zero on the diagonal"),
    (lambda x: linalg.triangular_solve(x, x[:2]), bprop.ShapeError, r"triangular_solve: shapes \(3, 3\) and \(2, 3\)"),
    (lambda x: linalg.lstsq(x, x[:2]), bprop.ShapeError, r"lstsq: shapes \(3, 3\) and \(2, 3\)"),
    (lambda x: linalg.qr(x, mode="raw"), bprop.ArgumentError, r"qr: mode='raw' is unknown"),
    (lambda x: linalg.pinv(x, rtol=-1.0), bprop.ArgumentError, r"pinv: rtol must be numbers that are not negative"),
    (lambda x: linalg.pinv(x, rtol=np.ones((3, 3))), bprop.ShapeError, r"pinv: rtol of shape \(3, 3\) is more than one number"),
    (lambda x: linalg.lstsq(x, x, rtol=-1), bprop.ArgumentError, r"lstsq: rtol must be numbers that are not negative, not -1"),
    (lambda x: linalg.matrix_power(x, 0.5), bprop.ArgumentError, r"matrix_power: n must be an integer, not 0.5"),
    (lambda x: linalg.matrix_norm(x, ord=3), bprop.ArgumentError, r"matrix_norm: ord=3 is unknown"),
    (lambda x: linalg.vector_norm(x, ord="fro"), bprop.ArgumentError, r"vector_norm: ord='fro' is no number"),
    (lambda x: linalg.norm(x, ord=2, axis=(0, 0)), bprop.ShapeError, r"norm: ord=2 over axes \(0, 0\)"),
    (lambda x: bprop.outer(x, x), bprop.ShapeError, r"outer: shapes \(3, 3\) and \(3, 3\)"),
    (lambda x: bprop.cross(x[:, :2], x), bprop.ShapeError, r"cross: shapes \(3, 2\) and \(3, 3\): axis -1"),
    (lambda x: bprop.vecdot(x[:, :2], x), bprop.ShapeError, r"vecdot: shapes \(3, 2\) and \(3, 3\)"),
    (lambda x: bprop.tensordot(x[:2], x, axes=([0], [0])), bprop.ShapeError, r"tensordot: shapes \(2, 3\) and \(3, 3\)"),
    (lambda x: bprop.tensordot(x, x, axes=5), bprop.ShapeError, r"tensordot: shapes .* have no 5 axes"),
    (lambda x: linalg.trace(x[0]), bprop.ShapeError, r"trace: shape \(3,\) has 1 axes"),
    (lambda x: bprop.tensordot(x, x, axes=(0, 1, 2)), bprop.ArgumentError, r"tensordot: axes.* must be an integer, not \(0"),
    (lambda x: bprop.diagonal(x, offset="a"), bprop.ArgumentError, r"diagonal: offset must be an integer, not 'a'"),
    (lambda x: linalg.multi_dot(3), bprop.ArgumentError, r"multi_dot: takes a list of arrays, not 3"),
    (lambda x: linalg.multi_dot([x]), bprop.ArgumentError, r"multi_dot: 1 arrays"),
    (lambda x: linalg.eigh(x, UPLO="lower"), bprop.ArgumentError, r"eigh: UPLO is the triangle.*'L' or 'U', not 'lower'"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_errors_name_the_op_and_say_what_to_do(number):
    call, kind, message = CALLS[number]
    for way in (lambda f: f, bprop.compile):
        with pytest.raises(kind, match=message):
            way(call)(bprop.zeros((3, 3)))


def test_the_sign_of_a_determinant_has_no_paths():
    x = matrices(2, 2)
    assert bprop.paths(lambda x: linalg.slogdet(x).sign)(x).total == 0
    assert bprop.paths(lambda x: linalg.slogdet(x).sign * linalg.slogdet(x).logabsdet)(x).total == 4


def test_a_singular_matrix_in_a_derivative_is_named():
    with pytest.raises(bprop.ArgumentError, match="singular"):
        bprop.grad(lambda x: linalg.slogdet(x).logabsdet)(np.zeros((2, 2)))
    assert [one.item() for one in linalg.slogdet(np.zeros((2, 2)))] == [0, -np.inf]


def test_linalg_is_the_namespace_of_the_standard():
    standard = {
        "cholesky": "x upper", "cross": "x1 x2 axis", "det": "x", "diagonal": "x offset", "eigh": "x UPLO",
        "eigvalsh": "x UPLO",  # NumPy's argument, beside the standard's
        "inv": "x", "matmul": "x1 x2", "matrix_norm": "x keepdims ord", "matrix_power": "x n", "matrix_rank": "x rtol",
        "matrix_transpose": "x", "outer": "x1 x2", "pinv": "x rtol", "qr": "x mode", "slogdet": "x", "solve": "x1 x2",
        "svd": "x full_matrices", "svdvals": "x", "tensordot": "x1 x2 axes", "trace": "x offset dtype",
        "vecdot": "x1 x2 axis", "vector_norm": "x axis keepdims ord",
    }  # fmt: skip
    for name, parameters in standard.items():
        assert " ".join(inspect.signature(getattr(linalg, name)).parameters) == parameters


# --- one triangle of a symmetric matrix ---
def _eigh_energy(x, uplo="L"):
    w, v = np.linalg.eigh(x, uplo)
    return np.sum(w**3) + np.sum((v[..., :1] @ np.swapaxes(v[..., :1], -1, -2)) * np.arange(9.0).reshape(3, 3))


TRIANGLES = {
    "eigh, lower": (_eigh_energy, np.tril), "eigh, upper": (lambda x: _eigh_energy(x, "U"), np.triu),
    "eigvalsh, lower": (lambda x: np.sum(np.linalg.eigvalsh(x) ** 3), np.tril),
    "eigvalsh, upper": (lambda x: np.sum(np.linalg.eigvalsh(x, UPLO="u") ** 3), np.triu),
    "cholesky": (lambda x: np.sum(np.linalg.cholesky(x) ** 3), np.tril),
    "cholesky, upper": (lambda x: np.sum(np.linalg.cholesky(x, upper=True) ** 3), np.triu),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", TRIANGLES)
def test_the_triangle_that_numpy_reads_is_read_in_value_and_derivatives(name, dtype):
    """Planted: a value that symmetrises; a gradient that is symmetric."""
    f, part = TRIANGLES[name]
    noise = matrices(3, 3, seed=4)
    x = (noise @ noise.T + 3 * np.eye(3) + 0.5 * matrices(3, 3, seed=5)).astype(dtype)  # not symmetric
    exact = x.astype(float)
    tight, loose = (1e-12, 1e-5) if dtype is np.float64 else (2e-5, 1e-3)
    assert_allclose(float(f(bprop.asarray(x))), f(exact), rtol=tight)
    gradient, other = central(f, exact), np.full((3, 3), np.nan)
    only = np.where(part(np.ones((3, 3))) > 0, x, other).astype(dtype)  # the other triangle does not matter at all
    x_dot = matrices(3, 3, seed=6).astype(dtype)
    others = [
        bprop.compile(bprop.grad(f)),
        lambda x: bprop.vmap(bprop.grad(f))(x[None])[0],
        bprop.jacobian(f, mode="forward"),
    ]
    for at, ways in ((x, []), (only, others if dtype is np.float64 else [])):
        for grad in (bprop.grad(f), *ways):
            found = np.asarray(grad(at))
            assert_allclose(found, gradient, rtol=loose, atol=loose * 10)
            assert_array_equal(found, part(found))
        assert_allclose(bprop.jvp(f, (at,), (x_dot,))[1], np.sum(gradient * x_dot), rtol=loose)
    second = [bprop.hvp(f, (x,), (x_dot,)), bprop.jvp(bprop.grad(f), (x,), (x_dot,))[1]]
    if name == "cholesky" and dtype is np.float64:
        second.append(bprop.compile(lambda x: bprop.hvp(f, (x,), (x_dot,)))(x))
    step = 1e-5 * x_dot.astype(float)
    expected = (np.asarray(bprop.grad(f)(exact + step)) - np.asarray(bprop.grad(f)(exact - step))) / 2e-5
    for found in second:
        assert_allclose(
            found, expected, rtol=1e-4 if dtype is np.float64 else 1e-2, atol=1e-4 if dtype is np.float64 else 0.05
        )


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (2, 3, 5), (3, 3), (0, 3), (3, 1)])
def test_singular_values_of_a_full_svd_have_a_derivative(shape, monkeypatch):
    """Planted: a rule that refuses whatever is asked for where matrices are full; residuals that know no parameters."""
    monkeypatch.setattr(bprop.gradients.local_rule, "_KEEPS", {})  # nothing is known yet of what a rule reads
    x, x_dot = matrices(*shape, seed=7), matrices(*shape, seed=8)
    expected = lambda x: np.sum(linalg.svdvals(x) ** 3)
    ways = {
        "[1]": lambda x: np.sum(np.linalg.svd(x)[1] ** 3), ".S": lambda x: np.sum(linalg.svd(x).S ** 3),
        "compute_uv": lambda x: np.sum(np.linalg.svd(x, compute_uv=False) ** 3),
        "unpacked": lambda x: (lambda u, s, vh: np.sum(s**3))(*np.linalg.svd(x)),
    }  # fmt: skip
    for f in ways.values():
        g = np.asarray(bprop.grad(expected)(x))
        several = lambda x, f=f: bprop.vmap(bprop.grad(f))(x[None])[0]
        for grad in (bprop.grad(f), several, bprop.compile(bprop.grad(f)))[: 2 + (len(shape) == 2)]:
            assert_allclose(grad(x), g, rtol=1e-9, atol=1e-9)
        compiled_jvp = lambda f, x, d: bprop.compile(lambda x, d: bprop.jvp(f, (x,), (d,)))(*x, *d)
        for jvp in (bprop.jvp, compiled_jvp)[: 1 + (shape == (4, 3))]:
            assert_allclose(jvp(f, (x,), (x_dot,))[1], np.sum(g * x_dot), rtol=1e-9, atol=1e-9)
        if min(shape) > 0:
            second = bprop.hvp(expected, (x,), (x_dot,))
            assert_allclose(bprop.hvp(f, (x,), (x_dot,)), second, rtol=1e-8, atol=1e-8)
            assert_allclose(
                bprop.grad(lambda x, f=f: np.sum(bprop.grad(f)(x) * x_dot))(x), second, rtol=1e-8, atol=1e-8
            )
