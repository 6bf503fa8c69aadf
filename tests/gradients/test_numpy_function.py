"""NumPy code differentiates unchanged; a NumPy function without a rule is named, with what to do.

Planted: ``__array_function__`` falling back to numbers (the refusals fail: a constant made silently).
"""

import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose

import bprop

X = np.array([[0.5, 1.5, 2.0], [1.1, 0.25, 3.0]])
OUT = np.zeros_like(X)
WITH_RULE = [
    lambda x: np.sum(np.exp(x)), lambda x: np.mean(np.log(x) * x), lambda x: np.max(x),
    lambda x: np.sum(np.tanh(x) ** 2), lambda x: np.sum(np.maximum(x, 1.2)), lambda x: np.sum(np.where(x > 1, x, 0)),
    lambda x: np.einsum("ij,kj->", x, x), lambda x: np.sum(np.matmul(x, x.T)), lambda x: np.sum(np.dot(x, X.T)),
    lambda x: np.sum(np.transpose(x)[0] / np.sqrt(x[:, 1])), lambda x: np.sum(np.reshape(x, (3, 2)) @ X),
    lambda x: np.sum(np.broadcast_to(x, (2, 2, 3))), lambda x: np.sum(np.linalg.solve(x[:, :2], X)),
    lambda x: np.sum(np.expm1(x) - np.log1p(x)), lambda x: np.sum(np.abs(-x) + np.negative(x) * np.square(x)),
    lambda x: np.sum(x * X + X * x), lambda x: np.sum(1 / (1 + np.exp(-(X @ x.T)))),
    lambda x: np.sum(np.take(x, [2, 0], axis=1) * 2), lambda x: np.sum(np.moveaxis(x, 0, 1)[2]),
    lambda x: np.sum(np.sin(x) * np.cos(x) + np.tan(x / 3)), lambda x: np.sum(np.arctan2(x, X) * np.hypot(x, 2)),
    lambda x: np.sum(np.sinh(x) - np.cosh(x) + np.arcsinh(x) * np.arccosh(x + 1)), lambda x: np.sum(np.arcsin(x / 4)),
    lambda x: np.sum(np.arccos(x / 4) * np.arctan(x) + np.arctanh(x / 4)), lambda x: np.sum(np.log2(x) + np.log10(x)),
    lambda x: np.sum(np.exp2(x) + np.cbrt(x) + np.logaddexp(x, 1)), lambda x: np.sum(np.reciprocal(np.positive(x))),
    lambda x: np.sum(x // 0.43 * x + x % 0.43 + np.fmod(-x, 0.43)), lambda x: np.sum(np.clip(x, 0.3, a_max=1.7) ** 2),
    lambda x: np.sum(np.clip(x, min=0.3, max=None) ** 2), lambda x: np.sum(np.copysign(x, -X) * np.floor(x + 0.3)),
    lambda x: np.sum(np.round(x + 0.02, 1) * x + np.around(x + 0.2) * x + np.rint(x + 0.2) * x),
    lambda x: np.sum(np.divmod(x, 0.43)[1]), lambda x: np.sum(np.real(x) * np.conj(x) + np.imag(x)),
    lambda x: np.sum(np.fabs(x) * np.isfinite(x) * ~np.isnan(x)), lambda x: np.sum(np.fix(x + 0.2) * x),
    lambda x: np.sum(np.ones_like(x) * x - np.zeros_like(x)), lambda x: np.float64(2.0) * np.sum(np.power(x, 3)),
    lambda x: np.prod(x), lambda x: np.amin(x) * np.amax(x), lambda x: np.sum(np.var(x, axis=0, ddof=1)),
    lambda x: np.std(x) + np.median(x), lambda x: np.sum(np.cumsum(x) * np.arange(6)), lambda x: np.sum(np.cumprod(x)),
    lambda x: np.sum(np.cumulative_sum(x, axis=1, include_initial=True) ** 2),
    lambda x: np.sum(np.cumulative_prod(x, axis=0) ** 2), lambda x: np.sum(np.diff(x, axis=0, append=x[:1]) ** 2),
    lambda x: np.sum(np.sort(x, axis=None) * np.arange(6)), lambda x: np.sum(np.unique(x) * np.arange(6)),
    lambda x: np.sum(x * np.argsort(x, axis=0)) + np.sum(x * np.argmax(x)) - np.argmin(x, axis=1)[0],
    lambda x: np.sum(x) * np.count_nonzero(x > 1) + np.sum(x * np.any(x > 2, axis=0)) * np.all(x > 0),
    lambda x: np.sum(x[np.where(x > 1)] ** 2) + np.sum(x[np.where(x[:, 0] > 9)]) * np.where(x > 1)[1][0],
    lambda x: np.sum(x[np.nonzero(x[:, 0] > 1)[0]]) + np.sum(x * np.searchsorted([0.3, 1.2, 2.5], x, side="right")),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WITH_RULE)))
