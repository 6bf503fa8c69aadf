"""A builder that emits less for LLVM to remove: integers are folded, and addresses computed once per block."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from llvmlite import ir

from .type import I64


class Builder(ir.IRBuilder):  # type: ignore[misc]
    """An `ir.IRBuilder` that folds sums and products of 64-bit integers, and numbers the values of a block.

    Loops, strides and offsets of 0 and 1 are written as they come; two thirds of what they would make is dead or double, and
    LLVM takes longer to find that than this does. Floating-point numbers are not touched.
    """

    def __init__(self, block: Any) -> None:
        super().__init__(block)
        self._numbered: dict[Hashable, Any] = {}
        self._numbered_block: Any = None

    def add(self, lhs: Any, rhs: Any, name: str = "", flags: Sequence[str] = ()) -> Any:
        """Return the sum of two integers."""
        a, b = _constant(lhs), _constant(rhs)
        if a is not None and b is not None:
            return _wrapped(a + b)
        if a == 0:
            return rhs
        if b == 0:
            return lhs
        return self._once(("add", *flags), lambda: super(Builder, self).add(lhs, rhs, name, flags), lhs, rhs)

    def sub(self, lhs: Any, rhs: Any, name: str = "", flags: Sequence[str] = ()) -> Any:
        """Return the difference of two integers."""
        a, b = _constant(lhs), _constant(rhs)
        if a is not None and b is not None:
            return _wrapped(a - b)
        if b == 0:
            return lhs
        return self._once(("sub", *flags), lambda: super(Builder, self).sub(lhs, rhs, name, flags), lhs, rhs)

    def mul(self, lhs: Any, rhs: Any, name: str = "", flags: Sequence[str] = ()) -> Any:
        """Return the product of two integers."""
        a, b = _constant(lhs), _constant(rhs)
        if a is not None and b is not None:
            return _wrapped(a * b)
        if a == 0 or b == 0:
            return _wrapped(0)
        if a == 1:
            return rhs
        if b == 1:
            return lhs
        return self._once(("mul", *flags), lambda: super(Builder, self).mul(lhs, rhs, name, flags), lhs, rhs)

    def gep(self, ptr: Any, indices: Sequence[Any], *args: Any, **options: Any) -> Any:
        """Return an address; that of the first entry is the pointer itself."""
        if len(indices) == 1 and _constant(indices[0]) == 0:
            return ptr
        return self._once(("gep", args, *options.items()), lambda: super(Builder, self).gep(ptr, indices, *args, **options), ptr, *indices)  # fmt: skip

    def _once(self, op: Hashable, emit: Callable[[], Any], *operands: Any) -> Any:
        """Return the value of an op, which is emitted unless this block has it already."""
        if self.block is not self._numbered_block:
            self._numbered, self._numbered_block = {}, self.block
        key = (op, *map(_number, operands))
        value = self._numbered.get(key)
        if value is None:
            value = self._numbered[key] = emit()
        return value


def _constant(x: Any) -> int | None:
    """Return the number of a 64-bit constant, ``None`` for anything else."""
    number = x.constant if isinstance(x, ir.Constant) and x.type == I64 else None
    return number if isinstance(number, int) else None


def _wrapped(value: int) -> Any:
    """Return a 64-bit constant, modulo 2⁶⁴."""
    return ir.Constant(I64, (value + 2**63) % 2**64 - 2**63)


def _number(x: Any) -> Hashable:
    """Return what tells a value from others: constants are equal by number. Who holds the value of a key holds ``x``."""
    constant = _constant(x)
    return id(x) if constant is None else (constant,)
