"""Losses over sequences: classes on any axis, masks and lengths. Against PyTorch, and against the selected entries alone."""

import json
from pathlib import Path

import numpy as np
import pytest

import bprop
from bprop import nn
from support.comparison import assert_close_to_largest, assert_trees_close

RECORD = json.loads(Path(__file__).with_name("pytorch_loss.json").read_text(encoding="utf-8"))
INPUTS = {name: np.array(value) for name, value in RECORD["inputs"].items()}
AXES = {}
for record in RECORD["cases"]:
    if record["kind"] in ("CrossEntropy", "NegativeLogLikelihood") and record["inputs"][0] in ("y", "y3", "log_y"):
        options = ", ".join(f"{name}={value}" for name, value in record["options"].items() if value is not None)
        AXES[f"{record['kind']}({options}) of {' '.join(record['inputs'])}"] = record

RNG = np.random.default_rng(7)
Y, LABELS, P = RNG.normal(size=(3, 5, 4)), RNG.integers(0, 4, size=(3, 5)), RNG.dirichlet(np.ones(4), size=(3, 5))
LENGTHS = np.array([5, 0, 2])
MASK = np.arange(5) < LENGTHS[:, None]
KINDS = {
    "CrossEntropy": (nn.CrossEntropy, {}, LABELS),
    "CrossEntropy, weight": (nn.CrossEntropy, {"weight": [1.0, 0.5, 2.0, 3.0]}, LABELS),
    "CrossEntropy, smoothing": (nn.CrossEntropy, {"label_smoothing": 0.1, "ignore_index": 2}, LABELS),
    "CrossEntropy, all": (nn.CrossEntropy, {"label_smoothing": 0.1, "ignore_index": 2, "weight": [1, 2, 3, 4]}, LABELS),
    "CrossEntropy, probabilities": (nn.CrossEntropy, {"weight": [1.0, 0.5, 2.0, 3.0], "label_smoothing": 0.1}, P),
    "NegativeLogLikelihood": (nn.NegativeLogLikelihood, {"ignore_index": 1, "weight": [1, 2, 3, 4]}, LABELS),
}


def axis_one(x, like):
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if x.ndim == like.ndim else x


def passes(loss, y, t, mask=None):
    """E and its derivatives by y, and by t where it holds probabilities, for the cotangent 1 of every entry of E."""
    places = (0, 1) if bprop.asarray(t).dtype.kind == "f" else (0,)
    given = (y, t) if mask is None else (y, t, mask)
    return loss(*given), bprop.grad(lambda *xs: bprop.sum(loss(*xs)), places)(*given)


