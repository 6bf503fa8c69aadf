"""The complex step: f(x + ih) has f'(x) h in its imaginary part, without subtracting nearly equal numbers.

Comparisons and selections look at the real part. An op whose complex form is not the analytic continuation of the
real one is refused by name.

**Source:** Squire & Trapp (1998), Using complex variables to estimate derivatives of real functions.
"""

from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.dtype import WEAK
from ..core.error import BpropError, DerivativeError
from ..core.family import Bilinear, Cumulative, Elementwise, General, Join, Linear, Reduction, Region, Selection
from ..core.interpreter import EVALUATE, FAILURES, QUIET, Interpreter, using
from ..core.op import Op
from ..core.value import Array, Tracer


class ComplexValue(Tracer):
    """A complex array under a real function: ``data`` holds complex numbers, ``dtype`` says what they stand for."""

    __slots__ = ("complex",)

    def __init__(self, owner: "ComplexStep", complex: NDArray[Any]) -> None:
        self.owner = owner
        self.complex = complex

    @property
    def shape(self) -> tuple[int, ...]:
        return self.complex.shape

    @property
    def dtype(self) -> "np.dtype[Any]":
        return self.complex.real.dtype

    def concrete(self) -> NDArray[Any]:
        return self.complex.real

    def decides(self) -> bool:
        return True

    def parts(self) -> tuple[Array, ...]:
        return Array(self.complex.real), Array(self.complex.imag)

    def __bool__(self) -> bool:
        return bool(self.complex.real)


class ComplexStep(Interpreter):
    """Evaluates real functions at complex points. It rests on plain evaluation: the numbers are needed at once."""

    name = "complex step"

    def __init__(self) -> None:
        super().__init__()
        below = self.below
        while below is not EVALUATE:
            if not isinstance(below, ComplexStep):
                raise DerivativeError(
                    f"complex step inside {below.name}: it computes with numbers, not with values under another "
                    f"transform; use method='forward' or 'reverse' inside, or take the complex step outermost"
                )
            below = below.below

    def lower(self, value: Array) -> Array:
        return value if type(value) is not ComplexValue else Array(value.complex.real)

    def bind(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        if not any(type(arg) is ComplexValue and arg.owner is self for arg in args):
            return self.below.bind(op, args, params)
        if isinstance(op, Region):
            with using(self):
                return op.complex_step(args, params)
        zs = [self._number(op, arg) for arg in args]
        try:
            z = QUIET.run(continuation, op, zs, params)
        except BpropError:
            raise
        except FAILURES as error:
            raise op.explain(error, args, params) from None
        z = np.asarray(z)
        return ComplexValue(self, z) if z.dtype.kind == "c" else Array(z)

    def _number(self, op: Op, arg: Any) -> Any:
        if type(arg) is ComplexValue and arg.owner is self:
            return arg.complex
        data = EVALUATE.data_of(op, arg)
        if type(arg) is complex or (type(arg) not in WEAK and data.dtype.kind == "c"):
            raise complex_refused(op.name)
        return data


def complex_refused(what: str) -> DerivativeError:
    """Return the error for complex numbers of the user, which the step cannot be told from."""
    return DerivativeError(
        f"{what}: the complex step is of functions of real numbers, computed without complex ones: use scheme='central' or "
        f"method='forward' or 'reverse'"
    )


def _refused(op: Op) -> DerivativeError:
    return DerivativeError(
        f"{op.name} has no complex form, so the complex step cannot pass it: use central differences "
        f"(scheme='central') or method='forward' or 'reverse'"
    )


@singledispatch
def continuation(op: Op, zs: list[Any], params: dict[str, Any]) -> Any:
    """Return the analytic continuation of the op at complex points."""
    raise _refused(op)


def _stepped(op: Elementwise | Selection | Reduction, zs: list[Any], params: dict[str, Any]) -> Any:
    step = op.complex_step
    if "dtype" in params and params["dtype"].kind == "c":
        raise complex_refused(op.name)
    if step is None:
        raise _refused(op)
    return op.evaluate(*zs, **params) if step is True else step(*zs, **params)  # type: ignore[operator]


continuation.register(Elementwise, _stepped)
continuation.register(Selection, _stepped)
continuation.register(Reduction, _stepped)


@continuation.register
def _(op: Linear, zs: Any, params: Any) -> Any:
    return op.evaluate(zs[0], *(np.real(z) for z in zs[1:]), **params)


@continuation.register(Join)
@continuation.register(Bilinear)
def _(op: Op, zs: Any, params: Any) -> Any:
    return op.evaluate(*zs, **params)


@continuation.register
def _(op: Cumulative, zs: Any, params: Any) -> Any:
    return op.evaluate(*zs, **params)


@continuation.register
def _(op: General, zs: Any, params: Any) -> Any:
    if not op.differentiable:  # positions and orders: those of the real numbers
        return op.evaluate(*map(np.real, zs), **params)
    if not op.complex_step:
        raise _refused(op)
    return op.evaluate(*zs, **params) if op.complex_step is True else op.complex_step(*zs, **params)


__all__ = ["ComplexStep", "ComplexValue", "complex_refused", "continuation"]
