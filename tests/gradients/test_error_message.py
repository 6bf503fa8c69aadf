"""Errors name the op, the shapes, the axis, and the user's own line.

Planted: `error.PACKAGE` set to a folder that does not exist (lines inside the library are named).
"""

import numpy as np
import pytest

import bprop

A, B, X = np.ones((2, 3)), np.ones((4, 5)), np.ones(3)
CASES = [
    (lambda x: x + np.ones(4), bprop.ShapeError, r"add: shapes \(3,\) and \(4,\) do not broadcast: axis -1"),
    (lambda x: bprop.where(x > 0, x, np.ones(2)), bprop.ShapeError, r"where: shapes \(3,\), \(3,\) and \(2,\)|where: shapes"),
    (lambda x: x @ B, bprop.ShapeError, r"matmul: shapes \(3,\) and \(4, 5\).*axis 0 of the first.*size 3.*axis 0 of the second has size 4"),
    (lambda x: x @ 2.0, bprop.BpropError, r"matmul"),
    (lambda x: x.reshape(2, 2), bprop.ShapeError, r"reshape: shape \(3,\) with 3 entries does not fit \(2, 2\) with 4"),
    (lambda x: x.reshape(-1, 2), bprop.ShapeError, r"reshape: shape \(3,\) with 3 entries does not fit"),
    (lambda x: bprop.sum(x, axis=1), bprop.ShapeError, r"sum: axis 1 is out of range for an array of shape \(3,\)"),
    (lambda x: bprop.sum(x, axis=(0, 0)), bprop.ShapeError, r"sum: axis \(0, 0\) names an axis of shape \(3,\) twice"),
    (lambda x: bprop.sum(x, axis=0.5), bprop.ShapeError, r"sum: axis must be an integer"),
    (lambda x: bprop.max(x[:0]), bprop.ShapeError, r"max: axis 0 of shape \(0,\) is empty"),
    (lambda x: bprop.permute_dims(x, (0, 0)), bprop.ShapeError, r"permute_dims: axes \(0, 0\) are no permutation"),
    (lambda x: bprop.broadcast_to(x, (2,)), bprop.ShapeError, r"broadcast_to: shapes? \(3,\)"),
    (lambda x: x[3], bprop.IndexingError, r"x\[3\]: index 3 is out of range for axis 0 of shape \(3,\)"),
    (lambda x: x[0, 0], bprop.IndexingError, r"2 indices for an array of shape \(3,\)"),
    (lambda x: x[np.ones(2, bool)], bprop.IndexingError, r"a mask of shape \(2,\) for axes of shape \(3,\)"),
    (lambda x: x["a"], bprop.IndexingError, r"str is no index"),
    (lambda x: bprop.take(x, np.array([3])), bprop.IndexingError, r"take: index 3 is out of range for an axis of size 3"),
    (lambda x: bprop.take(x, x), bprop.IndexingError, r"take: indices must be integers, not float64"),
    (lambda x: bprop.cholesky(x), bprop.ShapeError, r"cholesky: the matrix has shape \(3,\), not"),
    (lambda x: bprop.cholesky(A), bprop.ShapeError, r"cholesky: the matrix has shape \(2, 3\), not"),
    (lambda x: bprop.cholesky(x * np.zeros((3, 3))), bprop.ArgumentError, r"not positive definite"),
    (lambda x: bprop.solve(np.zeros((3, 3)), x), bprop.ArgumentError, r"solve\(float64\[3,3\], .*the matrix is singular.*lstsq"),
    (lambda x: bprop.solve(np.ones((2, 2)), x), bprop.ShapeError, r"solve: shapes \(2, 2\) and \(3, 1\)"),
    (lambda x: bprop.exp(None), bprop.ArgumentError, r"exp: an argument is NoneType"),
    (lambda x: bprop.add(x, "a"), bprop.ArgumentError, r"add: an argument is str"),
    (lambda x: bprop.astype(x, np.longdouble), bprop.DTypeError, r"astype: dtype float128 is not supported"),
    (lambda x: bprop.astype(x, "hello"), bprop.DTypeError, r"astype: 'hello' is no dtype"),
    (lambda x: bprop.exp(x, x), bprop.ArgumentError, r"exp takes 1 operand, not 2"),  # NumPy would write into x
    (lambda x: bprop.add(x), bprop.ArgumentError, r"add takes 2 operands, not 1"),
    (lambda x: bprop.solve(A, x), bprop.ShapeError, r"solve: the matrix has shape \(2, 3\), not"),
    (lambda x: bprop.arange("a"), bprop.ArgumentError, r"arange: start, stop and step are finite numbers"),
    (lambda x: bprop.arange(float("nan")), bprop.ArgumentError, r"arange: start, stop and step are finite numbers"),
    (lambda x: bprop.scan(lambda h, _: (h, None), x, length=2.0), bprop.ShapeError, r"scan of .*integers, not 2\.0"),
    (lambda x: np.sort(x, 0, "bubble"), bprop.ArgumentError, r"numpy\.sort: there is no kind 'bubble' of sorting"),
    (lambda x: bprop.sum(x, dtype="hello"), bprop.DTypeError, r"sum: 'hello' is no dtype"),
    (lambda x: bprop.min(x[:0]), bprop.ShapeError, r"min: axis 0 of shape \(0,\) is empty"),
    (lambda x: bprop.argmax(x[:0]), bprop.ShapeError, r"argmax: an array of shape \(0,\) is empty and has no max"),
    (lambda x: bprop.argmin(x, axis=(0,)), bprop.ShapeError, r"argmin: axis must be an integer, not \(0,\)"),
    (lambda x: bprop.cumulative_sum(x * x[:, None]), bprop.ShapeError, r"cumulative_sum: shape \(3, 3\) has 2 axes: say"),
    (lambda x: bprop.cumulative_prod(x, axis=1), bprop.ShapeError, r"cumulative_prod: axis 1 is out of range"),
    (lambda x: bprop.linear_recurrence(x, x[:2]), bprop.ShapeError, r"linear_recurrence: shapes \(3,\) and \(2,\)"),
    (lambda x: bprop.sort(x, axis=1), bprop.ShapeError, r"sort: axis 1 is out of range"),
    (lambda x: bprop.searchsorted(x[0], x), bprop.ShapeError, r"searchsorted: the sorted array has one axis, not shape"),
    (lambda x: bprop.diff(x, n=-1), bprop.ArgumentError, r"diff: n is how many times"),
    (lambda x: bprop.var(x, correction="n"), bprop.ArgumentError, r"var: the correction is a number, not str"),
    (lambda x: len(x[0]), bprop.ArgumentError, r"len: an array of shape \(\) has no axes"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CASES)))
