"""Every public function of NumPy that asks an array what to do: it has a rule, sees numbers, or is refused.

Planted: a name taken from `NONDIFFERENTIABLE`; `apply_function` that sees numbers wherever it has no rule; a hint by
likeness of names.
"""

import io
from pathlib import Path

import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop.core.function import FUNCTIONS, SCIPY
from bprop.core.nondifferentiable import EFFECTS, IN_PLACE, INSTEAD, NONDIFFERENTIABLE
from support.numpy_namespace import CEILING, PUBLIC, REFUSED, WITHOUT, page

X = np.array([0.5, 1.5, 2.0, 1.1])


def _apply(function, x):
    if isinstance(function, np.ufunc):
        return x.__array_ufunc__(function, "__call__", *[x] * function.nin)
    return x.__array_function__(function, (type(x),), (x,), {})


def test_every_public_function_has_a_rule_or_sees_numbers_or_is_refused():
    assert set(WITHOUT) <= set(REFUSED)  # a new one: give it a rule, or say why not
    assert not {name for name in REFUSED if name in PUBLIC and name not in WITHOUT}  # it has a rule now: off the list
    assert len(REFUSED) == CEILING
    assert not NONDIFFERENTIABLE & IN_PLACE
    assert EFFECTS <= NONDIFFERENTIABLE


PAGE = Path(__file__).resolve().parents[2] / "docs" / "numpy.md"


@pytest.mark.skipif(not PAGE.is_file(), reason="not in a checkout: no pages beside tests/")
@pytest.mark.skipif(not hasattr(np, "matvec"), reason="the page is about the newest NumPy")
def test_the_page_says_so():
    assert PAGE.read_text(encoding="utf-8") == page()  # python tests/support/numpy_namespace.py > docs/numpy.md


def _refusal(kind, function, x):
    """Return the message of the error; compiled functions that mention pytest are looked through with all it holds."""
    try:
        _apply(function, x)
    except kind as error:
        return str(error)
    return ""


@pytest.mark.parametrize("transform", ["grad", "jvp", "compile", "vmap of grad"])
def test_what_is_refused_is_named_with_what_does_the_same(transform):
    def f(x):
        for name in sorted(set(REFUSED) & set(PUBLIC)):
            kind = bprop.ArgumentError if PUBLIC[name] in IN_PLACE else bprop.NumPyFunctionError
            message = _refusal(kind, PUBLIC[name], x)
            assert f"numpy.{name.rpartition('.')[2]}" in message or f"numpy.{name}" in message, message
            assert INSTEAD.get(name, "bprop.") in message
        return bprop.sum(x)

    {"grad": lambda: bprop.grad(f)(X), "jvp": lambda: bprop.jvp(f, (X,), (X,)), "compile": lambda: bprop.compile(f)(X),
     "vmap of grad": lambda: bprop.vmap(bprop.grad(f))(X[None])}[transform]()  # fmt: skip


