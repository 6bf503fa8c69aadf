"""Arrays of other kinds that would be misread as plain ones: NumPy's masked arrays.

Planted: `converted` without `refuse_masked` (what is masked becomes a number).
"""

import numpy as np
import pytest

import bprop
from bprop import nn, optim, train
from bprop.core.foreign_array import lent

X = np.array([1.0, 2.0, 3.0])
MASKED = np.ma.masked_array(X, mask=[False, True, False])
W = bprop.asarray(X)
f = lambda x: bprop.sum(x * x)
closed = lambda x: bprop.sum(x * MASKED)
PLACES = {
    "asarray": lambda: bprop.asarray(MASKED),
    "asarray without a copy": lambda: bprop.asarray(MASKED, copy=False),
    "asarray of a list": lambda: bprop.asarray([MASKED, X]),
    "asarray of a masked entry": lambda: bprop.asarray([1.0, MASKED[1]]),
    "Array": lambda: bprop.Array(MASKED),
    "op": lambda: bprop.exp(MASKED),
    "operand on the right": lambda: W + MASKED,
    "method": lambda: W.dot(MASKED),
    "ufunc": lambda: np.multiply(W, MASKED),
    "function": lambda: np.where(MASKED > 1, W, 0.0),
    "index": lambda: W[MASKED > 1],
    "update": lambda: W.at[0:3].set(MASKED),
    "linear algebra": lambda: bprop.linalg.norm(MASKED),
    "joined": lambda: bprop.concat([W, MASKED]),
    "random": lambda: bprop.searchsorted(W, MASKED),
    "grad": lambda: bprop.grad(f)(MASKED),
    "grad in a tree": lambda: bprop.grad(lambda p: f(p["a"]))({"a": MASKED}),
    "grad, closed over": lambda: bprop.grad(closed)(X),
    "grad, on the left": lambda: bprop.grad(lambda x: bprop.sum(MASKED * x))(X),
    "jvp tangent": lambda: bprop.jvp(f, (X,), (MASKED,)),
    "vmap": lambda: bprop.vmap(f)(MASKED),
    "hessian": lambda: bprop.hessian(f)(MASKED),
    "trace": lambda: bprop.trace(f)(MASKED),
    "compile": lambda: bprop.compile(f)(MASKED),
    "compile, option": lambda: bprop.compile(lambda *, x: f(x))(x=MASKED),
    "compile, in a tree": lambda: bprop.compile(lambda p: f(p[0]))([MASKED]),
    "compile, closed over": lambda: bprop.compile(closed)(X),
    "compiled loop": lambda: bprop.compile(f).loop(MASKED),
    "scan": lambda: bprop.scan(lambda c, x: (c + x, x), 0.0, MASKED),
    "scan, carry": lambda: bprop.scan(lambda c, x: (c + x, x), MASKED, X),
    "scan, closed over": lambda: bprop.scan(lambda c, x: (c + MASKED, x), X, X),
    "cond": lambda: bprop.cond(True, f, f, MASKED),
    "while_loop": lambda: bprop.while_loop(lambda c: bprop.all(c < 0), lambda c: c, MASKED),
    "checkpoint": lambda: bprop.checkpoint(f)(MASKED),
    "callback": lambda: bprop.callback(print, MASKED),
    "custom": lambda: bprop.custom(f, vjp=lambda y_bar, y, x: 2 * x * y_bar)(MASKED),
    "module": lambda: nn.Linear(3, 1)(MASKED),
    "loss": lambda: nn.SquaredError()(X, MASKED),
    "fit": lambda: train.fit(nn.Linear(1, 1), nn.SquaredError(), optim.SGD(0.1), (MASKED[:, None], X[:, None]), epochs=1),
    "fit, targets": lambda: train.fit(nn.Linear(1, 1), nn.SquaredError(), optim.SGD(0.1), (X[:, None], MASKED[:, None]), epochs=1),
    "metric": lambda: train.rmse(MASKED, X),
    "accuracy": lambda: train.accuracy(np.array([1, 0]), np.ma.masked_array([1, 0], [True, False])),
    "split": lambda: train.stratified_split(np.ma.masked_array([1, 0, 1, 0], [1, 0, 0, 0]), 0.5, seed=0),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_masked_arrays_are_refused_by_name(place):
    with pytest.raises(
        bprop.BpropError, match=r"masked array \(numpy\.ma\).*a\.filled\(value\).*bprop\.where\(a\.mask"
    ):
        PLACES[place]()


def test_what_is_a_masked_array_for_numpy_stays_one():
    y = MASKED + W
    assert isinstance(y, np.ma.MaskedArray)
    assert y.mask.tolist() == MASKED.mask.tolist()


def test_a_compiled_function_does_not_take_a_masked_array_for_a_plain_one():
    compiled = bprop.compile(f)
    compiled(X)
    with pytest.raises(bprop.ArgumentError, match="masked array"):
        compiled(MASKED)


def test_an_array_is_not_none():
    """Entry by entry, as in NumPy, also where a container asks."""
    x = bprop.ones(2)
    assert np.asarray(x == None).tolist() == [False, False]  # noqa: E711
    assert np.asarray(x != None).tolist() == [True, True]  # noqa: E711
    assert bool(bprop.ones(()) == None) is False  # noqa: E711
    assert None not in [bprop.ones(())]


class Lender:
    """An array of another library, whose two protocols tell apart which of them was asked."""

    def __array__(self, dtype=None, copy=None):
        return np.array([1.0])

    def __dlpack__(self, **options):
        return np.array([2.0]).__dlpack__()

    def __dlpack_device__(self):
        return np.array([2.0]).__dlpack_device__()


def test_dlpack_goes_before_only_where_it_is_asked_for():
    assert lent("f", Lender()) == 1.0
    assert lent("f", Lender(), by_dlpack=True) == 2.0
    without = type("Without", (), {name: vars(Lender)[name] for name in ("__dlpack__", "__dlpack_device__")})
    assert lent("f", without()) == 2.0
