"""Shapes: broadcasting is NumPy's, axes are normalised, errors name what does not fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bprop
from bprop.core.shape import broadcast, normalise_axes, normalise_axis, normalise_shape, reduced, size_of
from support.profile import examples

shapes = st.lists(st.integers(0, 3), max_size=4).map(tuple)


@examples(200)
@given(first=shapes, second=shapes)
def test_broadcasting_is_numpys(first, second):
    try:
        expected = np.broadcast_shapes(first, second)
    except ValueError:
        with pytest.raises(bprop.ShapeError, match="add: shapes"):
            broadcast("add", first, second)
    else:
        assert broadcast("add", first, second) == expected


@examples(100)
@given(shape=shapes, data=st.data())
def test_reduced_shapes_are_numpys(shape, data):
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True)) if shape else []
    normal = normalise_axes("sum", tuple(axis - len(shape) for axis in axes), shape)
    assert normal == tuple(sorted(axes))
    for keepdims in (False, True):
        expected = np.zeros(shape).sum(axis=normal, keepdims=keepdims).shape
        assert reduced(shape, normal, keepdims) == expected
    assert size_of(shape) == np.zeros(shape).size


def test_axes_are_integers_in_range():
    assert normalise_axis("sum", -1, 3) == 2
    assert normalise_axis("sum", np.int64(1), 3) == 1
    for bad in (3, -4, 0.5, None, "a"):
        with pytest.raises(bprop.ShapeError, match="sum: axis"):
            normalise_axis("sum", bad, 3)


def test_shapes_are_sequences_of_integers():
    assert normalise_shape("full", 3) == (3,)
    assert normalise_shape("full", [2, np.int32(3)]) == (2, 3)
    for bad in (-1, (2, -1), 1.5, "ab"):
        with pytest.raises(bprop.ShapeError, match="full: a shape"):
            normalise_shape("full", bad)


def test_an_axis_out_of_range_is_an_index_error_too():
    for f in (bprop.sum, bprop.expand_dims, bprop.flip, bprop.sort, bprop.cumulative_sum, bprop.squeeze):
        with pytest.raises(bprop.AxisError, match=f"{f.__name__}.*axis 7") as caught:
            f(bprop.ones((2, 3)), axis=7)
        assert isinstance(caught.value, bprop.ShapeError)
        assert isinstance(caught.value, IndexError)
