"""Settings: a number is taken where it lies in its interval, and refused else by an error that says all there is to say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bprop
from bprop.core.number import integer, number

INF = math.inf
ENDS = st.tuples(st.sampled_from([-INF, -1.0, 0.0]), st.sampled_from([1.0, 2.5, INF]))
KINDS = st.sampled_from([float, np.float64, np.float32])


@given(
    ENDS,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([-INF, -1.0, 0.0, 0.5, 1.0, 2.5, 3.0, INF]),
    KINDS,
)
def test_an_interval_has_its_ends(ends, open_low, open_high, finite, value, kind):
    low, high = ends
    inside = (low < value if open_low and math.isfinite(low) else low <= value) and (
        value < high if open_high and math.isfinite(high) else value <= high
    )
    options = {"open_low": open_low and math.isfinite(low), "open_high": open_high, "finite": finite}
    if inside and (math.isfinite(value) or not finite):
        assert number("op", "share", kind(value), low, high, **options) == value
        return
    with pytest.raises(bprop.ArgumentError, match=r"^op: share is a (finite )?number.*, not ") as caught:
        number("op", "share", kind(value), low, high, **options)
    for end in ends:
        assert not math.isfinite(end) or f"{end:g}" in caught.value.message


@pytest.mark.parametrize("value", [True, "1", None, [1], 1j, math.nan, 10**400, np.bool_(1), object()])
def test_what_is_no_number(value):
    with pytest.raises(bprop.ArgumentError, match=r"^SGD: rate is a finite number, not "):
        number(bprop.optim.SGD(0.1), "rate", value)
    with pytest.raises(bprop.ArgumentError, match=r"^fit: epochs is a positive integer, not "):
        integer("fit", "epochs", value)


@given(st.integers(-5, 5), st.integers(-5, 5), st.sampled_from([int, np.int8, np.int64]))
def test_an_integer_has_its_least(low, value, kind):
    if value >= low:
        result = integer("op", "count", kind(value), low)
        assert result == value
        assert type(result) is int
    else:
        with pytest.raises(bprop.ArgumentError, match=r"^op: count is .* integer.*, not "):
            integer("op", "count", kind(value), low)