@pytest.mark.parametrize("how", ["plain", "grad", "jvp", "trace", "vmap"])
def test_messages_are_the_same_under_every_interpreter(number, how):
    f, kind, words = CASES[number]
    if how == "trace" and (
        "singular" in words or "positive" in words or "index 3 is out of range for an axis" in words
    ):
        pytest.skip("depends on numbers, which a trace does not have")
    runs = {"plain": lambda: f(bprop.asarray(X)), "grad": lambda: bprop.grad(f)(X),
            "jvp": lambda: bprop.jvp(f, (X,), (X,)), "trace": lambda: bprop.trace(f)(X),
            "vmap": lambda: bprop.vmap(f)(np.stack([X, X]))}  # fmt: skip
    with pytest.raises(kind, match=words) as caught:
        runs[how]()
    assert "test_error_message.py" in caught.value.line  # the user's own line, not the library's
    assert caught.value.line in str(caught.value)


def test_errors_are_ordinary_exceptions_too():
    assert issubclass(bprop.ShapeError, ValueError)
    assert issubclass(bprop.DTypeError, TypeError)
    assert issubclass(bprop.IndexingError, IndexError)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bprop.grad(lambda x: x)(X), r"returned shape \(3,\), not a scalar: reduce it"),
        (lambda: bprop.grad(lambda x: "a")(X), r"returned"),
        (lambda: bprop.grad(lambda x: bprop.sum(x), 1)(X), "argnums names argument 1, but the call has 1"),
        (lambda: bprop.grad(lambda x: bprop.sum(x), has_aux=True)(X), r"a pair \(value, aux\)"),
        (lambda: bprop.vjp(lambda x: x, X)[1](np.ones(2)), r"y_bar has shape \(2,\), the result \(3,\)"),
        (lambda: bprop.jvp(lambda x: x, (X,), (np.ones(2),)), r"a tangent has shape \(2,\), its primal \(3,\)"),
        (lambda: bprop.jvp(lambda x: x, (X, X), (X,)), "2 primals and 1 tangents"),
        (lambda: bprop.jacobian(lambda x: x, mode="both")(X), "mode is 'reverse' or 'forward'"),
        (lambda: bprop.grad(lambda x: x, unreached="zero"), "unreached is 'error' or 'zeros'"),
    ],
)
def test_transforms_say_what_they_were_given(call, words):
    with pytest.raises(bprop.BpropError, match=words):
        call()


