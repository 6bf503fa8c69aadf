"""Layer normalisation and its variant by the root mean square: over the last axes of every example alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ArgumentError, ShapeError
from ..core.number import flag, integer
from ..core.value import Array
from ..ops import mean, moments, sqrt, square, sum
from .normalisation import Normalisation, standardised_cotangent


class _LastAxesNormalisation(Normalisation):
    """Base class of normalisations over the last axes, whose lengths are ``shape``; γ and β are of that shape."""

    def __init__(
        self, shape: int | Sequence[int], eps: float | None, elementwise_affine: bool, bias: bool, dtype: DTypeLike
    ) -> None:
        super().__init__(eps, dtype)
        sizes = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
        if not sizes:
            raise ArgumentError(f"{type(self).__name__}: shape is the length of the last axis or of several, not ()")
        self.shape = tuple(integer(self, "shape", size) for size in sizes)
        bias = flag(self, "bias", bias)
        if flag(self, "elementwise_affine", elementwise_affine):
            self.make_affine(self.shape, bias)

    def axes_of(self, x: Array) -> tuple[int, ...]:
        """Return the last axes of ``x``; raise `ShapeError` where they have other lengths."""
        count = len(self.shape)
        if x.shape[-count:] != self.shape:
            wanted = f"axis should be {self.shape[0]}" if count == 1 else f"axes should be {self.shape}"
            raise ShapeError(f"{type(self).__name__}: x has shape {x.shape}, its last {wanted}")
        return tuple(range(x.ndim - count, x.ndim))

    def scaled_cotangent(self, y_bar: Array, x_hat: Array) -> Array:
        """Leave ∂E/∂γ = Σ x̂ ∂E/∂y and ∂E/∂β = Σ ∂E/∂y, sums over the examples, and return ∂E/∂x̂ = γ ∂E/∂y."""
        examples = tuple(range(x_hat.ndim - len(self.shape)))
        if self.has_bias:
            self.beta_bar = sum(y_bar, axis=examples)
        if not self.affine:
            return y_bar
        self.gamma_bar = sum(y_bar * x_hat, axis=examples)
        x_hat_bar: Array = y_bar * self.gamma
        return x_hat_bar

    def example(self) -> tuple[Any, ...]:
        """Return the shape of two examples."""
        return ((2, *self.shape),)


class LayerNorm(_LastAxesNormalisation):
    """y = γ (x - μ) / √(σ² + ε) + β, with mean μ and variance σ² of each example over its last axes.

    ``x``, ``y``: (..., *shape), any number of leading axes, also none; ``gamma`` and ``beta``, γ and β: of ``shape``. The
    same in training and in evaluation mode, and for any batch. For images with channels last, ``LayerNorm(channels)``
    normalises over the channels of each pixel.

    Raises `ShapeError` where the last axes of x are not ``shape``, `DTypeError` for a float dtype other than ``dtype``.

    ∂E/∂γ = Σ x̂ ∂E/∂y and ∂E/∂β = Σ ∂E/∂y over the examples, and with g = γ ∂E/∂y, x̂ = (x - μ) / √(σ² + ε) and means
    over the last axes, ∂E/∂x = (g - mean(g) - x̂ mean(x̂ g)) / √(σ² + ε).

    - ``shape``: the length of the last axis, or those of the last axes (PyTorch's ``normalized_shape``).
    - ``eps``: ε ≥ 0.
    - ``elementwise_affine``: whether there are γ and β. ``bias``: whether there is β, if there is γ.
    - ``dtype``: the floating dtype of γ and β; integers in x are converted.

    **Source:** Ba, Kiros & Hinton (2016), Layer normalization, eq. 3 and 4; PyTorch, ``LayerNorm``.

    >>> import bprop
    >>> from bprop import nn
    >>> layer = nn.LayerNorm(2, dtype="float64")
    >>> layer.fprop(bprop.asarray([[1.0, 3.0], [-20.0, 20.0]]))
    Array([[-0.999995  ,  0.999995  ],
           [-0.99999999,  0.99999999]])
    >>> layer.bprop(bprop.ones((2, 2))).tolist(), layer.beta_bar
    ([[0.0, 0.0], [0.0, 0.0]], Array([2., 2.]))
    """

    def __init__(
        self,
        shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(shape, eps, elementwise_affine, bias, dtype)

    def fprop(self, x: Any) -> Array:
        x = self.floats(x)
        average, variance = moments(x, axis=self.axes_of(x), keepdims=True)
        inverse_std = self.inverse_std_of(variance)
        self.keep(average=average, inverse_std=inverse_std)
        y: Array = (x - average) * inverse_std
        if self.affine:
            y = y * self.gamma
        return y + self.beta if self.has_bias else y

    def bprop(self, y_bar: Any) -> Array:
        """Return ∂E/∂x, and leave ∂E/∂γ and ∂E/∂β in ``gamma_bar`` and ``beta_bar``."""
        x = self.floats(self.x)
        x_hat = (x - self.average) * self.inverse_std
        x_hat_bar = self.scaled_cotangent(y_bar, x_hat)
        return standardised_cotangent(x_hat_bar, x_hat, self.inverse_std, self.axes_of(x))

    def describe(self) -> str:
        """Return the shape, and what differs from the defaults."""
        options = [f"eps={self.eps:g}"] if self.eps != 1e-5 else []
        options += [] if self.has_bias else ["no bias" if self.affine else "no affine"]
        return ", ".join(["×".join(map(str, self.shape)), *options, str(self.dtype)])


class RMSNorm(_LastAxesNormalisation):
    """y = γ x / √(mean(x²) + ε), the mean over the last axes of each example: `LayerNorm` without μ and β.

    ``x``, ``y``: (..., *shape), any number of leading axes, also none; ``gamma``, γ: of ``shape``. Raises `ShapeError`
    where the last axes of x are not ``shape``, `DTypeError` for a float dtype other than ``dtype``.

    ∂E/∂γ = Σ x̂ ∂E/∂y over the examples, and with g = γ ∂E/∂y, x̂ = x / √(mean(x²) + ε) and means over the last axes,
    ∂E/∂x = (g - x̂ mean(x̂ g)) / √(mean(x²) + ε).

    - ``shape``: the length of the last axis, or those of the last axes (PyTorch's ``normalized_shape``).
    - ``eps``: ε ≥ 0; ``None`` for the distance from 1 to the next number of x's dtype.
    - ``elementwise_affine``: whether there is a γ.
    - ``dtype``: the floating dtype of γ; integers in x are converted.

    **Source:** Zhang & Sennrich (2019), Root mean square layer normalization, eq. 4; PyTorch, ``RMSNorm``.

    >>> import bprop
    >>> from bprop import nn
    >>> layer = nn.RMSNorm(2, dtype="float64")
    >>> layer.fprop(bprop.asarray([[3.0, 3.0], [-1.0, 7.0]]))
    Array([[ 1. ,  1. ],
           [-0.2,  1.4]])
    """

    def __init__(
        self,
        shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(shape, eps, elementwise_affine, False, dtype)

    def fprop(self, x: Any) -> Array:
        x = self.floats(x)
        eps = float(np.finfo(x.dtype).eps) if self.eps is None else self.eps
        inverse_rms = 1 / sqrt(mean(square(x), axis=self.axes_of(x), keepdims=True) + eps)
        self.keep(inverse_rms=inverse_rms)
        y: Array = x * inverse_rms
        return y * self.gamma if self.affine else y

    def bprop(self, y_bar: Any) -> Array:
        """Return ∂E/∂x, and leave ∂E/∂γ in ``gamma_bar``."""
        x = self.floats(self.x)
        x_hat = x * self.inverse_rms
        x_hat_bar = self.scaled_cotangent(y_bar, x_hat)
        # What would make x longer is taken away: the length does not matter to y. ε aside, x_bar is orthogonal to x.
        stretch = mean(x_hat_bar * x_hat, axis=self.axes_of(x), keepdims=True)
        x_bar: Array = (x_hat_bar - x_hat * stretch) * self.inverse_rms
        return x_bar

    def describe(self) -> str:
        """Return the shape, and what differs from the defaults."""
        options = [] if self.eps is None else [f"eps={self.eps:g}"]
        options += [] if self.affine else ["no affine"]
        return ", ".join(["×".join(map(str, self.shape)), *options, str(self.dtype)])


__all__ = ["LayerNorm", "RMSNorm"]