SEEN = {
    "bitwise_count": lambda x: np.bitwise_count(np.argsort(x)), "gcd": lambda x: np.gcd(np.argsort(x), 2),
    "lcm": lambda x: np.lcm(np.argsort(x), 2), "packbits": lambda x: np.packbits(x > 1), "unpackbits": lambda x: np.unpackbits((x > 1).astype(np.uint8)),
    "ravel_multi_index": lambda x: np.ravel_multi_index((np.argsort(x), np.argsort(x)), (4, 4)), "spacing": np.spacing,
    "unravel_index": lambda x: np.unravel_index(np.argsort(x), (2, 2))[1],
    "allclose": lambda x: np.allclose(x, X), "array_equal": lambda x: np.array_equal(x, X + 1),
    "array_equiv": lambda x: np.array_equiv(x, X), "isclose": lambda x: np.isclose(x, 1.5), "isin": lambda x: np.isin(x, [1.5]),
    "iscomplex": np.iscomplex, "iscomplexobj": np.iscomplexobj, "isneginf": np.isneginf, "isposinf": np.isposinf,
    "isreal": np.isreal, "isrealobj": np.isrealobj, "may_share_memory": lambda x: np.may_share_memory(x, X.copy()),
    "shares_memory": lambda x: np.shares_memory(x, X.copy()),
    "argwhere": lambda x: np.argwhere(x > 1), "digitize": lambda x: np.digitize(x, [1.0, 1.7]),
    "einsum_path": lambda x: np.einsum_path("i,i->", x, x)[1], "flatnonzero": lambda x: np.flatnonzero(x > 1),
    "lexsort": lambda x: np.lexsort((x, X)), "nanargmax": np.nanargmax, "nanargmin": np.nanargmin,
    "diag_indices_from": lambda x: np.diag_indices_from(np.outer(x, x)), "common_type": lambda x: str(np.common_type(x)),
    "tril_indices_from": lambda x: np.tril_indices_from(np.outer(x, x)),
    "triu_indices_from": lambda x: np.triu_indices_from(np.outer(x, x)), "min_scalar_type": lambda x: str(np.min_scalar_type(x)),
    "array2string": np.array2string, "array_repr": np.array_repr, "array_str": np.array_str,
    "save": lambda x: np.save(io.BytesIO(), x), "savetxt": lambda x: np.savetxt(io.StringIO(), x),
    "savez": lambda x: np.savez(io.BytesIO(), a=x), "savez_compressed": lambda x: np.savez_compressed(io.BytesIO(), x),
}  # fmt: skip


def test_there_is_a_case_for_every_function_that_sees_numbers():
    dates = {"busday_count", "busday_offset", "is_busday", "datetime_as_string", "isnat"}
    assert {function.__name__ for function in NONDIFFERENTIABLE} == set(SEEN) | dates  # no array of bprop holds a date


@pytest.mark.parametrize("name", SEEN)
def test_what_has_no_derivative_sees_the_numbers(name):
    f, seen = SEEN[name], []

    def look(x):
        seen.append(f(x))
        return bprop.sum(x * x)

    look(bprop.asarray(X))
    assert_allclose(bprop.grad(look)(X), 2 * X)
    bprop.jvp(look, (X,), (X,))
    bprop.grad(lambda x: bprop.jvp(look, (x,), (X,))[1])(X)
    for value in seen:
        assert_array_equal(value, f(X))


def test_a_batch_is_seen_entry_by_entry():
    rows = np.stack([X, X + 1, -X])
    for f in (lambda x: np.digitize(x, [1.0, 1.7]), lambda x: np.argpartition(x, 2), lambda x: np.percentile(x, 30),
              lambda x: np.allclose(x, X), lambda x: np.histogram(x, 3)[0], lambda x: scipy.special.ber(x)):  # fmt: skip
        batched = bprop.vmap(f)(rows)
        assert_allclose(batched, np.stack([f(row) for row in rows]), rtol=1e-15)
        assert_allclose(bprop.vmap(bprop.vmap(f))(rows[None]), batched[None], rtol=1e-15)
    weights = lambda x: np.sum(x * np.digitize(x, [1.0, 1.7]))
    assert_allclose(bprop.vmap(bprop.grad(weights))(rows), np.digitize(rows, [1.0, 1.7]))
    assert_allclose(bprop.grad(lambda x: np.sum(bprop.vmap(weights)(x)))(rows), np.digitize(rows, [1.0, 1.7]))
    for f, words in ((lambda x: np.save(io.BytesIO(), x), r"numpy\.save .*inside vmap.*every entry"),
                     (lambda x: np.savetxt(io.StringIO(), x), r"numpy\.savetxt .*inside vmap.*every entry"),
                     (lambda x: np.savez(io.BytesIO(), x), r"numpy\.savez .*inside vmap.*every entry"),
                     (lambda x: np.array2string(x), "inside vmap returns str for every entry"),
                     (lambda x: np.flatnonzero(x > 1), "another shape for every entry")):  # fmt: skip
        with pytest.raises(bprop.TracedValueError, match=words):
            bprop.vmap(f)(rows)


