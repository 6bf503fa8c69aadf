"""Instructions: what an op's ``native`` name means on numbers in registers. IEEE arithmetic, no fast-math flags."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from ...core.error import CompileError
from ..ir.status import POWER_ERROR
from . import error_function, exponential, logarithm, normal_distribution, root, sigmoidal, trigonometric
from .formula import Field, Number, apply
from .power import power
from .symbol import resolve
from .type import F64, I1, I32, I64, constant, register

DType = np.dtype[Any]
Fail = Callable[[Any, int], None]

_ORDERED = {"less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!="}
_FLOAT = {"add": "fadd", "subtract": "fsub", "multiply": "fmul", "divide": "fdiv"}
_INTEGER = {"add": "add", "subtract": "sub", "multiply": "mul"}
_BITS = {
    "logical_and": "and_", "logical_or": "or_", "logical_xor": "xor",
    "bitwise_and": "and_", "bitwise_or": "or_", "bitwise_xor": "xor",
}  # fmt: skip
_TRUTH = {"add": "or_", "multiply": "and_", "maximum": "or_", "minimum": "and_", **_BITS}
_INTRINSIC = {
    "sqrt": "llvm.sqrt", "floor": "llvm.floor", "ceil": "llvm.ceil", "trunc": "llvm.trunc", "round": "llvm.rint",
    "copysign": "llvm.copysign",
}  # fmt: skip
LIBM = {
    "sin", "cos", "tan", "atan2", "asinh", "acosh", "atanh", "lgamma", "tgamma", "pow", "nextafter",
}  # fmt: skip
"""Instructions that are calls of the C library's function (with an ``f`` appended for float32), one number at a time."""
FORMULAS = {
    **exponential.FORMULAS, **logarithm.FORMULAS, **error_function.FORMULAS, **normal_distribution.FORMULAS,
    **sigmoidal.FORMULAS, **trigonometric.FORMULAS, **root.FORMULAS,
}  # fmt: skip
SINGLE = {**logarithm.SINGLE, **trigonometric.SINGLE}
"""Instructions that are formulas instead, which vectorise: of both dtypes, and of float32 only."""


def emit(module: Any, b: Any, name: str, xs: Sequence[Any], dtypes: Sequence[DType], out: DType, fail: Fail) -> Any:
    """Return the result of instruction ``name`` on ``xs`` of ``dtypes``, a number of dtype ``out``."""
    if name == "cast":
        return cast(b, xs[0], dtypes[0], out)
    if name == "where":
        return b.select(*xs)
    kind = dtypes[0].kind
    if name in _ORDERED:
        return _compare(b, _ORDERED[name], xs, kind)
    if name in ("logical_not", "isnan", "isfinite", "isinf", "signbit"):
        return _truth(b, name, xs[0], dtypes[0])
    if kind == "b" and name in ("abs", "floor", "ceil", "trunc", "round"):
        return xs[0]
    if name == "bitwise_invert":
        return b.not_(xs[0])
    if kind == "b" and name in _TRUTH:
        return getattr(b, _TRUTH[name])(*xs)
    if kind == "f":
        result = _float(module, b, name, xs, dtypes[0])
    elif kind in "iu":
        result = _integer(b, name, xs, dtypes[0], fail)
    else:
        result = None
    if result is None:
        raise CompileError(f"{name}: no instruction of this name for dtype {dtypes[0]}")
    return result


def _compare(b: Any, symbol: str, xs: Sequence[Any], kind: str) -> Any:
    if kind == "f":
        return (b.fcmp_unordered if symbol == "!=" else b.fcmp_ordered)(symbol, *xs)
    return (b.icmp_signed if kind == "i" else b.icmp_unsigned)(symbol, *xs)


def _truth(b: Any, name: str, x: Any, dtype: DType) -> Any:
    if name == "logical_not":
        return b.not_(x)
    if name == "signbit" and dtype.kind != "b":
        bits = ir.IntType(8 * dtype.itemsize)
        return (
            b.icmp_signed("<", b.bitcast(x, bits), ir.Constant(bits, 0)) if dtype.kind in "if" else ir.Constant(I1, 0)
        )
    if dtype.kind != "f":
        return ir.Constant(I1, int(name == "isfinite"))
    if name == "isnan":
        return b.fcmp_unordered("uno", x, x)
    infinite = [b.fcmp_ordered("==", x, constant(sign * np.inf, dtype)) for sign in (1, -1)]
    either = b.or_(*infinite)
    return either if name == "isinf" else b.not_(b.or_(either, b.fcmp_unordered("uno", x, x)))


