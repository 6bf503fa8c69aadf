"""Losses at their edges: large numbers, kinks, targets that are refused, reductions, and those without an oracle in PyTorch."""

import mpmath
import numpy as np
import pytest

import bprop
from bprop import nn

RNG = np.random.default_rng(4)
Y, T = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 3))
LABELS = np.array([0, 1, 2, 2, 1])
SIGNS = np.array([[1.0, -1.0, 1.0]] * 5)
P = RNG.dirichlet(np.ones(3), size=5)

LOSSES = {
    "SquaredError": (nn.SquaredError, {}, (Y, T)),
    "MeanSquaredError": (nn.MeanSquaredError, {}, (Y, T)),
    "MeanAbsoluteError": (nn.MeanAbsoluteError, {}, (Y, T)),
    "Huber": (nn.Huber, {}, (Y, T)),
    "SmoothL1": (nn.SmoothL1, {}, (Y, T)),
    "LogCosh": (nn.LogCosh, {}, (Y, T)),
    "BinaryCrossEntropy": (nn.BinaryCrossEntropy, {}, (Y, P)),
    "CrossEntropy": (nn.CrossEntropy, {}, (Y, LABELS)),
    "CrossEntropy, all options": (
        nn.CrossEntropy,
        {"weight": [1.0, 2.0, 0.5], "label_smoothing": 0.1, "ignore_index": 1},
        (Y, LABELS),
    ),
    "CrossEntropy, probabilities": (nn.CrossEntropy, {"weight": [1, 2, 3], "label_smoothing": 0.1}, (Y, P)),
    "NegativeLogLikelihood": (nn.NegativeLogLikelihood, {}, (Y, LABELS)),
    "MultiClassHinge": (nn.MultiClassHinge, {}, (Y, LABELS)),
    "Hinge": (nn.Hinge, {}, (Y, SIGNS)),
    "Hinge, squared": (nn.Hinge, {"p": 2, "margin": 0.5}, (Y, SIGNS)),
    "SoftMargin": (nn.SoftMargin, {}, (Y, SIGNS)),
    "KLDivergence": (nn.KLDivergence, {}, (Y, P)),
    "PoissonNLL": (nn.PoissonNLL, {"full": True}, (Y, np.arange(15.0).reshape(5, 3))),
    "GaussianNLL": (nn.GaussianNLL, {"full": True}, (Y, T, P + 0.1)),
    "CosineEmbedding": (nn.CosineEmbedding, {}, (Y, T, SIGNS[:, 0])),
    "TripletMargin": (nn.TripletMargin, {}, (Y, T, P)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_derivatives_are_numerical(name, numerical):
    """In a random direction of all inputs that have a derivative, for each reduction."""
    kind, options, inputs = LOSSES[name]
    for reduction in ("mean", "sum", "none"):
        loss = kind(reduction, **options)
        places = loss.answers
        directions = [RNG.normal(size=inputs[place].shape) for place in places]

        def moved(h, loss=loss, places=places, directions=directions):
            xs = list(inputs)
            for place, direction in zip(places, directions, strict=True):
                xs[place] = xs[place] + h * direction
            return [np.asarray(bprop.sum(loss(*xs)))]

        E = loss.fprop(*inputs)
        bars = loss.bprop(np.ones(E.shape))
        bars = bars if isinstance(bars, tuple) else (bars,)
        slope = sum(np.sum(np.asarray(bar) * d) for bar, d in zip(bars, directions, strict=True))
        np.testing.assert_allclose(slope, numerical(moved, step=1e-3)[0], rtol=1e-8)


@pytest.mark.parametrize("name", LOSSES)
def test_reductions_agree(name):
    """For mean: with the number of entries or examples; weights and ignored labels are compared with PyTorch."""
    kind, options, inputs = LOSSES[name]
    each, total = kind("none", **options)(*inputs), kind("sum", **options)(*inputs)
    assert float(total) == pytest.approx(np.sum(np.asarray(each)), rel=1e-14)
    if name != "CrossEntropy, all options":
        count = 5 if name in ("SquaredError", "KLDivergence") else each.size
        assert float(kind(**options)(*inputs)) == pytest.approx(float(total) / count, rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_cosh_and_its_derivative_have_all_their_digits(dtype):
    e = np.array([1e-30, 1e-18, 1e-8, 1e-4, 0.01, 0.3, 0.9999, 1.0, 1.5, 20.0, 1e4, 1e30], dtype)
    loss = nn.LogCosh("sum")
    for x in np.concatenate([e, -e]):
        E, slope = loss.fprop(x[None], np.zeros(1, dtype)).item(), loss.bprop().item()
        with mpmath.workdps(90):
            exact = (
                mpmath.log(mpmath.cosh(mpmath.mpf(float(x))))
                if abs(x) < 100
                else abs(mpmath.mpf(float(x))) - mpmath.log(2)
            )
            steep = mpmath.tanh(mpmath.mpf(float(x)))
        if exact > np.finfo(dtype).tiny:
            assert abs(E / float(exact) - 1) < 4 * np.finfo(dtype).eps
        assert abs(slope / float(steep) - 1) < 4 * np.finfo(dtype).eps


def test_large_numbers_do_not_overflow():
    far = np.array([[1e4, -1e4, 0.0]])
    for loss, t, expected in (
        (nn.CrossEntropy(label_smoothing=0.3), [0], 0.1 * (2e4 + 1e4)),
        (nn.CrossEntropy(weight=[1.0, 3.0, 1.0], reduction="sum"), [1], 6e4),
        (nn.LogCosh("sum"), np.zeros((1, 3)), 2e4 - 2 * np.log(2)),
        (nn.SoftMargin("sum"), [[-1, 1, 1]], 2e4 + np.log(2)),
        (nn.Hinge("sum"), [[-1, 1, 1]], 2e4 + 3),
    ):
        assert float(loss.fprop(far, t)) == pytest.approx(expected, rel=1e-15)
        assert np.isfinite(np.asarray(loss.bprop())).all()
    wide = np.array([1e300, -1e300])
    for loss in (nn.Huber(), nn.SmoothL1(), nn.MeanAbsoluteError(), nn.LogCosh()):
        assert np.isfinite(float(loss.fprop(wide, np.zeros(2))))
        np.testing.assert_allclose(np.asarray(loss.bprop()), [0.5, -0.5])


def test_an_excluded_class_with_options():
    """A logit of -inf of a class with weight 0 in the target adds nothing."""
    excluded = np.array([[0.0, -np.inf, 0.0]])
    for loss in (nn.CrossEntropy(weight=[1.0, 1.0, 2.0]), nn.CrossEntropy(ignore_index=5)):
        assert float(loss.fprop(excluded, [0])) == pytest.approx(np.log(2))
        assert loss.bprop().tolist() == [[-0.5, 0.0, 0.5]]
        assert bprop.grad(lambda y, loss=loss: loss(y, [0]))(excluded).tolist() == [[-0.5, 0.0, 0.5]]
    assert float(nn.NegativeLogLikelihood()(excluded, [0])) == 0
    assert float(nn.KLDivergence()(excluded, [[1.0, 0.0, 0.0]])) == 0
    log_t = np.array([[0.0, -np.inf, -np.inf]])
    assert float(nn.KLDivergence(log_target=True)(excluded, log_t)) == 0


def test_all_labels_ignored():
    """The mean of nothing is NaN, as in PyTorch; the sum of nothing is 0, and so is its derivative."""
    assert np.isnan(float(nn.CrossEntropy(ignore_index=2)(Y[2:4], [2, 2])))
    loss = nn.CrossEntropy("sum", ignore_index=2, label_smoothing=0.1)
    assert float(loss.fprop(Y[2:4], [2, 2])) == 0
    assert not np.asarray(loss.bprop()).any()


def test_kinks():
    zero = np.zeros(1)
    for loss, y, t in (
        (nn.MeanAbsoluteError(), zero, zero),
        (nn.SmoothL1(beta=0.0), zero, zero),
        (nn.Hinge(), np.ones(1), np.ones(1)),
        (nn.MultiClassHinge(), np.array([[1.0, 0.0]]), [0]),
    ):
        assert float(loss.fprop(y, t)) == 0
        assert not np.asarray(loss.bprop()).any()
    side, up = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    for loss, inputs in (
        (nn.CosineEmbedding(), (side, up, [-1])),
        (nn.TripletMargin(p=1, epsilon=0.5), (np.ones((1, 1)), np.ones((1, 1)), np.zeros((1, 1)))),
    ):
        assert float(loss.fprop(*inputs)) == 0
        assert not any(np.asarray(bar).any() for bar in loss.bprop())
    for loss in (nn.Huber(delta=2.0), nn.SmoothL1(beta=2.0)):  # both branches have one slope there
        loss.fprop(np.array([2.0]), zero)
        assert loss.bprop().item() == (2.0 if isinstance(loss, nn.Huber) else 1.0)


def test_several_outputs_have_several_derivatives():
    loss = nn.GaussianNLL("sum")
    loss.fprop(Y, T, P)
    y_bar, variance_bar = loss.bprop()
    np.testing.assert_allclose(np.asarray(y_bar), (Y - T) / P, rtol=1e-13)
    np.testing.assert_allclose(np.asarray(variance_bar), 0.5 * (1 / P - ((Y - T) / P) ** 2), rtol=1e-10)
    triplet = nn.TripletMargin()
    triplet.fprop(Y, T, P)
    assert [bar.shape for bar in triplet.bprop()] == [(5, 3)] * 3


def test_a_variance_below_the_floor_may_grow():
    loss = nn.GaussianNLL("sum", epsilon=0.5)
    assert float(loss.fprop(np.array([1.0]), np.zeros(1), np.array([0.1]))) == pytest.approx(0.5 * (np.log(0.5) + 2))
    assert loss.bprop()[1].item() == pytest.approx(0.5 * (2 - 4))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: nn.CrossEntropy()(Y, [0, 1, 2, 7, 0]), bprop.IndexingError, r"label 7 with 3 classes \(example 3\)"),
        (
            lambda: nn.CrossEntropy(ignore_index=7)(Y, [0, 7, 2, -1, 0]),
            bprop.IndexingError,
            r"label -1 .*\(example 3\)",
        ),
        (lambda: nn.NegativeLogLikelihood()(Y, P), bprop.ShapeError, r"t is \(5,\) for labels"),
        (lambda: nn.MultiClassHinge()(Y, np.zeros(5)), bprop.DTypeError, "MultiClassHinge: labels are integers"),
        (lambda: nn.CrossEntropy()(Y, P - 0.9), bprop.ArgumentError, "which are not negative"),
        (lambda: nn.CrossEntropy(weight=[1.0])(Y, LABELS), bprop.ShapeError, "weight has 1 entries for 3 classes"),
        (lambda: nn.CrossEntropy(weight=[[1.0]]), bprop.ShapeError, r"weight has shape \(1, 1\)"),
        (lambda: nn.CrossEntropy(weight=[1.0, -1.0]), bprop.ArgumentError, "weight is a finite number ≥ 0, not -1"),
        (lambda: nn.CrossEntropy(label_smoothing=1.5), bprop.ArgumentError, r"label_smoothing is a number in \[0, 1\]"),
        (lambda: nn.CrossEntropy(ignore_index=1.5), bprop.ArgumentError, "ignore_index is an integer"),
        (lambda: nn.MultiClassHinge(p=3), bprop.ArgumentError, "MultiClassHinge: p is 1 or 2, not 3"),
        (lambda: nn.Hinge(p=True), bprop.ArgumentError, "Hinge: p is 1 or 2"),
        (
            lambda: nn.Hinge()(Y[:, 0], [1, -1, 0, 1, 1]),
            bprop.ArgumentError,
            "target 0 of example 2: targets are -1 and 1",
        ),
        (lambda: nn.SoftMargin()(Y, 3 * SIGNS), bprop.ArgumentError, r"target 3 at \(0, 0\): targets are -1 and 1"),
        (lambda: nn.Huber(delta=0), bprop.ArgumentError, "Huber: delta is a finite number > 0, not 0"),
        (lambda: nn.SmoothL1(beta="1"), bprop.ArgumentError, "SmoothL1: beta is a finite number ≥ 0, not '1'"),
        (lambda: nn.PoissonNLL(log_input=1), bprop.ArgumentError, "PoissonNLL: log_input is True or False"),
        (lambda: nn.PoissonNLL()(Y[0], [1, -2, 3]), bprop.ArgumentError, "target -2 of example 1: targets are counts"),
        (lambda: nn.GaussianNLL()(Y, T, -P), bprop.ArgumentError, "variances are not negative"),
        (lambda: nn.GaussianNLL()(Y[0], T[0], P), bprop.ShapeError, "does not broadcast"),
        (lambda: nn.KLDivergence()(Y, -P), bprop.ArgumentError, "targets are probabilities, or their logarithms"),
        (lambda: nn.KLDivergence()(1.0, 1.0), bprop.ShapeError, "axis of log-probabilities"),
        (lambda: nn.CosineEmbedding(margin=2), bprop.ArgumentError, r"margin is a number in \[-1, 1\]"),
        (lambda: nn.CosineEmbedding()(Y, T, SIGNS), bprop.ShapeError, r"\(5,\) and targets t have shape \(5, 3\)"),
        (lambda: nn.TripletMargin(p=0.5), bprop.ArgumentError, "TripletMargin: p is a finite number ≥ 1"),
        (lambda: nn.TripletMargin()(Y, T[:2], P), bprop.ShapeError, r"\(5, 3\).*\(2, 3\)"),
    ],
)
def test_what_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_repr_shows_the_settings():
    assert repr(nn.Huber(delta=0.5)) == "Huber(reduction='mean', delta=0.5)"
    assert repr(nn.CrossEntropy(weight=[1, 2]).train()) == (
        "CrossEntropy(reduction='mean', weight=(1.0, 2.0), axis=-1, label_smoothing=0.0)"
    )