def test_a_file_is_written_once_by_what_sees_the_numbers():
    files = [io.StringIO(), io.StringIO()]
    written = lambda file, x: np.savetxt(file, x) or np.sum(x**2)
    assert_allclose(bprop.grad(lambda x: written(files[0], x))(X), 2 * X)
    np.savetxt(files[1], X)
    assert files[0].getvalue() == files[1].getvalue()
    # what is the same for all entries of a batch is no entry's
    outer = io.StringIO()
    assert_allclose(
        bprop.vmap(lambda row: row + written(outer, bprop.asarray(X)))(np.zeros((2, 1)))[:, 0], [np.sum(X**2)] * 2
    )
    assert outer.getvalue() == files[1].getvalue()


def test_a_traced_value_has_no_number_to_see():
    for f in (lambda x: np.nanargmax(x), lambda x: np.allclose(x, X), lambda x: np.save(io.BytesIO(), x)):
        for transform in (
            bprop.compile,
            bprop.trace,
            lambda f: lambda x: bprop.scan(lambda c, t: (c, f(t)), 0.0, x[None]),
        ):
            with pytest.raises(bprop.TracedValueError, match=r"numpy\.\w+ of a traced value.*bprop\.callback"):
                transform(f)(X)


def test_without_a_derivative_numpy_returns_what_it_returns(tmp_path):
    x = bprop.asarray(X)
    for f in (scipy.special.ber, scipy.special.kei, lambda x: scipy.special.hyp2f1(x, 1, 2, 0.3),
              lambda x: np.isclose(x, 1.5), np.spacing, lambda x: np.digitize(x, [1.0])):  # fmt: skip
        y, numpys = f(x), f(X)
        assert type(y) is type(numpys)
        assert_array_equal(y, numpys)
    np.savez(tmp_path / "a.npz", x=x)
    np.save(tmp_path / "a.npy", x)
    with np.load(tmp_path / "a.npz") as stored:
        assert_array_equal(stored["x"], X)
    assert_array_equal(np.load(tmp_path / "a.npy"), X)
    np.testing.assert_allclose(x, X)
    filled = np.zeros(4)
    np.copyto(filled, x)
    np.add.at(filled, [0, 0], x[:2])
    assert_array_equal(filled, X + np.array([X[0] + X[1], 0, 0, 0]))
    # inside a transform, too, what does not depend on its input
    assert_allclose(
        bprop.grad(lambda t: t * np.percentile(x, 50) + np.sum(np.percentile(bprop.stop_gradient(t * x), 50)))(2.0), 1.3
    )


# --- SciPy ---
def test_functions_of_scipy_special_differentiate_by_its_names(numerical):
    points = {"logit": np.array([0.2, 0.7]), "erfinv": np.array([-0.3, 0.6])}
    for name, own in SCIPY.items():
        function = getattr(scipy.special, name, None)
        # the others are in tests/scipy/test_special.py
        if not isinstance(function, np.ufunc) or own not in FUNCTIONS.values():
            continue
        x = points.get(name, np.array([0.3, 1.7]))
        f = (lambda x, g=function: g(x)) if function.nin == 1 else (lambda x, g=function: g(x, 1.0 + 2.0 * x))
        assert_allclose(f(bprop.asarray(x)), f(x), rtol=1e-13, err_msg=name)
        assert isinstance(f(bprop.asarray(x)), bprop.Array)
        slope = bprop.grad(lambda x, f=f: np.sum(f(x)))(x) if own.__name__ != "round" else np.zeros(2)
        for entry in range(2):
            assert_allclose(
                slope[entry], numerical(lambda t, e=entry, f=f, x=x: [f(x[e : e + 1] + t)[0]])[0], rtol=1e-8, atol=1e-9
            )
    for transform in (bprop.compile, bprop.vmap):
        assert_allclose(transform(lambda x: scipy.special.psi(x) * scipy.special.expit(x))(X),
                        scipy.special.psi(X) * scipy.special.expit(X), rtol=1e-13)  # fmt: skip


