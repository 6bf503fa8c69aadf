"""Windows that slide over an array, as a convolution reads them: contractions walk through memory and copy nothing."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import bprop
from bprop.compile.passes import tile
from bprop.compile.passes.inline import inline
from bprop.compile.runtime.executable import Program
from bprop.core.family import Linear
from bprop.core.op import REGISTRY

rng = np.random.default_rng(0)


def sizes(shape, windows):
    """Return the places and the widths of windows, each (width, stride, dilation), over the last axes."""
    inner = shape[len(shape) - len(windows) :]
    places = [(n - d * (k - 1) - 1) // s + 1 for n, (k, s, d) in zip(inner, windows, strict=True)]
    return (*shape[: len(shape) - len(windows)], *places, *(k for k, _, _ in windows))


def seen(x, windows):
    """The windows by NumPy."""
    n = len(windows)
    y = sliding_window_view(x, [d * (k - 1) + 1 for k, _, d in windows], axis=tuple(range(x.ndim - n, x.ndim)))
    steps = [slice(None, None, s) for _, s, _ in windows], [slice(None, None, d) for _, _, d in windows]
    return y[(..., *steps[0], *steps[1])]


def spread(y_bar, shape, windows):
    x_bar = np.zeros(shape, y_bar.dtype)
    places = np.arange(x_bar.size).reshape(shape)
    np.add.at(x_bar.reshape(-1), seen(places, windows), y_bar)
    return x_bar


def read(position, shape, windows):
    """The index map: place i and entry k of a window read i · stride + k · dilation."""
    n, before = len(windows), len(shape) - len(windows)
    at, entries = position[before : before + n], position[before + n :]
    return (*position[:before], *(i * s + k * d for i, k, (_, s, d) in zip(at, entries, windows, strict=True)))


window = Linear(
    "test_window",
    lambda x, windows: np.ascontiguousarray(seen(x, windows)),
    shape=lambda x, windows: sizes(x.shape, windows),
    adjoint=lambda y_bar, x, windows: unwindow(y_bar, shape=x.shape, windows=windows),
    index=lambda o, inner, windows: read(o, inner, windows),
    lift=None,
)
unwindow = Linear(
    "test_unwindow",
    lambda x, shape, windows: spread(x, shape, windows),
    shape=lambda x, shape, windows: shape,
    adjoint=lambda y_bar, x, shape, windows: window(y_bar, windows=windows),
    index=lambda i, inner, shape, windows: read(i, shape, windows),
    lift=None,
    scatter=True,
)
for op in (window, unwindow):  # ops of this file alone, which no other test shall meet
    del REGISTRY[op.name]

LABELS = {1: ("bcik,ock->boi", "boi,bcik->ock"), 2: ("bcijkl,ockl->boij", "boij,bcijkl->ockl")}
WINDOWS = [
    *(((3, stride, dilation),) for stride in (1, 2, 3) for dilation in (1, 2)),
    ((3, 1, 1), (3, 1, 1)), ((3, 2, 1), (2, 3, 1)), ((2, 1, 2), (3, 2, 2)),
]  # fmt: skip


def operands(windows, dtype):
    """An input of 2 examples and 4 channels, a weight to 6 channels, and a cotangent of their convolution."""
    x = rng.normal(size=(2, 4, *((40, 17) if len(windows) == 1 else (14, 13))[: len(windows)])).astype(dtype)
    w = rng.normal(size=(6, 4, *(k for k, _, _ in windows))).astype(dtype)
    places = sizes(x.shape, windows)[2 : 2 + len(windows)]
    return x, w, rng.normal(size=(2, 6, *places)).astype(dtype)


def compare(y, labels, a, b):
    """Within the rounding of a sum of that many products, each as large as the largest."""
    expected = np.einsum(labels, a.astype(np.longdouble), b.astype(np.longdouble))
    bound = np.einsum(labels, np.abs(a).astype(np.longdouble), np.abs(b).astype(np.longdouble))
    assert (np.abs(y - expected) <= 16 * np.finfo(y.dtype).eps * bound).all()


@pytest.fixture(params=["in blocks", "small"])
def path(request, monkeypatch):
    if request.param == "in blocks":
        monkeypatch.setattr(tile, "SMALL", 0)
        monkeypatch.setattr(tile, "SMALL_TRANSPOSED", 0)
    return request.param


@pytest.mark.parametrize("windows", WINDOWS, ids=str)
def test_forward_and_weight_gradient(windows, path):
    """Both are one contraction that reads x itself: the windows, several times as many numbers, are nowhere."""
    forward, weights = LABELS[len(windows)]
    x, w, y_bar = operands(windows, np.float32)
    for labels, other, f in (
        (forward, w, lambda x, w: bprop.einsum(forward, window(x, windows=windows), w)),
        (weights, y_bar, lambda x, y_bar: bprop.einsum(weights, y_bar, window(x, windows=windows))),
    ):
        program = Program(inline(bprop.trace(f)(x, other)))
        assert [(kernel.kind, len(kernel.nodes)) for kernel in program.kernels] == [("contract", 1)]
        assert {edge.index if edge.node.op else "input" for edge in program.kernels[0].reads} == {"input"}
        (y,) = [np.full(spec.shape, 7, spec.dtype) for spec in program.graph.specs]
        program([x, other], [y])
        pair = (seen(x, windows), other) if labels is forward else (other, seen(x, windows))
        compare(y, labels, *pair)
        if path == "in blocks":
            assert program.kernels[0].contraction.blocking is not None


@pytest.mark.parametrize("windows", [((3, 2, 1),), ((3, 1, 2),), ((2, 2, 1), (3, 1, 1))], ids=str)
def test_gradients_of_a_convolution(windows, path):
    """Back to x the windows overlap, so that the cotangents of one entry add up: a contraction, then a scatter."""
    forward, weights = LABELS[len(windows)]
    x, w, y_bar = operands(windows, np.float64)

    def f(x, w, y_bar):
        return bprop.sum(bprop.einsum(forward, window(x, windows=windows), w) * y_bar)

    program = Program(inline(bprop.trace(bprop.grad(f, argnums=(0, 1)))(x, w, y_bar)))
    assert [kernel.kind for kernel in program.kernels if kernel.kind != "alias"].count("contract") == 2
    assert sum(kernel.kind == "scatter" for kernel in program.kernels) == 1
    x_bar, w_bar = (np.full(spec.shape, 7, spec.dtype) for spec in program.graph.specs)
    program([x, w, y_bar], [x_bar, w_bar])
    compare(w_bar, weights, y_bar, seen(x, windows))
    of_x, of_w, of_y = forward.replace("->", ",").split(",")
    expected = spread(np.einsum(f"{of_y},{of_w}->{of_x}", y_bar, w), x.shape, windows)
    np.testing.assert_allclose(x_bar, expected, rtol=0, atol=1e-13)
