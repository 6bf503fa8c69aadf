"""Batch and instance normalisation, which may keep running statistics; their backward pass is Ioffe & Szegedy's."""

from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ShapeError
from ..core.number import flag, number
from ..core.value import Array
from ..ops import astype, mean, moments, reshape, sum
from ..ops.spatial import LAYOUTS, check_axes, layout_name
from .cell import state
from .normalisation import ChannelNormalisation, Normalisation, standardised_cotangent
from .setting import allocating


class _RunningNormalisation(ChannelNormalisation):
    """Base class of normalisations by the moments of a batch in training, and by running ones in evaluation mode."""

    rank: ClassVar[int]
    """How many spatial axes there are."""
    affine_default: bool
    """Whether γ, β and running statistics are there by default."""
    optional: ClassVar = ""
    """The letter of an axis that x need not have."""
    kept: ClassVar[str]
    """The letters of the axes over which no mean is taken."""
    pytorch_names = {  # noqa: RUF012 - never written to
        **Normalisation.pytorch_names,
        "running_mean": "running_mean",
        "running_var": "running_var",
        "num_batches_tracked": "num_batches_tracked",
    }

    def __init__(
        self,
        channels: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        layout: str | None,
        dtype: DTypeLike,
    ) -> None:
        super().__init__(channels, eps, affine, dtype)
        self.layout = layout_name(self, self.rank, layout)
        self.momentum = None if momentum is None else number(self, "momentum", momentum, 0, 1, open_high=False)
        self.track_running_stats = flag(self, "track_running_stats", track_running_stats)
        if self.track_running_stats:
            with allocating(self, "running_mean", (self.channels,), self.dtype):
                self.running_mean = state(np.zeros(self.channels), self.dtype)
                self.running_var = state(np.ones(self.channels), self.dtype)
            self.num_batches_tracked = state(0)

    def fprop(self, x: Any) -> Array:
        x = self.floats(x)
        axes = self.axes_of(x)
        if not self.training and self.track_running_stats:
            average = self.along_channels(self.running_mean, x)
            inverse_std = self.inverse_std_of(self.along_channels(self.running_var, x))
            return self.scaled((x - average) * inverse_std)
        count = prod(x.shape[axis] for axis in axes)
        if count < 2:
            raise ShapeError(
                f"{type(self).__name__}: x has shape {x.shape}, {count} value{'s' * (count != 1)} for each mean: it needs "
                f"at least 2, or running statistics and evaluation mode"
            )
        average, variance = moments(x, axis=axes, keepdims=True)
        inverse_std = self.inverse_std_of(variance)
        self.keep(batch_mean=average, batch_inverse_std=inverse_std)
        if self.training and self.track_running_stats:
            self._update(self._by_channel(average), self._by_channel(variance) * (count / (count - 1)))
        return self.scaled((x - average) * inverse_std)

    def _by_channel(self, moment: Array) -> Array:
        """Return the mean of a moment over all but the channels, in the shape (channels,)."""
        if moment.size == self.channels:
            return reshape(moment, (self.channels,))
        channels = self.channel_axis_of(moment)
        return mean(moment, axis=tuple(axis for axis in range(moment.ndim) if axis != channels))

    def _update(self, average: Array, variance: Array) -> None:
        """Move the running statistics towards those of a batch, (channels,); the variance has n - 1 for its divisor."""
        self.num_batches_tracked = self.num_batches_tracked + 1
        tracked = self.num_batches_tracked
        weight = 1 / astype(tracked, self.dtype) if self.momentum is None else self.momentum
        self.running_mean = (1 - weight) * self.running_mean + weight * average
        self.running_var = (1 - weight) * self.running_var + weight * variance

    def bprop(self, y_bar: Any) -> Array:
        """Return ∂E/∂x, and leave ∂E/∂γ = Σ x̂ ∂E/∂y and ∂E/∂β = Σ ∂E/∂y, sums over all but the channels."""
        x = self.floats(self.x)
        if hasattr(self, "batch_mean"):
            # Every x of a channel is in its mean and variance, through which ∂E/∂y of all reaches x.
            axes = self.axes_of(x)
            if self.affine and len(axes) == x.ndim - 1:
                return self._batch_cotangent(x, y_bar, axes)
            x_hat = (x - self.batch_mean) * self.batch_inverse_std
            return standardised_cotangent(self.scaled_cotangent(y_bar, x_hat), x_hat, self.batch_inverse_std, axes)
        # Running statistics are constants: the layer is a linear map, entry by entry.
        inverse_std = self.inverse_std_of(self.along_channels(self.running_var, x))
        x_hat = (x - self.along_channels(self.running_mean, x)) * inverse_std
        x_bar: Array = self.scaled_cotangent(y_bar, x_hat) * inverse_std
        return x_bar

    def _batch_cotangent(self, x: Array, y_bar: Array, axes: tuple[int, ...]) -> Array:
        """Return ∂E/∂x where the means of the backward pass are over the same entries as the sums of ∂E/∂γ and ∂E/∂β.

        x̂ is not computed again but for its factor 1 / √(σ² + ε), which is outside of the sum.
        """
        deviation, inverse_std = x - self.batch_mean, self.batch_inverse_std
        count, gamma = prod(x.shape[axis] for axis in axes), self.along_channels(self.gamma, x)
        beta_bar = sum(y_bar, axis=axes, keepdims=True)
        gamma_bar = sum(y_bar * deviation, axis=axes, keepdims=True) * inverse_std
        self.beta_bar, self.gamma_bar = reshape(beta_bar, (self.channels,)), reshape(gamma_bar, (self.channels,))
        stretch = gamma_bar * inverse_std / count
        x_bar: Array = (y_bar - beta_bar / count - deviation * stretch) * inverse_std * gamma
        return x_bar

    def letters_of(self, x: Array) -> str:
        """Return the letters of the axes of ``x``."""
        return check_axes(self, self.layout, x, self.optional, C=self.channels)

    def axes_of(self, x: Array) -> tuple[int, ...]:
        """Return the axes over which the moments of ``x`` are taken."""
        return tuple(axis for axis, letter in enumerate(self.letters_of(x)) if letter not in self.kept)

    def channel_axis_of(self, x: Array) -> int:
        return self.letters_of(x).index("C")

    def example(self) -> tuple[Any, ...]:
        """Return a shape of the layout."""
        sizes = {"N": 2, "C": self.channels, "L": 3, "H": 3, "W": 4}
        return (tuple(sizes[letter] for letter in self.layout),)

    def describe(self) -> str:
        """Return the channels, and what differs from the defaults."""
        options = [f"eps={self.eps:g}"] if self.eps != 1e-5 else []
        options += ["affine" if self.affine else "no affine"] if self.affine != self.affine_default else []
        if self.track_running_stats != self.affine_default:
            options += ["running statistics" if self.track_running_stats else "no running statistics"]
        options += [f"momentum={self.momentum}"] if self.track_running_stats and self.momentum != 0.1 else []
        options += [f"layout={self.layout!r}"] if self.layout != LAYOUTS[self.rank][0] else []
        return ", ".join([str(self.channels), *options, str(self.dtype)])


