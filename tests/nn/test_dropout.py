"""Dropout of whole channels: what is drawn, in both layouts, and the same stream compiled."""

import numpy as np
import pytest

import bprop
from bprop import nn

KINDS = {
    "Dropout1d": (nn.Dropout1d, (64, 32, 5), "NLC"),
    "Dropout2d": (nn.Dropout2d, (64, 32, 2, 3), "NHWC"),
}


def ones(name, last):
    _, shape, _ = KINDS[name]
    return np.ones((shape[0], *shape[2:], shape[1]) if last else shape)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_channels_are_kept_or_silenced_as_wholes(name, last):
    kind, _, layout = KINDS[name]
    layer = kind(0.25, seed=3, layout=layout if last else None)
    x = ones(name, last)
    y = np.asarray(layer.fprop(x))
    positions = tuple(range(1, x.ndim - 1)) if last else tuple(range(2, x.ndim))
    np.testing.assert_array_equal(y.max(axis=positions), y.min(axis=positions))
    kept = y.max(axis=positions)
    assert set(np.unique(kept)) == {0.0, 1 / 0.75}
    assert np.mean(kept > 0) == pytest.approx(0.75, abs=4 * np.sqrt(0.25 * 0.75 / kept.size))
    np.testing.assert_array_equal(layer.bprop(x), y)  # the same channels on the way back
    np.testing.assert_array_equal(layer.eval()(x), x)


@pytest.mark.parametrize("name", KINDS)
def test_compiled_continues_the_stream(name):
    kind, _, _ = KINDS[name]
    eager, compiled = kind(0.5, seed=5), kind(0.5, seed=5)
    run, x = bprop.compile(lambda layer, x: layer(x)), ones(name, False)
    for _ in range(3):
        np.testing.assert_array_equal(run(compiled, x), eager(x))


def test_of_an_example_alone_whole_channels_too():
    for layout, positions in (("NCL", 1), ("NLC", 0)):
        y = np.asarray(nn.Dropout1d(0.5, seed=0, layout=layout)(np.ones((16, 16))))
        np.testing.assert_array_equal(y.max(axis=positions), y.min(axis=positions))
        assert set(y.max(axis=positions)) == {0.0, 2.0}


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: nn.Dropout2d()(np.ones((2, 3, 4))), bprop.ShapeError, r"\(2, 3, 4\), it should be \(N, C, H, W\)"),
        (lambda: nn.Dropout1d()(np.ones(3)), bprop.ShapeError, r"\(3,\), it should be \(N, C, L\) or \(C, L\)"),
        (lambda: nn.Dropout2d()(np.ones((2, 3))), bprop.ShapeError, r"\(2, 3\), it should be \(N, C, H, W\)"),
        (lambda: nn.Dropout1d(layout="NCHW"), bprop.ArgumentError, "layout is 'NCL' or 'NLC', not 'NCHW'"),
        (lambda: nn.Dropout1d(1.0), bprop.ArgumentError, r"silence, is a number in \[0, 1\), not 1"),
    ],
)
def test_errors_say_what_is_allowed(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
