"""`numpy.array` of a list with values under a transform is an object array of them, which every op takes as one array.

Planted: `_along_one_axis` that joins the runs in reverse; `whole` that leaves object arrays (their transform has ended when
they are joined); `user_lists` that is always true (a library fails late, and `as_strided` reads memory that is not there);
`explain_objects` that returns ``None``; `native_call` that finds nothing.
"""

import cmath
import math
from math import lgamma

import numpy as np
import pytest
import scipy.integrate
import scipy.interpolate
import scipy.linalg
import scipy.special
import scipy.stats
from numpy.lib.stride_tricks import as_strided
from numpy.testing import assert_allclose

import bprop

X = np.array([0.5, 1.5, 2.0])
MATRIX = np.array([[2.0, 1, 0], [1, 3, 1], [0, 1, 4]])
rotation = lambda x: np.array([[np.cos(x[0]), -np.sin(x[0])], [np.sin(x[0]), np.cos(x[0])]])
FORMS = {
    "array": lambda x: np.sum(np.array([x[1], -np.sin(x[0])]) * np.array([1.0, 2.0])),
    "nested": lambda x: np.sum(np.array([[x[0], 1.0], [2, x[1]]]) @ np.array([1.0, x[2]])),
    "matrix of functions": lambda x: np.sum(rotation(x) @ x[1:]),
    "rows": lambda x: np.sum(np.array([x, 2 * x, X]) @ x),
    "r_": lambda x: np.sum(np.r_[x, 1.0] ** 2),
    "c_": lambda x: np.sum(np.c_[x, x * 2] ** 2),
    "full": lambda x: np.sum(np.full(3, x[0]) * X),
    "stack": lambda x: np.sum(np.stack([x[0], x[1] * x[2]]) ** 2),
    "asarray": lambda x: np.sum(np.exp(np.asarray(x)) + np.asarray([x[0], 1.0, 2])),
    "empty": lambda x: np.sum(np.array([x[:0], x[:0]])) + x[0] * x[1],
    "vectorize": lambda x: np.sum(np.vectorize(lambda u: u * u + 1)(x)),
    "polynomial": lambda x: np.polynomial.Polynomial([x[0], x[1], x[2]])(1.7),
    "polynomial of a value": lambda x: np.polynomial.Polynomial([1.0, 2.0, 3.0])(x[1]),
    "dot": lambda x: np.dot(np.array([x[0], x[1], 1.0]), x),
    "matmul": lambda x: np.sum(np.array([x[0], x[1], 1.0]) @ MATRIX),
    "norm": lambda x: np.linalg.norm(np.array([x[0], x[1]])),
    "where": lambda x: np.sum(np.where(X > 1, np.array([x[0], x[1], 0.0]), x)),
    "concatenate": lambda x: np.sum(np.concatenate([np.array([x[0], 1.0]), x]) ** 2),
    "ufuncs": lambda x: np.sum(np.sqrt(np.array([x[0], x[1]])) + np.log(np.array([x[2], x[1]]))),
    "of two": lambda x: np.sum(np.hypot(np.array([x[0], x[1]]), 2.0) + np.arctan2(np.array([x[0], x[1]]), [1.0, 2.0])),
    "power": lambda x: np.sum(np.power(np.array([x[0], x[1]]), 2.5) + np.array([x[0], x[1]]) ** x[2]),
    "sum of a list": lambda x: np.sum([x[0] * x[1], x[2]]),
    "slices": lambda x: np.sum(np.array([x[0], x[1], x[2]])[1:] * np.array([x[0], x[1], x[2]])[:-1]),
    "cumsum": lambda x: np.sum(np.cumsum(np.array([x[0], x[1], 1.0])) * X),
    "cross": lambda x: np.sum(np.cross(np.array([x[0], x[1], 1.0]), X) ** 2),
    "einsum": lambda x: np.einsum("i,i->", np.array([x[0], x[1], 1.0]), x),
    "linspace": lambda x: np.sum(np.linspace(0, x[0], 5) ** 2),
    "trapezoid": lambda x: np.trapezoid(np.array([x[0], x[1] * x[2], 1.0])),
    "object array filled": lambda x: np.sum(_filled(x)),
    "compared": lambda x: np.sum(np.where(np.array([x[0], x[1]]) ** 2 > -1, 2.0, 1.0) * np.array([x[0], x[1]])),
}


