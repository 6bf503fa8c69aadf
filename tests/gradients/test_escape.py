"""A number taken out of a differentiated value would be a constant: it raises. A value outside its transform is named.

Planted: `Tracer.numbers` returning the numbers (silently wrong gradients), `Eager.data_of` reading a wrapped value's
data, `Traced.__bool__` returning True.
"""

import sys

import numpy as np
import pytest

import bprop

X = np.array([1.0, 2.0])
TAKEN = {
    "float": lambda x: x[0] * float(x[0]), "int": lambda x: x[0] * int(x[0]), "item": lambda x: x[0] * x[0].item(),
    "tolist": lambda x: x[0] * x.tolist()[0], "array": lambda x: bprop.sum(x * np.array(x, dtype=np.float64)),
    "asarray": lambda x: bprop.sum(x * np.asarray(x, float)), "list": lambda x: bprop.sum(x * np.array([x[0], x[1]], float)),
    "numpy": lambda x: bprop.sum(x * x.numpy()), "dlpack": lambda x: bprop.sum(x * np.from_dlpack(x)),
    "data": lambda x: bprop.sum(x * x.data),
}  # fmt: skip


@pytest.mark.parametrize("way", TAKEN)
def test_taking_numbers_out_raises_under_every_transform(way):
    f = TAKEN[way]
    for run in (bprop.grad(f), lambda x: bprop.jvp(f, (x,), (x,)), bprop.trace(f),
                lambda x: bprop.vmap(f)(np.stack([x, x]))):  # fmt: skip
        with pytest.raises(bprop.TracedValueError) as caught:
            run(X)
        assert "test_escape.py" in caught.value.line


def test_a_list_of_numbers_as_an_argument_is_one_array_for_an_op():
    """Every number of it is a variable: ``[1.0, 2.0]`` holds no bprop array when it is given, but two inside."""
    for f in (bprop.sum, lambda x: bprop.sum(bprop.stack(x)), lambda x: np.sum(np.array(x))):
        assert [g.item() for g in bprop.grad(f)([1.0, 2.0])] == [1.0, 1.0]
    assert bprop.grad(bprop.sum)(bprop.asarray([1.0, 2.0])).tolist() == [1.0, 1.0]


def test_bool_works_while_recording():
    def f(x):
        while x < 10:
            x = x * x
        return x if x > 20 else 0 * x

    assert bprop.grad(f)(2.0).item() == 0.0
    assert bprop.grad(f)(3.0).item() == 4 * 27
    assert bprop.jvp(f, (3.0,), (1.0,))[1].item() == 4 * 27
    assert bprop.grad(bprop.grad(f))(3.0).item() == 12 * 9


@pytest.mark.parametrize("transform", [bprop.trace, lambda f: bprop.trace(bprop.grad(f))])
def test_bool_raises_while_tracing_with_the_users_line(transform):
    def f(x):
        if x > 0:  # the line to be named
            return x
        return -x

    with pytest.raises(bprop.TracedValueError, match=r"bprop\.where") as caught:
        transform(f)(1.0)
    assert "if x > 0:" in str(caught.value)
    assert "test_escape.py" in str(caught.value)


def test_bool_raises_under_vmap_with_the_users_line():
    def f(x):
        return x if x > 0 else -x

    with pytest.raises(bprop.TracedValueError, match="every entry of the batch may decide otherwise") as caught:
        bprop.vmap(f)(X)
    assert "return x if x > 0 else -x" in str(caught.value)


@pytest.mark.parametrize("transform", ["grad", "jvp", "trace", "vmap"])
def test_escaped_values_are_named(transform):
    kept = []

    def energy(x):
        kept.append(x)
        return bprop.sum(x * x)

    runs = {"grad": lambda: bprop.grad(energy)(X), "jvp": lambda: bprop.jvp(energy, (X,), (X,)),
            "trace": lambda: bprop.trace(energy)(X), "vmap": lambda: bprop.vmap(energy)(np.stack([X, X]))}  # fmt: skip
    runs[transform]()
    with pytest.raises(bprop.EscapedError, match=f"exp: a value float64.2. made inside {transform} of energy"):
        bprop.exp(kept[0])
    with pytest.raises(bprop.EscapedError):  # nor inside another transform
        bprop.grad(lambda y: bprop.sum(y * kept[0]))(X)


def test_a_value_of_an_outer_transform_may_be_used_inside_an_inner_one():
    f = lambda x: bprop.grad(lambda y: bprop.sum(x * y * y))(x)
    np.testing.assert_array_equal(bprop.jacobian(lambda x: f(x))(X), np.diag(4 * X))


def test_cells_cannot_keep_traced_values():
    from bprop.core.cell import Cell
    from bprop.core.interpreter import EVALUATE

    cell = Cell(bprop.zeros(2), "mean")

    def sneaky(x):
        EVALUATE.write(cell, x)
        return bprop.sum(x)

    with pytest.raises(bprop.EscapedError, match="writing mean"):
        bprop.grad(sneaky)(X)


def test_errors_do_not_keep_the_interpreter_current():
    for run in (bprop.grad, bprop.trace, bprop.vmap):
        with pytest.raises(ZeroDivisionError):
            run(lambda x: 1 // 0)(X)
    assert bprop.sum(X).item() == 3
    assert sys.exc_info()[0] is None