def test_functions_with_a_rule(number, numerical):
    f = WITH_RULE[number]
    assert_allclose(np.asarray(f(bprop.asarray(X))), f(X), rtol=1e-13)
    gradient = np.asarray(bprop.grad(f)(X))
    for index in np.ndindex(X.shape):
        unit = np.zeros_like(X)
        unit[index] = 1
        assert_allclose(gradient[index], numerical(lambda t, unit=unit: [f(X + t * unit)])[0], rtol=1e-8, atol=1e-9)


def test_options_go_by_numpys_names_and_positions():
    x = bprop.asarray(X)
    for ours, theirs in (
        (np.sum(x, 0, None, None, True), np.sum(X, 0, keepdims=True)),
        (np.max(x, 1, None, True), np.max(X, 1, keepdims=True)),
        (np.mean(x, 1, None, None, True), np.mean(X, 1, keepdims=True)),
        (np.sum(a=x, axis=1), np.sum(X, 1)),
        (np.reshape(x, (3, 2), "C"), X.reshape(3, 2)),
        (np.take(x, indices=[0], axis=1), X[:, [0]]),
        (np.sum(x, 0, np.float32), np.sum(X, 0, np.float32)),
        (np.std(x, 1, None, None, 1, True), np.std(X, 1, ddof=1, keepdims=True)),
        (np.var(x, correction=1), np.var(X, correction=1)),
        (np.sort(x, 0, "stable"), np.sort(X, 0)),
        (np.argsort(-x, axis=None, stable=True), np.argsort(-X, axis=None)),
        (np.cumprod(x, 0, np.float32), np.cumprod(X, 0, np.float32)),
        (np.argmax(x, 1, keepdims=True), np.argmax(X, 1, keepdims=True)),
        (np.diff(x, 2, 1, 0.0), np.diff(X, 2, 1, 0.0)),
        (np.unique(x > 1, return_counts=True)[1], np.unique(X > 1, return_counts=True)[1]),
        (np.unique([np.nan, np.nan] * x[0, 0]), [np.nan]),
        (x.cumsum(), X.cumsum()),
        (x.cumprod(1), X.cumprod(1)),
        (x.argsort(), X.argsort()),
        (x.argmin(0), X.argmin(0)),
        ((x > 1).nonzero()[1], (X > 1).nonzero()[1]),
    ):
        assert_allclose(np.asarray(ours), theirs)
    assert np.size(x) == 6
    assert np.allclose(x, X, rtol=0)


def test_options_without_a_rule_are_numpys_where_no_derivative_is_lost():
    for f in (lambda x: np.cumsum(x, out=np.zeros(6)), lambda x: np.sum(x, 0, None, np.zeros(3)),
              lambda x: np.quantile(x, 0.5, None, np.zeros(())), lambda x: [np.exp(x, out=OUT), OUT][0],
              lambda x: np.exp(x, signature="d->d")):  # fmt: skip
        y, numpys = f(bprop.asarray(X)), f(X)
        assert_allclose(y, numpys, rtol=1e-15)
        # a function with a rule returns an Array, except what it was given to fill
        assert type(y) in (bprop.Array, np.ndarray)
        for transform in (bprop.jacobian(f), lambda x, f=f: bprop.jvp(f, (x,), (x,)), bprop.compile(f)):
            with pytest.raises(bprop.NumPyFunctionError, match=r"options .* are not supported|arrays do not change"):
                transform(X)
    out = np.zeros_like(X)
    assert np.add(X, bprop.asarray(X), out=out) is out


def test_functions_without_a_rule_are_named():
    for f, name in ((scipy.special.ber, "scipy.special.ber"), (scipy.special.hyp1f1, "scipy.special.hyp1f1")):
        with pytest.raises(bprop.NumPyFunctionError, match=name.replace(".", r"\.")) as caught:
            bprop.grad(lambda x, f=f: bprop.sum(f(*[x] * f.nin)))(X)
        assert "bprop.custom" in str(caught.value)
        assert "test_numpy_function.py" in caught.value.line


def test_options_and_methods_of_ufuncs_are_refused():
    for f, words in (
        (
            lambda x: np.exp(x, where=X > 1),
            r"numpy\.exp: where= without out=.*write numpy\.where\(condition, numpy\.exp\(x\)",
        ),
        (lambda x: np.add.at(OUT, 0, x[0]), r"(?s)numpy\.add\.at would write.*OUT = OUT\.at\[0\]\.add\(x\[0\]\)"),
        (lambda x: np.add.reduce(x, out=OUT[0]), r"numpy\.add\.reduce: options \['out'\] are not supported"),
        (lambda x: np.add(X, x, out=OUT), r"(?s)\(out=\), and arrays do not change.*OUT = np\.add\(X, x\)"),
    ):
        with pytest.raises(bprop.NumPyFunctionError, match=words):
            bprop.jacobian(f)(X)
    assert_allclose(np.add.reduce(bprop.asarray(X)), np.add.reduce(X))
    assert_allclose(np.multiply.outer(bprop.asarray(X), [1.0, 2.0]), np.multiply.outer(X, [1.0, 2.0]))


