"""The power of two of a number's floating-point form."""

from typing import Any

import numpy as np

from ..core.family import General

__all__: list[str] = []


def _exponent(x: Any) -> Any:
    x = np.real(np.asarray(x))
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    return np.where(np.isfinite(x), np.frexp(x)[1], 0).astype(np.int32)  # of infinity C leaves it open


exponent = General(
    "exponent", _exponent, signature="()->()", dtype=np.int32, half=True, complex_step=_exponent,
    latex=r"\operatorname{{exponent}}({0})",
    examples=lambda draw: [((draw(*shape),), {}) for shape in ((), (2, 3), (0, 3))],
    doc="The e with x = m 2^e and 1/2 ≤ |m| < 1, int32; 0 of 0 and of what is not finite. No derivative.",
)  # fmt: skip
