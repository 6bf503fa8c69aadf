"""Asking a traced value for a number: the error says which value, at which line, and what to write instead.

Planted: `Trace.describe` without the application; `instead` that always names where.
"""

import numpy as np
import pytest

import bprop

X = np.array([1.0, 2.0, 3.0])


def if_(x):
    if x[0] > 0:
        return x
    return -x


def while_(x):
    while bprop.sum(x) > 1:
        x = x / 2
    return x


def assert_(x):
    assert bprop.all(x > 0)
    return x


def loop_(x):
    for _ in range(int(x[0])):
        x = x * 2
    return x


ASKED = {
    "if": (if_, r"`if`.*the result of greater: .* > 0, bool\[\].*bprop\.where\(.*bprop\.cond\(", "if x[0] > 0:"),
    "while": (
        while_,
        r"the result of greater: .* > 1.*bprop\.while_loop\(condition, body, initial\)",
        "while bprop.sum",
    ),
    "assert": (assert_, r"bool\[\].*in f of bprop\.callback", "assert bprop.all"),
    "int": (loop_, r"int\(\).*float64\[\].*bprop\.while_loop", "for _ in range(int"),
    "float": (lambda x: x * float(x[0]), r"float\(\).*float64\[\].*bprop\.callback", "float(x[0])"),
    "index": (
        lambda x: [1, 2][bprop.astype(x[0], "int64")] * x,
        r"index\(\).*int64\[\].*index a bprop array",
        "[1, 2]",
    ),
    "item": (lambda x: x[0].item() * x, r"\.item\(\).*float64\[\].*bprop\.callback", "x[0].item()"),
    "asarray": (
        lambda x: np.asarray(x, float) * 2,
        r"numpy\.asarray.*float64\[3\].*bprop\.callback",
        "np.asarray(x, f",
    ),
    "tolist": (lambda x: x.tolist(), r"\.tolist\(\).*float64\[3\].*bprop\.callback", "x.tolist()"),
}
WHERE = {
    "compile": lambda f: bprop.compile(f)(X),
    "trace": lambda f: bprop.trace(f)(X),
    "scan": lambda f: bprop.scan(lambda c, row: (f(c), row), X, X),
    "cond": lambda f: bprop.compile(lambda x: bprop.cond(True, f, f, x))(X),
    "while_loop": lambda f: bprop.while_loop(lambda c: bprop.all(c > 0), f, X),
    "condition": lambda f: bprop.while_loop(lambda c: bprop.all(f(c) > 0), lambda c: c, X),
    "checkpoint": lambda f: bprop.grad(lambda x: bprop.sum(bprop.checkpoint(f)(x)))(X),
    "compiled gradient": lambda f: bprop.compile(bprop.grad(lambda x: bprop.sum(f(x))))(X),
    "compiled vmap": lambda f: bprop.compile(bprop.vmap(f))(np.stack([X, X])),
}


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("asked", ASKED)
def test_the_error_says_which_value_where_and_what_instead(asked, where):
    f, words, source = ASKED[asked]
    if where in ("compiled gradient", "compiled vmap"):  # between the trace and the user is another transform
        words = r"(bool|float64|int64)\["
    with pytest.raises(bprop.TracedValueError, match=words) as caught:
        WHERE[where](f)
    assert "test_traced_value.py" in caught.value.line
    assert source in caught.value.line


@pytest.mark.parametrize("asked", ["if", "while", "int", "float", "asarray"])
def test_inside_vmap_every_entry_has_a_number_of_its_own(asked):
    f, _, source = ASKED[asked]
    with pytest.raises(bprop.TracedValueError, match=r"inside vmap.*every entry") as caught:
        bprop.vmap(f)(np.stack([X, X]))
    assert source in caught.value.line


@pytest.mark.parametrize("asked", ["int", "float", "asarray"])
def test_inside_a_derivative_the_number_would_lose_it(asked):
    f, _, source = ASKED[asked]
    for transform in (bprop.jacobian(f), lambda x: bprop.jvp(f, (x,), (x,))):
        with pytest.raises(bprop.TracedValueError, match=r"derivative would be lost.*stop_gradient") as caught:
            transform(X)
        assert source in caught.value.line


