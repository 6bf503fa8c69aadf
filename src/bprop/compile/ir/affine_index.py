"""Positions in arrays as integers that are not known yet: a constant plus multiples of loop variables.

An op's index map is ordinary Python; given `Index` operands it yields the position to read as a formula. The formula
is kept in normal form (quotients and remainders are resolved wherever the ranges allow it, and n·(e//n) + e%n becomes
e again), so that a reshape in the middle of a kernel usually costs nothing.
"""

from math import gcd
from typing import Any, NamedTuple


class Atom(NamedTuple):
    """A non-negative integer below ``size``: a loop variable, a quotient, a remainder, or an index read from memory."""

    kind: str
    detail: Any
    size: int


class Index:
    """constant + Σ coefficient · atom, with + - * by integers, and // and % by positive integers.

    >>> from bprop.compile.ir.affine_index import variable
    >>> i, j = variable(0, 3), variable(1, 4)
    >>> flat = i * 4 + j
    >>> flat // 4, flat % 4, (flat // 6) * 6 + flat % 6
    (i0, i1, 4·i0 + i1)
    """

    __slots__ = ("constant", "terms")

    def __init__(self, constant: int = 0, terms: dict[Atom, int] | None = None) -> None:
        self.constant = constant
        self.terms = terms or {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Index) and self.constant == other.constant and self.terms == other.terms

    def __hash__(self) -> int:
        return hash((self.constant, frozenset(self.terms.items())))

    def __repr__(self) -> str:
        parts = [(f"{c}·" if c != 1 else "") + _shown(atom) for atom, c in self.terms.items()]
        if self.constant or not parts:
            parts.append(str(self.constant))
        return " + ".join(parts)

    def bounds(self) -> tuple[int, int]:
        """Return the least and the greatest value it can take."""
        low = high = self.constant
        for atom, coefficient in self.terms.items():
            reach = coefficient * (atom.size - 1)
            low, high = low + min(reach, 0), high + max(reach, 0)
        return low, high

    def linear(self) -> bool:
        """Return whether only loop variables occur."""
        return all(atom.kind == "loop" for atom in self.terms)

    def coefficient(self, atom: Atom) -> int:
        """Return the multiple of ``atom``."""
        return self.terms.get(atom, 0)

    def __add__(self, other: "Index | int") -> "Index":
        if not isinstance(other, Index):
            return Index(self.constant + other, self.terms)
        terms = dict(self.terms)
        for atom, coefficient in other.terms.items():
            total = terms.get(atom, 0) + coefficient
            if total:
                terms[atom] = total
            else:
                del terms[atom]
        return _recombined(Index(self.constant + other.constant, terms))

    __radd__ = __add__

    def __neg__(self) -> "Index":
        return self * -1

    def __sub__(self, other: "Index | int") -> "Index":
        return self + (-other)

    def __rsub__(self, other: int) -> "Index":
        return -self + other

    def __mul__(self, factor: int) -> "Index":
        if isinstance(factor, Index):
            if factor.terms:
                if self.terms:
                    raise TypeError("the product of two loop variables is no index")
                return factor * self.constant
            factor = factor.constant
        if factor == 0:
            return Index()
        return Index(self.constant * factor, {atom: c * factor for atom, c in self.terms.items()})

    __rmul__ = __mul__

    def __floordiv__(self, divisor: int) -> "Index":
        if divisor == 0:  # an axis without entries: no loop over it ever runs
            return Index()
        whole, rest = self._split(divisor)
        low, high = rest.bounds()
        if low >= 0 and high < divisor:
            return whole
        return whole + _quotient(rest, divisor)

    def __mod__(self, divisor: int) -> "Index":
        if divisor == 0:
            return Index()
        _, rest = self._split(divisor)
        low, high = rest.bounds()
        if low >= 0 and high < divisor:
            return rest
        return _remainder(rest, divisor)

    def _split(self, divisor: int) -> tuple["Index", "Index"]:
        """Return (whole, rest) with self = divisor · whole + rest."""
        if divisor == 1:
            return self, Index()
        whole = {atom: c // divisor for atom, c in self.terms.items() if c % divisor == 0}
        rest = {atom: c for atom, c in self.terms.items() if c % divisor}
        quotient, remainder = divmod(self.constant, divisor)
        short = -Index(remainder, rest).bounds()[0]
        if short > 0:  # a reversed axis: keep the rest non-negative
            steps = -(-short // divisor)
            quotient, remainder = quotient - steps, remainder + steps * divisor
        return Index(quotient, whole), Index(remainder, rest)


def _common(rest: Index, divisor: int) -> int:
    factor = divisor
    for coefficient in rest.terms.values():
        factor = gcd(factor, coefficient)
    return factor


def _reduced(rest: Index, factor: int) -> Index:
    return Index(rest.constant // factor, {atom: c // factor for atom, c in rest.terms.items()})


def _quotient(rest: Index, divisor: int) -> Index:
    factor = _common(rest, divisor)
    if factor > 1:  # (f·e + r) // (f·d) = e // d for 0 ≤ r < f
        return _reduced(rest, factor) // (divisor // factor)
    if rest.constant == 0 and len(rest.terms) == 1:
        ((atom, coefficient),) = rest.terms.items()
        if atom.kind == "quotient" and coefficient == 1:
            inner, first = atom.detail
            return inner // (first * divisor)
    return Index(0, {Atom("quotient", (rest, divisor), rest.bounds()[1] // divisor + 1): 1})


def _remainder(rest: Index, divisor: int) -> Index:
    factor = _common(rest, divisor)
    if factor > 1:
        offset = rest.constant % factor
        return (_reduced(rest, factor) % (divisor // factor)) * factor + offset
    if rest.constant == 0 and len(rest.terms) == 1:
        ((atom, coefficient),) = rest.terms.items()
        if atom.kind == "remainder" and coefficient == 1 and atom.detail[1] % divisor == 0:
            return atom.detail[0] % divisor
    return Index(0, {Atom("remainder", (rest, divisor), divisor): 1})


def _recombined(index: Index) -> Index:
    for atom, coefficient in index.terms.items():
        if atom.kind != "remainder":
            continue
        inner, divisor = atom.detail
        whole = Atom("quotient", (inner, divisor), inner.bounds()[1] // divisor + 1)
        if index.terms.get(whole) == coefficient * divisor:
            rest = {a: c for a, c in index.terms.items() if a != atom and a != whole}
            return Index(index.constant, rest) + inner * coefficient
    return index


def _shown(atom: Atom) -> str:
    if atom.kind == "loop":
        return f"i{atom.detail}"
    if atom.kind == "value":
        return "index"
    inner, divisor = atom.detail
    return f"({inner}){'//' if atom.kind == 'quotient' else '%'}{divisor}"


def variable(number: int, size: int) -> Index:
    """Return the loop variable ``number`` of ``size`` iterations; it is 0 where there is only one."""
    return Index() if size == 1 else Index(0, {Atom("loop", number, size): 1})


def flattened(position: "tuple[Index, ...]", shape: tuple[int, ...]) -> Index:
    """Return the place of the entry at ``position`` in row-major order."""
    flat = Index()
    for one, size in zip(position, shape, strict=True):
        flat = flat * size + one
    return flat
