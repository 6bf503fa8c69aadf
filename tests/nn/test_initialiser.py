"""Initial values: as spread as they claim, orthogonal to rounding, the same on every run."""

import math

import numpy as np
import pytest

import bprop
from bprop import nn

init = nn.init
SHAPE = (300, 200)
SIZE = SHAPE[0] * SHAPE[1]
IN, OUT = 200, 300
VARIANCE = {
    "glorot_uniform": (init.glorot_uniform(), 2 / (IN + OUT)),
    "glorot_uniform, gain": (init.glorot_uniform(gain=3.0), 9 * 2 / (IN + OUT)),
    "glorot_normal": (init.glorot_normal(), 2 / (IN + OUT)),
    "he_uniform": (init.he_uniform(), 2 / IN),
    "he_normal": (init.he_normal(), 2 / IN),
    "he_normal, fan_out": (init.he_normal("fan_out"), 2 / OUT),
    "he_uniform, leaky": (init.he_uniform(nonlinearity="leaky_relu", negative_slope=0.5), 2 / 1.25 / IN),
    "he_normal, tanh": (init.he_normal(nonlinearity="tanh"), 25 / 9 / IN),
    "lecun_uniform": (init.lecun_uniform(), 1 / IN),
    "lecun_normal": (init.lecun_normal(), 1 / IN),
    "orthogonal": (init.orthogonal(2.0), 4 / OUT),
    "uniform": (init.uniform(-1, 3), 16 / 12),
    "normal": (init.normal(1.0, 0.5), 0.25),
    # 1 - 2 · 2 φ(2) / (2 Φ(2) - 1)
    "truncated_normal": (init.truncated_normal(), 1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(2**0.5)),
}
MEAN = {"uniform": 1.0, "normal": 1.0}


@pytest.mark.parametrize("name", VARIANCE)
def test_mean_and_variance(name):
    initialiser, variance = VARIANCE[name]
    W = np.asarray(initialiser(SHAPE, np.float64, seed=1))
    assert W.shape == SHAPE
    # standard errors at this size: σ/√n for the mean, at most σ²√(2/n) for the variance; five of them
    assert abs(W.mean() - MEAN.get(name, 0.0)) < 5 * math.sqrt(variance / SIZE)
    assert abs(W.var() - variance) < 5 * variance * math.sqrt(2 / SIZE)
    if "uniform" in name:
        reach = np.abs(W - MEAN.get(name, 0.0)).max()
        assert 0.999 * math.sqrt(3 * variance) < reach <= math.sqrt(3 * variance)


@pytest.mark.parametrize("name", VARIANCE)
def test_the_same_bits_on_every_run(name):
    initialiser, _ = VARIANCE[name]
    nn.seed(5)
    first, second = initialiser((30, 20)), initialiser((30, 20))
    nn.seed(5)
    assert np.array_equal(initialiser((30, 20)), first)
    assert np.array_equal(initialiser((30, 20)), second)
    assert not np.array_equal(first, second)
    assert np.array_equal(initialiser((3, 2), seed=4), initialiser((3, 2), generator=bprop.Generator(4)))
    assert first.dtype == np.float32


def test_normal_entries_are_normal():
    """The share within 1, 2 and 3 deviations."""
    z = np.abs(np.asarray(init.normal()(SHAPE, np.float64, seed=2)))
    for k in (1, 2, 3):
        share = math.erf(k / 2**0.5)
        assert abs((z < k).mean() - share) < 5 * math.sqrt(share * (1 - share) / SIZE)


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 2, 3, 3), (2, 4, 3, 3)])
def test_orthogonality_to_rounding(shape):
    W = np.asarray(init.orthogonal(2.0)(shape, np.float64, seed=0)).reshape(shape[0], -1)
    small = W @ W.T if W.shape[0] <= W.shape[1] else W.T @ W
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=4e-15)


def test_orthogonal_matrices_are_uniform():
    """Over all rotations and reflections the diagonal is as often negative as positive; a raw decomposition's is not."""
    diagonals = np.array([np.diagonal(np.asarray(init.orthogonal()((3, 3), np.float64, seed=s))) for s in range(400)])
    assert abs((diagonals > 0).mean() - 0.5) < 5 * 0.5 / math.sqrt(diagonals.size)


@pytest.mark.parametrize(
    ("mean", "deviation", "low", "high"),
    [(0, 1, -2, 2), (0, 1, 3, 5), (0, 1, -9, -8), (2, 0.5, 1, math.inf), (0, 1, 30, 31)],
)
def test_truncated_normal_stays_within(mean, deviation, low, high):
    stats = pytest.importorskip("scipy.stats")
    y = np.asarray(init.truncated_normal(mean, deviation, low, high)((20_000,), np.float64, seed=3))
    assert y.min() >= low
    assert y.max() <= high
    law = stats.truncnorm((low - mean) / deviation, (high - mean) / deviation, mean, deviation)
    assert abs(y.mean() - law.mean()) < 5 * law.std() / math.sqrt(y.size)
    assert stats.kstest(y, law.cdf).pvalue > 1e-4


def test_constants():
    assert np.asarray(init.constant(2.5)((2, 3))).tolist() == [[2.5] * 3] * 2
    assert not np.asarray(init.zeros()(4)).any()
    assert (np.asarray(init.ones()((), np.float64)) == 1).all()


def test_layers_take_one_and_their_default_stays():
    nn.seed(0)
    default = np.asarray(nn.Linear(4, 3).W)
    nn.seed(0)
    assert np.array_equal(np.asarray(nn.Linear(4, 3, init=init.glorot_uniform()).W), default)
    bound = math.sqrt(6 / 7)
    expected = bprop.Generator(9).uniform((3, 4), low=-bound, high=bound, dtype=np.float64)
    np.testing.assert_array_equal(np.asarray(nn.Linear(4, 3, seed=9).W), np.asarray(expected).astype(np.float32))
    assert np.asarray(nn.Linear(4, 3, init=init.constant(1.0)).W).tolist() == [[1.0] * 4] * 3


def test_a_parameter_begins_anew():
    layer = nn.Linear(4, 3, np.float64)
    layer.W = init.orthogonal()(layer.W)
    np.testing.assert_allclose(np.asarray(layer.W @ layer.W.T), np.eye(3), atol=4e-15)
    assert layer.W.dtype == np.float64


def test_wrong_arguments():
    with pytest.raises(bprop.ShapeError, match=r"fans of shape \(3,\).*at least two axes"):
        init.he_normal()(3)
    with pytest.raises(bprop.ShapeError, match="at least two axes"):
        init.orthogonal()((0, 3))
    with pytest.raises(bprop.ArgumentError, match="nonlinearity is one of linear, sigmoid"):
        init.he_normal(nonlinearity="swish")
    with pytest.raises(bprop.ArgumentError, match="mode is 'fan_in' or 'fan_out', not 'in'"):
        init.he_uniform(mode="in")
    with pytest.raises(bprop.DTypeError, match="floating dtype, not int64"):
        init.zeros()(3, np.int64)
    for call in (
        lambda: init.normal(deviation=-1),
        lambda: init.uniform(1, 0),
        lambda: init.truncated_normal(low=2, high=2),
        lambda: init.ones()(2, generator=3),
    ):
        with pytest.raises(bprop.ArgumentError):
            call()
