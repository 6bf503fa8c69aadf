"""Corners of NumPy's functions that a table of ordinary calls does not reach; the oracle is NumPy, or a number by hand.

Planted: the condition or the factor that each row is about, taken out.
"""

import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop.core.number import whole_number

VALUES = {
    "unwrap at half a turn": (np.unwrap, ([0.0, -np.pi],)),
    "unwrap of integers": (lambda x: np.unwrap(x, period=4), ([0, -2, 1, 5],)),
    "unwrap of an odd period": (lambda x: np.unwrap(x, period=5), ([0, 3, 6, 2],)),
    "nothing left to vary": (lambda x: np.var(x, ddof=3, where=[True, True, False]), ([1.0, 2.0, 4.0],)),
    "nothing left, NaN out": (lambda x: np.nanvar(x, ddof=3), ([1.0, np.nan, 4.0],)),
    "largest of integers": (lambda x: np.max(x, where=[True, False], initial=-9), ([-5, -7],)),
    "smallest of integers": (lambda x: np.min(x, where=[True, False], initial=9), ([5, 7],)),
    "a quantile behind a weight of 0": (
        lambda x: np.quantile(x, 0.0, weights=[0, 1, 2], method="inverted_cdf"), ([1.0, 2.0, 3.0],)),
    "residuals of a square system": (lambda a: np.linalg.lstsq(a, np.ones(2), rcond=None)[1], (np.eye(2),)),
    "a singular value of 0": (lambda a: np.abs(np.linalg.svd(a, hermitian=True)[2]), (np.diag([2.0, 0.0]),)),
    "small integers stay small": (
        lambda a: np.einsum("ij,k->ik", a, np.ones(2, np.int32)), (np.ones((2, 3), np.int32),)),
    "axes of fftn by s": (lambda a: np.fft.fftn(a, s=(5, 6), axes=(1, 2)), (np.ones((2, 3, 4)),)),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.filterwarnings("ignore:Degrees of freedom:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_values(name):
    f, args = VALUES[name]
    arrays = [np.asarray(arg) for arg in args]
    ours, theirs = np.asarray(f(*map(bprop.asarray, arrays))), np.asarray(f(*arrays))
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    assert_allclose(ours, theirs, rtol=1e-12)


ZEROS = {
    "fmod": lambda x: np.fmod(x, 2.0),
    "fmod by infinity": lambda x: np.fmod(x, -np.inf),
    "pad": lambda x: np.pad(x, 1, constant_values=-0.0),
    "pad with both": lambda x: np.pad(x, 1, constant_values=(-0.0, 0.0)),
    "linear_ramp": lambda x: np.pad(x, 1, mode="linear_ramp", end_values=-0.0),
    "nan_to_num": lambda x: np.nan_to_num(x, nan=-0.0),
    "insert": lambda x: np.insert(x, 1, -0.0),
}


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", ZEROS)
def test_zeros_have_the_signs_of_numpy(name, dtype):
    f, x = ZEROS[name], np.array([-0.0, 0.0, 1.0, -2.0, 4.0, np.nan], dtype)
    expected = f(x)
    for y in (f(bprop.asarray(x)), bprop.compile(f)(x)):
        assert_array_equal(np.asarray(y), expected)
        assert_array_equal(np.signbit(np.asarray(y)), np.signbit(expected))


def test_fftn_takes_the_last_axes_where_only_lengths_are_given():
    assert bprop.fft.fftn(bprop.ones((2, 3, 4)), s=(5, 6)).shape == (2, 5, 6)


def test_spacings_of_a_batch():
    f = np.array([1.0, 4.0, 2.0, 0.0])
    c = np.array([[0.0, 1.0, 3.0, 4.0]] * 2)
    rows = bprop.vmap(lambda c: np.gradient(f * c, c))(c)
    assert_allclose(np.asarray(rows), [np.gradient(f * row, row) for row in c])


def test_correlations_are_no_larger_than_one():
    random = np.random.default_rng(3)
    for _ in range(30):
        row = random.normal(size=7)
        r = np.asarray(bprop.vmap(lambda x: np.corrcoef(x))(np.stack([[row, 3 * row, -row]])))
        assert np.all(np.abs(r) <= 1)


def test_a_negative_weight_is_refused():
    with pytest.raises(bprop.BpropError, match="quantile"):
        bprop.grad(lambda x: np.quantile(x, 0.5, weights=[1.0, -1.0, 2.0], method="inverted_cdf"))(np.arange(3.0))


def test_what_a_ufunc_fills_has_to_fit():
    with pytest.raises(bprop.BpropError, match="int64"):
        bprop.jvp(lambda x: np.exp(x, out=np.zeros(2, int)), (np.ones(2),), (np.ones(2),))
    with pytest.raises(bprop.BpropError, match=r"\(2, 2\)"):
        bprop.jvp(lambda x: np.exp(x, out=np.zeros((2, 2))), (np.ones(2),), (np.ones(2),))


def test_no_derivative_is_cut_at_any_level():
    with pytest.raises(bprop.NumPyFunctionError, match=r"scipy\.special\.ber"):
        bprop.grad(
            lambda x: bprop.sum(bprop.vmap(lambda row: bprop.asarray(scipy.special.ber(row)))(x)), unreached="zeros"
        )(np.array([[1.0, -3.0, 2.0]]))


def test_numbers_are_seen_through_nested_batches():
    same = bprop.vmap(lambda a: bprop.vmap(lambda b: bprop.asarray(np.isclose(a, b)))(np.ones(2)))(np.arange(3.0))
    assert_array_equal(np.asarray(same), [[False, False], [True, True], [False, False]])


def test_scalars_of_both_zero_signs_have_gradients_of_their_own():
    x = np.array(0.5 + 0.5j)
    first, second = (
        np.asarray(bprop.grad(lambda x, c=c: np.real(bprop.pow(c, x) * (1 + 2j)))(x))
        for c in (complex(-1, 0.0), complex(-1, -0.0))
    )
    assert abs(first - second) > 1


def test_a_whole_number_is_below_the_end():
    assert whole_number(2**63) is None
    assert whole_number(2**63 - 1) == 2**63 - 1


def test_the_shapes_of_a_list_are_named():
    with pytest.raises(bprop.ShapeError, match="a list has entries of shapes"):
        bprop.jvp(lambda x: bprop.asarray([x[:2], x[:1]]), (np.ones(3),), (np.ones(3),))