def test_arguments_cells_and_carries_have_names():
    model = bprop.nn.Linear(2, 2)

    def step(model, options):
        return bool(options["rate"] > model.b)

    for f, args, name in (
        (step, (model, {"rate": np.array(1.0)}), r"argument options\.rate > Linear\.b"),
        (lambda a, *, key: a if key["k"][1] > 0 else -a, (X,), r"argument key\.k\.1 > 0"),
    ):
        options = {} if len(args) == 2 else {"key": {"k": (1, np.array(2.0))}}
        with pytest.raises(bprop.TracedValueError, match=name):
            bprop.compile(f)(*args, **options)
    with pytest.raises(bprop.TracedValueError, match=r"carry\.a\.1 < x"):
        bprop.scan(lambda c, x: (c if c["a"][1] < x else {"a": (0.0, 2.0)}, x), {"a": (0.0, 1.0)}, X)


@pytest.mark.parametrize(
    ("decide", "formula"),
    [
        (lambda x: bprop.sum(x) > 0, r"greater: sum\(argument x\) > 0, "),
        (lambda x: bprop.all((x + 1) * x > 0), r"all: all\(\(add\(…\) \* argument x\) > 0\), "),
        (lambda x: bprop.sum(bprop.exp(bprop.tanh(bprop.sin(x)))) > 0, r"greater: sum\(exp\(tanh\(…\)\)\) > 0, "),
    ],
)
def test_the_formula_goes_down_to_what_the_user_knows(decide, formula):
    with pytest.raises(bprop.TracedValueError, match=f"the result of {formula}"):
        bprop.compile(lambda x: x if decide(x) else -x)(X)


def first_(x):
    a = np.zeros(3)
    a[0] = x[0]
    return a


def all_(x):
    a = np.zeros(3)
    a[:] = x
    return a


def added_(x):
    a = np.ones(3)
    a[1] += x[0]
    return a


def masked_(x):
    a = np.ones(3)
    a[a > 0] = x
    return a


ASSIGNED = r"(?s)assignment to entries of a NumPy array puts .* into a NumPy array.*write\n      a = bprop\."
PUT_IN = {
    "entry": (first_, rf"{ASSIGNED}zeros\(3\)\n      a = a\.at\[0\]\.set\(x\[0\]\)", "a[0] = x[0]"),
    "slice": (all_, rf"{ASSIGNED}zeros\(3\)\n      a = a\.at\[:\]\.set\(x\)", "a[:] = x"),
    "sum": (added_, rf"{ASSIGNED}ones\(3\)\n      a = a\.at\[1\]\.add\(x\[0\]\)", "a[1] += x[0]"),
    "mask": (masked_, rf"{ASSIGNED}ones\(3\)\n      a = a\.at\[a > 0\]\.set\(x\)", "a[a > 0] = x"),
    "list, dtype": (
        lambda x: np.array([x[0], 1.0], dtype=float),
        r"numpy\.asarray.*write bprop\.asarray\(\[x\[0\], 1\.0\], dtype=float\)",
        "np.array([x",
    ),
    "mean of a list": (
        lambda x: np.mean([x[0], x[1]]),
        r"numpy\.mean of .*write np\.mean\(bprop\.asarray\(\[x\[0\], x\[1\]\]\)\)",
        "np.mean([x[0]",
    ),
}


@pytest.mark.parametrize("put", PUT_IN)
@pytest.mark.parametrize(
    "transform",
    [
        lambda f: bprop.jacobian(f)(X),
        lambda f: bprop.jvp(f, (X,), (X,)),
        lambda f: bprop.vmap(f)(X[None]),
        lambda f: bprop.compile(f)(X),
        lambda f: bprop.compile(bprop.grad(lambda x: bprop.sum(f(x) * 1.0)))(X),
        lambda f: bprop.hessian(lambda x: bprop.sum(f(x) * 1.0))(X),
    ],
    ids=["reverse", "forward", "vmap", "compile", "compiled gradient", "hessian"],
)
def test_a_value_put_into_a_numpy_array_says_what_to_write_at_that_line(put, transform):
    """Planted: `using.__exit__` without the cause (NumPy's bare text: setting an array element with a sequence)."""
    f, words, source = PUT_IN[put]
    with pytest.raises(bprop.TracedValueError, match=words) as caught:
        transform(f)
    assert source in caught.value.line
    assert_says_what_works(f)


def assert_says_what_works(f):
    """Without a derivative the same lines work, and ``x.at[i].set`` does with one."""
    assert np.shape(f(bprop.asarray(X))) == np.shape(f(X))
    np.testing.assert_array_equal(bprop.grad(lambda x: bprop.zeros(3).at[1].set(x[0])[1])(X), [1, 0, 0])
