"""The convolution, a contraction whose labels are tied by windows. Each of its adjoints is a convolution again.

Of the three arrays x, W and y any two give the third: y_i = Σ_k x_(i·stride + k·dilation − padding) W_k is the forward pass,
the cotangent of x sums over i and k, that of W over i.

**Source:** Goodfellow, Bengio & Courville (2016), Deep Learning, eqs. 9.7, 9.11, 9.13; Dumoulin & Visin (2016), A guide to
convolution arithmetic for deep learning, relationships 6 and 14.
"""

from collections.abc import Callable, Sequence
from math import gcd
from typing import Any, NamedTuple

import numpy as np

from ..core.error import ShapeError
from ..core.family import Bilinear
from ..core.op import shape_of
from ..core.shape import Shape
from ..core.window import Window
from .arithmetic import add
from .concatenation import concat_op
from .contraction import einsum_op
from .indexing import embed_op, slice_op
from .manipulation import reshape_op
from .window import windows_op

__all__ = []

Labels = tuple[str, str, str]


def _labels(shape1: Shape, shape2: Shape, labels: Labels, windows: tuple[Window, ...]) -> Labels:
    lengths = {label: n for window in windows for label, n in window.lengths.items()}
    for names, shape in zip(labels, (shape1, shape2), strict=False):
        for axis, (label, size) in enumerate(zip(names, shape, strict=True)):
            if lengths.get(label, size) != size:
                raise ShapeError(f"convolution: axis {axis} of shape {shape} should have size {lengths[label]}")
    return labels


def _adjoint(
    y_bar: Any, other: Any, labels: Labels, position: int, shape: Shape, windows: tuple[Window, ...]
) -> Any:  # fmt: skip
    """Return x_bar: the convolution of y_bar with the other operand, by the same windows."""
    x, other_labels, y = labels[position], labels[1 - position], labels[2]
    if position == 0:
        return convolution(y_bar, other, labels=(y, other_labels, x), windows=windows)
    return convolution(other, y_bar, labels=(other_labels, y, x), windows=windows)


# --- as a contraction of windows ---
class _Cut(NamedTuple):
    """How one axis of an operand is seen through a window: embedded among zeros, and then cut into windows.

    ``before``, ``length``, ``step``: entry i goes to before + i · step of an axis of that length. ``window``: outputs, taps,
    start, stride and dilation of the windows, whose labels are ``outer`` and ``tap``.
    """

    before: int
    length: int
    step: int
    window: tuple[int, int, int, int, int]
    outer: str
    tap: str


def _cut(window: Window, seen_from: str) -> _Cut:
    """Return how the axis of positions or of outputs is seen by the other and the taps.

    Of y the entry that meets position h with tap k is at (h + padding − k · dilation) / stride, where that is whole: with
    stride − 1 zeros after each entry it is at h + padding − k · dilation.
    """
    position, output, tap, size, outputs, taps, stride, dilation, padding = window
    reach = (taps - 1) * dilation
    if seen_from == position:
        return _Cut(reach - padding, size + reach, stride, (size, taps, reach, 1, -dilation), position, tap)
    length = max((outputs - 1) * stride + reach + 1, 1)
    return _Cut(padding, length, 1, (outputs, taps, 0, stride, dilation), output, tap)


def _contracted(apply: Callable[..., Any], x1: Any, x2: Any, labels: Labels, windows: tuple[Window, ...]) -> Any:
    """Return a convolution as a contraction of one operand with the windows of the other; ``apply`` applies an op."""
    for number, window in enumerate(windows):
        if window.position in labels[2] and window.stride > 1 and window.size:
            return _by_phase(apply, x1, x2, labels, windows, number)
    cuts = {}
    for window in windows:
        if window.position in labels[2]:
            cuts[window.output] = _cut(window, window.position)
        else:
            cuts[window.position] = _cut(window, window.output)
    operands, names = [], []
    for x, own in zip((x1, x2), labels, strict=False):
        cut = [cuts.get(label) for label in own]
        if any(cut):
            x = apply(windows_op, _embedded(apply, x, cut), windows=tuple(c and c.window for c in cut))
            own = "".join(c.outer if c else label for c, label in zip(cut, own, strict=True))
            own += "".join(c.tap for c in cut if c)
        operands.append(x)
        names.append(own)
    return apply(einsum_op, *operands, labels=(*names, labels[2]))


