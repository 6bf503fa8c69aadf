"""Way 2: differences. Oracles: mpmath.diff, closed forms, the theory of their errors."""

import itertools

import mpmath
import numpy as np
import pytest

import bprop
from bprop import nn
from support.op_call import every_differentiable_op, scalar_calls

SCHEMES = {"central": 1e-8, "forward": 1e-6, "complex": 1e-13, "richardson": 1e-9}
X = np.array([0.3, -1.2, 2.5])

FUNCTIONS = [
    (bprop.exp, mpmath.exp),
    (lambda x: bprop.tanh(x) * x**3, lambda x: mpmath.tanh(x) * x**3),
    (lambda x: bprop.log(x * x + 1) / bprop.sqrt(x + 4), lambda x: mpmath.log(x * x + 1) / mpmath.sqrt(x + 4)),
    (lambda x: bprop.exp(-x * x / 2), lambda x: mpmath.exp(-x * x / 2)),
]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("f", "g"), FUNCTIONS)
@pytest.mark.parametrize("x", [0.4, -1.7, 3.0])
def test_schemes_against_mpmath(scheme, f, g, x):
    with mpmath.workdps(30):
        expected = float(mpmath.diff(g, x))
    found = bprop.numerical(f, scheme=scheme)(x).item()
    assert abs(found - expected) < SCHEMES[scheme] * max(1, abs(expected))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_large_and_small_arguments_get_steps_of_their_size(scheme):
    for x in (1e6, 1e-6, 0.0):
        found = bprop.numerical(lambda u: u * u + u, scheme=scheme)(x).item()
        assert found == pytest.approx(2 * x + 1, rel=1e-5)
    assert bprop.numerical(bprop.log, scheme="complex")(1e-30).item() == pytest.approx(1e30, rel=1e-12)


def test_errors_fall_as_theory_says():
    """Central differences: the error is f''' h²/6; forward: f'' h/2."""
    for scheme, order in (("central", 2), ("forward", 1)):
        coarse, fine = (abs(bprop.numerical(bprop.exp, scheme=scheme, step=h)(1.0).item() - np.e) for h in (0.1, 0.05))
        assert coarse / fine == pytest.approx(2**order, rel=0.05)
    assert bprop.numerical(lambda x: x * x, step=0.25)(3.0).item() == 6.0


def test_the_step_is_what_is_divided_by():
    """x + h is rounded: dividing by h and not by what x moved would leave an error of ε x / h."""
    for scheme in ("central", "forward", "richardson"):
        found = bprop.numerical(lambda x: x, scheme=scheme)(np.array([0.1, 1e8 + 0.3, -np.pi]))
        np.testing.assert_allclose(found.numpy(), np.eye(3), rtol=4e-15, atol=0)


@pytest.mark.parametrize(("f", "g"), FUNCTIONS)
@pytest.mark.parametrize("x", [0.4, -1.7, 3.0, 0.01])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_error_estimate_covers_the_error(f, g, x, dtype):
    point = np.asarray(x, dtype)
    found, error = bprop.numerical(f, scheme="richardson", error=True)(point)
    with mpmath.workdps(30):
        expected = float(mpmath.diff(g, float(point)))
    assert found.dtype == error.dtype == np.dtype(dtype)
    assert abs(found.item() - expected) <= error.item() + np.finfo(dtype).eps * abs(expected)
    assert error.item() < (1e-9 if dtype == "float64" else 1e-2) * max(1, abs(expected))


def test_the_estimate_is_honest_where_the_derivative_is_hard():
    def noisy(x):
        return x + 1e-6 * bprop.asarray(np.sin(1e9 * float(np.asarray(x.concrete()))))

    found, error = bprop.numerical(noisy, scheme="richardson", error=True)(0.5)
    assert error.item() > 1e-7
    assert abs(found.item() - 1) < 10 * error.item() + 1e-4


def test_a_domain_close_by_does_not_spoil_richardson():
    """The first steps leave the domain of log and give NaN, the later ones do not."""
    found, error = bprop.numerical(bprop.log, scheme="richardson", error=True)(0.05)
    assert found.item() == pytest.approx(20, rel=1e-7)
    assert abs(found.item() - 20) <= error.item() < 1e-2


def test_float32_is_honoured_and_can_be_evaluated_in_float64():
    x = X.astype(np.float32)

    def f(x):
        return bprop.sum(bprop.exp(x) * x)

    exact = (np.exp(x.astype(float)) * (1 + x.astype(float))).astype(np.float32)
    plain = bprop.numerical(f)(x)
    assert plain.dtype == np.float32
    np.testing.assert_allclose(plain.numpy(), exact, rtol=5e-3)
    assert np.abs(plain.numpy() - exact).max() > 1e-6  # float32 differences are no better than that
    double = bprop.numerical(f, dtype="float64")(x)
    assert double.dtype == np.float32
    np.testing.assert_allclose(double.numpy(), exact, rtol=2e-7)


