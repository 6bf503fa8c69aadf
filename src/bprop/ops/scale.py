"""The power of two of a number's floating-point form."""

from typing import Any

import numpy as np

from ..core.family import Elementwise

__all__: list[str] = []


def _exponent(x: Any, dtype: Any) -> Any:
    return np.frexp(np.real(x))[1].astype(dtype)


exponent = Elementwise(
    "exponent", _exponent, None,
    kind="given", native="callback", complex_step=_exponent, latex=r"\operatorname{{exponent}}({0})",
    examples=lambda draw: [((draw(*shape),), {"dtype": np.dtype(np.int32)}) for shape in ((), (2, 3), (0, 3))],
    doc="The e with x = m 2^e and 1/2 ≤ |m| < 1, in an integer ``dtype``; 0 of 0. No derivative.",
)  # fmt: skip