def test_numpy_arrays_on_the_left():
    for f in (lambda x: X + x, lambda x: X - x, lambda x: X * x, lambda x: X / x, lambda x: X**x, lambda x: X @ x.T):
        y = f(bprop.asarray(X))
        assert isinstance(y, bprop.Array)
        assert_allclose(y, f(X))
    assert isinstance(np.greater(X, bprop.asarray(X)), bprop.Array)


def test_a_numpy_array_takes_the_numbers_in_place_but_not_those_of_a_derivative():
    def step(x):
        data = X.copy()
        data -= 0.1 * x  # NumPy passes out=data: under a transform a constant would be made silently
        return data

    assert type(step(bprop.asarray(X))) is np.ndarray
    assert_allclose(step(bprop.asarray(X)), 0.9 * X)
    for transform in (bprop.jacobian(step), lambda x: bprop.jvp(step, (x,), (x,)), bprop.compile(step)):
        with pytest.raises(bprop.NumPyFunctionError, match=r"numpy\.subtract .*\(out=\), and arrays do not change"):
            transform(X)


def test_what_would_write_into_an_array_raises():
    x = bprop.asarray(X)
    for f in (lambda: np.add(X, X, out=x), lambda: np.cumsum(X, out=x), lambda: np.put(x, 0, 1.0), lambda: np.add.at(x, 0, 1),
              lambda: np.copyto(x, X), lambda: np.fill_diagonal(x, 1.0), lambda: np.divmod(X, X, out=(x, None))):  # fmt: skip
        with pytest.raises(bprop.ArgumentError, match="never changes"):
            f()
    assert_allclose(x, X)


OF_SHAPE_AND_DTYPE = [
    lambda x: x * 2 + np.sum(x[np.diag_indices_from(x)]),
    lambda x: x * 2 + np.sum(x[np.tril_indices_from(x, k=-1)]),
    lambda x: x * 2 + np.sum(x[np.triu_indices_from(x)]),
    lambda x: x * (3.0 if np.isrealobj(x) and not np.iscomplexobj(x) else 5.0),
    lambda x: x.astype(np.common_type(x, np.float32(1.0))),
    lambda x: x * float(len(np.einsum_path("ij,jk,kl", x, x, x)[0])),
    lambda x: x * (3.0 if np.shares_memory(x, x) and not np.may_share_memory(x, np.ones(4)) else 5.0),
    lambda x: bprop.asarray(x).at[np.diag_indices_from(x)].add(0.5),
]


@pytest.mark.parametrize("number", range(len(OF_SHAPE_AND_DTYPE)))
def test_what_depends_on_shape_and_dtype_alone_needs_no_numbers(number):
    """Planted: `Call.on_shapes` with one stand-in for each leaf, not for each value."""
    f, x = OF_SHAPE_AND_DTYPE[number], np.array([[0.5, 2.0], [1.5, 0.25]])
    wanted = f(x)
    x_dot = np.cos(x)
    for y in (f(bprop.asarray(x)), bprop.compile(f)(x), bprop.vmap(f)(x[None])[0], bprop.jvp(f, (x,), (x_dot,))[0]):
        assert_allclose(y, wanted, rtol=1e-15)
    y_dot = bprop.jvp(f, (x,), (x_dot,))[1]
    assert_allclose(bprop.compile(lambda x: bprop.jvp(f, (x,), (x_dot,))[1])(x), y_dot, rtol=1e-14)
    assert_allclose(np.tensordot(bprop.jacobian(f)(x), x_dot, 2), y_dot, rtol=1e-14)


def _refused(f):
    with pytest.raises(bprop.BpropError) as caught:
        bprop.grad(lambda x: bprop.sum(f(x)))(V)
    return str(caught.value)


V = np.array([0.7, 1.6])
OF_A_LIST = {
    "mean": lambda x, given: np.mean(given([x[0], x[1]])),
    "std": lambda x, given: np.std(given([x[0], x[1]])),
    "var": lambda x, given: np.var(given([x[0], x[1]])),
    "median": lambda x, given: np.median(given([x[0], x[1]])),
    "average": lambda x, given: np.average(given([x[0], x[1]])),
    "nanmean": lambda x, given: np.nanmean(given([x[0], x[1]])),
    "percentile": lambda x, given: np.percentile(given([x[0], x[1]]), 30),
    "quantile": lambda x, given: np.quantile(given([x[0], x[1]]), 0.3),
}
OF_OBJECTS = {
    "cov": lambda x, given: np.cov(given([x[0], x[1]])),
    "linalg.det": lambda x, given: np.linalg.det(given([[x[0], 0.0], [1.0, x[1]]])),
    "interp": lambda x, given: np.interp(0.5, [0, 1], given([x[0], x[1]])),
}


