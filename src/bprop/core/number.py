"""Numbers that callers give as settings: whether a value is one, and in its range, else an error that names it.

``owner`` is whose setting it is, as the message calls it: a name, or an object, which is called by its class.
"""

from math import inf, isfinite, isnan
from operator import index

import numpy as np

from .error import ArgumentError


def real(value: object) -> float | None:
    """Return a number as a float, and ``None`` for what is none: text, a bool, NaN, an integer beyond every float.

    >>> from bprop.core.number import real
    >>> real(3), real("3"), real(True), real(10**400)
    (3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return None if isnan(number) else number


def whole_number(value: object, low: int = -(2**63), end: int = 2**63) -> int | None:
    """Return an integer in [low, end) as Python's, and ``None`` for what is none: text, a bool, a float such as 3.0.

    >>> import numpy as np
    >>> from bprop.core.number import whole_number
    >>> whole_number(np.int8(3)), whole_number(3.0), whole_number(True), whole_number(0, 1)
    (3, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        return None
    number = int(value)
    return number if low <= number < end else None


def number(
    owner: object,
    name: str,
    value: object,
    low: float = -inf,
    high: float = inf,
    *,
    open_low: bool = False,
    open_high: bool = True,
    finite: bool = True,
) -> float:
    """Return ``value`` as a float in [low, high), or raise `ArgumentError`: "SGD: momentum is a number in [0, 1), not 1".

    ``open_low``, ``open_high``: whether the ends themselves are refused. ``finite``: whether infinities are.

    >>> from bprop.core.number import number
    >>> number("SGD", "momentum", 0, 0, 1)
    0.0
    """
    result = real(value)
    if result is not None and (isfinite(result) or not finite):
        above = low < result if open_low else low <= result
        if above and (result < high or (result == high and not (open_high and isfinite(high)))):
            return result
    if isfinite(low) and isfinite(high):
        wanted = f"a number in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
    else:
        wanted = "a finite number" if finite else "a number"
        wanted += f" {'>' if open_low else '≥'} {low:g}" if isfinite(low) else ""
        wanted += f" {'<' if open_high else '≤'} {high:g}" if isfinite(high) else ""
    raise ArgumentError(f"{label(owner)}: {name} is {wanted}, not {value!r:.60}")


def integer(
    owner: object, name: str, value: object, low: int = 1, end: int = 2**63, *, allowed: str | None = None
) -> int:
    """Return ``value`` as an integer in [low, end), or raise `ArgumentError`, which says what is ``allowed``.

    >>> import numpy as np
    >>> from bprop.core.number import integer
    >>> integer("fit", "epochs", np.int64(3))
    3
    """
    result = whole_number(value, low, end)
    if result is None:
        allowed = allowed or ("a positive integer" if low == 1 else f"an integer ≥ {low}")
        raise ArgumentError(f"{label(owner)}: {name} is {allowed}, not {value!r:.60}")
    return result


def flag(owner: object, name: str, value: object) -> bool:
    """Return ``value``, which is True or False, or raise `ArgumentError`."""
    if not isinstance(value, bool | np.bool_):
        raise ArgumentError(f"{label(owner)}: {name} is True or False, not {value!r:.60}")
    return bool(value)


def numpy_flag(name: str, what: str, value: object) -> bool:
    """Return an option as NumPy takes it, where 0 and 1 are false and true too; an array or text in its place is a mistake."""
    if value is True or value is False:
        return value
    if isinstance(value, int | np.bool_):
        return bool(value)
    raise ArgumentError(f"{name}: {what} is True or False, not {value!r:.60}")


def numpy_integer(what: str, value: object) -> int:
    """Return what NumPy takes for an integer as Python's, or raise naming ``what`` it is."""
    try:
        return index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ArgumentError(f"{what} must be an integer, not {value!r:.60}") from None


def label(owner: object) -> str:
    """Return the name of ``owner`` in error messages: that of its class, or the string itself."""
    return owner if isinstance(owner, str) else type(owner).__name__


__all__ = ["flag", "integer", "label", "number", "numpy_flag", "numpy_integer", "real", "whole_number"]