@pytest.mark.parametrize("label", [3, -1, -4, 2**40])
@pytest.mark.parametrize("kind", [nn.CrossEntropy, nn.NegativeLogLikelihood, nn.MultiClassHinge])
def test_a_label_of_no_class_is_refused_in_native_code_as_in_eager_code(kind, label):
    good, bad = np.array([0, 1, 2, 0, 1]), np.array([0, 1, label, 0, 1])
    losses = [kind()] if kind is nn.MultiClassHinge else [kind(), kind(ignore_index=-2), kind(ignore_index=7)]
    for loss in losses:
        for f in (loss, lambda y, t, loss=loss: bprop.value_and_grad(lambda y: loss(y, t))(y)):
            f = bprop.compile(f)
            f(Y, good)
            with pytest.raises(
                bprop.IndexingError, match=rf"{kind.__name__}: label {label} with 3 classes \(example 2\)"
            ):
                f(Y, bad)
        if loss.ignore_index is not None:
            ignored = np.where(good == 2, loss.ignore_index, good)
            np.testing.assert_allclose(bprop.compile(loss)(Y, ignored), loss(Y, ignored), rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.5}, {"weight": [1.0, 2.0, 3.0]}])
@pytest.mark.parametrize("kind", [nn.CrossEntropy, nn.NegativeLogLikelihood])
def test_nothing_comes_back_where_all_labels_are_ignored(kind, options):
    """E is 0/0; the derivative is 0, as in PyTorch, so that such a batch does not end the training."""
    if kind is nn.NegativeLogLikelihood and "label_smoothing" in options:
        options = {}
    y, t = np.array([[0.5, -1.0, 2.0], [0.0, 1.0, 0.0]]), [1, 1]
    loss = kind(ignore_index=1, **options)
    assert np.isnan(loss.fprop(y, t))
    np.testing.assert_array_equal(np.asarray(loss.bprop()), np.zeros((2, 3)))
    for transform in (lambda f: f, bprop.compile):
        np.testing.assert_array_equal(np.asarray(transform(bprop.grad(lambda y: loss(y, t)))(y)), np.zeros((2, 3)))
