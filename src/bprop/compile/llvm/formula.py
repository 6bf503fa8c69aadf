"""Formulas in Python that emit instructions: each operator on `Number` is one IEEE operation with one rounding.

Formulas have no branches, only selects, and integers only shift, add and mask: so LLVM's loop vectoriser turns them into
vector code. A fused multiply-add is emitted where the machine has one and nowhere else, so that a result does not
depend on whether its loop was vectorised.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from .builder import Builder
from .type import F32, F64, I32, I64, constant, register
from .vector import intrinsic

FLOAT, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


class Field:
    """Floating-point arithmetic of one dtype. ``precision``: how many bits of the result matter, by default all of them.

    The exponent begins at bit ``mantissa`` of a number and has the offset ``bias``. Adding ``magic`` to a much smaller number
    rounds that to an integer, which the lowest bits of the sum then hold.
    """

    def __init__(self, module: Any, b: Any, dtype: "np.dtype[Any]", precision: int = 0) -> None:
        self.module = module
        self.b = b
        self.dtype = dtype
        self.precision = precision or (24 if dtype == FLOAT else 53)
        self.fused = module.target.fused
        self.mantissa, self.bias = (23, 127) if dtype == FLOAT else (52, 1023)
        self.magic = 1.5 * 2.0**self.mantissa
        self.type, self.integer = (F32, I32) if dtype == FLOAT else (F64, I64)
        self.info = np.finfo(dtype)

    def number(self, x: Any) -> "Number":
        """Return a constant, or a number as it is."""
        return x if isinstance(x, Number) else Number(self, constant(x, self.dtype))

    def bits(self, n: Any) -> "Bits":
        """Return an integer constant as wide as a number, or an integer as it is."""
        return n if isinstance(n, Bits) else Bits(self, ir.Constant(self.integer, n))

    def intrinsic(self, name: str, *xs: Any) -> "Number":
        """Call LLVM's function ``name`` of numbers."""
        full = f"llvm.{name}.{'f32' if self.dtype == FLOAT else 'f64'}"
        return Number(self, intrinsic(self.module, self.b, full, self.type, [self.number(x).value for x in xs]))

    def fma(self, x: Any, y: Any, z: Any) -> "Number":
        """x · y + z, rounded once if the machine can."""
        return self.intrinsic("fma", x, y, z) if self.fused else self.number(x) * y + z

    def product(self, x: "Number", y: Any) -> tuple["Number", "Number"]:
        """x · y rounded, and its rounding error: by a fused multiply-add, else by halves (Dekker, 1971)."""
        y = self.number(y)
        p = x * y
        if self.fused:
            return p, self.fma(x, y, -p)
        (a, b), (c, d) = self.halves(x), self.halves(y)
        return p, ((a * c - p) + a * d + b * c) + b * d

    def difference(self, z: "Number", x: "Number", y: "Number") -> "Number":
        """The difference z - x · y, exact where x · y is nearly z."""
        if self.fused:
            return self.fma(-x, y, z)
        p, rest = self.product(x, y)
        return (z - p) - rest

    def halves(self, x: "Number") -> tuple["Number", "Number"]:
        """x as a sum of two numbers of half its bits."""
        high = (x.bits & -(1 << (self.mantissa // 2 + 1))).number
        return high, x - high

    def polynomial(self, x: "Number", coefficients: Sequence[float]) -> "Number":
        """Horner's rule, the constant term first in ``coefficients``."""
        y = self.number(coefficients[-1])
        for c in coefficients[-2::-1]:
            y = self.fma(y, x, c)
        return y

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        """The number x if the condition holds, else y."""
        if isinstance(x, Bits) or isinstance(y, Bits):
            return Bits(self, self.b.select(condition, self.bits(x).value, self.bits(y).value))
        return Number(self, self.b.select(condition, self.number(x).value, self.number(y).value))

    def at_least(self, x: "Number", least: float) -> "Number":
        """The larger of both; NaN stays NaN."""
        return self.where(x < least, least, x)

    def at_most(self, x: "Number", most: float) -> "Number":
        """The smaller of both; NaN stays NaN."""
        return self.where(x > most, most, x)

    def with_sign(self, x: "Number", other: "Number") -> "Number":
        """|x| with the sign of the other."""
        return self.intrinsic("copysign", x, other)

    def sqrt(self, x: "Number") -> "Number":
        """√x, rounded correctly."""
        return self.intrinsic("sqrt", x)

    def nearest(self, x: "Number") -> "Number":
        """The nearest integer, of any size."""
        return self.intrinsic("rint", x)

    def from_exponent(self, n: "Bits") -> "Number":
        """The integer n - bias as a number, for 0 ≤ n < 2^mantissa."""
        size = 2.0**self.mantissa
        return (n | self.number(size).bits).number - (size + self.bias)

    def power_of_two(self, n: "Bits") -> "Number":
        """2^(n - bias), of whose bits only the lowest matter."""
        return (n << self.mantissa).number


class Number:
    """A floating-point number in a register."""

    __slots__ = ("field", "value")

    def __init__(self, field: Field, value: Any) -> None:
        self.field = field
        self.value = value

    def _with(self, instruction: str, x: Any, y: Any) -> "Number":
        f = self.field
        return Number(f, getattr(f.b, instruction)(f.number(x).value, f.number(y).value))

    def _compared(self, symbol: str, other: Any) -> Any:
        return self.field.b.fcmp_ordered(symbol, self.value, self.field.number(other).value)

    def __add__(self, other: Any) -> "Number":
        return self._with("fadd", self, other)

    def __radd__(self, other: Any) -> "Number":
        return self._with("fadd", other, self)

    def __sub__(self, other: Any) -> "Number":
        return self._with("fsub", self, other)

    def __rsub__(self, other: Any) -> "Number":
        return self._with("fsub", other, self)

    def __mul__(self, other: Any) -> "Number":
        return self._with("fmul", self, other)

    def __rmul__(self, other: Any) -> "Number":
        return self._with("fmul", other, self)

    def __truediv__(self, other: Any) -> "Number":
        return self._with("fdiv", self, other)

    def __rtruediv__(self, other: Any) -> "Number":
        return self._with("fdiv", other, self)

    def __neg__(self) -> "Number":
        return Number(self.field, self.field.b.fneg(self.value))

    def __abs__(self) -> "Number":
        return self.field.intrinsic("fabs", self)

    def __lt__(self, other: Any) -> Any:
        return self._compared("<", other)

    def __gt__(self, other: Any) -> Any:
        return self._compared(">", other)

    def equals(self, other: Any) -> Any:
        """Whether both are the same number; zeros are, NaNs are not."""
        return self._compared("==", other)

    @property
    def bits(self) -> "Bits":
        """The representation as an integer."""
        return Bits(self.field, self.field.b.bitcast(self.value, self.field.integer))


class Bits:
    """An integer as wide as the numbers of its field."""

    __slots__ = ("field", "value")

    def __init__(self, field: Field, value: Any) -> None:
        self.field = field
        self.value = value

    def _with(self, instruction: str, other: Any) -> "Bits":
        f = self.field
        return Bits(f, getattr(f.b, instruction)(self.value, f.bits(other).value))

    def __add__(self, other: Any) -> "Bits":
        return self._with("add", other)

    def __sub__(self, other: Any) -> "Bits":
        return self._with("sub", other)

    def __rsub__(self, other: Any) -> "Bits":
        return self.field.bits(other)._with("sub", self)

    def __and__(self, other: Any) -> "Bits":
        return self._with("and_", other)

    def __or__(self, other: Any) -> "Bits":
        return self._with("or_", other)

    def __xor__(self, other: Any) -> "Bits":
        return self._with("xor", other)

    def __lshift__(self, other: Any) -> "Bits":
        return self._with("shl", other)

    def __rshift__(self, other: Any) -> "Bits":
        return self._with("lshr", other)

    def is_zero(self) -> Any:
        """Whether no bit is set."""
        return self.field.b.icmp_signed("==", self.value, self.field.bits(0).value)

    @property
    def number(self) -> Number:
        """The number of this representation."""
        return Number(self.field, self.field.b.bitcast(self.value, self.field.type))


Expansion = Callable[..., Number]


def in_double(formula: Expansion) -> Expansion:
    """Return the formula with float32 operands computed in float64, as precisely as float32 needs."""

    def in_float64(*xs: Number) -> Number:
        f = xs[0].field
        if f.dtype == DOUBLE:
            return formula(*xs)
        wide = Field(f.module, f.b, DOUBLE, f.precision)
        y = formula(*(Number(wide, f.b.fpext(x.value, F64)) for x in xs))
        return Number(f, f.b.fptrunc(y.value, F32))

    return in_float64


def apply(formula: Expansion, name: str, module: Any, b: Any, xs: Sequence[Any], dtype: "np.dtype[Any]") -> Any:
    """Return the formula of ``xs``: one function per module, which LLVM inlines wherever it is called."""
    kind = register(dtype)
    full = f"{name}.f{8 * dtype.itemsize}"
    function = module.globals.get(full)
    if function is None:
        function = ir.Function(module, ir.FunctionType(kind, [kind] * len(xs)), full)
        function.linkage = "internal"
        for attribute in ("alwaysinline", "nounwind", "readnone"):
            function.attributes.add(attribute)
        builder: Any = Builder(function.append_basic_block("entry"))
        field = Field(module, builder, dtype)
        builder.ret(formula(*(Number(field, x) for x in function.args)).value)
    return b.call(function, list(xs))