def test_what_is_no_function_no_argument_and_no_tuple_is_named():
    with pytest.raises(bprop.ArgumentError, match=r"takes a function, not Array: write bprop\.grad\(f\)\(x\)"):
        bprop.grad(bprop.sum(bprop.asarray(X)))
    with pytest.raises(bprop.ArgumentError, match="takes a function, not int"):
        bprop.compile(3)
    product = lambda a, b: bprop.sum(a * b)
    for argnums, message in (
        (1.0, "an integer or a tuple"),
        ("a", "an integer or a tuple"),
        ((0, -2), "names an argument twice"),
    ):
        with pytest.raises(bprop.ArgumentError, match=message):
            bprop.grad(product, argnums)(X, X)
    with pytest.raises(bprop.ArgumentError, match="primals is a tuple with one entry per argument, not ndarray"):
        bprop.jvp(bprop.sum, X, X)  # its three rows would be three arguments
    with pytest.raises(bprop.ArgumentError, match="tangents have the structure"):
        bprop.jvp(lambda t: bprop.sum(t["a"] * t["b"]), ({"a": X, "b": X},), ([X, X],))


def nothing(x):
    bprop.sum(x)


TAKEN = {
    "grad": lambda f: bprop.grad(f)(X), "value_and_grad": lambda f: bprop.value_and_grad(f)(X),
    "vjp": lambda f: bprop.vjp(f, X), "jvp": lambda f: bprop.jvp(f, (X,), (X,)), "linearize": lambda f: bprop.linearize(f, X),
    "jacobian": lambda f: bprop.jacobian(f)(X), "jacobian forward": lambda f: bprop.jacobian(f, mode="forward")(X),
    "hessian": lambda f: bprop.hessian(f)(X), "hvp": lambda f: bprop.hvp(f, (X,), (X,)), "check": lambda f: bprop.check(f, X),
    "compare": lambda f: bprop.compare(f, X), "numerical": lambda f: bprop.numerical(f)(X), "view": lambda f: bprop.view(f, X),
    "expression": lambda f: bprop.expression(f)(X), "symbolic": lambda f: bprop.symbolic(f)(X), "paths": lambda f: bprop.paths(f)(X),
    **{f"derivative {m}": lambda f, m=m: bprop.derivative(f, m)(X) for m in ("symbolic", "paths", "numerical", "forward", "reverse")},
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_a_function_without_return_is_named(name):
    with pytest.raises(bprop.ArgumentError, match=r"of nothing returned None: end it with `return` and the array"):
        TAKEN[name](nothing)


SCALAR = [
    "grad",
    "value_and_grad",
    "hessian",
    "hvp",
    "symbolic",
    "paths",
    *(name for name in TAKEN if "derivative" in name),
]


@pytest.mark.parametrize("name", SCALAR)
def test_a_gradient_is_that_of_one_floating_number(name):
    with pytest.raises(bprop.ShapeError, match=r": the function returned shape \(3,\), not a scalar: reduce it"):
        TAKEN[name](lambda x: x * 2)
    with pytest.raises(bprop.DTypeError, match=r": the function returned dtype int64, which has no derivative"):
        TAKEN[name](lambda x: bprop.sum(bprop.astype(x, "int64")))


def test_integer_results_have_no_jacobian_by_either_mode():
    for mode in ("reverse", "forward"):
        with pytest.raises(bprop.DTypeError, match="returned dtype int64, which has no derivative"):
            bprop.jacobian(lambda x: bprop.astype(x, int), mode=mode)(X)


OUT = np.zeros(3)


def test_options_of_numpy_without_a_rule_are_named():
    for how in (bprop.grad, bprop.compile, bprop.trace):
        with pytest.raises(bprop.NumPyFunctionError, match=r"numpy\.cumsum would write"):
            how(lambda x: np.cumsum(x, 0, out=OUT))(X)
