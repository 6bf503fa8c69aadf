"""Discrete Fourier transforms: of complex numbers, of real ones to half a spectrum, and back.

All three ops go over the last axis and are linear over the real numbers. The matrix of the complex transform, e^(-2πi jk/n),
is symmetric, so its adjoint is itself. Half a spectrum stands for a whole one: the entries that stand for two are counted
half on the way back from it, and twice on the way back into it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import device as devices
from ..core.dtype import check, to_complex, to_real
from ..core.error import ArgumentError, DTypeError, ShapeError
from ..core.family import General
from ..core.function import function
from ..core.number import numpy_integer
from ..core.op import array
from ..core.shape import normalise_axis
from ..core.value import Array, asarray
from .arrangement import roll
from .complex import complex_examples, conj
from .indexing import embed_along, slice_along
from .manipulation import moveaxis

__all__: list[str] = []

_OPPOSITE = {"backward": "forward", "ortho": "ortho", "forward": "backward"}
"""The norm with which the transform in the other direction has the same factor."""


# --- the ops ---
def _text(name: str) -> dict[str, Any]:
    def text(x: Any, norm: str, inverse: bool = False, n: int = 0) -> str:
        option = "" if norm == "backward" else f", norm='{norm}'"
        return f"{'i' * inverse}{name}({{0}}{f', n={n}' if n else ''}{option})"

    return {"text": text, "latex": rf"\operatorname{{{{{name}}}}}({{0}})"}


_SHAPES = ((5,), (6,), (1,), (2, 3), (2, 4), (0, 3))


def _fft_value(x: Any, norm: str, inverse: bool) -> Any:
    return (np.fft.ifft if inverse else np.fft.fft)(x, norm=norm)  # type: ignore[arg-type]


fft_op: General = General(
    "fft",
    _fft_value,
    signature="(n)->(n)",
    jvp=lambda y, xs, x_dots, **params: fft_op(x_dots[0], **params),
    vjp=lambda y_bar, y, xs, needs, **params: (fft_op(y_bar, **params),),
    dtype=to_complex,
    takes_complex=True,
    complex_step=False,
    examples=complex_examples(
        lambda draw: [
            ((draw(*shape),), {"norm": norm, "inverse": inverse})
            for shape, norm, inverse in zip(_SHAPES, [*_OPPOSITE] * 2, [False, True] * 3, strict=True)
        ]
    ),
    **_text("fft"),
)


def _half_spectrum_weights(n: int, others: float, dtype: Any) -> Array:
    """Return 1 for the entries of half a spectrum that stand for themselves, and ``others`` for those that stand for two."""
    weights = np.full(n // 2 + 1, others, to_real(dtype))
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    return asarray(weights)


def _rfft_vjp(y_bar: Any, y: Any, xs: Any, needs: Any, norm: str) -> tuple[Any]:
    """Re Σ_k y_bar_k e^(-2πi jk/n) over half a spectrum."""
    n = xs[0].shape[-1]
    half = conj(y_bar) * _half_spectrum_weights(n, 0.5, y_bar.dtype)
    return (irfft_op(half, n=n, norm=_OPPOSITE[norm]),)


rfft_op: General = General(
    "rfft",
    lambda x, norm: np.fft.rfft(x, norm=norm),
    signature="(n)->(m)",
    extents=lambda sizes, norm: {"m": sizes["n"] // 2 + 1},
    jvp=lambda y, xs, x_dots, norm: rfft_op(x_dots[0], norm=norm),
    vjp=_rfft_vjp,
    dtype=to_complex,
    complex_step=False,
    examples=complex_examples(
        lambda draw: [
            ((draw(*shape).real,), {"norm": norm}) for shape, norm in zip(_SHAPES, [*_OPPOSITE] * 2, strict=True)
        ]
    ),
    **_text("rfft"),
)


def _irfft_vjp(y_bar: Any, y: Any, xs: Any, needs: Any, n: int, norm: str) -> tuple[Any]:
    spectrum = conj(rfft_op(y_bar, norm=_OPPOSITE[norm]))
    return (spectrum * _half_spectrum_weights(n, 2, y_bar.dtype),)


irfft_op: General = General(
    "irfft",
    lambda x, n, norm: np.fft.irfft(x, n, norm=norm),
    signature="(m)->(n)",
    extents=lambda sizes, n, norm: {"n": n},
    jvp=lambda y, xs, x_dots, n, norm: irfft_op(x_dots[0], n=n, norm=norm),
    vjp=_irfft_vjp,
    dtype=lambda dtype: to_real(to_complex(dtype)),
    takes_complex=True,
    complex_step=False,
    examples=complex_examples(
        lambda draw: [
            ((draw(*shape),), {"n": n, "norm": norm})
            for shape, n, norm in (
                ((3,), 4, "backward"),
                ((3,), 5, "ortho"),
                ((1,), 1, "forward"),
                ((2, 2), 2, "forward"),
                ((2, 4), 7, "backward"),
                ((0, 3), 4, "ortho"),
            )
        ]
    ),
    **_text("irfft"),
)


# --- what the public functions have in common ---
def _norm(name: str, norm: Any) -> str:
    if norm is None:
        return "backward"
    if norm not in _OPPOSITE:
        raise ArgumentError(f"{name}: norm is 'backward', 'ortho' or 'forward', not {norm!r:.60}")
    return str(norm)


def _resized(name: str, x: Any, n: Any, axis: int) -> Any:
    """Return x cut or filled up with zeros to ``n`` entries along ``axis``; ``None`` leaves it."""
    size = x.shape[axis]
    wanted = size if n is None else numpy_integer(f"{name}: n", n)
    if wanted < 1:
        raise ArgumentError(f"{name}: a transform of {wanted} entries along axis {axis} of shape {x.shape}: at least 1")
    return (
        slice_along(x, axis, 0, wanted) if wanted < size else x if wanted == size else embed_along(x, axis, 0, wanted)
    )


def _transformed(op: General, x: Any, axis: int, **params: Any) -> Any:
    """Apply an op along ``axis``."""
    last = x.ndim - 1
    y = op(x if axis == last else moveaxis(x, axis, last), **params)
    return y if axis == last else moveaxis(y, last, axis)


def _real_operand(name: str, x: Any) -> Array:
    x = array(name, x)
    if x.dtype.kind == "c":
        raise DTypeError(
            f"{name}: x is complex ({x.dtype}), and the transform of real numbers: use {name.replace('r', '', 1)}"
        )
    return x


def _along(name: str, x: Array, s: Any, axes: Any) -> list[tuple[Any, int]]:
    """Return pairs (size, axis) for a transform over several axes; a size of -1 is that of the axis."""
    if axes is None:
        axes = range(x.ndim) if s is None else range(-len(s), 0)
    axes = [normalise_axis(name, axis, x.ndim, x.shape) for axis in (axes if isinstance(axes, Sequence) else [axes])]
    sizes = [None] * len(axes) if s is None else list(s if isinstance(s, Sequence) else [s])
    if len(sizes) != len(axes):
        raise ShapeError(f"{name}: s has {len(sizes)} sizes for {len(axes)} axes")
    return [(x.shape[axis] if n == -1 else n, axis) for n, axis in zip(sizes, axes, strict=True)]


def _complex_transform(name: str, x: Any, along: Sequence[tuple[Any, int]], norm: Any, inverse: bool) -> Array:
    norm = _norm(name, norm)
    for n, axis in reversed(along):
        x = _transformed(fft_op, _resized(name, x, n, axis), axis, norm=norm, inverse=inverse)
    return x


def _from_half_spectrum(name: str, x: Any, n: Any, axis: int, norm: str) -> Array:
    if n is None:
        n = 2 * (x.shape[axis] - 1)
    n = numpy_integer(f"{name}: n", n)
    if n < 1:
        raise ArgumentError(f"{name}: a result of {n} entries along axis {axis}: at least 1")
    y: Array = _transformed(irfft_op, _resized(name, x, n // 2 + 1, axis), axis, n=n, norm=norm)
    return y


# --- one axis ---
@function(np.fft.fft, namespace="fft")
def fft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Array:
    """y_k = Σ_j x_j e^(-2πi jk/n) along ``axis``, complex; float32 gives complex64.

    ``n``: cut x, or fill it up with zeros, to this size. ``norm``: the factor 1/n is of the transform back
    (``"backward"``), of this one (``"forward"``), or its root of both (``"ortho"``). The matrix is symmetric: x_bar is the
    transform of y_bar, of a real x its real part. Raises `ShapeError` for an axis out of range, `ArgumentError` for other
    norms and for no entries.

    **Source:** Python Array API standard 2024.12, ``fft.fft``.

    >>> import bprop
    >>> bprop.fft.fft(bprop.asarray([1.0, 0.0, 0.0, 0.0]))
    Array([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j])
    """
    x = array("fft", x)
    return _complex_transform("fft", x, [(n, normalise_axis("fft", axis, x.ndim, x.shape))], norm, False)


@function(np.fft.ifft, namespace="fft")
def ifft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Array:
    """y_j = Σ_k x_k e^(2πi jk/n) / n along ``axis``: the inverse of `fft`, with its arguments.

    **Source:** Python Array API standard 2024.12, ``fft.ifft``.

    >>> import bprop
    >>> bprop.fft.ifft(bprop.fft.fft(bprop.asarray([1.0, 2.0]))).real
    Array([1., 2.])
    """
    x = array("ifft", x)
    return _complex_transform("ifft", x, [(n, normalise_axis("ifft", axis, x.ndim, x.shape))], norm, True)


@function(np.fft.rfft, namespace="fft")
def rfft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Array:
    """Return the first n // 2 + 1 entries of the `fft` of real numbers; the others are their conjugates.

    Arguments as of `fft`; raises `DTypeError` for a complex x.

    **Source:** Python Array API standard 2024.12, ``fft.rfft``.

    >>> import bprop, numpy as np
    >>> bprop.grad(lambda x: np.sum(np.abs(np.fft.rfft(x)) ** 2))(np.array([1.0, 0.0, 0.0]))
    Array([4., 1., 1.])
    """
    x = _real_operand("rfft", x)
    axis = normalise_axis("rfft", axis, x.ndim, x.shape)
    y: Array = _transformed(rfft_op, _resized("rfft", x, n, axis), axis, norm=_norm("rfft", norm))
    return y


@function(np.fft.irfft, namespace="fft")
def irfft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Array:
    """Return the ``n`` real numbers of which x is the half spectrum: the inverse of `rfft`.

    ``n``: the size of the result, 2 (m - 1) for m entries unless told otherwise; x is cut or filled up to n // 2 + 1. What
    the imaginary parts at 0 and, for even n, at n / 2 are makes no difference.

    **Source:** Python Array API standard 2024.12, ``fft.irfft``.

    >>> import bprop
    >>> bprop.fft.irfft(bprop.fft.rfft(bprop.asarray([1.0, 2.0, 4.0])), n=3)
    Array([1., 2., 4.])
    """
    x = array("irfft", x)
    return _from_half_spectrum("irfft", x, n, normalise_axis("irfft", axis, x.ndim, x.shape), _norm("irfft", norm))


@function(np.fft.hfft, namespace="fft")
def hfft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Array:
    """Return the real `fft` of a signal of which the second half is the conjugate of the first, x.

    Arguments as of `irfft`.

    **Source:** Python Array API standard 2024.12, ``fft.hfft``.

    >>> import bprop
    >>> bprop.fft.hfft(bprop.asarray([1.0, 1j]))
    Array([1., 1.])
    """
    x = array("hfft", x)
    axis = normalise_axis("hfft", axis, x.ndim, x.shape)
    return _from_half_spectrum("hfft", conj(x), n, axis, _OPPOSITE[_norm("hfft", norm)])


@function(np.fft.ihfft, namespace="fft")
def ihfft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Array:
    """Return the first half of the `ifft` of real numbers: the inverse of `hfft`.

    Arguments as of `rfft`.

    **Source:** Python Array API standard 2024.12, ``fft.ihfft``.

    >>> import bprop
    >>> bprop.fft.ihfft(bprop.asarray([2.0, 0.0]))
    Array([1.-0.j, 1.-0.j])
    """
    return conj(rfft(_real_operand("ihfft", x), n=n, axis=axis, norm=_OPPOSITE[_norm("ihfft", norm)]))


# --- several axes ---
@function(np.fft.fftn, namespace="fft")
def fftn(x: Any, /, s: Any = None, axes: Any = None, norm: str | None = "backward") -> Array:
    """Return the `fft` along each of ``axes``, all of them unless told otherwise; ``s``: their sizes, as ``n``.

    **Source:** Python Array API standard 2024.12, ``fft.fftn``.

    >>> import bprop
    >>> bprop.fft.fftn(bprop.ones((2, 2)))
    Array([[4.+0.j, 0.+0.j],
           [0.+0.j, 0.+0.j]])
    """
    x = array("fftn", x)
    return _complex_transform("fftn", x, _along("fftn", x, s, axes), norm, False)


@function(np.fft.ifftn, namespace="fft")
def ifftn(x: Any, /, s: Any = None, axes: Any = None, norm: str | None = "backward") -> Array:
    """Return the `ifft` along each of ``axes``: the inverse of `fftn`.

    **Source:** Python Array API standard 2024.12, ``fft.ifftn``.

    >>> import bprop
    >>> bprop.fft.ifftn(bprop.fft.fftn(bprop.ones((1, 2))))
    Array([[1.+0.j, 1.+0.j]])
    """
    x = array("ifftn", x)
    return _complex_transform("ifftn", x, _along("ifftn", x, s, axes), norm, True)


@function(np.fft.rfftn, namespace="fft")
def rfftn(x: Any, /, s: Any = None, axes: Any = None, norm: str | None = "backward") -> Array:
    """Return the `rfft` along the last of ``axes`` and the `fft` along the others.

    **Source:** Python Array API standard 2024.12, ``fft.rfftn``.

    >>> import bprop
    >>> bprop.fft.rfftn(bprop.ones((2, 2))).real
    Array([[4., 0.],
           [0., 0.]])
    """
    x = _real_operand("rfftn", x)
    along = _along("rfftn", x, s, axes)
    if s is None:  # of an axis that comes twice, the size that it has before the first transform
        along = [(x.shape[axis], axis) for _, axis in along]
    *others, (n, last) = along
    return _complex_transform("rfftn", rfft(x, n=n, axis=last, norm=norm), others, norm, False)


@function(np.fft.irfftn, namespace="fft")
def irfftn(x: Any, /, s: Any = None, axes: Any = None, norm: str | None = "backward") -> Array:
    """Return the `irfft` along the last of ``axes`` of the `ifft` along the others: the inverse of `rfftn`.

    **Source:** Python Array API standard 2024.12, ``fft.irfftn``.

    >>> import bprop
    >>> bprop.fft.irfftn(bprop.fft.rfftn(bprop.ones((2, 2))))
    Array([[1., 1.],
           [1., 1.]])
    """
    x = array("irfftn", x)
    *others, (n, last) = _along("irfftn", x, s, axes)
    x = _complex_transform("irfftn", x, others[::-1], norm, True)  # the first axis first, where one comes twice
    return irfft(x, n=n, axis=last, norm=norm)


@function(np.fft.fft2, namespace="fft")
def fft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: str | None = "backward") -> Array:
    """Return `fftn` over two axes, the last two unless told otherwise.

    **Source:** NumPy 2, ``numpy.fft.fft2``.

    >>> import bprop
    >>> bprop.fft.fft2(bprop.ones((1, 2, 2))).shape
    (1, 2, 2)
    """
    return fftn(x, s, axes, norm)


@function(np.fft.ifft2, namespace="fft")
def ifft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: str | None = "backward") -> Array:
    """Return `ifftn` over two axes, the last two unless told otherwise.

    **Source:** NumPy 2, ``numpy.fft.ifft2``.

    >>> import bprop
    >>> bprop.fft.ifft2(bprop.ones((1, 2, 2))).shape
    (1, 2, 2)
    """
    return ifftn(x, s, axes, norm)


@function(np.fft.rfft2, namespace="fft")
def rfft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: str | None = "backward") -> Array:
    """Return `rfftn` over two axes, the last two unless told otherwise.

    **Source:** NumPy 2, ``numpy.fft.rfft2``.

    >>> import bprop
    >>> bprop.fft.rfft2(bprop.ones((1, 2, 4))).shape
    (1, 2, 3)
    """
    return rfftn(x, s, axes, norm)


@function(np.fft.irfft2, namespace="fft")
def irfft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: str | None = "backward") -> Array:
    """Return `irfftn` over two axes, the last two unless told otherwise.

    **Source:** NumPy 2, ``numpy.fft.irfft2``.

    >>> import bprop
    >>> bprop.fft.irfft2(bprop.ones((1, 2, 3))).shape
    (1, 2, 4)
    """
    return irfftn(x, s, axes, norm)


# --- frequencies ---
@function(namespace="fft")
def fftfreq(n: int, /, d: float = 1.0, *, dtype: Any = None, device: str | None = None) -> Array:
    """Return the frequencies of the entries of an `fft` of ``n`` samples at distance ``d``, in cycles per unit of d.

    **Source:** Python Array API standard 2024.12, ``fft.fftfreq``.

    >>> import bprop
    >>> bprop.fft.fftfreq(4, d=0.5)
    Array([ 0. ,  0.5, -1. , -0.5])
    """
    return _frequencies("fftfreq", np.fft.fftfreq, n, d, dtype, device)


@function(namespace="fft")
def rfftfreq(n: int, /, d: float = 1.0, *, dtype: Any = None, device: str | None = None) -> Array:
    """Return the frequencies of the entries of an `rfft` of ``n`` samples at distance ``d``, in cycles per unit of d.

    **Source:** Python Array API standard 2024.12, ``fft.rfftfreq``.

    >>> import bprop
    >>> bprop.fft.rfftfreq(4, d=0.5)
    Array([0. , 0.5, 1. ])
    """
    return _frequencies("rfftfreq", np.fft.rfftfreq, n, d, dtype, device)


def _frequencies(name: str, numpys: Any, n: Any, d: Any, dtype: Any, device: Any) -> Array:
    devices.check(device, name)
    count = numpy_integer(f"{name}: n", n)
    if count < 1:
        raise ArgumentError(f"{name}: n is the number of samples, at least 1, not {count}")
    y = asarray(numpys(count)) / d if isinstance(d, Array) else asarray(numpys(count, d))
    return y if dtype is None else y.astype(check(dtype, name))


@function(np.fft.fftshift, namespace="fft")
def fftshift(x: Any, /, axes: Any = None) -> Array:
    """Move the frequency 0 from the front to the middle of ``axes``, of all of them unless told otherwise.

    **Source:** Python Array API standard 2024.12, ``fft.fftshift``.

    >>> import bprop
    >>> bprop.fft.fftshift(bprop.asarray([0, 1, 2, -2, -1]))
    Array([-2, -1,  0,  1,  2])
    """
    return _shifted("fftshift", x, axes, lambda size: size // 2)


@function(np.fft.ifftshift, namespace="fft")
def ifftshift(x: Any, /, axes: Any = None) -> Array:
    """Move the frequency 0 from the middle to the front: the inverse of `fftshift`.

    **Source:** Python Array API standard 2024.12, ``fft.ifftshift``.

    >>> import bprop
    >>> bprop.fft.ifftshift(bprop.asarray([-2, -1, 0, 1, 2]))
    Array([ 0,  1,  2, -2, -1])
    """
    return _shifted("ifftshift", x, axes, lambda size: -(size // 2))


def _shifted(name: str, x: Any, axes: Any, distance: Any) -> Array:
    x = array(name, x)
    axes = tuple(axis for _, axis in _along(name, x, None, axes))
    return roll(x, tuple(distance(x.shape[axis]) for axis in axes), axis=axes) if axes else x
