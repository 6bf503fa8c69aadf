"""Data that comes with the library."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["digits"]


def digits() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return 1,797 images of handwritten digits and the digit each one shows.

    ``images`` uint8 (1797, 8, 8), a pixel from 0 (paper) to 16 (ink); ``labels`` uint8 (1797,), from 0 to 9.
    The arrays are new on every call.

    **Source:** E. Alpaydin and C. Kaynak, 1998, Optical Recognition of Handwritten Digits (test set),
    UCI Machine Learning Repository, doi 10.24432/C50P49, licence CC BY 4.0.

    >>> images, labels = digits()
    >>> images.shape, images.dtype, int(images.max())
    ((1797, 8, 8), dtype('uint8'), 16)
    >>> labels[:10]
    array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], dtype=uint8)
    """
    from importlib.resources import files  # here, because `import bprop` need not pay for it

    with (
        files(__name__).joinpath("digits.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        return arrays["images"], arrays["labels"]