def _by_phase(
    apply: Callable[..., Any], x1: Any, x2: Any, labels: Labels, windows: tuple[Window, ...], number: int
) -> Any:  # fmt: skip
    """Return a sum over outputs and taps without a stride: positions that differ by strides meet the same taps.

    Positions r, r + stride, … are one convolution of stride 1 with those taps. Nothing is multiplied by the zeros that would
    stand between the outputs.
    """
    window, axis = windows[number], labels[2].index(windows[number].position)
    side = 0 if window.tap in labels[0] else 1

    def part(phase: Window, taps: tuple[int, int, int]) -> Any:
        xs: list[Any] = [x1, x2]
        kept = (
            taps if label == window.tap else (0, n, 1) for label, n in zip(labels[side], xs[side].shape, strict=True)
        )
        xs[side] = apply(slice_op, xs[side], slices=tuple(kept))
        return _contracted(apply, xs[0], xs[1], labels, (*windows[:number], phase, *windows[number + 1 :]))

    phases = [_phase(window, first) for first in range(min(window.stride, window.size))]
    parts = [(first, part(*phase)) for first, phase in enumerate(phases) if phase[0].taps]
    if not parts:  # no tap meets any position: one that lies beyond all of them
        beyond = window._replace(taps=1, stride=1, dilation=1, padding=-window.size - window.outputs)
        return part(beyond, (0, 1, 1))
    if len(parts) == window.stride and window.size % window.stride == 0:
        shape = parts[0][1].shape
        columns = (*shape[: axis + 1], 1, *shape[axis + 1 :])
        y = apply(concat_op, *(apply(reshape_op, y, shape=columns) for _, y in parts), axis=axis + 1)
        return apply(reshape_op, y, shape=(*shape[:axis], window.size, *shape[axis + 1 :]))
    total: Any = None
    for first, y in parts:
        shape = (*y.shape[:axis], window.size, *y.shape[axis + 1 :])
        places = tuple((first, n, window.stride) if at == axis else (0, n, 1) for at, n in enumerate(y.shape))
        y = apply(embed_op, y, shape=shape, slices=places)
        total = y if total is None else apply(add, total, y)
    return total


