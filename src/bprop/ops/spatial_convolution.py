"""Convolutions of arrays with channels over one to three spatial axes, as layers of networks compute them."""

from typing import Any, NamedTuple

from ..core.error import ShapeError
from ..core.function import function
from ..core.number import integer
from ..core.op import array
from ..core.shape import Shape
from ..core.value import Array
from ..core.window import Window
from .convolution import Labels, convolution
from .manipulation import reshape
from .spatial import LAYOUTS, Layout, Padding, by_axis, layout_of, outputs_of, padding_of

__all__ = ["conv", "conv_input_gradient", "conv_transpose", "conv_weight_gradient"]

_POSITIONS, _OUTPUTS, _TAPS = "hwd", "ijm", "klq"


@function()
def conv(
    x: Any,
    W: Any,
    /,
    stride: int | tuple[int, ...] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
    layout: str | None = None,
) -> Array:
    """y[o, i] = Σ_c Σ_k x[c, i · stride + k · dilation − padding] W[o, c, k]: slide a window with weights over 1 to 3 axes.

    This is what networks call a convolution; it does not turn W around. Entries beyond the edge count as zeros.

    - ``x``: (…, channels, length), (…, channels, height, width) or (…, channels, depth, height, width), any number of leading axes.
    - ``W``: (outputs, channels / groups, taps, …), one axis of taps for each spatial axis.
    - ``stride``, ``dilation``: steps between windows, and between the taps of one; a number or one for each axis.
    - ``padding``: zeros at both ends: a number, one or a pair (before, after) for each axis, "valid" for none, or "same" for
      as many as keep the length at stride 1.
    - ``groups``: how many groups of channels there are; each has its own outputs.
    - ``layout``: "NCL", "NCHW" or "NCDHW" (channels before space, the default), or "NLC", "NHWC", "NDHWC".

    Raises `ShapeError` where shapes do not fit, naming axis, number and what is allowed.

    **Source:** Goodfellow, Bengio & Courville (2016), Deep Learning, eq. 9.7; Dumoulin & Visin (2016), relationship 6.

    >>> import bprop
    >>> bprop.conv(bprop.asarray([[1.0, 2.0, 4.0, 8.0]]), bprop.asarray([[[1.0, -1.0]]]))
    Array([[-1., -2., -4.]])
    """
    x, W = array("conv", x), array("conv", W)
    plan = _plan("conv", x.shape, W.shape, stride, padding, dilation, groups, layout)
    return plan.apply(x, W)


@function()
def conv_transpose(
    x: Any,
    W: Any,
    /,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    output_padding: int | tuple[int, ...] = 0,
    groups: int = 1,
    dilation: int | tuple[int, ...] = 1,
    layout: str | None = None,
) -> Array:
    """y[o, h] = Σ x[c, i] W[c, o, k] over h = i · stride + k · dilation − padding: `conv` by the same numbers, transposed.

    It takes a cotangent of `conv`'s result to one of its input, and so a small image to a large one.

    - ``x``: (…, channels, length) and so on, as for `conv`.
    - ``W``: (channels, outputs / groups, taps, …).
    - ``stride``, ``padding``, ``dilation``, ``groups``, ``layout``: those of that convolution.
    - ``output_padding``: entries more at the end of y, less than stride or dilation: several lengths have the same result in
      a convolution with a stride.

    The length of y is (length − 1) · stride − 2 padding + dilation · (taps − 1) + output_padding + 1. Raises `ShapeError`
    where shapes do not fit.

    **Source:** Dumoulin & Visin (2016), A guide to convolution arithmetic for deep learning, relationship 14.

    >>> import bprop
    >>> bprop.conv_transpose(bprop.asarray([[1.0, 2.0]]), bprop.asarray([[[1.0, 10.0]]]), stride=2)
    Array([[ 1., 10.,  2., 20.]])
    """
    x, W, name = array("conv_transpose", x), array("conv_transpose", W), "conv_transpose"
    rank = _spatial_rank(name, W.shape)
    form = layout_of(name, rank, layout)
    lead, channels, counts = form.split(name, x.shape)
    if channels != W.shape[0]:
        raise ShapeError(
            f"{name}: x of shape {x.shape} has {channels} channels, and W of shape {W.shape} takes {W.shape[0]}"
        )
    numbers = [by_axis(name, "stride", stride, rank), by_axis(name, "dilation", dilation, rank)]
    numbers += [by_axis(name, key, n, rank, 0) for key, n in (("padding", padding), ("output_padding", output_padding))]
    lengths = []
    for axis, count, k, s, d, p, more in zip(form.spatial, counts, W.shape[2:], *numbers, strict=True):
        length = (count - 1) * s - 2 * p + d * (k - 1) + more + 1
        if more >= max(s, d) or length < 1 or count < 1:
            raise ShapeError(
                f"{name}: axis {axis % x.ndim} of x with {count} entries, {k} taps, stride {s}, padding {p} and "
                f"output_padding {more} gives {length} entries; output_padding is less than stride or dilation, and "
                f"there is at least one entry"
            )
        lengths.append(length)
    shape = form.arranged(lead, W.shape[1] * integer(name, "groups", groups), tuple(lengths))
    pads = tuple((p, p + more) for p, more in zip(*numbers[2:], strict=True))
    # with so much more padding at the end the convolution of y has a window for every entry of x, and none to spare
    plan = _plan(name, shape, W.shape, stride, pads, dilation, groups, layout, counts)
    return plan.apply_transposed(x, W)


