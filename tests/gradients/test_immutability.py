"""Arrays never change: what a gradient needs is still there when the backward pass comes.

Planted: `asarray` sharing its argument's memory, `__array__` returning a writeable view, ``__iadd__`` in place.
"""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import bprop


def test_setting_an_entry_says_what_to_write():
    x = bprop.ones(3)
    with pytest.raises(bprop.ArgumentError, match=r"(?s)immutable.*x = x\.at\[0\]\.set\(5\.0\)"):
        x[0] = 5.0
    with pytest.raises(bprop.ArgumentError, match="immutable"):
        bprop.grad(lambda x: x.__setitem__(0, 1.0))(np.ones(3))


def test_asarray_copies_unless_told():
    data = np.ones(3)
    x, shared = bprop.asarray(data), bprop.asarray(data, copy=False)
    data[0] = 7
    assert_array_equal(x, [1, 1, 1])
    assert_array_equal(shared, [7, 1, 1])


def test_arguments_and_closures_are_copied_before_the_backward_pass():
    data, other = np.array([2.0, 3.0]), np.array([1.0, 1.0])
    _, pullback = bprop.vjp(lambda x: x * other, data)
    _, square = bprop.vjp(lambda x: x * x, data)
    data[:] = other[:] = np.nan
    assert_array_equal(pullback(np.ones(2))[0], [1, 1])
    assert_array_equal(square(np.ones(2))[0], [4, 6])


def test_traced_graphs_keep_the_numbers_they_closed_over():
    weight = np.ones(2)
    graph = bprop.trace(lambda x: x * weight)(np.ones(2))
    weight[:] = 5
    assert_array_equal(graph(np.ones(2))[0], [1, 1])


def test_exports_are_read_only():
    x = bprop.ones((2, 3))
    for export in (np.asarray(x), x.numpy(), x.T.numpy(), x[0].numpy()):
        assert not export.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            export[...] = 2
    own = np.array(x)
    own[0, 0] = 5
    assert_array_equal(x, np.ones((2, 3)))
    lent = np.from_dlpack(x)
    assert_array_equal(lent, x.numpy())


def test_writing_through_dlpack_changes_nothing():
    x = bprop.ones(3)
    lent = np.from_dlpack(x)
    if lent.flags.writeable:
        lent[0] = 9
    assert_array_equal(x, [1, 1, 1])


def test_augmented_assignment_rebinds():
    x = first = bprop.ones(2)
    x += 1
    x *= 3
    assert_array_equal(first, [1, 1])
    assert_array_equal(x, [6, 6])

    def f(x):
        y = x * x
        z = y
        z += x  # y is what it was
        return bprop.sum(y * z)

    assert_array_equal(bprop.grad(f)(np.array([2.0])), [4 * 2**3 + 3 * 2**2])


def test_copies_are_the_array_itself():
    import copy

    x = bprop.ones(2)
    assert copy.copy(x) is x
    assert copy.deepcopy([x])[0] is x
