"""Numbers as figures show them: four significant digits, and marks of their own for what is no ordinary number."""

from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import numpy as np

ABSENT = "∅"
"""The mark of a gradient that is not there: no path, or a branch that was not taken. It is no zero."""
_CONTEXT = Context(prec=4, rounding=ROUND_HALF_UP)


def short(x: Any) -> str:
    """Return a number in four significant digits, with a true minus; nothing but 0 is written as 0.

    ``page/number.js`` writes the same.

    >>> from bprop.view.number import short
    >>> [short(x) for x in (0.5, -1 / 3, 1234.5, 1.2e-5, 0.0, float("nan"), float("-inf"), 12345.0, True)]
    ['0.5', '−0.3333', '1235', '1.2e−5', '0', 'NaN', '−∞', '12345', 'True']
    """
    if isinstance(x, bool | np.bool_):
        return str(bool(x))
    value = x if isinstance(x, int) else x.item() if hasattr(x, "item") else float(x)
    if isinstance(value, complex):
        sign = "+" if value.imag >= 0 else "−"
        return f"{short(value.real)} {sign} {short(abs(value.imag))}i"
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "∞" if value > 0 else "−∞"
    minus = "−" if value < 0 else ""
    if value == int(value) and abs(value) < 1e6:
        return minus + str(abs(int(value)))
    digits = _CONTEXT.create_decimal(Decimal(abs(value)))
    exponent = digits.adjusted()
    if -5 < exponent < 6:
        text = f"{digits:f}"
        return minus + (text.rstrip("0").rstrip(".") if "." in text else text)
    mantissa = f"{digits.scaleb(-exponent):f}"
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{minus}{mantissa}e{'−' if exponent < 0 else ''}{abs(exponent)}"


__all__ = ["ABSENT", "short"]
