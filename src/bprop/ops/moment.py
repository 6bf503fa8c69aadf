"""Mean and variance together: what every normalisation asks for."""

from typing import Any

from ..core.function import function
from ..core.number import numpy_flag
from ..core.op import array
from ..core.shape import normalise_axes
from ..core.value import Array
from .complex import conj, real
from .manipulation import squeeze
from .power import square
from .reduction import mean

__all__ = ["moments"]


@function()
def moments(x: Any, /, axis: Any = None, keepdims: bool = False) -> tuple[Array, Array]:
    """Return the mean μ = Σ x / n and the variance Σ (x - μ)² / n over ``axis`` (an integer, a tuple, or all axes).

    The mean is subtracted before squaring, so that a large common offset costs no digits, unlike in Σ x² / n - μ².
    Integers give float64; of a complex x the variance is that of the distance. Raises `ShapeError` for an axis out of
    range.

    - ``x``: an array of any shape.
    - ``axis``: the axes to average over.
    - ``keepdims``: whether these axes stay, with length 1.

    **Source:** Chan, Golub & LeVeque (1983), Algorithms for computing the sample variance, the two-pass algorithm;
    TensorFlow, ``tf.nn.moments``.

    >>> import bprop
    >>> bprop.moments(bprop.asarray([1.0, 2.0, 6.0]))
    (Array(3.), Array(4.66666667))
    """
    x = array("moments", x)
    axes, keepdims = normalise_axes("moments", axis, x.shape), numpy_flag("moments", "keepdims", keepdims)
    average = mean(x, axes, True)
    deviation = x - average
    squares = real(deviation * conj(deviation)) if x.dtype.kind == "c" else square(deviation)
    return average if keepdims else squeeze(average, axes), mean(squares, axes, keepdims)
