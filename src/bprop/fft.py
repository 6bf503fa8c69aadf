"""Fourier transforms, in the namespace of the Array API standard's extension and of ``numpy.fft``.

>>> import bprop, numpy as np
>>> power = lambda x: np.sum(np.abs(np.fft.rfft(x)) ** 2)
>>> bprop.grad(power)(np.array([1.0, 2.0]))
Array([4., 8.])

SciPy's functions, ``scipy.fft.fft`` and so on, come here inside ``with scipy.fft.set_backend(bprop.fft):``.
"""

from typing import Any

from . import ops  # noqa: F401 - whole rooms first: see core/lazy.py
from .core.lazy import exported
from .ops.fft import (
    fft,
    fft2,
    fftfreq,
    fftn,
    fftshift,
    hfft,
    ifft,
    ifft2,
    ifftn,
    ifftshift,
    ihfft,
    irfft,
    irfft2,
    irfftn,
    rfft,
    rfft2,
    rfftfreq,
    rfftn,
)

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]
__dir__ = exported(__name__)

__ua_domain__ = "numpy.scipy.fft"


def __ua_function__(method: Any, args: Any, options: Any) -> Any:  # noqa: N807 - SciPy's name
    """Call the function here that stands for one of ``scipy.fft``; how many threads it may use makes no difference."""
    function = globals()[method.__name__] if method.__name__ in __all__ else None
    given = {name: value for name, value in options.items() if name not in ("workers", "overwrite_x")}
    return NotImplemented if function is None else function(*args, **given)