def _phase(window: Window, first: int) -> tuple[Window, tuple[int, int, int]]:
    """Return the window over positions first, first + stride, …, and which taps it has, as (start, count, step)."""
    position, output, tap, size, outputs, taps, stride, dilation, padding = window
    step = stride // gcd(stride, dilation)  # from one of these taps to the next
    start = next((k for k in range(min(step, taps)) if (first + padding - k * dilation) % stride == 0), taps)
    count = max(0, -(-(taps - start) // step))
    shift = (first + padding - start * dilation) // stride
    phase = Window(
        position, output, tap, -(-(size - first) // stride), outputs, count, 1, step * dilation // stride, shift
    )
    return phase, (start, count, step) if count else (0, 0, 1)


def _embedded(apply: Callable[..., Any], x: Any, cuts: Sequence[_Cut | None]) -> Any:
    """Return ``x`` among the zeros that its windows see; entries that they do not see are left out."""
    kept, places = [], []
    for size, cut in zip(x.shape, cuts, strict=True):
        before, length, step = (0, size, 1) if cut is None else cut[:3]
        first = max(0, -(before // step))
        count = max(0, min(size - first, (length - before - 1) // step + 1 - first))
        kept.append((first, count, 1))
        places.append((before + first * step, count, step) if count else (0, 0, 1))
    if any(cut != (0, size, 1) for cut, size in zip(kept, x.shape, strict=True)):
        x = apply(slice_op, x, slices=tuple(kept))
    shape = tuple(size if cut is None else cut.length for size, cut in zip(x.shape, cuts, strict=True))
    return x if shape == x.shape else apply(embed_op, x, shape=shape, slices=tuple(places))


def _evaluated(x1: Any, x2: Any, labels: Labels, windows: tuple[Window, ...]) -> Any:
    return _contracted(
        lambda op, *xs, **params: op.evaluate(*xs, **params), np.asarray(x1), np.asarray(x2), labels, windows
    )


def _native(x1: Any, x2: Any, labels: Labels, windows: tuple[Window, ...]) -> Any:
    return _contracted(lambda op, *xs, **params: op(*xs, **params), x1, x2, labels, windows)


# --- as it is written ---
def _relation(window: Window, times: str) -> str:
    """Return which position meets which output and tap, as in h = 2·i + k − 1."""
    factors = ((window.stride, window.output), (window.dilation, window.tap))
    scaled = [f"{factor}{times}{label}" if factor != 1 else label for factor, label in factors]
    shift = f" - {window.padding}" if window.padding > 0 else f" + {-window.padding}" if window.padding else ""
    return f"{window.position} = {' + '.join(scaled)}{shift}"


def _text(x1: Any, x2: Any, labels: Labels, windows: tuple[Window, ...]) -> str:
    """The labels, and the windows that tie them; of the axes of the result that the operands leave open the length."""
    relations = [
        _relation(window, "*")
        + "".join(f", {label} < {n}" for label, n in window.lengths.items() if label in labels[2])
        for window in windows
    ]
    return f"convolution('{labels[0]},{labels[1]}->{labels[2]}', {{0}}, {{1}}, '{'; '.join(relations)}')"


def _latex(x1: Any, x2: Any, labels: Labels, windows: tuple[Window, ...]) -> str:
    """A cross-correlation ⋆ slides one operand over the other; with the taps turned around it is a convolution ∗.

    Below stands which entries meet, unless it is h = i + k, and over which groups of channels.
    """
    turned = any(window.position in labels[2] for window in windows)
    sizes = {label: n for label, n in zip(labels[0], shape_of(x1), strict=True) if label in labels[1]}
    below = [rf"{label} < {n}" for label, n in sizes.items() if label in labels[2]]
    below += [
        _relation(window, r" \, ")
        for window in windows
        if (window.stride, window.dilation, window.padding) != (1, 1, 0)
    ]
    symbol = r"\ast" if turned else r"\star"
    if below:
        conditions = r",\ ".join(below)
        symbol = rf"\underset{{{{{conditions}}}}}{{{{{symbol}}}}}"
    return f"{{0}} {symbol} {{1}}"


_EXAMPLES = (
    # labels, shapes, windows
    (("oi", "k", "oh"), (2, 2), (3,), (Window("h", "i", "k", 1, 2, 3, 4, 1, 3),)),  # no tap meets the position
    (("oi", "k", "oh"), (2, 3), (3,), (Window("h", "i", "k", 5, 3, 3, 2, 1, 1),)),
    (("oi", "k", "oh"), (2, 2), (3,), (Window("h", "i", "k", 4, 2, 3, 2, 1, 1),)),
    (("h", "k", "i"), (5,), (3,), (Window("h", "i", "k", 5, 3, 3),)),
    (("h", "k", "i"), (5,), (3,), (Window("h", "i", "k", 5, 4, 3, 2, 1, 2),)),
    (("nchw", "ockl", "noij"), (2, 2, 4, 5), (3, 2, 3, 2), (
        Window("h", "i", "k", 4, 2, 3, 2, 1, 1), Window("w", "j", "l", 5, 3, 2, 1, 2, 0))),
    (("noi", "ock", "nch"), (2, 3, 3), (3, 2, 2), (Window("h", "i", "k", 6, 3, 2, 2, 2, 1),)),
    (("noi", "nch", "ock"), (2, 3, 3), (2, 2, 6), (Window("h", "i", "k", 6, 3, 2, 2, 2, 1),)),
    (("gch", "gock", "goi"), (2, 2, 4), (2, 3, 2, 3), (Window("h", "i", "k", 4, 4, 3, 1, 1, 1),)),
    (("ch", "ock", "oi"), (0, 4), (3, 0, 3), (Window("h", "i", "k", 4, 2, 3),)),
)  # fmt: skip

convolution: Bilinear = Bilinear(
    "convolution",
    _evaluated,
    labels=_labels,
    adjoint=_adjoint,
    windowed=True,
    native=_native,
    examples=lambda draw: [
        ((draw(*shape1), draw(*shape2)), {"labels": labels, "windows": windows})
        for labels, shape1, shape2, windows in _EXAMPLES
    ],
    text=_text,
    latex=_latex,
    level=2,
)