@function()
def conv_input_gradient(
    y_bar: Any,
    W: Any,
    /,
    shape: tuple[int, ...],
    stride: int | tuple[int, ...] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
    layout: str | None = None,
) -> Array:
    """x_bar[c, h] = Σ_o Σ y_bar[o, i] W[o, c, k] over h = i · stride + k · dilation − padding: of `conv`'s result to its input.

    - ``y_bar``: the cotangent of y = conv(x, W, …), of its shape.
    - ``W``: the weights of that convolution, and ``stride``, ``padding``, ``dilation``, ``groups``, ``layout`` its settings.
    - ``shape``: that of x.

    **Source:** Goodfellow, Bengio & Courville (2016), Deep Learning, eq. 9.13.

    >>> import bprop
    >>> bprop.conv_input_gradient(bprop.asarray([[1.0, 0.0]]), bprop.asarray([[[2.0, 3.0]]]), (1, 3))
    Array([[2., 3., 0.]])
    """
    y_bar, W = array("conv_input_gradient", y_bar), array("conv_input_gradient", W)
    plan = _plan("conv_input_gradient", tuple(shape), W.shape, stride, padding, dilation, groups, layout)
    return plan.apply_transposed(y_bar, W)


@function()
def conv_weight_gradient(
    x: Any,
    y_bar: Any,
    /,
    shape: tuple[int, ...],
    stride: int | tuple[int, ...] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
    layout: str | None = None,
) -> Array:
    """W_bar[o, c, k] = Σ_n Σ_i x[n, c, i · stride + k · dilation − padding] y_bar[n, o, i]: of `conv`'s result to its weights.

    - ``x``, ``y_bar``: the input of y = conv(x, W, …), and the cotangent of y; their leading axes are summed.
    - ``shape``: that of W; ``stride``, ``padding``, ``dilation``, ``groups``, ``layout`` are the settings.

    **Source:** Goodfellow, Bengio & Courville (2016), Deep Learning, eq. 9.11.

    >>> import bprop
    >>> bprop.conv_weight_gradient(bprop.asarray([[1.0, 2.0, 4.0]]), bprop.asarray([[1.0, 1.0]]), (1, 1, 2))
    Array([[[3., 6.]]])
    """
    x, y_bar = array("conv_weight_gradient", x), array("conv_weight_gradient", y_bar)
    plan = _plan("conv_weight_gradient", x.shape, tuple(shape), stride, padding, dilation, groups, layout)
    return plan.apply_to_output(x, y_bar)


