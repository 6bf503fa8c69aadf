"""Pooling layers: the largest or the mean entry of every window, or of a given number of bins."""

from typing import Any, ClassVar

from ..core.number import flag
from ..core.value import Array
from ..ops import adaptive_avg_pool, adaptive_max_pool, avg_pool, max_pool
from ..ops.spatial import LAYOUTS, by_axis, layout_name
from .module import Module


class _Pool(Module):
    """What pooling over windows has in common."""

    rank: ClassVar[int]

    def __init__(
        self,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] | None = None,
        padding: int | tuple[int, ...] = 0,
        ceil_mode: bool = False,
        layout: str | None = None,
    ) -> None:
        self.kernel_size = by_axis(self, "kernel_size", kernel_size, self.rank)
        self.stride = self.kernel_size if stride is None else by_axis(self, "stride", stride, self.rank)
        self.padding = by_axis(self, "padding", padding, self.rank, 0)
        self.ceil_mode = flag(self, "ceil_mode", ceil_mode)
        self.layout = layout_name(self, self.rank, layout)

    def describe(self) -> str:
        parts = ["×".join(map(str, self.kernel_size))]
        defaults = {"stride": self.kernel_size, "padding": (0,) * self.rank, "dilation": (1,) * self.rank}
        for name, default in defaults.items():
            numbers = getattr(self, name, default)
            if numbers != default:
                parts.append(f"{name} {'×'.join(map(str, numbers))}")
        if self.ceil_mode:
            parts.append("ceil_mode")
        return ", ".join([*parts, *_other_layout(self)])


def _other_layout(module: Any) -> list[str]:
    """Return the name of the module's layout, unless it is the usual one."""
    return [] if module.layout == LAYOUTS[module.rank][0] else [module.layout]


class _MaxPool(_Pool):
    def __init__(
        self,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] | None = None,
        padding: int | tuple[int, ...] = 0,
        dilation: int | tuple[int, ...] = 1,
        ceil_mode: bool = False,
        layout: str | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, layout)
        self.dilation = by_axis(self, "dilation", dilation, self.rank)

    def fprop(self, x: Any) -> Array:
        return max_pool(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.layout)


class _AvgPool(_Pool):
    def __init__(
        self,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] | None = None,
        padding: int | tuple[int, ...] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        layout: str | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, layout)
        self.count_include_pad = flag(self, "count_include_pad", count_include_pad)

    def fprop(self, x: Any) -> Array:
        return avg_pool(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad, self.layout
        )

    def describe(self) -> str:
        return super().describe() + ("" if self.count_include_pad else ", padding not counted")


class MaxPool1d(_MaxPool):
    """y[c, i] = max_k x[c, i · stride + k · dilation − padding]: the largest entry of every window of a sequence.

    ``x``: (…, channels, length); ``y``: (…, channels, windows). The derivative goes to the largest entry, of equally
    large ones to the first.

    - ``kernel_size``: entries of a window; ``stride``: steps between windows, by default as many.
    - ``padding``: entries at both ends that are never the largest, at most half a window; ``dilation``: steps in a window.
    - ``ceil_mode``: whether what is left over at the end gets a window too.
    - ``layout``: "NCL" or "NLC".

    **Source:** Goodfellow, Bengio & Courville (2016), Deep Learning, section 9.3.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.MaxPool1d(2)(bprop.asarray([[1.0, 3.0, 2.0, 0.0]]))
    Array([[3., 2.]])
    """

    rank = 1


class MaxPool2d(_MaxPool):
    """y[c, i, j] = max over a window of x[c]: the largest entry, so that small shifts of an image matter less.

    ``x``: (…, channels, height, width); ``y``: (…, channels, rows, columns). Settings are those of `MaxPool1d`, one number for
    both axes or a tuple of two; ``layout``: "NCHW" or "NHWC".

    - ``kernel_size``, ``stride``, ``padding``, ``dilation``, ``ceil_mode``, ``layout``: as there.

    **Source:** Goodfellow, Bengio & Courville (2016), Deep Learning, section 9.3.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.MaxPool2d(2)
    MaxPool2d(2×2)
    >>> nn.MaxPool2d(2)(bprop.ones((8, 28, 28))).shape
    (8, 14, 14)
    """

    rank = 2


