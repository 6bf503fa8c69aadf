"""What all normalisations share: the input's dtype, γ and β along the channels, and the derivative of (x - μ) / σ."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.number import flag, integer, number
from ..core.value import Array, asarray
from ..ops import astype, mean, reshape, sqrt, sum
from .cell import parameter
from .module import Module
from .setting import allocating, floating


def standardised_cotangent(
    x_hat_bar: Array, x_hat: Array, inverse_std: Array, axes: tuple[int, ...]
) -> Array:  # fmt: skip
    """Return ∂E/∂x for x̂ = (x - μ) / √(σ² + ε), where μ and σ² are the moments of x over ``axes``.

    μ and σ² depend on x too. What Ioffe & Szegedy write as three sums, ∂E/∂σ², ∂E/∂μ and ∂E/∂x, comes to

        ∂E/∂x = (∂E/∂x̂ - mean(∂E/∂x̂) - x̂ mean(x̂ ∂E/∂x̂)) / √(σ² + ε):

    of ∂E/∂x̂ it leaves what changes neither the mean nor the scale of x.

    **Source:** Ioffe & Szegedy (2015), Batch normalization, section 3.
    """
    shift, stretch = mean(x_hat_bar, axis=axes, keepdims=True), mean(x_hat_bar * x_hat, axis=axes, keepdims=True)
    x_bar: Array = (x_hat_bar - shift - x_hat * stretch) * inverse_std
    return x_bar


class Normalisation(Module):
    """Base class of the normalisations: y = γ x̂ + β, with γ and β of a shape that the subclass says.

    - ``eps``: ε ≥ 0, added to the variance. ``dtype``: the floating dtype of γ and β.
    """

    pytorch_names = {"gamma": "weight", "beta": "bias"}  # noqa: RUF012 - never written to

    def __init__(self, eps: float | None, dtype: DTypeLike) -> None:
        self.eps = None if eps is None else number(self, "eps", eps, 0)
        self.dtype = floating(self, dtype)

    def make_affine(self, shape: tuple[int, ...], bias: bool = True) -> None:
        """Make γ, which starts at 1, and with ``bias`` β, which starts at 0, of ``shape``."""
        with allocating(self, "gamma", shape, self.dtype):
            self.gamma = parameter(np.ones(shape), self.dtype)
        if bias:
            with allocating(self, "beta", shape, self.dtype):
                self.beta = parameter(np.zeros(shape), self.dtype)

    @property
    def affine(self) -> bool:
        """Whether there is a γ."""
        return "gamma" in self.__dict__.get("_cells", {})

    @property
    def has_bias(self) -> bool:
        """Whether there is a β."""
        return "beta" in self.__dict__.get("_cells", {})

    def floats(self, x: Any) -> Array:
        """Return x in floating point: in the dtype of the layer's cells if it has any, else in its own."""
        cells = self.__dict__.get("_cells", {})
        x = self.check_dtype(x, next(iter(cells))) if cells else asarray(x)
        return x if x.dtype.kind == "f" else astype(x, self.dtype)

    def inverse_std_of(self, variance: Array) -> Array:
        """Return 1 / √(σ² + ε)."""
        scale: Array = 1 / sqrt(variance + self.eps)
        return scale


class ChannelNormalisation(Normalisation):
    """Base class of the normalisations with one γ and one β per channel: y = γ x̂ + β.

    - ``channels``: how many channels there are. ``affine``: whether there are γ and β.
    """

    def __init__(self, channels: int, eps: float, affine: bool, dtype: DTypeLike) -> None:
        super().__init__(eps, dtype)
        self.channels = integer(self, "channels", channels)
        if flag(self, "affine", affine):
            self.make_affine((self.channels,))

    def channel_axis_of(self, x: Array) -> int:
        """Return the axis of the channels of ``x``, from 0; raise `ShapeError` where x has another shape."""
        raise NotImplementedError

    def along_channels(self, v: Array, x: Array) -> Array:
        """Return ``v``, (channels,), in a shape that broadcasts against ``x``."""
        axis = self.channel_axis_of(x)
        return reshape(v, tuple(self.channels if i == axis else 1 for i in range(x.ndim)))

    def scaled(self, x_hat: Array) -> Array:
        """Return y = γ x̂ + β, in the shape of x̂."""
        if not self.affine:
            return x_hat
        y: Array = x_hat * self.along_channels(self.gamma, x_hat) + self.along_channels(self.beta, x_hat)
        return y

    def scaled_cotangent(self, y_bar: Array, x_hat: Array) -> Array:
        """Leave ∂E/∂γ = Σ x̂ ∂E/∂y and ∂E/∂β = Σ ∂E/∂y, sums over all but the channels, and return ∂E/∂x̂ = γ ∂E/∂y."""
        if not self.affine:
            return y_bar
        others = tuple(i for i in range(x_hat.ndim) if i != self.channel_axis_of(x_hat))
        self.gamma_bar = sum(y_bar * x_hat, axis=others)
        self.beta_bar = sum(y_bar, axis=others)
        x_hat_bar: Array = y_bar * self.along_channels(self.gamma, x_hat)
        return x_hat_bar


__all__ = ["ChannelNormalisation", "Normalisation", "standardised_cotangent"]
