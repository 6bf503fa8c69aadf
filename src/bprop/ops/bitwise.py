"""Bits of integers: and, or, xor, not and shifts. On truth values they are the logical functions."""

from typing import Literal

import numpy as np

from ..core.family import Elementwise
from ..core.function import publish

__all__ = [
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
]


def _bits(
    name: str, formula: str, text: str, latex: str, example: str, answer: str, kind: Literal["bits", "integer"] = "bits"
) -> Elementwise:
    arity = 1 + ("{1}" in text)
    taken = "bool or integers" if kind == "bits" else "integers"
    return Elementwise(
        name,
        getattr(np, name),
        *[None] * arity,
        kind=kind,
        text=text,
        latex=latex,
        level=0 if arity == 2 else 3,
        doc=f"""{formula}: {taken}, no derivative.

    Shapes broadcast and dtypes promote as in NumPy 2. Raises `DTypeError` for other dtypes.

    **Source:** Python Array API standard 2024.12, ``{name}``.

    >>> import bprop
    >>> bprop.{name}(bprop.asarray([5, 12]){example})
    Array([{answer}])
    """,
    )


bitwise_and = _bits("bitwise_and", "Bits set in x1 and in x2", "{0} & {1}", r"{0} \wedge {1}", ", 6", "4, 4")
bitwise_or = _bits("bitwise_or", "Bits set in x1 or in x2", "{0} | {1}", r"{0} \vee {1}", ", 6", " 7, 14")
bitwise_xor = _bits("bitwise_xor", "Bits set in one of x1 and x2", "{0} ^ {1}", r"{0} \oplus {1}", ", 6", " 3, 10")
bitwise_invert = _bits("bitwise_invert", "Every bit of x turned over", "~{0}", r"\neg {0}", "", " -6, -13")
bitwise_left_shift = _bits(
    "bitwise_left_shift", "Bits of x1 moved x2 places up", "{0} << {1}", r"{0} \ll {1}", ", 2", "20, 48", "integer"
)
bitwise_right_shift = _bits(
    "bitwise_right_shift", "Bits of x1 moved x2 places down", "{0} >> {1}", r"{0} \gg {1}", ", 2", "1, 3", "integer"
)

publish(bitwise_and, bitwise_or, bitwise_xor, bitwise_invert, bitwise_left_shift, bitwise_right_shift)