def _float(module: Any, b: Any, name: str, xs: Sequence[Any], dtype: DType) -> Any:
    if name in _FLOAT:
        return getattr(b, _FLOAT[name])(*xs)
    if name == "negative":
        return b.fneg(xs[0])
    if name == "abs":
        return call(module, b, f"llvm.fabs.{_suffix(dtype)}", xs, dtype)
    if name in ("maximum", "minimum"):
        x, y = xs
        takes_x = b.fcmp_ordered(
            ">" if name == "maximum" else "<", x, y
        )  # y of two equal ones, as NumPy: zeros are signed
        return b.select(b.or_(takes_x, b.fcmp_unordered("uno", x, x)), x, y)
    if name == "pow" and isinstance(xs[1], ir.Constant):
        formula_result = power(Number(Field(module, b, dtype), xs[0]), xs[1].constant)
        if formula_result is not None:
            return formula_result.value
    if name == "floor_divide" or name == "remainder":
        return _floored(module, b, name, xs, dtype)
    if name in _INTRINSIC:
        return call(module, b, f"{_INTRINSIC[name]}.{_suffix(dtype)}", xs, dtype)
    formula = FORMULAS.get(name) or (SINGLE.get(name) if dtype == np.float32 else None)
    if formula is not None:
        return apply(formula, name, module, b, xs, dtype)
    if name in LIBM:
        return call(module, b, symbol(name, dtype), xs, dtype)
    return None


def _floored(module: Any, b: Any, name: str, xs: Sequence[Any], dtype: DType) -> Any:
    """Python's // and % on floats, as NumPy computes them: from the exact remainder of C's fmod."""
    x, y = xs
    zero, unit = constant(0, dtype), constant(1, dtype)
    remainder = call(module, b, symbol("fmod", dtype), xs, dtype)
    opposite = b.and_(
        b.fcmp_unordered("!=", remainder, zero),
        b.xor(b.fcmp_ordered("<", remainder, zero), b.fcmp_ordered("<", y, zero)),
    )
    exact = b.fdiv(b.fsub(x, remainder), y)
    exact = b.select(opposite, b.fsub(exact, unit), exact)
    remainder = b.select(opposite, b.fadd(remainder, y), remainder)
    suffix = _suffix(dtype)
    if name == "remainder":
        signed_zero = call(module, b, f"llvm.copysign.{suffix}", [zero, y], dtype)
        return b.select(b.fcmp_ordered("==", remainder, zero), signed_zero, remainder)
    rounded = call(module, b, f"llvm.floor.{suffix}", [exact], dtype)
    is_below = b.fcmp_ordered(">", b.fsub(exact, rounded), constant(0.5, dtype))
    rounded = b.select(is_below, b.fadd(rounded, unit), rounded)
    quotient = b.fdiv(x, y)
    signed_zero = call(module, b, f"llvm.copysign.{suffix}", [zero, quotient], dtype)
    rounded = b.select(b.fcmp_ordered("==", exact, zero), signed_zero, rounded)
    return b.select(b.fcmp_ordered("==", y, zero), quotient, rounded)


def _integer(b: Any, name: str, xs: Sequence[Any], dtype: DType, fail: Fail) -> Any:
    signed = dtype.kind == "i"
    if name in _INTEGER:
        return getattr(b, _INTEGER[name])(*xs)
    if name in _BITS:
        return getattr(b, _BITS[name])(*xs)
    if name == "negative":
        return b.neg(xs[0])
    if name == "abs":
        return b.select(b.icmp_signed("<", xs[0], constant(0, dtype)), b.neg(xs[0]), xs[0]) if signed else xs[0]
    if name in ("maximum", "minimum"):
        compare = b.icmp_signed if signed else b.icmp_unsigned
        return b.select(compare(">=" if name == "maximum" else "<=", *xs), *xs)
    if name in ("floor", "ceil", "trunc", "round"):
        return xs[0]
    if name in ("floor_divide", "remainder"):
        return _integer_floored(b, name, xs, dtype)
    if name in ("bitwise_left_shift", "bitwise_right_shift"):
        return _shifted(b, name, xs, dtype)
    if name == "pow":
        return _integer_pow(b, xs, dtype, fail)
    return None


def _integer_floored(b: Any, name: str, xs: Sequence[Any], dtype: DType) -> Any:
    """Python's // and %; division by zero gives 0, as in NumPy, and the least integer over -1 wraps."""
    x, y = xs
    zero = b.icmp_unsigned("==", y, constant(0, dtype))
    safe = b.select(zero, constant(1, dtype), y)
    if dtype.kind == "u":
        result = (b.udiv if name == "floor_divide" else b.urem)(x, safe)
        return b.select(zero, constant(0, dtype), result)
    is_minus_one = b.icmp_signed("==", y, constant(-1, dtype))
    safe = b.select(is_minus_one, constant(1, dtype), safe)
    quotient, remainder = b.sdiv(x, safe), b.srem(x, safe)
    opposite = b.and_(
        b.icmp_signed("!=", remainder, constant(0, dtype)),
        b.icmp_signed("<", b.xor(remainder, safe), constant(0, dtype)),
    )
    if name == "floor_divide":
        result = b.select(is_minus_one, b.neg(x), b.select(opposite, b.sub(quotient, constant(1, dtype)), quotient))
    else:
        result = b.select(opposite, b.add(remainder, safe), remainder)
    return b.select(zero, constant(0, dtype), result)


