"""A column of right-hand sides that nothing is made of has no derivative, not one of zero times what it holds.

Planted: `columns` of an op empty, so that its cotangents are present or absent by matrix only.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop import nn, optim
from bprop.core.family import General
from bprop.core.op import REGISTRY
from bprop.diagnose.case import cases

linalg = bprop.linalg
GENERATOR = np.random.default_rng(0)
A = GENERATOR.normal(size=(3, 3)) + 3 * np.eye(3)
KEPT = np.array([True, False, True])
B = GENERATOR.normal(size=(3, 3))
HOLES = B.copy()
HOLES[1, 1] = np.nan
HOLES[2, 1] = np.inf


def by_qr(a, b):
    q, r = linalg.qr(a)
    return linalg.triangular_solve(r, q.T @ b)


SOLVERS = {
    "solve": linalg.solve,
    "triangular_solve": lambda a, b: linalg.triangular_solve(a, b, lower=True, transpose=True),
    "lstsq": lambda a, b: linalg.lstsq(a, b).x,
    "lstsq, tall": lambda a, b: linalg.lstsq(a[:, :2], b).x,
    "lstsq, wide": lambda a, b: linalg.lstsq(a[:2], b[:2]).x,
    "residuals": lambda a, b: linalg.lstsq(a[:, :2], b).residuals,
    "cholesky": lambda a, b: linalg.solve(linalg.cholesky(a @ a.T), b),
    "qr": by_qr,
    "batch": lambda a, b: linalg.solve(bprop.stack([a, 2 * a]), b),
}
COMPILED = ("solve", "lstsq")  # compiling takes long, and what is compiled is the trace of each


def kept_sum(solver, b):
    return lambda a: bprop.sum(bprop.where(KEPT, solver(a, b), 0) ** 2)


@pytest.mark.parametrize("op", [op for op in REGISTRY.values() if isinstance(op, General) and op.columns], ids=str)
def test_columns_do_not_meet(op):
    """What `columns` says: a column of the result is the op of that column."""
    first, last = op.core_inputs
    assert op.columns == last[-1] == op.core_outputs[0][-1]
    assert op.columns not in first
    for (a, b), params in cases(op, np.dtype(np.float64)):
        whole = op(a, b, **params)
        for column in range(b.shape[-1]):
            alone = op(a, b[..., column : column + 1], **params)
            assert_allclose(whole[..., column : column + 1], alone, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SOLVERS)
def test_masked_column(name, dtype):
    a, whole, holes = (x.astype(dtype) for x in (A, B, HOLES))
    expected, actual = kept_sum(SOLVERS[name], whole), kept_sum(SOLVERS[name], holes)
    tolerance = {"rtol": 1e-8 if dtype == np.float64 else 2e-3, "atol": 1e-9 if dtype == np.float64 else 1e-3}
    gradient = bprop.grad(expected)(a)
    assert np.abs(gradient).max() > 0.01
    assert_allclose(bprop.grad(actual)(a), gradient, **tolerance)
    if name in COMPILED:
        assert_allclose(bprop.compile(bprop.grad(actual))(a), gradient, **tolerance)
    assert_allclose(bprop.trace(bprop.grad(actual))(a)(a)[0], gradient, **tolerance)
    assert_allclose(bprop.jvp(actual, (a,), (a,))[1], bprop.sum(gradient * a), **tolerance)
    assert_allclose(bprop.vmap(bprop.grad(actual))(np.stack([a, 2 * a]))[0], gradient, **tolerance)


@pytest.mark.parametrize("name", SOLVERS)
def test_masked_column_in_second_order(name):
    expected = bprop.hessian(kept_sum(SOLVERS[name], B))(A)
    actual = kept_sum(SOLVERS[name], HOLES)
    assert_allclose(bprop.hessian(actual)(A), expected, rtol=1e-7, atol=1e-7)
    along = bprop.grad(lambda a: bprop.sum(bprop.grad(actual)(a) * A))  # reverse over reverse
    product = np.einsum("ijkl,kl->ij", np.asarray(expected), A)
    assert_allclose(along(A), product, rtol=1e-7, atol=1e-7)
    if name == "solve":
        assert_allclose(bprop.compile(along)(A), product, rtol=1e-7, atol=1e-7)


class Filter(nn.Module):
    """y = W⁻¹ x."""

    def __init__(self):
        self.W = nn.parameter(A)

    def fprop(self, x):
        return linalg.solve(self.W, x)


def test_weights_stay_finite_through_a_compiled_step():
    @bprop.compile
    def step(model, optimizer, x):
        E, gradients = bprop.value_and_grad(lambda m: bprop.sum(bprop.where(KEPT, m(x), 0.0) ** 2))(model)
        optimizer.update(model, gradients)
        return E

    weights = []
    for right in (B, HOLES):
        model, optimizer = Filter(), optim.Adam(0.01)
        for _ in range(3):
            step(model, optimizer, right)
        weights.append(np.asarray(model.W))
    assert_array_equal(np.isfinite(weights[1]), True)
    assert np.abs(weights[1] - A).max() > 0.01
    assert_allclose(weights[1], weights[0], rtol=1e-9)