@pytest.mark.parametrize("name", AXES)
def test_classes_on_axis_one_are_pytorchs(name):
    """(batch, classes, time), in which PyTorch has computed the record."""
    record = AXES[name]
    inputs = [INPUTS[part] for part in record["inputs"]]
    y, t = (axis_one(x, inputs[0]) for x in inputs)
    loss = getattr(nn, record["kind"])(**record["options"], axis=1)
    E, bars = passes(loss, y, t)
    assert_close_to_largest(E, np.array(record["value"]), 1e-14)
    assert_close_to_largest(bars[0], axis_one(np.array(record["gradients"]["0"]), y), 1e-14)
    np.testing.assert_array_equal(loss.fprop(y, t), E)
    np.testing.assert_array_equal(loss.bprop(np.ones(E.shape)), bars[0])
    if "1" in record["gradients"]:
        assert_close_to_largest(bars[1], axis_one(np.array(record["gradients"]["1"]), y), 1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", KINDS)
def test_what_the_mask_leaves_out_is_not_there(name, reduction):
    """The loss of the selected entries alone; the others may hold anything."""
    kind, options, t = KINDS[name]
    loss = kind(reduction, **options)
    expected, bars = passes(loss, Y[MASK], t[MASK])
    filled_y, filled_t = Y.copy(), t.copy()
    filled_y[~MASK] = np.nan
    filled_t[~MASK] = -7
    for axis in (-1, 1):
        moved = kind(reduction, **options, axis=axis)
        y, target = (filled_y, filled_t) if axis == -1 else (axis_one(filled_y, Y), axis_one(filled_t, Y))
        E, found = passes(moved, y, target, MASK)
        E, back = np.asarray(E), [np.moveaxis(np.asarray(bar), axis, -1) for bar in found]
        assert_close_to_largest(E[MASK] if reduction == "none" else E, expected, 1e-14)
        for bar, other in zip(back, bars, strict=True):
            assert_close_to_largest(bar[MASK], other, 1e-14)
            assert not bar[~MASK].any()
        moved.fprop(y, target, MASK)
        np.testing.assert_array_equal(moved.bprop(np.ones(E.shape)), found[0])


@pytest.mark.parametrize("name", KINDS)
def test_a_mask_is_an_ignored_label(name):
    kind, options, t = KINDS[name]
    if t is P or "ignore_index" in options:
        return
    found = passes(kind(**options), Y, t, MASK)
    expected = passes(kind(**options, ignore_index=-100), Y, np.where(MASK, t, -100))
    assert_trees_close(found, expected, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("name", ["CrossEntropy", "CrossEntropy, all", "CrossEntropy, probabilities"])
def test_transforms(name):
    """Compiled, in a batch, and twice differentiated."""
    kind, options, t = KINDS[name]
    loss = kind(**options, axis=1)
    y, t = axis_one(Y, Y), axis_one(t, Y)
    eager = passes(loss, y, t, MASK)
    found = bprop.compile(lambda y, t, mask: passes(loss, y, t, mask))(y, t, MASK)
    assert_trees_close(found, eager, rtol=1e-13, atol=1e-15)
    each = kind("sum", **options, axis=0)
    rows = bprop.vmap(each)(y, t, MASK)
    assert_close_to_largest(rows, np.array([each(*row) for row in zip(y, t, MASK, strict=True)]), 1e-14)
    f = lambda y: loss(y, t, MASK)
    second = bprop.jvp(bprop.grad(f), (y,), (np.cos(y),))[1]
    h = 1e-5
    slope = (np.asarray(bprop.grad(f)(y + h * np.cos(y))) - np.asarray(bprop.grad(f)(y - h * np.cos(y)))) / (2 * h)
    assert_close_to_largest(second, slope, 1e-8)


@pytest.mark.parametrize("name", KINDS)
def test_nothing_counts(name):
    """As with ignored labels the mean is NaN and its derivative 0."""
    kind, options, t = KINDS[name]
    loss = kind(**options)
    assert np.isnan(float(loss.fprop(Y, t, np.zeros_like(MASK))))
    if kind is nn.CrossEntropy:
        assert not np.asarray(loss.bprop()).any()
    assert float(kind("sum", **options)(Y, t, np.zeros_like(MASK))) == 0


@pytest.mark.parametrize("way", ["eager", "compiled"])
def test_lengths_make_the_mask(way):
    run = (lambda f: bprop.compile(f)) if way == "compiled" else (lambda f: f)
    mask = run(lambda lengths: nn.sequence_mask(lengths, 5))
    np.testing.assert_array_equal(mask(LENGTHS), MASK)
    assert mask(np.array(3)).tolist() == [True] * 3 + [False] * 2
    for bad in (6, -1):
        with pytest.raises(bprop.IndexingError, match=f"length {bad} of sequence 2: lengths are 0 … 5"):
            mask(np.array([1, 2, bad]))
    np.testing.assert_array_equal(bprop.vmap(mask)(LENGTHS), MASK)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: nn.CrossEntropy()(Y, LABELS, MASK[:2]), bprop.ShapeError, r"mask is bool\[2,5\]; it is bool\[3, 5\]"),
        (
            lambda: nn.CrossEntropy()(Y, LABELS, MASK * 1.0),
            bprop.ShapeError,
            r"mask is float64\[3,5\]; it is bool\[3, 5\]",
        ),
        (lambda: nn.CrossEntropy(axis=3)(Y, LABELS), bprop.ShapeError, "axis 3 is out of range"),
        (lambda: nn.CrossEntropy(axis=1)(Y, LABELS), bprop.ShapeError, r"t is \(3, 4\) for labels"),
        (lambda: nn.CrossEntropy(axis=0.5), bprop.ArgumentError, "axis is an integer, not 0.5"),
        (
            lambda: nn.CrossEntropy()(Y, LABELS + 2, MASK),
            bprop.IndexingError,
            r"label 4 with 4 classes \(example 0, \d\)",
        ),
        (lambda: nn.sequence_mask([1.5], 2), bprop.DTypeError, "lengths are integers, not float64"),
    ],
)
def test_errors_say_what_is_allowed(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
