"""Convolutional layers: `Conv1d`, `Conv2d`, and `ConvTranspose1d`, `ConvTranspose2d`, which go the other way."""

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ArgumentError, ShapeError
from ..core.number import integer, label
from ..core.value import Array
from ..ops import (
    Generator,
    astype,
    conv,
    conv_input_gradient,
    conv_transpose,
    conv_weight_gradient,
    matmul,
    moveaxis,
    pad,
    reshape,
    sum,
)
from ..ops.spatial import LAYOUTS, Padding, by_axis, layout_name, layout_of, padding_of
from .cell import parameter
from .default_generator import generator_for
from .initialiser import Initialiser, glorot_uniform
from .module import Module
from .setting import allocating, floating

PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""PyTorch's names for what stands beyond an edge, and NumPy's."""
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]


class _Convolution(Module):
    """What convolutions over one or two axes have in common."""

    rank: ClassVar[int]
    pytorch_names: ClassVar = {"W": "weight", "b": "bias"}

    def _start(
        self, shape: tuple[int, ...], outputs: int, dtype: DTypeLike, generator: Generator | None, seed: int | None,
        init: Initialiser | None, bias: bool,
    ) -> None:  # fmt: skip
        """Make the parameters."""
        checked = floating(self, dtype)
        draw = generator_for(type(self).__name__, generator, seed)
        with allocating(self, "W", shape, checked):
            self.W = parameter((glorot_uniform() if init is None else init)(shape, checked, draw))
        if bias:
            self.b = parameter(np.zeros(outputs), checked)

    def _settings(self, channels: int, outputs: int, kernel_size: Any, groups: Any, layout: Any) -> tuple[int, ...]:
        """Check what all of them take; return the taps along each axis."""
        self.groups = integer(self, "groups", groups)
        for name, count in (("inputs", channels), ("outputs", outputs)):
            if count % self.groups:
                raise ArgumentError(f"{label(self)}: groups={self.groups} does not divide {name}={count}")
        self.layout = layout_name(self, self.rank, layout)
        return by_axis(self, "kernel_size", kernel_size, self.rank)

    def _converted(self, x: Any, channels: int) -> Array:
        """Return ``x`` in the dtype of W; raises `ShapeError` where it has other channels."""
        x = self.check_dtype(x, "W")
        W = self.W
        form = layout_of(self, self.rank, self.layout)
        _, own, _ = form.split(self, x.shape)
        if own != channels:
            raise ShapeError(
                f"{self!r}: x has shape {x.shape}, in layout {self.layout} its channels should be {channels}"
            )
        converted: Array = x if x.dtype == W.dtype else astype(x, W.dtype)
        return converted

    def _biased(self, y: Array) -> Array:
        if not self.has_bias:
            return y
        return y + (self.b if self.layout[-1] == "C" else reshape(self.b, (-1, *(1,) * self.rank)))

    def _bias_gradient(self, y_bar: Array) -> Array:
        """Return ∂E/∂b: the bias of a channel is added at every position of every example."""
        channels = y_bar.ndim - 1 if self.layout[-1] == "C" else y_bar.ndim - 1 - self.rank
        return sum(y_bar, axis=tuple(axis for axis in range(y_bar.ndim) if axis != channels))

    @property
    def has_bias(self) -> bool:
        """Whether there is a b."""
        return "b" in self.__dict__["_cells"]

    def _described(self, sizes: str, **settings: Any) -> str:
        defaults = {"stride": 1, "padding": 0, "dilation": 1, "output_padding": 0, "groups": 1, "padding_mode": "zeros"}
        parts = [sizes]
        for name, value in settings.items():
            if value != defaults.get(name) and value != (defaults.get(name),) * self.rank:
                parts.append(f"{name} {value}")
        if self.layout != LAYOUTS[self.rank][0]:
            parts.append(self.layout)
        return ", ".join([*parts, str(self.__dict__["_cells"]["W"].array.dtype), *["no bias"] * (not self.has_bias)])


class _Conv(_Convolution):
    """A convolution by 1 or 2 axes."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: Padding = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        layout: str | None = None,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
        init: Initialiser | None = None,
    ) -> None:
        inputs, outputs = integer(self, "inputs", inputs), integer(self, "outputs", outputs)
        taps = self._settings(inputs, outputs, kernel_size, groups, layout)
        self.stride, self.dilation = (
            by_axis(self, name, value, self.rank) for name, value in (("stride", stride), ("dilation", dilation))
        )
        reach = tuple((k - 1) * d for k, d in zip(taps, self.dilation, strict=True))
        self.padding = padding_of(self, padding, self.stride, reach)
        if padding_mode not in PADDING_MODES:
            raise ArgumentError(
                f"{label(self)}: padding_mode is one of {', '.join(PADDING_MODES)}, not {padding_mode!r:.60}"
            )
        self.padding_mode = padding_mode
        self._start((outputs, inputs // self.groups, *taps), outputs, dtype, generator, seed, init, bias)

    def _numbers(self) -> dict[str, Any]:
        """Return the settings of `bprop.conv`; what is not zero beyond the edges is there before."""
        padding = self.padding if self.padding_mode == "zeros" else 0
        return {
            "stride": self.stride, "padding": padding, "dilation": self.dilation, "groups": self.groups,
            "layout": self.layout,
        }  # fmt: skip

    def _padded(self, x: Array) -> Array:
        """Return ``x`` with what stands beyond its edges, unless that is zeros."""
        if self.padding_mode == "zeros" or not any(map(any, self.padding)):
            return x
        spatial = layout_of(self, self.rank, self.layout).spatial
        for axis, widths in zip(spatial, self.padding, strict=True):
            limit = x.shape[axis] - (self.padding_mode == "reflect")
            if self.padding_mode != "replicate" and max(widths) > limit:
                raise ShapeError(
                    f"{self!r}: padding {max(widths)} of mode {self.padding_mode!r} for an axis with {x.shape[axis]} "
                    f"entries; it may be at most {limit}"
                )
        pairs = dict(zip((axis % x.ndim for axis in spatial), self.padding, strict=True))
        return pad(x, [pairs.get(axis, (0, 0)) for axis in range(x.ndim)], mode=PADDING_MODES[self.padding_mode])

    def fprop(self, x: Any) -> Array:
        x = self._padded(self._converted(x, self.W.shape[1] * self.groups))
        return self._biased(conv(x, self.W, **self._numbers()))

    def bprop(self, y_bar: Any) -> Array:
        """Return ∂E/∂x for y_bar = ∂E/∂y, and leave ∂E/∂W and ∂E/∂b in ``W_bar`` and ``b_bar``."""
        x, W, numbers = astype(self.x, self.W.dtype), self.W, self._numbers()
        padded = self._padded(x)

        # Each weight meets the input at every position of its window, ∂E/∂W_ock = Σ_n Σ_i x_nc(i·stride + k) ∂E/∂y_noi:
        # the input is convolved with the error derivatives.
        self.W_bar = conv_weight_gradient(padded, y_bar, W.shape, **numbers)
        if self.has_bias:
            self.b_bar = self._bias_gradient(y_bar)

        # Each input is in several windows, ∂E/∂x_nch = Σ_o Σ_{i·stride + k = h} W_ock ∂E/∂y_noi: the error derivatives are
        # convolved with the weights the other way around.
        x_bar = conv_input_gradient(y_bar, W, padded.shape, **numbers)
        return self._folded(x_bar, x.shape)

    def _folded(self, x_bar: Array, shape: tuple[int, ...]) -> Array:
        """Return the cotangent of x of that of the padded x: an entry that stands there twice gets both parts."""
        if x_bar.shape == shape:
            return x_bar
        for axis, widths in zip(layout_of(self, self.rank, self.layout).spatial, self.padding, strict=True):
            source = np.pad(np.arange(shape[axis]), widths, mode=PADDING_MODES[self.padding_mode])  # type: ignore[call-overload]
            copies = (source[:, None] == np.arange(shape[axis])).astype(x_bar.dtype)
            x_bar = moveaxis(matmul(moveaxis(x_bar, axis, -1), copies), -1, axis)
        return x_bar

    def describe(self) -> str:
        W = self.__dict__["_cells"]["W"].array
        taps = "×".join(map(str, W.shape[2:]))
        pads = tuple(before if before == after else (before, after) for before, after in self.padding)
        return self._described(
            f"{W.shape[1] * self.groups} → {W.shape[0]}, {taps}",
            stride=_short(self.stride),
            padding=_short(pads),
            dilation=_short(self.dilation),
            groups=self.groups,
            padding_mode=self.padding_mode,
        )


def _short(numbers: tuple[Any, ...]) -> Any:
    return numbers[0] if len(set(numbers)) == 1 else numbers


class Conv1d(_Conv):
    """y[o, i] = b[o] + Σ_c Σ_k x[c, i · stride + k · dilation − padding] W[o, c, k]: weights slide along a sequence.

    ``x``: (…, inputs, length), any number of leading axes; ``W``: (outputs, inputs / groups, taps); ``b``: (outputs,); ``y``:
    (…, outputs, positions). The start of W is that of `Linear`, b starts at 0.

    - ``inputs``, ``outputs``: channels of x and of y.
    - ``kernel_size``, ``stride``, ``dilation``: taps of a window, steps between windows, steps between taps.
    - ``padding``: entries at both ends: a number, a pair for the axis, "valid" (none) or "same" (the length stays).
    - ``groups``: groups of channels with weights of their own; as many as ``inputs`` for a depthwise convolution.
    - ``bias``: whether there is a b.
    - ``padding_mode``: what stands beyond the ends: "zeros", "reflect", "replicate" (the last entry) or "circular".
    - ``layout``: "NCL", or "NLC" with the channels last in x and y.
    - ``dtype``, ``generator``, ``seed``, ``init``: as for `Linear`.

    Raises `ShapeError` where a window does not fit or x has other channels, `ArgumentError` for a wrong setting.

    **Source:** Goodfellow, Bengio & Courville (2016), Deep Learning, chapter 9; the way back eqs. 9.11 and 9.13.

    >>> import bprop
    >>> from bprop import nn
    >>> layer = nn.Conv1d(3, 8, 5, padding="same", seed=0)
    >>> layer
    Conv1d(3 → 8, 5, padding 2, float32)
    >>> layer(bprop.ones((2, 3, 20), dtype="float32")).shape
    (2, 8, 20)
    """

    rank = 1


class Conv2d(_Conv):
    """y[o, i, j] = b[o] + Σ_c Σ_k Σ_l x[c, i · stride + k · dilation − padding, …] W[o, c, k, l]: weights slide over an image.

    ``x``: (…, inputs, height, width), any number of leading axes; ``W``: (outputs, inputs / groups, taps, taps); ``b``:
    (outputs,); ``y``: (…, outputs, rows, columns). Settings are those of `Conv1d`, one number for both axes or a tuple of two.

    - ``inputs``, ``outputs``: channels of x and of y.
    - ``kernel_size``, ``stride``, ``dilation``: taps of a window, steps between windows, steps between taps.
    - ``padding``: entries around the image: a number, one or a pair for each axis, "valid" or "same".
    - ``groups``, ``bias``, ``padding_mode``: as for `Conv1d`.
    - ``layout``: "NCHW", or "NHWC" with the channels last in x and y.
    - ``dtype``, ``generator``, ``seed``, ``init``: as for `Linear`.

    Raises `ShapeError` where a window does not fit or x has other channels, `ArgumentError` for a wrong setting.

    **Source:** LeCun, Bottou, Bengio & Haffner (1998), Gradient-based learning applied to document recognition; the way
    back Goodfellow, Bengio & Courville (2016), Deep Learning, eqs. 9.11 and 9.13.

    >>> import bprop
    >>> from bprop import nn
    >>> layer = nn.Conv2d(3, 8, 3, padding=1, seed=0)
    >>> x = bprop.ones((2, 3, 6, 6), dtype="float32")
    >>> layer.fprop(x).shape
    (2, 8, 6, 6)
    >>> layer.bprop(bprop.ones((2, 8, 6, 6), dtype="float32")).shape, layer.W_bar.shape
    ((2, 3, 6, 6), (8, 3, 3, 3))
    """

    rank = 2


class _ConvTranspose(_Convolution):
    """A transposed convolution over 1 or 2 axes."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] = 0,
        output_padding: int | tuple[int, ...] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, ...] = 1,
        layout: str | None = None,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
        init: Initialiser | None = None,
    ) -> None:
        inputs, outputs = integer(self, "inputs", inputs), integer(self, "outputs", outputs)
        taps = self._settings(inputs, outputs, kernel_size, groups, layout)
        self.stride, self.dilation = (
            by_axis(self, "stride", stride, self.rank),
            by_axis(self, "dilation", dilation, self.rank),
        )
        self.padding = by_axis(self, "padding", padding, self.rank, 0)
        self.output_padding = by_axis(self, "output_padding", output_padding, self.rank, 0)
        for more, step, rate in zip(self.output_padding, self.stride, self.dilation, strict=True):
            if more >= max(step, rate):
                raise ArgumentError(
                    f"{label(self)}: output_padding {more} is to be less than stride {step} or dilation {rate}"
                )
        self._start((inputs, outputs // self.groups, *taps), outputs, dtype, generator, seed, init, bias)

    def fprop(self, x: Any) -> Array:
        x = self._converted(x, self.W.shape[0])
        return self._biased(
            conv_transpose(
                x, self.W, self.stride, self.padding, self.output_padding, self.groups, self.dilation, self.layout
            )
        )

    def describe(self) -> str:
        W = self.__dict__["_cells"]["W"].array
        return self._described(
            f"{W.shape[0]} → {W.shape[1] * self.groups}, {'×'.join(map(str, W.shape[2:]))}",
            stride=_short(self.stride),
            padding=_short(self.padding),
            output_padding=_short(self.output_padding),
            dilation=_short(self.dilation),
            groups=self.groups,
        )


class ConvTranspose1d(_ConvTranspose):
    """y[o, h] = b[o] + Σ x[c, i] W[c, o, k] over h = i · stride + k · dilation − padding: the way back of a `Conv1d`, as a layer.

    ``x``: (…, inputs, length); ``W``: (inputs, outputs / groups, taps); ``b``: (outputs,); ``y``: (…, outputs, (length − 1) ·
    stride − 2 padding + dilation · (taps − 1) + output_padding + 1).

    - ``inputs``, ``outputs``: channels of x and of y.
    - ``kernel_size``, ``stride``, ``padding``, ``dilation``, ``groups``: those of the convolution from y to x.
    - ``output_padding``: entries more at the end of y, less than stride or dilation.
    - ``bias``, ``layout``, ``dtype``, ``generator``, ``seed``, ``init``: as for `Conv1d`.

    Raises `ShapeError` where x has other channels or y would be empty, `ArgumentError` for a wrong setting.

    **Source:** Dumoulin & Visin (2016), A guide to convolution arithmetic for deep learning, relationship 14.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.ConvTranspose1d(3, 8, 4, stride=2, padding=1, seed=0)(bprop.ones((2, 3, 10), dtype="float32")).shape
    (2, 8, 20)
    """

    rank = 1


class ConvTranspose2d(_ConvTranspose):
    """y[o, h, w] = b[o] + Σ x[c, i, j] W[c, o, k, l] over h = i · stride + k · dilation − padding, w alike: a `Conv2d`'s way back.

    ``x``: (…, inputs, height, width); ``W``: (inputs, outputs / groups, taps, taps); ``b``: (outputs,). The size of y is that of
    `ConvTranspose1d` along each axis; settings are a number for both axes or a tuple of two.

    - ``inputs``, ``outputs``: channels of x and of y.
    - ``kernel_size``, ``stride``, ``padding``, ``dilation``, ``groups``: those of the convolution from y to x.
    - ``output_padding``: entries more at the end of y, less than stride or dilation.
    - ``bias``, ``layout``, ``dtype``, ``generator``, ``seed``, ``init``: as for `Conv2d`.

    Raises `ShapeError` where x has other channels or y would be empty, `ArgumentError` for a wrong setting.

    **Source:** Dumoulin & Visin (2016), A guide to convolution arithmetic for deep learning, relationship 14.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.ConvTranspose2d(8, 3, 2, stride=2, seed=0)(bprop.ones((2, 8, 5, 5), dtype="float32")).shape
    (2, 3, 10, 10)
    """

    rank = 2