def test_other_functions_of_scipy_are_named_as_scipys():
    for f, words in (
        (scipy.special.ber, r"scipy\.special\.ber has no bprop rule.*bprop\.custom"),
        (scipy.special.logsumexp, r"scipy\.special\.logsumexp of .*write bprop\.scipy\.special\.logsumexp"),
        (scipy.special.softmax, r"scipy\.special\.softmax of .*write bprop\.scipy\.special\.softmax"),
        (
            lambda x: scipy.special.polygamma(1, x),
            r"scipy\.special\.polygamma of .*write bprop\.scipy\.special\.polygamma",
        ),
    ):
        with pytest.raises(bprop.BpropError, match=words) as caught:
            bprop.jacobian(f)(X)
        assert "test_numpy_namespace.py" in caught.value.line
    for name in SCIPY:
        assert name[0] == "_" or (hasattr(bprop.scipy.special, name) and hasattr(scipy.special, name))


# --- what meets an array from outside ---
class Tagged(np.ndarray):
    """A subclass of NumPy's array, as libraries make them."""


def test_operands_of_other_kinds():
    x = bprop.asarray(X)
    tagged = X.view(Tagged)
    for y in (
        tagged * x,
        x * tagged,
        [1.0, 2.0, 3.0, 4.0] * x / np.arange(1.0, 5.0),
        np.float64(1.0) * x * X,
        np.float32(1) * x * X,
    ):
        assert type(y) is bprop.Array
    assert_allclose(tagged * x, X * X)
    assert (np.float64(2.0) * x[0]).shape == ()
    assert isinstance(np.float64(2.0) * x[0], bprop.Array)
    assert np.add.reduce(x) == X.sum()
    with pytest.raises(bprop.DTypeError, match="object"):
        np.array([1.0, None, 2.0, 3.0], dtype=object) * x
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix(np.diag(X))
    for product in (lambda x: matrix * x, lambda x: x * matrix, lambda x: np.multiply(matrix, x)):
        for run in (lambda f: f(x), lambda f: bprop.jacobian(f)(X), lambda f: bprop.compile(f)(X)):
            with pytest.raises(bprop.ArgumentError, match=r"numpy\.matrix.*numpy\.asarray"):
                run(product)


def test_a_number_is_formatted_inside_a_transform():
    said = []

    def f(x):
        said.append(f"{x:.3f} {x}")
        return x * x

    bprop.grad(f)(1.25)
    bprop.jvp(f, (1.25,), (1.0,))
    f(bprop.asarray(1.25))
    assert said == ["1.250 Array(1.25)"] * 3
    for transform in (bprop.compile(f), lambda x: bprop.vmap(f)(np.stack([x, x]))):
        with pytest.raises(bprop.TracedValueError, match=r"format\(\).*bprop\.callback"):
            transform(np.array(1.25))
    with pytest.raises(bprop.ShapeError, match=r"format\(\): an array of shape \(4,\)"):
        f"{bprop.asarray(X):.3f}"


def test_dot():
    x, matrix = bprop.asarray(X), np.arange(8.0).reshape(4, 2)
    assert_allclose(x.dot(matrix), X.dot(matrix))
    assert_allclose(x.dot(x), X.dot(X))
    assert_allclose(X.dot(x), X.dot(X))
    assert_allclose(bprop.grad(lambda x: x.dot(x))(X), 2 * X)


def test_numpys_own_code_gets_numpys_arrays_without_a_derivative():
    """SciPy's and NumPy's code hands on to C what NumPy's functions return."""
    inner = eval("lambda np, x: np.atleast_1d(x)", {"__name__": "scipy.optimize._minimize"})
    x = bprop.asarray(1.5)
    assert type(inner(np, x)) is np.ndarray
    assert type(np.atleast_1d(x)) is bprop.Array
    assert bprop.grad(lambda x: bprop.sum(inner(np, x) ** 2))(1.5) == 3.0
