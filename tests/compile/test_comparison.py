"""Compiled comparisons of integers: exact where no float64 tells the numbers apart, and with Python's integers by value."""

import numpy as np
import pytest

import bprop

COMPARISONS = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]
NEIGHBOURS = {
    "int64": [-(2**63), -(2**63) + 1, -(2**53) - 1, -(2**53), 0, 2**53, 2**53 + 1, 2**63 - 2, 2**63 - 1],
    "uint64": [0, 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1],
    "int8": [-128, -127, 0, 1, 126, 127],
}
"""Numbers whose neighbours float64, or the other sign, takes for them."""


@pytest.mark.parametrize("dtype", NEIGHBOURS)
@pytest.mark.parametrize("name", COMPARISONS)
def test_every_pair(name: str, dtype: str) -> None:
    numbers = np.array(NEIGHBOURS[dtype], dtype)
    left, right = numbers[:, None], numbers[None, :]
    compiled = bprop.compile(lambda x1, x2: getattr(bprop, name)(x1, x2))
    np.testing.assert_array_equal(compiled(left, right), getattr(np, name)(left, right))


@pytest.mark.parametrize("number", [-1, 0, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 300, -(10**400)])
@pytest.mark.parametrize("dtype", NEIGHBOURS)
@pytest.mark.parametrize("name", COMPARISONS)
def test_with_an_integer_of_python(name: str, dtype: str, number: int) -> None:
    numbers = np.array(NEIGHBOURS[dtype], dtype)
    expected = getattr(np, name)(numbers, number)
    np.testing.assert_array_equal(bprop.compile(lambda x: getattr(bprop, name)(x, number))(numbers), expected)
    np.testing.assert_array_equal(getattr(bprop, name)(bprop.asarray(numbers), number), expected)


@pytest.mark.parametrize("name", COMPARISONS)
def test_of_two_dtypes(name: str) -> None:
    """Signed with unsigned: NumPy compares by value, what the two are promoted to cannot."""
    left, right = np.array([-1, 0, 2**53 + 1, 2**63 - 1]), np.array([0, 2**53, 2**63, 2**64 - 1], np.uint64)
    pair = left[:, None], right[None, :]
    eager = getattr(bprop, name)(*map(bprop.asarray, pair))
    np.testing.assert_array_equal(bprop.compile(lambda x1, x2: getattr(bprop, name)(x1, x2))(*pair), eager)
