"""Cells: the only mutable leaves. Reads under a transform are lifted, writes come out one level lower, once.

Planted: ``Interpreter.close`` not lowering (writes keep traced values), ``Batch.write`` passing writes on,
writes going straight to the cell (an exception then leaves half a step).
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop.core.cell import Cell


class Model:
    """The smallest thing with cells: a parameter and a running statistic."""

    def __init__(self):
        self.weight = Cell(bprop.asarray([1.0, 2.0]), "weight", trainable=True)
        self.mean = Cell(bprop.zeros(2), "mean")

    def cells(self):
        return {"mean": self.mean, "weight": self.weight}

    def __call__(self, x):
        y = self.weight.read() * x
        self.mean.write(0.5 * self.mean.read() + 0.5 * y)
        return bprop.sum(y * y)


X = np.array([3.0, 4.0])


def test_gradient_of_a_module_is_a_mapping_of_its_trainable_cells():
    model = Model()
    value, gradient = bprop.value_and_grad(lambda m: m(X))(model)
    assert value.item() == 9 + 64
    assert list(gradient) == ["weight"]
    assert_array_equal(gradient["weight"], 2 * np.array([1.0, 2.0]) * X**2)


def test_write_under_grad_is_lowered_once_and_plain():
    model = Model()
    bprop.grad(lambda m: m(X))(model)
    assert type(model.mean.array) is bprop.Array
    assert_array_equal(model.mean.array, [1.5, 4.0])
    bprop.grad(lambda m: m(X))(model)
    assert_array_equal(model.mean.array, [2.25, 6.0])


def test_closure_reads_are_lifted_to_the_level_of_the_call():
    model = Model()
    f = lambda x: bprop.sum(model.weight.read() * x)  # the model is not an argument
    assert_array_equal(bprop.grad(f)(X), [1, 2])
    model.weight.write(bprop.asarray([5.0, 6.0]))
    assert_array_equal(bprop.grad(f)(X), [5, 6])
    # what is written from a differentiated value is differentiated when read again
    cell = Cell(bprop.zeros(()))

    def through(x):
        cell.write(x * x)
        return cell.read() * 3

    assert bprop.grad(through)(2.0).item() == 12
    assert cell.read().item() == 4.0


def test_nested_gradients_write_through_every_level():
    cell = Cell(bprop.zeros(()))

    def inner(y, x):
        cell.write(x * y)
        return x * y**3

    second = bprop.grad(lambda x: bprop.grad(inner)(x, 1.0) * 1.0)(2.0)
    assert second.item() == 12.0
    assert type(cell.array) is bprop.Array
    assert cell.array.item() == 2.0

    # the inner level's write is a function of the outer variable
    def outer(x):
        bprop.grad(inner)(3.0, x)
        return cell.read()

    assert bprop.grad(outer)(2.0).item() == 3.0


def test_gradient_of_a_module_twice():
    model = Model()
    hv = bprop.jvp(lambda w: bprop.grad(lambda m: m(X))(model)["weight"] * w, (X,), (np.ones(2),))[1]
    assert_array_equal(hv, [18, 64])
    _, dots = bprop.jvp(bprop.grad(lambda m: m(X)), (model,), ({"weight": np.ones(2)},))
    assert_allclose(dots["weight"], 2 * X**2)


def test_an_exception_discards_writes():
    model = Model()

    def fails(m):
        m(X)
        raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        bprop.grad(fails)(model)
    assert_array_equal(model.mean.array, [0, 0])
    # and the interpreter stack is as before
    assert_array_equal(bprop.grad(lambda x: bprop.sum(x))(X), [1, 1])


def test_vmap_refuses_writes_and_reads_are_shared():
    model = Model()
    with pytest.raises(bprop.DerivativeError, match=r"vmap: mean is one for the whole batch"):
        bprop.vmap(model)(np.ones((3, 2)))
    generator = bprop.Generator(0)
    with pytest.raises(bprop.DerivativeError, match=r"vmap: writing generator"):
        bprop.vmap(lambda x: x + generator.uniform(()))(np.ones(3))
    assert_array_equal(bprop.vmap(lambda x: bprop.sum(model.weight.read() * x))(np.ones((3, 2))), [3, 3, 3])


def test_generator_is_a_cell():
    one, other = bprop.Generator(3), bprop.Generator(3)
    plain = [one.normal((2,)) for _ in range(2)]

    def noisy(x):
        return bprop.sum(x * other.normal((2,)))

    for expected in plain:
        assert_array_equal(bprop.grad(noisy)(X), expected)
    assert repr(one) == repr(other)