def _filled(x):
    y = np.empty(3, dtype=object)
    for i in range(3):
        y[i] = x[i] * 2
    y[1:] = x[:2]
    return y


def _by_differences(f, h=1e-6):
    return np.array([(f(X + h * e) - f(X - h * e)) / (2 * h) for e in np.eye(3)])


@pytest.mark.parametrize("form", FORMS)
def test_results_are_numpys_and_derivatives_right_under_every_transform(form):
    f = FORMS[form]
    gradient, hessian = _by_differences(f), bprop.hessian(f)(X)
    if form != "compared":  # a decision of Python's
        assert_allclose(bprop.vmap(bprop.grad(f))(X[None])[0], gradient, rtol=1e-7, atol=1e-9)
    assert_allclose(bprop.value_and_grad(f)(X)[0], f(X), rtol=1e-14)
    for by in (bprop.grad(f), bprop.jacobian(f, mode="forward")):
        assert_allclose(by(X), gradient, rtol=1e-7, atol=1e-9)
    assert_allclose(bprop.jvp(bprop.grad(f), (X,), (X,))[1], hessian @ X, rtol=1e-8, atol=1e-12)
    assert_allclose(hessian, _by_differences(lambda x: np.asarray(bprop.grad(f)(x))), rtol=1e-6, atol=1e-8)


def test_compiled_they_give_the_same():
    forms = [f for form, f in FORMS.items() if form != "compared"]
    results = bprop.compile(lambda x: [bprop.value_and_grad(f)(x) for f in forms])(X)
    for f, (value, gradient) in zip(forms, results, strict=True):
        assert_allclose(value, f(X), rtol=1e-14)
        assert_allclose(gradient, bprop.grad(f)(X), rtol=1e-12, atol=1e-14)


def test_a_result_is_an_array_wherever_it_comes_out():
    f = lambda x: np.array([x[1], -np.sin(x[0])])
    jacobian = [[0, 1, 0], [-np.cos(0.5), 0, 0]]
    for mode in ("forward", "reverse"):
        assert_allclose(bprop.jacobian(f, mode=mode)(X), jacobian)
    y, pullback = bprop.vjp(f, X)
    assert type(y) is bprop.Array
    assert_allclose(pullback(np.ones(2))[0], np.sum(jacobian, 0))
    assert_allclose(bprop.vmap(f)(np.stack([X, X])), [f(X), f(X)])
    assert_allclose(bprop.compile(f)(X), f(X))
    assert [str(spec) for spec in bprop.trace(f)(X).specs] == ["float64[2]"]
    assert_allclose(bprop.scan(lambda c, _: (np.array([c[1], -c[0]]), c[0]), X[:2], length=4)[0], X[:2])
    assert_allclose(bprop.cond(True, f, lambda x: x[:2], X), f(X))
    assert_allclose(bprop.checkpoint(f)(X), f(X))
    assert_allclose(bprop.jacobian(bprop.checkpoint(f))(X), jacobian)
    assert_allclose(bprop.grad(lambda x: (np.sum(f(x)), {"aux": f(x)}), has_aux=True)(X)[1]["aux"], f(X))
    assert f(bprop.asarray(X)).dtype == float  # without a transform: numbers


def test_lists_and_object_arrays_are_operands():
    for f in (
        lambda x: bprop.sum([x[0], 2.0, x[2]] * x),
        lambda x: bprop.sum(bprop.asarray([[x[0], 1], [x[1], x[2]]]) ** 2),
        lambda x: bprop.sum(bprop.matmul([[x[0], 1.0]], np.array([x[1], x[2]]))),
        lambda x: bprop.stack([np.array([x[0], x[1]]), x[1:]])[0, 1],
        lambda x: bprop.asarray(np.array([x[0], 1.0, 2.0])[1:])[0] * x[1],
        lambda x: x @ (x[0], x[1], 1.0),
    ):
        assert_allclose(
            bprop.grad(f)(X), _by_differences(lambda x, f=f: np.asarray(f(bprop.asarray(x)))), rtol=1e-7, atol=1e-9
        )
    dtypes = bprop.trace(lambda x: [bprop.asarray([x[0], 1.0]), bprop.asarray([x[0], np.float32(1)])])(np.float32(X))
    assert [output.dtype for output in dtypes.specs] == [np.float64, np.float32]  # as NumPy promotes