class BatchNormalisation(_RunningNormalisation):
    """Base class of `BatchNorm1d` and `BatchNorm2d`."""

    affine_default = True
    kept = "C"

    def __init__(
        self,
        channels: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        layout: str | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(channels, eps, momentum, affine, track_running_stats, layout, dtype)


class BatchNorm1d(BatchNormalisation):
    """y = γ (x - μ) / √(σ² + ε) + β, with mean μ and variance σ² of each channel over the batch and its positions.

    ``x``, ``y``: (N, channels), or (N, channels, L) for sequences of length L, in layout "NLC" (N, L, channels); ``gamma``
    and ``beta``, γ and β: (channels,). In training mode μ and σ² are those of the batch, and the states
    ``running_mean`` and ``running_var`` move towards them: r ← (1 - momentum) r + momentum μ, and as well for the
    variance with n - 1 in place of n values. In evaluation mode (``model.eval()``) they take the place of μ and σ².
    ``num_batches_tracked`` counts the batches. The running statistics have no derivative.

    Raises `ShapeError` for another number of axes or channels, and where μ and σ² are of a batch and there is one value
    per channel; `DTypeError` for a float dtype other than ``dtype``. Under `vmap` it works in evaluation mode only, since
    a batch of modules cannot move one running mean.

    ∂E/∂γ = Σ x̂ ∂E/∂y and ∂E/∂β = Σ ∂E/∂y with x̂ = (x - μ) / √(σ² + ε), and with means over n values
    ∂E/∂x = γ (∂E/∂y - mean(∂E/∂y) - x̂ mean(x̂ ∂E/∂y)) / √(σ² + ε); in evaluation mode ∂E/∂x = γ ∂E/∂y / √(σ² + ε).

    - ``channels``: how many channels x has (PyTorch's ``num_features``).
    - ``eps``: ε ≥ 0.
    - ``momentum``: the weight of the newest batch in [0, 1]; ``None`` for the plain mean of all batches.
    - ``affine``: whether there are γ and β.
    - ``track_running_stats``: whether there are running statistics; without them μ and σ² are those of the batch in
      evaluation mode as well.
    - ``layout``: "NCL", which is the default, or "NLC".
    - ``dtype``: the floating dtype of γ, β and the statistics; integers in x are converted.

    **Source:** Ioffe & Szegedy (2015), Batch normalization, algorithm 1 and section 3; PyTorch, ``BatchNorm1d``.

    >>> import bprop
    >>> from bprop import nn
    >>> layer = nn.BatchNorm1d(2, dtype="float64")
    >>> layer.fprop(bprop.asarray([[1.0, 10.0], [3.0, 30.0]])), layer.running_mean
    (Array([[-0.999995  , -0.99999995],
           [ 0.999995  ,  0.99999995]]), Array([0.2, 2. ]))
    >>> layer.bprop(bprop.asarray([[1.0, 2.0], [1.0, 2.0]])).tolist(), layer.beta_bar
    ([[0.0, 0.0], [0.0, 0.0]], Array([2., 4.]))
    """

    rank = 1
    optional = "L"


class BatchNorm2d(BatchNormalisation):
    """y = γ (x - μ) / √(σ² + ε) + β for images: mean μ and variance σ² of each channel over the batch and all pixels.

    ``x``, ``y``: (N, channels, H, W), in layout "NHWC" (N, H, W, channels); ``gamma`` and ``beta``: (channels,). All
    else, the options and the errors are those of `BatchNorm1d`.

    - ``channels``, ``eps``, ``momentum``, ``affine``, ``track_running_stats``, ``dtype``: as in `BatchNorm1d`.
    - ``layout``: "NCHW", which is the default, or "NHWC".

    **Source:** Ioffe & Szegedy (2015), Batch normalization, section 3.2; PyTorch, ``BatchNorm2d``.

    >>> import bprop
    >>> from bprop import nn
    >>> layer = nn.BatchNorm2d(16)
    >>> layer, layer(bprop.ones((8, 16, 5, 5), dtype="float32")).shape
    (BatchNorm2d(16, float32), (8, 16, 5, 5))
    """

    rank = 2


class InstanceNormalisation(_RunningNormalisation):
    """Base class of `InstanceNorm1d` and `InstanceNorm2d`."""

    affine_default = False
    optional = "N"
    kept = "NC"

    def __init__(
        self,
        channels: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        layout: str | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(channels, eps, momentum, affine, track_running_stats, layout, dtype)


class InstanceNorm1d(InstanceNormalisation):
    """y = γ (x - μ) / √(σ² + ε) + β, with mean μ and variance σ² of each channel of each sequence over its positions.

    ``x``, ``y``: (N, channels, L), in layout "NLC" (N, L, channels), or one example without N. It is `BatchNorm1d` of every
    example alone, by default without γ and β and without running statistics; where these are kept, they are the means over the examples.
    Options and errors are those of `BatchNorm1d`.

    - ``channels``, ``eps``, ``momentum``, ``layout``, ``dtype``: as in `BatchNorm1d`.
    - ``affine``, ``track_running_stats``: as in `BatchNorm1d`, but ``False`` by default.

    **Source:** Ulyanov, Vedaldi & Lempitsky (2016), Instance normalization; PyTorch, ``InstanceNorm1d``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.InstanceNorm1d(1)(bprop.asarray([[[1.0, 3.0]], [[10.0, 30.0]]]))
    Array([[[-0.999995  ,  0.999995  ]],
    <BLANKLINE>
           [[-0.99999995,  0.99999995]]])
    """

    rank = 1


class InstanceNorm2d(InstanceNormalisation):
    """y = γ (x - μ) / √(σ² + ε) + β, with mean μ and variance σ² of each channel of each image over its pixels.

    ``x``, ``y``: (N, channels, H, W), in layout "NHWC" (N, H, W, channels), or one example without N. All else is as in
    `InstanceNorm1d`.

    - ``channels``, ``eps``, ``momentum``, ``dtype``: as in `BatchNorm1d`.
    - ``affine``, ``track_running_stats``: as in `BatchNorm1d`, but ``False`` by default.
    - ``layout``: "NCHW", which is the default, or "NHWC".

    **Source:** Ulyanov, Vedaldi & Lempitsky (2016), Instance normalization; PyTorch, ``InstanceNorm2d``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.InstanceNorm2d(3)(bprop.ones((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    rank = 2


__all__ = ["BatchNorm1d", "BatchNorm2d", "InstanceNorm1d", "InstanceNorm2d"]
