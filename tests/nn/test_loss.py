"""Values and errors of the losses."""

import numpy as np
import pytest

import bprop
from bprop import nn

RNG = np.random.default_rng(2)
Y, T = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 3))


def test_squared_error_is_the_lectures():
    assert float(nn.SquaredError()(Y, T)) == pytest.approx(0.5 * np.sum((T - Y) ** 2) / 5)
    assert float(nn.SquaredError("sum")(Y, T)) == pytest.approx(0.5 * np.sum((T - Y) ** 2))
    assert float(nn.SquaredError()(3.0, 1.0)) == 2


def test_cross_entropy_is_minus_the_log_probability():
    p = np.exp(Y) / np.exp(Y).sum(axis=1, keepdims=True)
    labels = np.array([0, 1, 2, 2, 1])
    one_hot = np.eye(3)[labels]
    expected = -np.log(p[np.arange(5), labels]).mean()
    for t in (labels, labels.astype(np.uint8), one_hot, one_hot.astype(int), one_hot.astype(bool), labels.tolist()):
        assert float(nn.CrossEntropy()(Y, t)) == pytest.approx(expected)
    assert float(nn.CrossEntropy("sum")(Y, labels)) == pytest.approx(5 * expected)
    soft = RNG.dirichlet(np.ones(3), size=5)
    assert float(nn.CrossEntropy()(Y, soft)) == pytest.approx(-(soft * np.log(p)).sum() / 5)


def test_cross_entropy_with_huge_and_infinite_logits():
    loss = nn.CrossEntropy()
    assert float(loss.fprop(np.array([[1e4, -1e4]]), [1])) == 2e4
    assert loss.bprop().tolist() == [[1.0, -1.0]]
    excluded = np.array([[0.0, -np.inf, 0.0]])  # a class ruled out beforehand
    for t in ([0], np.array([[1.0, 0.0, 0.0]])):
        assert float(loss.fprop(excluded, t)) == pytest.approx(np.log(2))
        assert loss.bprop().tolist() == [[-0.5, 0.0, 0.5]]
        assert bprop.grad(lambda y, t=t: loss(y, t))(excluded).tolist() == [[-0.5, 0.0, 0.5]]


def test_binary_cross_entropy():
    t = np.array([[1.0, 0.0, 0.3]] * 5)
    s = 1 / (1 + np.exp(-Y))
    expected = -(t * np.log(s) + (1 - t) * np.log(1 - s))
    assert float(nn.BinaryCrossEntropy()(Y, t)) == pytest.approx(expected.mean())
    assert float(nn.BinaryCrossEntropy("sum")(Y, t)) == pytest.approx(expected.sum())
    assert float(nn.BinaryCrossEntropy()(np.array([1e5, -1e5]), np.array([False, True]))) == 1e5


@pytest.mark.parametrize("loss", [nn.SquaredError(), nn.BinaryCrossEntropy()], ids=repr)
def test_shapes_never_broadcast(loss):
    with pytest.raises(bprop.ShapeError, match=r"y have shape \(5, 1\) and targets t have shape \(5,\).*t\[:, None\]"):
        loss(np.ones((5, 1)), np.ones(5))
    with pytest.raises(bprop.ShapeError, match=r"y have shape \(5,\) and targets t have shape \(5, 1\).*t\[:, 0\]"):
        loss(np.ones(5), np.ones((5, 1)))
    with pytest.raises(bprop.ShapeError, match=r"\(5, 3\).*\(5, 2\)"):
        loss(np.ones((5, 3)), np.ones((5, 2)))


def test_cross_entropy_shapes_and_labels():
    loss = nn.CrossEntropy()
    for t in (np.zeros((5, 1), int), np.zeros(4, int), np.zeros((5, 4))):
        with pytest.raises(bprop.ShapeError, match=r"t is \(5,\) for labels or \(5, 3\) for probabilities"):
            loss(Y, t)
    with pytest.raises(bprop.DTypeError, match="labels are integers, not float64"):
        loss(Y, np.zeros(5))
    with pytest.raises(bprop.IndexingError, match=r"label 3 with 3 classes"):
        loss(Y, [0, 1, 2, 3, 0])
    with pytest.raises(bprop.IndexingError, match=r"label -1 with 3 classes"):
        bprop.grad(lambda y: loss(y, [0, -1, 2, 0, 0]))(Y)
    with pytest.raises(bprop.ShapeError, match="axis of logits"):
        loss(1.0, 0)


@pytest.mark.parametrize("loss", [nn.SquaredError(), nn.BinaryCrossEntropy(), nn.CrossEntropy()], ids=repr)
def test_an_empty_batch_is_an_error(loss):
    with pytest.raises(bprop.ShapeError, match="batch is empty"):
        loss(np.ones((0, 3)), np.ones((0, 3)))


@pytest.mark.parametrize("loss", [nn.SquaredError(), nn.BinaryCrossEntropy(), nn.CrossEntropy()], ids=repr)
def test_targets_take_the_dtype_of_the_outputs(loss):
    y = bprop.asarray(Y, dtype=np.float32)
    assert loss.fprop(y, np.full((5, 3), 1 / 3)).dtype == np.float32
    assert loss.bprop().dtype == np.float32
    assert bprop.grad(lambda y: loss(y, np.full((5, 3), 1 / 3)))(y).dtype == np.float32


def test_outputs_must_be_floating():
    with pytest.raises(bprop.DTypeError, match="floating-point"):
        nn.SquaredError()(np.ones(3, int), np.ones(3))


def test_unknown_reduction():
    with pytest.raises(bprop.ArgumentError, match="'mean', 'sum' or 'none', not 'all'"):
        nn.CrossEntropy("all")


def test_targets_may_be_differentiated():
    """An autoencoder's targets are its inputs: the derivative runs through both."""
    loss = nn.SquaredError()
    g = bprop.grad(lambda x: loss(2 * x, x))(Y)
    np.testing.assert_allclose(np.asarray(g), Y / 5)


def test_a_loss_of_ones_own_answers_with_one_cotangent():
    class Absolute(nn.Loss):
        def fprop(self, y, t):
            return bprop.sum(abs(t - y))

    loss = Absolute()
    loss.fprop(Y, T)
    np.testing.assert_array_equal(np.asarray(loss.bprop()), np.sign(Y - T))


def test_binary_targets_are_probabilities():
    for wrong in (2.0, -1.0):
        with pytest.raises(bprop.ArgumentError, match=rf"target {wrong:g} of example 1: .*in \[0, 1\]"):
            nn.BinaryCrossEntropy()(np.ones(3), np.array([0.0, wrong, 1.0]))


def test_a_wrong_label_under_vmap_is_named():
    with pytest.raises(bprop.IndexingError, match="label 7"):
        bprop.vmap(nn.CrossEntropy())(np.ones((2, 3)), np.array([0, 7]))
