"""A derivative that does not exist is absent, not zero: a finite value never gets a NaN gradient.

Each of these is a thread in some library's issue tracker; the usual answer there is "write where twice". Planted:
`masked_sweep` in gradients/absent.py returning its first, plain sweep (0 · inf = NaN), and the adjoint of a slice present
everywhere (slicing, take, row, reversed fail).
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop.core.interpreter import current, using
from bprop.gradients import absent
from bprop.ops.contraction import einsum_op

X = np.array([0.0, 4.0, -1.0, 9.0])


def masked(f, safe=0.0):
    return lambda x: bprop.sum(bprop.where(x > 0, f(x), safe))


# the value, its gradient, its second derivative on the entries 4 and 9; elsewhere 0
FUNCTIONS = {
    "sqrt": (bprop.sqrt, lambda x: 0.5 * x**-0.5, lambda x: -0.25 * x**-1.5),
    "log": (bprop.log, lambda x: 1 / x, lambda x: -1 / x**2),
    "division": (lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3),
    "power": (lambda x: x**0.5, lambda x: 0.5 * x**-0.5, lambda x: -0.25 * x**-1.5),
    "composition": (lambda x: bprop.log(bprop.sqrt(x)), lambda x: 0.5 / x, lambda x: -0.5 / x**2),
    "quotient of two zeros": (lambda x: bprop.sqrt(x) / x, lambda x: -0.5 * x**-1.5, lambda x: 0.75 * x**-2.5),
}


def expected(rule):
    with np.errstate(all="ignore"):
        return np.where(X > 0, rule(X), 0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_where_in_every_way_to_a_gradient(name):
    f, slope, curvature = FUNCTIONS[name]
    E = masked(f)
    assert_allclose(bprop.grad(E)(X), expected(slope), rtol=1e-12)
    assert_allclose(bprop.trace(bprop.grad(E))(X)(X)[0], expected(slope), rtol=1e-12)
    each = lambda x: bprop.where(x > 0, f(x), 0)
    for mode in ("reverse", "forward"):
        assert_allclose(bprop.jacobian(each, mode=mode)(X), np.diag(expected(slope)), rtol=1e-12)
    assert_allclose(bprop.jvp(each, (X,), (np.ones(4),))[1], expected(slope), rtol=1e-12)
    # nested: the gradient's own derivative, by reverse over reverse and forward over reverse
    nested = bprop.grad(lambda x: bprop.sum(bprop.grad(E)(x)))
    assert_allclose(nested(X), expected(curvature), rtol=1e-12)
    assert_allclose(bprop.hessian(E)(X), np.diag(expected(curvature)), rtol=1e-12)
    assert_allclose(bprop.trace(nested)(X)(X)[0], expected(curvature), rtol=1e-12)
    assert_allclose(bprop.vmap(bprop.grad(E))(np.stack([X, X[::-1]]))[1], expected(slope)[::-1], rtol=1e-12)


def test_where_in_linearize_and_vjp():
    each = lambda x: bprop.where(x > 0, bprop.sqrt(x), 0)
    assert_allclose(bprop.linearize(each, X)[1](np.ones(4)), expected(FUNCTIONS["sqrt"][1]))
    assert_allclose(bprop.vjp(each, X)[1](np.ones(4))[0], expected(FUNCTIONS["sqrt"][1]))


# the mask is carried through every family between the selection and the infinite partial
W = np.array([[1.0, 2.0, 0.5, 1.0], [3.0, 1.0, 1.0, 2.0]])
PATHS = {
    "matmul": lambda x: bprop.sum(W @ bprop.where(x > 0, bprop.sqrt(x), 0)),
    "matmul before": lambda x: bprop.sum(bprop.where(W @ x > 20, bprop.sqrt(W @ x - 20), 0)),
    "reduction": lambda x: bprop.sum(bprop.where(x > 0, bprop.sqrt(x), 0), axis=0) * 2,
    "mean": lambda x: bprop.mean(bprop.where(x > 0, bprop.log(x), 0)),
    "slicing": lambda x: bprop.sum(bprop.sqrt(x)[1::2]),
    "take": lambda x: bprop.sum(bprop.take(bprop.sqrt(x), np.array([1, 3, 1]))),
    "broadcast": lambda x: bprop.sum(bprop.where(x > 0, bprop.sqrt(x) * np.ones((3, 1)), 0)),
    "reshape": lambda x: bprop.sum(bprop.where(x > 0, bprop.sqrt(x), 0).reshape(2, 2).T[0]),
    "maximum": lambda x: bprop.sum(bprop.maximum(bprop.where(x > -0.5, bprop.sqrt(x), 0), -3.0)[1:]),
    "max": lambda x: bprop.max(bprop.sqrt(x * x)),
    "relu": lambda x: bprop.sum(bprop.where(x > 0, bprop.relu(x) ** 0.5, 0)),
    "row": lambda x: bprop.sum(bprop.sqrt(x.reshape(2, 2))[:, 1]),
    "reversed": lambda x: bprop.sum(bprop.log(x)[::-2]),
    "scatter of a masked": lambda x: bprop.sum(bprop.where(np.array([True, True]), bprop.sqrt(x)[1::2], 0)),
    "einsum": lambda x: bprop.einsum("ij,j->", W, bprop.where(x > 0, bprop.sqrt(x), 0)),
    "nested where": lambda x: bprop.sum(bprop.where(x > 0, bprop.where(x > 5, bprop.log(x), bprop.sqrt(x)), x)),
}


@pytest.mark.parametrize("name", PATHS)
def test_masks_travel_through(name, numerical):
    f = PATHS[name]
    gradient = np.asarray(bprop.grad(f)(X))
    assert np.isfinite(gradient).all()
    assert_allclose(bprop.trace(bprop.grad(f))(X)(X)[0], gradient, rtol=1e-12)
    for entry in (1, 3):  # where f is smooth

        def line(t, entry=entry):
            return [np.asarray(f(X + t * np.eye(4)[entry]))]

        assert_allclose(gradient[entry], numerical(line)[0], rtol=1e-8)


def test_norm_at_the_origin():
    norm = lambda x: bprop.sqrt(bprop.sum(x * x))
    safe = lambda x: bprop.where(bprop.sum(x * x) > 0, norm(x), 0)
    assert_array_equal(bprop.grad(safe)(np.zeros(3)), np.zeros(3))
    assert_allclose(bprop.grad(safe)(np.array([3.0, 4.0])), [0.6, 0.8])


def test_masked_softmax_and_logsumexp():
    x = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    mask = np.array([[True, True, False], [False, False, False]])
    f = lambda x: bprop.sum(bprop.where(mask, bprop.softmax(bprop.where(mask, x, -np.inf)), 0)[0, 0])
    p = 1 / (1 + np.e)
    assert_allclose(bprop.grad(f)(x), [[p * (1 - p), -p * (1 - p), 0], [0, 0, 0]], atol=1e-15)
    g = lambda x: bprop.logsumexp(bprop.where(mask[0], x, -np.inf))
    assert_allclose(bprop.grad(g)(x[0]), [p, 1 - p, 0], rtol=1e-14)


def test_max_of_infinities():
    assert_array_equal(bprop.grad(bprop.logsumexp)(np.array([-np.inf, 0.0])), [0, 1])
    assert_array_equal(bprop.grad(bprop.max)(np.array([-np.inf, 2.0, -np.inf])), [0, 1, 0])


def test_a_true_nan_stays():
    """Absence hides nothing: where the taken branch has no derivative, the gradient says so."""
    assert np.isnan(bprop.grad(lambda x: bprop.sum(bprop.where(x > -5, bprop.sqrt(x), 0)))(X)[2].item())
    assert np.isinf(bprop.grad(bprop.sqrt)(0.0).item())
    # a matrix product meets the infinite entry with a present one: 1 · inf - 1 · inf is NaN
    A = np.array([[np.inf, -np.inf]])
    assert np.isnan(bprop.grad(lambda x: bprop.sum(x @ A @ np.ones(2)))(np.ones((1, 1))).item())


def test_a_finite_gradient_needs_no_second_sweep(monkeypatch):
    """The masks cost nothing where nothing is infinite. Planted: ``is_finite`` always false."""
    monkeypatch.setattr(absent, "Absent", None)
    assert_array_equal(bprop.grad(lambda x: bprop.sum(bprop.where(x > 0, x * x, 0)))(X), np.where(X > 0, 2 * X, 0))


# --- contractions: the mask of one operand, whatever the labels, and a factor that is not finite beside it ---
def _random_contraction(seed):
    """Return labels and operands of a contraction, sizes 1 that broadcast among them, and which entries are present."""
    random = np.random.default_rng(seed)
    sizes = dict(zip("abcd", random.integers(1, 4, 4), strict=True))
    labels = ["".join(random.permutation(list("abcd"))[: random.integers(0, 4)]) for _ in range(2)]
    every = sorted(set("".join(labels)))
    out = "".join(random.permutation(every)[: random.integers(0, len(every) + 1)])
    shapes = [tuple(1 if random.random() < 0.3 else sizes[one] for one in own) for own in labels]
    own, other = (random.standard_normal(shape) for shape in shapes)
    other = np.where(random.random(other.shape) < 0.25, random.choice([np.nan, np.inf, -np.inf], other.shape), other)
    present = random.random(own.shape) < 0.6
    return (*labels, out), np.where(present, own, 0), other, present


def _present_terms(labels, own, other, present):
    """Return the sum over the present terms alone, and whether there is any."""
    every = sorted({*labels[0], *labels[1]})

    def spread(x, names):
        order = [names.index(one) for one in every if one in names]
        return np.transpose(x, order).reshape([x.shape[names.index(one)] if one in names else 1 for one in every])

    with np.errstate(all="ignore"):
        here = np.broadcast_to(spread(present, labels[0]), (spread(own, labels[0]) * spread(other, labels[1])).shape)
        terms = np.where(here, spread(own, labels[0]) * spread(other, labels[1]), 0)
        axes = tuple(axis for axis, one in enumerate(every) if one not in labels[2])
        left = [one for one in every if one in labels[2]]
        order = [left.index(one) for one in labels[2]]
        return terms.sum(axis=axes).transpose(order), here.any(axis=axes).transpose(order)


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("seed", range(40))
def test_a_contraction_sums_the_present_terms(seed, position):
    """Planted: the mask reshaped by the sizes of the result; a factor that is traced taken for finite."""
    labels, own, other, present = _random_contraction(seed)
    swapped = (labels[1], labels[0], labels[2]) if position else labels

    def contraction(own, other, present):
        interpreter = absent.Absent(current())
        pair = (interpreter.seed(own, present), other)
        with using(interpreter):
            y = einsum_op(*(pair[::-1] if position else pair), labels=swapped)
        return y.value, bprop.broadcast_to(True if y.present is None else y.present, y.shape)

    value, here = _present_terms(labels, own, other, present)
    arrays = [bprop.asarray(x) for x in (own, other, present)]
    runs = [contraction, bprop.trace(contraction)(*arrays)]
    if seed < 8:  # compiling takes a while
        runs.append(bprop.compile(contraction))
    for run in runs:
        y, marked = run(*arrays)
        assert_allclose(y, value, rtol=1e-12, atol=1e-14)
        assert_array_equal(marked, here)


def test_broadcast_batch_axes_of_a_traced_contraction():
    """Planted: the mask reshaped by the sizes of the result (a `ShapeError`)."""
    random = np.random.default_rng(0)
    X, W, a, b = (random.standard_normal(shape) for shape in ((3, 2, 2), (2, 2), (3, 4), (1, 4)))
    curvature = bprop.hessian(lambda W: bprop.sum((X @ W[None]) ** 2))
    assert_allclose(bprop.compile(curvature)(W), curvature(W), rtol=1e-12)
    for f, x in ((lambda a: bprop.vecdot(a, b), a), (lambda b: bprop.vecdot(a, b), b)):
        for mode in ("forward", "reverse"):
            J = bprop.jacobian(f, mode=mode)
            assert_allclose(bprop.compile(J)(x), J(x), rtol=1e-12)
