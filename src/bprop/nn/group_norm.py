"""Group normalisation: over the channels of a group and all positions, for every example alone."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ArgumentError, ShapeError
from ..core.number import integer, whole_number
from ..core.shape import Shape
from ..core.value import Array
from ..ops import moments, reshape
from .normalisation import ChannelNormalisation, standardised_cotangent


class GroupNorm(ChannelNormalisation):
    """y = γ (x - μ) / √(σ² + ε) + β, with mean μ and variance σ² over the channels of a group and all positions.

    ``x``, ``y``: (N, channels, ...) with any number of axes of positions, or (N, ..., channels) with ``channel_axis=-1``;
    ``gamma`` and ``beta``, γ and β: (channels,). Neighbouring channels make a group. The same in training and in
    evaluation mode. One group is `LayerNorm` over channels and positions, with one γ and β per channel; as many groups
    as channels is `InstanceNorm2d` with γ and β.

    Raises `ArgumentError` where ``groups`` does not divide ``channels``, `ShapeError` where x has another number of
    channels, `DTypeError` for a float dtype other than ``dtype``.

    ∂E/∂γ = Σ x̂ ∂E/∂y and ∂E/∂β = Σ ∂E/∂y over all but the channels, and with g = γ ∂E/∂y, x̂ = (x - μ) / √(σ² + ε) and
    means over a group, ∂E/∂x = (g - mean(g) - x̂ mean(x̂ g)) / √(σ² + ε).

    - ``groups``: how many groups there are (PyTorch's ``num_groups``).
    - ``channels``: how many channels x has (PyTorch's ``num_channels``).
    - ``eps``: ε ≥ 0.
    - ``affine``: whether there are γ and β.
    - ``channel_axis``: the axis of the channels, 1 or -1.
    - ``dtype``: the floating dtype of γ and β; integers in x are converted.

    **Source:** Wu & He (2018), Group normalization, eq. 1 to 7; PyTorch, ``GroupNorm``.

    >>> import bprop
    >>> from bprop import nn
    >>> layer = nn.GroupNorm(2, 4)
    >>> layer, layer(bprop.ones((8, 4, 5, 5), dtype="float32")).shape
    (GroupNorm(4 channels in 2 groups, float32), (8, 4, 5, 5))
    """

    def __init__(
        self,
        groups: int,
        channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        channel_axis: int = 1,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.groups = integer(self, "groups", groups)
        integer(self, "channels", channels)
        if channels % self.groups:
            raise ArgumentError(
                f"GroupNorm: {channels} channels do not make {self.groups} groups: groups divides the number of channels"
            )
        if whole_number(channel_axis) not in (1, -1):
            raise ArgumentError(f"GroupNorm: channel_axis is 1 or -1, not {channel_axis!r:.60}")
        self.channel_axis = int(channel_axis)
        super().__init__(channels, eps, affine, dtype)

    def channel_axis_of(self, x: Array) -> int:
        if x.ndim < 2 or x.shape[self.channel_axis] != self.channels:
            wanted = f"(N, {self.channels}, ...)" if self.channel_axis == 1 else f"(N, ..., {self.channels})"
            raise ShapeError(f"GroupNorm: x has shape {x.shape}, it should be {wanted}")
        return self.channel_axis % x.ndim

    def grouped(self, x: Array) -> tuple[Shape, tuple[int, ...]]:
        """Return the shape of ``x`` with groups and their channels on two axes, and the axes to average over."""
        axis = self.channel_axis_of(x)
        shape = *x.shape[:axis], self.groups, self.channels // self.groups, *x.shape[axis + 1 :]
        return shape, tuple(i for i in range(1, len(shape)) if i != axis)

    def fprop(self, x: Any) -> Array:
        x = self.floats(x)
        shape, axes = self.grouped(x)
        grouped = reshape(x, shape)
        average, variance = moments(grouped, axis=axes, keepdims=True)
        inverse_std = self.inverse_std_of(variance)
        self.keep(average=average, inverse_std=inverse_std)
        return self.scaled(reshape((grouped - average) * inverse_std, x.shape))

    def bprop(self, y_bar: Any) -> Array:
        """Return ∂E/∂x, and leave ∂E/∂γ and ∂E/∂β in ``gamma_bar`` and ``beta_bar``."""
        x = self.floats(self.x)
        shape, axes = self.grouped(x)
        x_hat = (reshape(x, shape) - self.average) * self.inverse_std
        x_hat_bar = self.scaled_cotangent(y_bar, reshape(x_hat, x.shape))
        x_bar = standardised_cotangent(reshape(x_hat_bar, shape), x_hat, self.inverse_std, axes)
        return reshape(x_bar, x.shape)

    def example(self) -> tuple[Any, ...]:
        """Return the shape of two short sequences."""
        return ((2, self.channels, 3) if self.channel_axis == 1 else (2, 3, self.channels),)

    def describe(self) -> str:
        """Return channels and groups, and what differs from the defaults."""
        options = [f"eps={self.eps:g}"] if self.eps != 1e-5 else []
        options += [] if self.affine else ["no affine"]
        options += [] if self.channel_axis == 1 else ["channels last"]
        return ", ".join([f"{self.channels} channels in {self.groups} groups", *options, str(self.dtype)])


__all__ = ["GroupNorm"]
