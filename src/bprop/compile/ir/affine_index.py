"""Affine indices: positions in arrays as a constant plus multiples of loop variables.

An op's index map is ordinary Python; given `AffineIndex` operands it yields the position to read as a formula. The formula
is kept in normal form (quotients and remainders are resolved wherever the ranges allow it, and n·(e//n) + e%n becomes
e again), so that a reshape in the middle of a kernel usually costs nothing.
"""

from math import gcd
from typing import Any, Final, NamedTuple


class IndexTerm(NamedTuple):
    """A non-negative integer below ``size``: a loop variable, a quotient, a remainder, or an index read from memory."""

    kind: str
    detail: Any
    size: int


class AffineIndex:
    """constant + Σ coefficient · term, with + - * by integers, and // and % by positive integers.

    >>> from bprop.compile.ir.affine_index import variable
    >>> i, j = variable(0, 3), variable(1, 4)
    >>> flat = i * 4 + j
    >>> flat // 4, flat % 4, (flat // 6) * 6 + flat % 6
    (i0, i1, 4·i0 + i1)
    """

    __slots__ = ("constant", "terms")

    def __init__(self, constant: int = 0, terms: dict[IndexTerm, int] | None = None) -> None:
        self.constant: Final = constant
        self.terms: Final = terms or {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AffineIndex) and self.constant == other.constant and self.terms == other.terms

    def __hash__(self) -> int:
        return hash((self.constant, frozenset(self.terms.items())))

    def __repr__(self) -> str:
        parts = [(f"{c}·" if c != 1 else "") + _shown(term) for term, c in self.terms.items()]
        if self.constant or not parts:
            parts.append(str(self.constant))
        return " + ".join(parts)

    def bounds(self) -> tuple[int, int]:
        """Return the least and the greatest value it can take."""
        low = high = self.constant
        for term, coefficient in self.terms.items():
            reach = coefficient * (term.size - 1)
            low, high = low + min(reach, 0), high + max(reach, 0)
        return low, high

    def linear(self) -> bool:
        """Return whether only loop variables occur."""
        return all(term.kind == "loop" for term in self.terms)

    def coefficient(self, term: IndexTerm) -> int:
        """Return the multiple of ``term``."""
        return self.terms.get(term, 0)

    def __add__(self, other: "AffineIndex | int") -> "AffineIndex":
        if not isinstance(other, AffineIndex):
            return AffineIndex(self.constant + other, self.terms)
        terms = dict(self.terms)
        for term, coefficient in other.terms.items():
            total = terms.get(term, 0) + coefficient
            if total:
                terms[term] = total
            else:
                del terms[term]
        return _recombined(AffineIndex(self.constant + other.constant, terms))

    __radd__ = __add__

    def __neg__(self) -> "AffineIndex":
        return self * -1

    def __sub__(self, other: "AffineIndex | int") -> "AffineIndex":
        return self + (-other)

    def __rsub__(self, other: int) -> "AffineIndex":
        return -self + other

    def __mul__(self, factor: int) -> "AffineIndex":
        if isinstance(factor, AffineIndex):
            if factor.terms:
                if self.terms:
                    raise TypeError("the product of two loop variables is no index")
                return factor * self.constant
            factor = factor.constant
        if factor == 0:
            return AffineIndex()
        return AffineIndex(self.constant * factor, {term: c * factor for term, c in self.terms.items()})

    __rmul__ = __mul__

    def __floordiv__(self, divisor: int) -> "AffineIndex":
        if divisor == 0:  # an axis without entries: no loop over it ever runs
            return AffineIndex()
        quotient, rest = self._split(divisor)
        low, high = rest.bounds()
        if low >= 0 and high < divisor:
            return quotient
        return quotient + _quotient(rest, divisor)

    def __mod__(self, divisor: int) -> "AffineIndex":
        if divisor == 0:
            return AffineIndex()
        _, rest = self._split(divisor)
        low, high = rest.bounds()
        if low >= 0 and high < divisor:
            return rest
        return _remainder(rest, divisor)

    def _split(self, divisor: int) -> tuple["AffineIndex", "AffineIndex"]:
        """Return (quotient, rest) with self = divisor · quotient + rest."""
        if divisor == 1:
            return self, AffineIndex()
        divisible = {term: c // divisor for term, c in self.terms.items() if c % divisor == 0}
        rest = {term: c for term, c in self.terms.items() if c % divisor}
        quotient, remainder = divmod(self.constant, divisor)
        short = -AffineIndex(remainder, rest).bounds()[0]
        if short > 0:  # a reversed axis: keep the rest non-negative
            steps = -(-short // divisor)
            quotient, remainder = quotient - steps, remainder + steps * divisor
        return AffineIndex(quotient, divisible), AffineIndex(remainder, rest)


def _common(rest: AffineIndex, divisor: int) -> int:
    factor = divisor
    for coefficient in rest.terms.values():
        factor = gcd(factor, coefficient)
    return factor


def _reduced(rest: AffineIndex, factor: int) -> AffineIndex:
    return AffineIndex(rest.constant // factor, {term: c // factor for term, c in rest.terms.items()})


def _quotient(rest: AffineIndex, divisor: int) -> AffineIndex:
    factor = _common(rest, divisor)
    if factor > 1:  # (f·e + r) // (f·d) = e // d for 0 ≤ r < f
        return _reduced(rest, factor) // (divisor // factor)
    if rest.constant == 0 and len(rest.terms) == 1:
        ((term, coefficient),) = rest.terms.items()
        if term.kind == "quotient" and coefficient == 1:
            inner, first = term.detail
            return inner // (first * divisor)
    return AffineIndex(0, {IndexTerm("quotient", (rest, divisor), rest.bounds()[1] // divisor + 1): 1})


def _remainder(rest: AffineIndex, divisor: int) -> AffineIndex:
    factor = _common(rest, divisor)
    if factor > 1:
        offset = rest.constant % factor
        return (_reduced(rest, factor) % (divisor // factor)) * factor + offset
    if rest.constant == 0 and len(rest.terms) == 1:
        ((term, coefficient),) = rest.terms.items()
        if term.kind == "remainder" and coefficient == 1 and term.detail[1] % divisor == 0:
            return term.detail[0] % divisor
    return AffineIndex(0, {IndexTerm("remainder", (rest, divisor), divisor): 1})


def _recombined(index: AffineIndex) -> AffineIndex:
    for term, coefficient in index.terms.items():
        if term.kind != "remainder":
            continue
        inner, divisor = term.detail
        quotient = IndexTerm("quotient", (inner, divisor), inner.bounds()[1] // divisor + 1)
        if index.terms.get(quotient) == coefficient * divisor:
            rest = {other: c for other, c in index.terms.items() if other != term and other != quotient}
            return AffineIndex(index.constant, rest) + inner * coefficient
    return index


def _shown(term: IndexTerm) -> str:
    if term.kind == "loop":
        return f"i{term.detail}"
    if term.kind == "value":
        return "index"
    inner, divisor = term.detail
    return f"({inner}){'//' if term.kind == 'quotient' else '%'}{divisor}"


def variable(number: int, size: int) -> AffineIndex:
    """Return the loop variable ``number`` of ``size`` iterations; it is 0 where there is only one."""
    return AffineIndex() if size == 1 else AffineIndex(0, {IndexTerm("loop", number, size): 1})


def flattened(position: "tuple[AffineIndex, ...]", shape: tuple[int, ...]) -> AffineIndex:
    """Return the offset of the entry at ``position`` in row-major order."""
    offset = AffineIndex()
    for index, size in zip(position, shape, strict=True):
        offset = offset * size + index
    return offset


def unflattened(address: AffineIndex, shape: tuple[int, ...]) -> "tuple[AffineIndex, ...]":
    """Return the position of the entry at an address in row-major order."""
    position: list[AffineIndex] = []
    for size in reversed(shape):
        position.append(address % size)
        address = address // size
    return tuple(reversed(position))