class AvgPool1d(_AvgPool):
    """y[c, i] = mean_k x[c, i · stride + k − padding]: the mean of every window of a sequence.

    ``x``: (…, channels, length); ``y``: (…, channels, windows).

    - ``kernel_size``, ``stride``, ``padding``, ``ceil_mode``, ``layout``: as for `MaxPool1d`; padding counts as zeros.
    - ``count_include_pad``: whether the sum is divided by the entries of the padding too.

    **Source:** Goodfellow, Bengio & Courville (2016), Deep Learning, section 9.3.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.AvgPool1d(2)(bprop.asarray([[1.0, 3.0, 2.0, 0.0]]))
    Array([[2., 1.]])
    """

    rank = 1


class AvgPool2d(_AvgPool):
    """y[c, i, j] = mean over a window of x[c].

    ``x``: (…, channels, height, width); ``y``: (…, channels, rows, columns). Settings are those of `AvgPool1d`, one number for
    both axes or a tuple of two; ``layout``: "NCHW" or "NHWC".

    - ``kernel_size``, ``stride``, ``padding``, ``ceil_mode``, ``count_include_pad``, ``layout``: as there.

    **Source:** LeCun, Bottou, Bengio & Haffner (1998), Gradient-based learning applied to document recognition, section II.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.AvgPool2d(2)(bprop.ones((8, 28, 28))).shape
    (8, 14, 14)
    """

    rank = 2


class _AdaptivePool(Module):
    """Pooling to a given number of outputs."""

    rank: ClassVar[int]

    def __init__(self, outputs: int | tuple[int | None, ...], layout: str | None = None) -> None:
        self.layout = layout_name(self, self.rank, layout)
        entries = outputs if isinstance(outputs, tuple | list) else (outputs,) * self.rank
        by_axis(self, "outputs", [1 if entry is None else entry for entry in entries], self.rank)
        self.outputs = tuple(entries)

    def describe(self) -> str:
        sizes = "×".join("any" if entry is None else str(entry) for entry in self.outputs)
        return ", ".join([sizes, *_other_layout(self)])


class AdaptiveAvgPool1d(_AdaptivePool):
    """Mean over bins, as many as ``outputs``: bin i has the entries ⌊i n / outputs⌋ to ⌈(i + 1) n / outputs⌉ of a sequence.

    - ``outputs``: the length of y; 1 for the mean over all.
    - ``layout``: "NCL" or "NLC".

    **Source:** PyTorch 2, ``torch.nn.AdaptiveAvgPool1d``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.AdaptiveAvgPool1d(2)(bprop.asarray([[1.0, 3.0, 2.0]]))
    Array([[2. , 2.5]])
    """

    rank = 1

    def fprop(self, x: Any) -> Array:
        return adaptive_avg_pool(x, self.outputs, self.layout)


class AdaptiveAvgPool2d(_AdaptivePool):
    """Mean over bins of an image, as many as ``outputs`` along each axis; 1 is global average pooling.

    - ``outputs``: the size of y, a number or one for each axis (``None``: that of x).
    - ``layout``: "NCHW" or "NHWC".

    **Source:** Lin, Chen & Yan (2014), Network in network, section 3.2; PyTorch 2, ``torch.nn.AdaptiveAvgPool2d``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.AdaptiveAvgPool2d(1)(bprop.ones((2, 8, 7, 7))).shape
    (2, 8, 1, 1)
    """

    rank = 2

    def fprop(self, x: Any) -> Array:
        return adaptive_avg_pool(x, self.outputs, self.layout)


class AdaptiveMaxPool1d(_AdaptivePool):
    """Largest entry of every bin; the bins are those of `AdaptiveAvgPool1d`.

    - ``outputs``, ``layout``: as there.

    **Source:** PyTorch 2, ``torch.nn.AdaptiveMaxPool1d``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.AdaptiveMaxPool1d(2)(bprop.asarray([[1.0, 3.0, 2.0]]))
    Array([[3., 3.]])
    """

    rank = 1

    def fprop(self, x: Any) -> Array:
        return adaptive_max_pool(x, self.outputs, self.layout)


class AdaptiveMaxPool2d(_AdaptivePool):
    """Largest entry of every bin of an image; the bins are those of `AdaptiveAvgPool2d`.

    - ``outputs``, ``layout``: as there.

    **Source:** PyTorch 2, ``torch.nn.AdaptiveMaxPool2d``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.AdaptiveMaxPool2d((2, None))(bprop.ones((2, 8, 7, 5))).shape
    (2, 8, 2, 5)
    """

    rank = 2

    def fprop(self, x: Any) -> Array:
        return adaptive_max_pool(x, self.outputs, self.layout)
