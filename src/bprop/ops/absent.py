"""Zeros that stand for a derivative which is not there: 0 · ∞ is no matter for them."""

from typing import Any

import numpy as np

from ..core.family import Creation

__all__: list[str] = []  # regions make them, where a result has no cotangent or an input no tangent

_absent = Creation(
    "absent",
    lambda shape, value, dtype: np.full(shape, value, dtype),
    entry="constant",
    absent=True,
    examples=lambda draw: [((), {"shape": shape, "value": 0.0, "dtype": draw.dtype}) for shape in ((), (2, 3), (0, 3))],
    text=lambda shape, value, dtype: "absent" if shape == () else f"absent({shape})",
    doc="A cotangent or tangent that is absent: zeros, of which the interpreter `Absent` knows that they are none.",
)


def absent(x: Any) -> Any:
    """Return the absent derivative of ``x``, an array or a `Spec`."""
    return _absent(shape=x.shape, value=0.0, dtype=x.dtype)