def test_jacobians_and_trees():
    def f(p, x):
        return {"y": p["W"] @ x, "s": bprop.sum(bprop.tanh(p["W"] @ x))}

    p, x = {"W": np.arange(6.0).reshape(2, 3) / 7}, X
    found = bprop.numerical(f)(p, x)
    expected = bprop.jacobian(f)(p, x)
    assert found["y"]["W"].shape == (2, 2, 3)
    for one, other in ((found["y"], expected["y"]), (found["s"], expected["s"])):
        np.testing.assert_allclose(one["W"].numpy(), other["W"].numpy(), atol=1e-9)
    both = bprop.numerical(lambda p, x: f(p, x)["s"], argnums=(1, 0))(p, x)
    assert both[0].shape == (3,)
    assert both[1]["W"].shape == (2, 3)
    assert bprop.numerical(lambda x: bprop.sum(x))(np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_modules_and_their_cells(scheme):
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))
    x = np.ones((2, 3), np.float32)

    def loss(m):
        return bprop.sum(m(x.astype(m.layers[0].W.dtype)) ** 2)

    before = {path: cell.read().numpy().copy() for path, cell in model.cells().items()}
    found = bprop.numerical(loss, scheme=scheme, dtype="float64")(model)
    expected = bprop.grad(loss)(model)
    assert set(found) == set(expected)
    for path, value in expected.items():
        np.testing.assert_allclose(found[path].numpy(), value.numpy(), rtol=1e-4, atol=1e-6)
    for path, cell in model.cells().items():
        np.testing.assert_array_equal(cell.read().numpy(), before[path])


def test_cell_writes_are_discarded():
    generator = bprop.Generator(1)
    before = repr(generator)
    slope = bprop.numerical(lambda x: x * bprop.sum(generator.uniform((3,))))(1.0)
    assert repr(generator) == before
    assert slope.item() == pytest.approx(bprop.sum(bprop.Generator(1).uniform((3,))).item(), rel=1e-9)


@pytest.mark.parametrize("scheme", ["central", "forward", "richardson"])
def test_differences_nest_in_every_transform(scheme):
    def f(x):
        return bprop.sum(x**3)

    slope = bprop.numerical(f, scheme=scheme)
    tolerance = {"central": 1e-8, "forward": 1e-6, "richardson": 1e-9}[scheme]
    second = {"rtol": tolerance * 100, "atol": tolerance * 100}
    np.testing.assert_allclose(bprop.grad(lambda x: bprop.sum(slope(x)))(X).numpy(), 6 * X, **second)
    np.testing.assert_allclose(bprop.jvp(slope, (X,), (np.ones(3),))[1].numpy(), 6 * X, **second)
    np.testing.assert_allclose(bprop.vmap(slope)(X[:, None]).numpy(), 3 * X[:, None] ** 2, **second)
    graph = bprop.trace(slope)(X)
    np.testing.assert_allclose(graph(bprop.asarray(X))[0].numpy(), 3 * X**2, **second)
    twice = bprop.numerical(bprop.numerical(lambda x: x**4, scheme="richardson"), scheme="richardson")(1.5)
    assert twice.item() == pytest.approx(12 * 1.5**2, rel=1e-5)


def test_the_complex_step_of_a_derivative():
    second = bprop.numerical(bprop.grad(bprop.exp), scheme="complex")(1.0)
    assert second.item() == pytest.approx(np.e, rel=1e-15)


@pytest.mark.parametrize("outer", [bprop.grad, bprop.vmap, bprop.trace], ids=["grad", "vmap", "trace"])
def test_the_complex_step_is_refused_inside_other_transforms(outer):
    inner = bprop.numerical(lambda u: bprop.sum(u * u), scheme="complex")
    with pytest.raises(bprop.DerivativeError, match="complex step inside"):
        outer(lambda x: bprop.sum(inner(x)))(X[:, None] if outer is bprop.vmap else X)


def test_the_complex_step_names_ops_without_a_complex_form():
    with pytest.raises(bprop.DerivativeError, match="cholesky has no complex form"):
        bprop.numerical(lambda a: bprop.sum(bprop.cholesky(a)), scheme="complex")(np.eye(2))


@every_differentiable_op
@pytest.mark.parametrize("scheme", ["central", "complex"])
def test_numerical_equals_reverse_for_every_op(op, scheme):
    for f, xs, params in itertools.islice(scalar_calls(op), 4):
        if any(np.size(x) > 60 for x in xs):
            continue
        operands = tuple(range(len(xs)))
        try:
            numerical = bprop.numerical(f, operands, scheme=scheme)(*xs)
            refused = ""
        except bprop.DerivativeError as error:
            refused = str(error)
        if refused:
            assert scheme == "complex"
            assert "has no complex form" in refused
            return
        gradients = bprop.grad(f, operands, unreached="zeros")(*xs)
        for difference, gradient in zip(numerical, gradients, strict=True):
            error = 1e-6 if params.get("dtype", np.dtype(float)) == np.float64 else 1e-2  # a conversion rounds
            np.testing.assert_allclose(difference.numpy(), gradient.numpy(), rtol=error, atol=error)


def test_nan_stays_in_its_entry():
    found = bprop.numerical(lambda x: bprop.sqrt(x))(np.array([4.0, -1.0]))
    assert np.isnan(found.numpy()).tolist() == [[False, False], [True, True]] or np.isnan(found[1, 1].item())
    assert found[0, 0].item() == pytest.approx(0.25)


def test_errors():
    with pytest.raises(bprop.ArgumentError, match="'central', 'forward', 'complex', 'richardson', not 'magic'"):
        bprop.numerical(bprop.exp, scheme="magic")
    with pytest.raises(bprop.ArgumentError, match="error=True needs scheme='richardson'"):
        bprop.numerical(bprop.exp, error=True)
    with pytest.raises(bprop.DTypeError, match=r"write 1\.0"):
        bprop.numerical(bprop.exp)(1)
    with pytest.raises(bprop.DTypeError, match="no derivative"):
        bprop.numerical(lambda x: x > 0)(1.0)
    with pytest.raises(bprop.DTypeError, match="floating-point one"):
        bprop.numerical(bprop.exp, dtype="int64")
    with pytest.raises(bprop.ArgumentError, match="step has shape"):
        bprop.numerical(lambda x: bprop.sum(x), step=np.ones(2))(X)