class _Plan(NamedTuple):
    """A convolution of arrays of given shapes: its labels and windows, with an axis of groups where there are several."""

    name: str
    form: Layout
    labels: Labels
    windows: tuple[Window, ...]
    groups: int
    shapes: tuple[Shape, Shape, Shape]

    def apply(self, x: Array, W: Array) -> Array:
        """Return y."""
        labels_x, labels_W, labels_y = self.labels
        return self._applied(self.split(x, 0), self.split_weights(W), (labels_x, labels_W, labels_y), 2)

    def apply_transposed(self, y: Array, W: Array) -> Array:
        """Return the cotangent of x."""
        labels_x, labels_W, labels_y = self.labels
        return self._applied(self.split(y, 2), self.split_weights(W), (labels_y, labels_W, labels_x), 0)

    def apply_to_output(self, x: Array, y: Array) -> Array:
        """Return the cotangent of W."""
        labels_x, labels_W, labels_y = self.labels
        return self._applied(self.split(x, 0), self.split(y, 2), (labels_x, labels_y, labels_W), 1)

    def _applied(self, x1: Array, x2: Array, labels: Labels, result: int) -> Array:
        return reshape(convolution(x1, x2, labels=labels, windows=self.windows), self.shapes[result])

    def split(self, x: Array, number: int) -> Array:
        """Return x or y with an axis of groups before that of channels."""
        if x.shape != self.shapes[number]:
            raise ShapeError(f"{self.name}: an array has shape {x.shape}, it should be {self.shapes[number]}")
        axis = self.form.channels % x.ndim
        grouped = (*x.shape[:axis], self.groups, x.shape[axis] // self.groups, *x.shape[axis + 1 :])
        return reshape(x, grouped) if self.groups > 1 else x

    def split_weights(self, W: Array) -> Array:
        """Return W with an axis of groups before that of outputs."""
        return reshape(W, (self.groups, W.shape[0] // self.groups, *W.shape[1:])) if self.groups > 1 else W


def _plan(
    name: str, x_shape: Shape, W_shape: Shape, stride: Any, padding: Any, dilation: Any, groups: Any, layout: Any,
    counts: Shape | None = None,
) -> _Plan:  # fmt: skip
    """Return the convolution of arrays of these shapes; ``counts``: the lengths of y, as many as fit without it."""
    rank = _spatial_rank(name, W_shape)
    form = layout_of(name, rank, layout)
    steps, rates = by_axis(name, "stride", stride, rank), by_axis(name, "dilation", dilation, rank)
    lead, channels, sizes = form.split(name, x_shape)
    outputs, own, *taps = W_shape
    groups = integer(name, "groups", groups)
    if channels % groups or outputs % groups:
        raise ShapeError(f"{name}: groups={groups} does not divide {channels} channels and {outputs} outputs")
    if channels != own * groups:
        raise ShapeError(
            f"{name}: x of shape {x_shape} has {channels} channels, and W of shape {W_shape} with groups={groups} takes "
            f"{own * groups}"
        )
    pads = padding_of(name, padding, steps, tuple((k - 1) * d for k, d in zip(taps, rates, strict=True)))
    windows = []
    for n, (size, pad, k, s, d) in enumerate(zip(sizes, pads, taps, steps, rates, strict=True)):
        count = outputs_of(name, form.spatial[n] % len(x_shape), size, pad, k, s, d) if counts is None else counts[n]
        windows.append(Window(_POSITIONS[n], _OUTPUTS[n], _TAPS[n], size, count, k, s, d, pad[0]))
    y_shape = form.arranged(lead, outputs, tuple(window.outputs for window in windows))
    group = "g" if groups > 1 else ""
    labels = (
        form.labels(len(lead), group + "c", _POSITIONS[:rank]),
        f"{group}oc{_TAPS[:rank]}",
        form.labels(len(lead), group + "o", _OUTPUTS[:rank]),
    )
    return _Plan(name, form, labels, tuple(windows), groups, (x_shape, W_shape, y_shape))


def _spatial_rank(name: str, shape: Shape) -> int:
    """Return how many spatial axes weights of that shape have."""
    rank = len(shape) - 2
    if rank not in LAYOUTS or 0 in shape[2:]:
        raise ShapeError(
            f"{name}: W has shape {shape}; it has two axes of channels and 1 to 3 of taps, none of them empty"
        )
    return rank