def test_a_list_is_one_application():
    graph = bprop.trace(lambda x: np.sum(bprop.asarray([x, 1.0, x, 2.0] * 50)))(1.0)
    assert [node.op.name for node in graph.nodes].count("concat") == 1
    assert len(bprop.trace(lambda x: bprop.asarray(np.full(500, x)))(1.0).nodes) <= 3


def test_a_large_value_is_not_taken_apart():
    with pytest.raises(bprop.TracedValueError, match=r"2,000 Python objects.*leave numpy\.asarray out") as caught:
        bprop.grad(lambda x: np.sum(np.asarray(x) ** 2))(np.ones(2000))
    assert "np.asarray(x)" in caught.value.line


REFUSED = {
    "numbers among them": (lambda x: np.sum(np.sin(np.array([x[0], 2.0]))), r"numpy\.sin of an array of objects.*Python numbers among"),
    "number first": (lambda x: np.sum(np.arctan2(1.0, np.array([x[0], x[1]]))), r"numpy\.arctan2 of an array.*bprop\.asarray\("),
    "solve": (lambda x: np.linalg.solve(MATRIX, np.array([x[0], x[1], 1.0])), r"numpy\.linalg\.solve of an array.*bprop\.asarray"),
    "det": (lambda x: np.linalg.det(np.array([[x[0], 1.0], [0.0, 1.0]])), r"numpy\.linalg\.det of an array of objects"),
    "fft": (lambda x: np.fft.fft(np.array([x[0], x[1]])), r"numpy\.fft\.fft of an array of objects"),
    "isnan": (lambda x: np.isnan(np.array([x[0], x[1]])), r"numpy\.isnan of an array of objects"),
    "special": (lambda x: scipy.special.erf(np.array([x[0], x[1]])), r"scipy\.special\.erf of an array of objects"),
    "full, dtype": (lambda x: np.full(3, x[0], dtype=float), r"numpy\.full of a value .*write bprop\.broadcast_to\(x, shape\)"),
    "mean": (lambda x: np.mean([x[0], x[1]]), r"numpy\.mean of .*np\.mean\(bprop\.asarray\(\[x\[0\], x\[1\]\]\)\)"),
    "dtype": (lambda x: np.array([x[0], 1.0], dtype=float), r"numpy\.asarray of .*bprop\.asarray\(\[x\[0\], 1\.0\], dtype=float\)"),
    "astype": (lambda x: np.array([x[0], 1.0]).astype(float), r"float\(\) of .*bprop\.asarray\(a, dtype=dtype\)"),
    "fromiter": (lambda x: np.fromiter([x[0], x[1]], float), r"float\(\) of .*bprop\.stack\(list\(values\)\)"),
    "nditer": (lambda x: sum(v * v for v in np.nditer(x)), r"^numpy\.nditer goes over .*for entry in x\.ravel\(\)"),
    "random": (lambda x: np.random.normal(x[0]), r"^np\.random\.normal of "),
    "math": (lambda x: math.exp(x[0]), r"^math\.exp of .*write numpy\.exp\(x\[0\]\)"),
    "math, other name": (lambda x: lgamma(x[0]), r"^lgamma of .*write bprop\.scipy\.special\.gammaln\(x\[0\]\)"),
    "math, base": (lambda x: math.log(x[0], 2), r"^math\.log of .*write numpy\.log\(x\[0\]\) / numpy\.log\(2\)"),
    "cmath": (lambda x: cmath.exp(x[0]), r"^cmath\.exp of .*write numpy\.exp\(x\[0\]\)"),
    "float": (lambda x: float(x[0]), r"^float\(\) of "),
    "item": (lambda x: x[:1].item(), r"^\.item\(\) of .*write x\.reshape\(\(\)\)"),
    "memory": (lambda x: as_strided(x, (2, 2), (8, 8)), r"^numpy\.lib\.stride_tricks\.as_strided of .*sliding_window_view"),
    "scipy, class": (lambda x: scipy.interpolate.CubicSpline([0, 1, 2], [0, 1, 4])(x), r"^scipy\.interpolate\.CubicSpline of "),
    "scipy": (lambda x: scipy.linalg.solve(MATRIX, x), r"scipy\.linalg\.solve of "),
    "scipy, method": (lambda x: scipy.stats.norm.logpdf(x), r"scipy\.stats\.norm\.logpdf of "),
    "scipy, state": (lambda x: scipy.integrate.solve_ivp(lambda t, y: np.array([y[1], -y[0]]), (0, 1), x[:2]), r"integrate\.solve_ivp of "),
    "scipy, rate": (lambda x: scipy.integrate.solve_ivp(lambda t, y: np.array([y[1], -x[0] * y[0]]), (0, 1), X[:2]), r"solve_ivp of "),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_numpy_or_a_library_does_not_compute_is_refused_by_name_at_the_users_line(case):
    f, words = REFUSED[case]
    for transform in (
        bprop.jacobian(f),
        lambda x: bprop.jvp(f, (x,), (x,)),
        lambda x: bprop.vmap(f)(x[None]),
        bprop.compile(f),
    ):
        with pytest.raises(bprop.BpropError, match=words) as caught:
            transform(X)
        assert "test_object_array.py" in caught.value.line
        assert "lambda x:" in caught.value.line


def test_a_ufunc_of_a_python_function_cuts_no_derivative_and_is_computed_where_there_is_none():
    square = np.frompyfunc(lambda v: v * v, 1, 1)
    f = lambda x: np.sum(square(x))
    for transform in (bprop.grad(f), lambda x: bprop.jvp(f, (x,), (x,)), bprop.compile(f)):
        with pytest.raises(bprop.BpropError, match=r"^the ufunc <lambda> .* has no bprop rule"):
            transform(X)
    assert_allclose(bprop.vmap(square)(X[None]), X[None] ** 2)


def test_other_errors_stay_what_they_are():
    for f, kind in (
        (lambda x: np.array([x[0], 1.0]) + "a", TypeError),
        (lambda x: np.array([x[0], 1.0]).nothing, AttributeError),
        (lambda x: (1.0).nothing + np.array([x[0]])[0], AttributeError),
        (lambda x: np.array([x[0], 1.0])[2], IndexError),
        (lambda x: bprop.asarray([x[0], x[:2]]), bprop.ShapeError),
        (lambda x: bprop.asarray(np.array([x[0], None])), bprop.DTypeError),
        (lambda x: x.sin(), AttributeError),
        (lambda x: x[0].nothing, AttributeError),
    ):
        with pytest.raises(kind) as caught:
            bprop.grad(f)(X)
        assert not isinstance(caught.value, bprop.NumPyFunctionError)
    with pytest.raises(bprop.DTypeError, match="object"):
        bprop.asarray(np.array([1.0, None]))


def test_an_object_array_of_an_ended_transform_is_named():
    kept = []
    bprop.grad(lambda x: kept.append(np.array([x[0], 1.0])) or bprop.sum(x))(X)
    with pytest.raises(bprop.EscapedError, match="made inside grad of"):
        bprop.sum(kept[0])


TABLE = np.array([1.0, 2.0, 4.0, 8.0])


def test_an_index_into_numpys_array_without_a_number():
    """Planted: `explain_index` that returns ``None``."""
    f = lambda x: np.sum(TABLE[np.searchsorted(TABLE, x)] * x)
    assert_allclose(bprop.grad(f)(X), TABLE[np.searchsorted(TABLE, X)])
    for transform in (bprop.compile(bprop.grad(f)), bprop.compile(f), lambda x: bprop.vmap(f)(x[None])):
        with pytest.raises(
            bprop.TracedValueError, match=r"write bprop\.asarray\(TABLE\)\[np\.searchsorted\(TABLE, x\)\]"
        ) as caught:
            transform(X)
        assert "TABLE[np.searchsorted(TABLE, x)]" in caught.value.line
    with pytest.raises(IndexError, match="only integers"):
        bprop.grad(lambda x: np.sum(np.array([x[0]])) * TABLE["a"])(X)


# --- what NumPy cannot do with a list: the message has the line to write ---
def _named(a, b):
    values = [a, b]
    return np.mean(values)


def _array_of_objects(a, b):
    values = np.array([a, 2.0, b])
    return np.sum(np.sqrt(values))


def _largest(a, b):
    values = np.array([a, b])
    return values.max()


def _with_a_number(a, b):
    rows = [[0.5, a], [b, 2.0]]
    return np.mean(rows)


LINES = {
    "bprop.asarray([a, b]).std()": lambda a, b: np.array([a, b]).std(),
    "np.mean(bprop.asarray([a, b]))": lambda a, b: np.mean([a, b]),
    "np.std(bprop.asarray([a, b]), ddof=1)": lambda a, b: np.std([a, b], ddof=1),
    "np.linalg.solve(bprop.asarray([[a, b], [b, 3 * a]]), bprop.asarray([a, 1.0]))": lambda a, b: np.sum(
        np.linalg.solve([[a, b], [b, 3 * a]], [a, 1.0])
    ),
    "np.linalg.det(bprop.asarray([[a, b], [b, 3 * a]]))": lambda a, b: np.linalg.det(np.array([[a, b], [b, 3 * a]])),
    "np.exp(bprop.asarray([a, b, 1.0]))": lambda a, b: np.sum(np.exp([a, b, 1.0])),
    "np.quantile(bprop.asarray([a, b]), 0.4)": lambda a, b: np.quantile([a, b], 0.4),
    "np.logaddexp.reduce(bprop.asarray([a, b]))": lambda a, b: np.logaddexp.reduce([a, b]),
    "np.fft.fft(bprop.asarray([a, b]))": lambda a, b: np.sum(np.abs(np.fft.fft([a, b]))),
    "scipy.special.gammaln(bprop.asarray([a, b]))": lambda a, b: np.sum(scipy.special.gammaln([a, b])),
    "np.mean(bprop.asarray(values))": _named,
    "np.sqrt(bprop.asarray(values))": _array_of_objects,
    "np.mean(bprop.asarray(rows))": _with_a_number,
}
COMPARED = {
    "bprop.asarray([a, b]).max()": lambda a, b: np.array([a, b]).max(),
    "bprop.asarray(values).max()": lambda a, b: _largest(a, b),
    "numpy.maximum(a, b)": lambda a, b: max(a, b),
    "numpy.min(bprop.asarray([a, b]))": lambda a, b: min([a, b]),
    "np.max(bprop.asarray([a, b]))": lambda a, b: np.max([a, b]),
    "np.maximum(bprop.asarray([a, b]), 1.0)": lambda a, b: np.sum(np.maximum([a, b], 1.0)),
    "np.sort(bprop.asarray([a, b]))": lambda a, b: np.sort([a, b])[0],
    "np.clip(bprop.asarray([a, b]), 0.0, 1.0)": lambda a, b: np.sum(np.clip([a, b], 0.0, 1.0)),
    "np.average([1.0, 2.0], weights=bprop.asarray([a, b]))": lambda a, b: np.average([1.0, 2.0], weights=[a, b]),
}
"""Where no number is known, since NumPy compares one entry with another."""


@pytest.mark.parametrize("line", [*LINES, *COMPARED])
def test_the_line_to_write_for_a_list_of_values(line):
    f = LINES.get(line) or COMPARED[line]
    x = np.array([0.7, 1.3])
    transforms = [
        bprop.compile,
        lambda f: lambda x: bprop.vmap(f)(x[None]),
        lambda f: bprop.compile(bprop.grad(f)),  # two levels: either may be asked
        lambda f: lambda x: bprop.vmap(bprop.grad(f))(x[None]),
    ]
    for transform in [bprop.grad, *transforms] if line in LINES else transforms:
        with pytest.raises(bprop.BpropError) as caught:
            transform(lambda x: f(x[0], x[1]))(x)
        assert f"write {line}" in str(caught.value)

    def written(x):
        names = {"a": x[0], "b": x[1], "np": np, "numpy": np, "bprop": bprop, "scipy": scipy}
        names |= {"values": [x[0], x[1]], "rows": [[0.5, x[0]], [x[1], 2.0]]}
        return np.sum(np.abs(eval(line, names)))

    gradient = bprop.grad(written)
    assert_allclose(gradient(x), bprop.numerical(written)(x), rtol=1e-6, atol=1e-8)
    assert_allclose(bprop.compile(gradient)(x), gradient(x), rtol=1e-12)


def test_a_call_of_another_name_is_not_taken_for_the_function():
    average = np.mean
    with pytest.raises(bprop.BpropError) as caught:
        bprop.compile(lambda x: average([x[0], x[1]]))(np.ones(2))
    assert "write average" not in str(caught.value)