@pytest.mark.parametrize("name", [*OF_A_LIST, *OF_OBJECTS])
def test_a_function_that_takes_no_list_of_values_says_what_does(name):
    """Planted: `explain_objects` without ``dtype object``; `replacement` that says bprop.stack."""
    f = (OF_A_LIST | OF_OBJECTS)[name]
    for given in (list, np.array):
        message = _refused(lambda x: f(x, given))  # noqa: B023
        assert message.startswith(f"numpy.{name}"), message
        assert (f"numpy.{name}(bprop.asarray(values))" if name in OF_A_LIST else "a = bprop.asarray(a)") in message
        assert "result of divide) inside" not in message or "of a list or an array of objects" in message
    for ours in (bprop.asarray, bprop.stack):
        assert_allclose(f(bprop.asarray(V), ours), f(V, np.array), rtol=1e-14)
        bprop.grad(lambda x: bprop.sum(f(x, ours)))(V)  # noqa: B023


def test_a_histogram_of_values_says_what_runs():
    f = lambda x, given: x * np.histogram(given([x[0], x[1]]))[0][0]
    for given in (list, np.array):
        assert _refused(lambda x: f(x, given)).startswith("numpy.histogram of an array of objects")  # noqa: B023
    assert_allclose(bprop.grad(lambda x: bprop.sum(f(x, bprop.asarray)))(V), [1.0, 1.0])


@pytest.mark.parametrize("join", [np.stack, np.vstack, np.array])
def test_the_advice_for_a_matrix_of_values_runs(join):
    """numpy.stack of nested lists asks no value what to do: it is not the function to name."""
    message = _refused(lambda x: np.linalg.det(join([[x[0], 0.0], [1.0, x[1]]])))
    assert "bprop.asarray([x, y]) for numpy.array([x, y]), bprop.stack for numpy.stack" in message
    for ours in (bprop.asarray, bprop.stack):
        assert_allclose(bprop.grad(lambda x: np.linalg.det(ours([[x[0], 0.0], [1.0, x[1]]])))(V), V[::-1])  # noqa: B023


def test_a_conversion_is_shown_as_the_line_that_runs():
    for f, line in (
        (lambda x: np.asarray(x, float), "write bprop.asarray(x, dtype=float), cut"),
        (lambda x: np.array(x * 2, dtype=np.float32), "write bprop.asarray(x * 2, dtype=np.float32), cut"),
        (lambda x: np.array([x[0], 1.0], dtype=float), "write bprop.asarray([x[0], 1.0], dtype=float), cut"),
        (lambda x: np.asanyarray(x[0], "float64"), "write bprop.asarray(x[0], dtype='float64'), cut"),
    ):
        assert line in _refused(f)
        written = line.removeprefix("write ").removesuffix(", cut")
        ours = lambda x: eval(written, {"bprop": bprop, "np": np, "x": x})  # noqa: B023
        assert_allclose(ours(bprop.asarray(V)), f(V), rtol=1e-6)
        bprop.grad(lambda x: bprop.sum(ours(x)))(V)  # noqa: B023


def test_functions_of_scipy_that_look_into_a_value_name_ours():
    special = pytest.importorskip("scipy.special")
    for f, name in (
        (lambda x: special.factorial(x[0]), "factorial"),
        (lambda x: special.lambertw(x[0]), "lambertw"),
        (lambda x: special.spherical_jn(1, x[0]), "spherical_jn"),
        (lambda x: special.spherical_in(1, x[0]), "spherical_in"),
    ):
        message = _refused(f)
        assert message.startswith(f"scipy.special.{name} "), message
        assert f"write bprop.scipy.special.{name}" in message
        with pytest.raises(bprop.BpropError, match=rf"write bprop\.scipy\.special\.{name}"):
            bprop.compile(f)(V)
    with pytest.raises(bprop.TracedValueError, match=r"write bprop\.scipy\.special\.factorial"):
        bprop.vmap(lambda x: special.factorial(x[0]))(V[None])


def test_an_array_without_axes_is_no_iterable():
    x = bprop.asarray(2.0)
    assert not np.iterable(x)
    assert np.iterable(bprop.ones(2))
    for f in (iter, len, list):
        with pytest.raises(TypeError, match=r"an array of shape \(\) has no axes"):
            f(x)
    assert bprop.grad(lambda x: x * (1.0 if np.iterable(x) else 3.0))(2.0).item() == 3.0