def _shifted(b: Any, name: str, xs: Sequence[Any], dtype: DType) -> Any:
    """<< and >>. A shift by the width or more, or by a negative number, leaves no bit of x but its sign."""
    x, count = xs
    last = constant(8 * dtype.itemsize - 1, dtype)
    inside = b.icmp_unsigned("<=", count, last)
    if name == "bitwise_right_shift" and dtype.kind == "i":
        return b.ashr(x, b.select(inside, count, last))
    result = (b.shl if name == "bitwise_left_shift" else b.lshr)(x, b.select(inside, count, last))
    return b.select(inside, result, constant(0, dtype))


def _integer_pow(b: Any, xs: Sequence[Any], dtype: DType, fail: Fail) -> Any:
    """Square and multiply, modulo the size of the dtype; a negative exponent is an error."""
    base, exponent = xs
    if dtype.kind == "i":
        negative = b.icmp_signed("<", exponent, constant(0, dtype))
        fail(negative, POWER_ERROR)
        exponent = b.select(negative, constant(0, dtype), exponent)
    before = b.block
    head, body, after = (b.append_basic_block(name) for name in ("power", "multiply", "powered"))
    b.branch(head)
    b.position_at_end(head)
    result, square, remaining = (b.phi(base.type) for _ in range(3))
    for phi, start in ((result, constant(1, dtype)), (square, base), (remaining, exponent)):
        phi.add_incoming(start, before)
    b.cbranch(b.icmp_unsigned("!=", remaining, constant(0, dtype)), body, after)
    b.position_at_end(body)
    odd = b.trunc(remaining, I1) if remaining.type != I1 else remaining
    result.add_incoming(b.select(odd, b.mul(result, square), result), body)
    square.add_incoming(b.mul(square, square), body)
    remaining.add_incoming(b.lshr(remaining, constant(1, dtype)), body)
    b.branch(head)
    b.position_at_end(after)
    return result


def cast(b: Any, x: Any, source: DType, target: DType) -> Any:
    """Return ``x`` converted as ``numpy.ndarray.astype`` does."""
    if source == target:
        return x
    kind = register(target)
    if target.kind == "b":
        zero = constant(0, source)
        return b.fcmp_unordered("!=", x, zero) if source.kind == "f" else b.icmp_unsigned("!=", x, zero)
    if source.kind == "f" and target.kind == "f":
        return b.fpext(x, kind) if kind == F64 else b.fptrunc(x, kind)
    if source.kind == "f":
        return _to_integer(b, x, source, target)
    if target.kind == "f":
        return (b.sitofp if source.kind == "i" else b.uitofp)(x, kind)
    if x.type.width == kind.width:
        return x
    if x.type.width > kind.width:
        return b.trunc(x, kind)
    return (b.sext if source.kind == "i" else b.zext)(x, kind)


def _to_integer(b: Any, x: Any, source: DType, target: DType) -> Any:
    """Truncate towards zero; what does not fit gives the least integer, as the processor's instruction does."""
    wide = I32 if target.itemsize < 4 or target == np.int32 else I64
    if target == np.uint64:
        half = constant(2.0**63, source)
        large = b.fcmp_ordered(">=", x, half)
        low = b.fptosi(b.select(large, b.fsub(x, half), x), I64)
        return b.select(large, b.xor(low, ir.Constant(I64, -(2**63))), low)
    least = -(2 ** (wide.width - 1))
    fits = b.and_(
        b.fcmp_ordered(">=", x, constant(float(least), source)), b.fcmp_ordered("<", x, constant(-float(least), source))
    )
    integer = b.fptosi(b.select(fits, x, constant(0, source)), wide)
    integer = b.select(fits, integer, ir.Constant(wide, least))
    kind = register(target)
    return b.trunc(integer, kind) if kind.width < wide.width else integer


def call(module: Any, b: Any, name: str, xs: Sequence[Any], dtype: DType) -> Any:
    """Call a function of numbers of one dtype, declaring it on first use."""
    function = module.globals.get(name)
    if function is None:
        kind = register(dtype)
        function = ir.Function(module, ir.FunctionType(kind, [kind] * len(xs)), name)
        if not name.startswith("llvm."):
            function.attributes.add("readnone")
            function.attributes.add("nounwind")
    return b.call(function, list(xs))


def _suffix(dtype: DType) -> str:
    return f"f{8 * dtype.itemsize}"


def symbol(name: str, dtype: DType) -> str:
    """Return the C library's symbol of a function, and tell LLVM its address."""
    full = name + ("f" if dtype == np.float32 else "")
    resolve(full)
    return full
