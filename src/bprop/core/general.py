"""The family of ops that have formulas of their own, over the core axes of a generalised ufunc."""

import re
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from . import dtype as dtypes
from .error import ArgumentError, BpropError, DTypeError, ShapeError
from .op import Op, Operand, dtype_of, shape_of
from .shape import broadcast
from .value import Spec


class General(Op):
    """An op with formulas of its own: ``jvp(y, xs, x_dots, **params)`` and ``vjp(y_bar, y, xs, needs, **params)``,
    written with ops; what ``needs`` says no to may be ``None``. Without formulas the result does not vary (sorted
    positions). ``dtype``: of the result, where it is not the floating dtype of the operands; or a function that gives it from
    that of the operands, a tuple where those of several outputs differ.

    ``signature`` as of a NumPy generalised ufunc, such as ``"(n,n),(n,k)->(n,k)"``: leading axes are batches. With
    several outputs, ``"(n,n)->(n),(n,n)"``, y, y_bar and the tangents are tuples, and an absent one is ``None``.
    ``extents(sizes, **params)``: the sizes of the labels that only outputs have. ``failure``: what a ``LinAlgError`` in
    ``evaluate`` means, and what to do; the derivative of another op gives a parameter of that name, the whole message.
    A parameter ``axis`` says, as of a NumPy generalised ufunc, which axes of the one operand are its core instead: a
    tuple of negative numbers, over which "(n)->(n)" goes as over one.
    ``columns``: the label, last in an operand and in the result, whose entries do not meet: each column of the result is
    that of one column of the operand.
    ``native(*xs, **params)``: the same result written with other ops, which native code computes instead; without it
    native code calls ``evaluate`` back. ``complex_step``: as of the elementwise ops. ``half``: float16 is computed, too.
    """

    def __init__(
        self,
        name: str,
        evaluate: Callable[..., Any],
        *,
        signature: str,
        jvp: Callable[..., Any] | None = None,
        vjp: Callable[..., tuple[Any, ...]] | None = None,
        dtype: Any = None,
        extents: Callable[..., dict[str, int]] | None = None,
        failure: str = "",
        native: Callable[..., Any] | None = None,
        complex_step: Callable[..., Any] | bool = True,
        half: bool = False,
        columns: str = "",
        **rest: Any,
    ) -> None:
        super().__init__(name, evaluate, **rest)
        self.signature = signature
        self.columns = columns
        self.core_inputs, self.core_outputs = map(_cores, signature.split("->"))
        self.arity = len(self.core_inputs)
        self.several = len(self.core_outputs) > 1
        self.extents = extents
        self.failure = failure
        self.jvp: Any = jvp
        self.vjp: Any = vjp
        self.differentiable = jvp is not None and vjp is not None
        always = dtype is not None and not isinstance(dtype, FunctionType)
        self.result_dtype: Any = (lambda _: np.dtype(dtype)) if always else dtype or dtypes.to_float
        self.native = native
        self.complex_step = complex_step
        self.half = half

    def spec(self, *operands: Operand, **params: Any) -> Spec | tuple[Spec, ...]:
        sizes: dict[str, int] = {}
        batches = []
        shapes = [shape_of(x) for x in operands]
        shown = " and ".join(map(str, shapes))
        for shape, core in zip(shapes, [()] if "axis" in params else self.core_inputs, strict=True):
            rank = len(core)
            if len(shape) < rank:
                raise ShapeError(f"{self.name}: shape {shape} has {len(shape)} axes, {self.signature} needs {rank}")
            batches.append(shape[: len(shape) - rank])
            for axis, label in zip(range(-rank, 0), core, strict=True):
                if sizes.setdefault(label, shape[axis]) != shape[axis]:
                    raise ShapeError(
                        f"{self.name}: shapes {shown} do not fit {self.signature}: axis {axis} of {shape} has size "
                        f"{shape[axis]}, expected {sizes[label]}"
                    )
        dtype = self.result_dtype(dtypes.result_type(*map(dtype_of, operands)))
        each = dtype if type(dtype) is tuple else (dtype,) * len(self.core_outputs)
        if dtype == np.float16 and not self.half:
            raise DTypeError(f'{self.name}: float16 is not supported: convert with .astype("float32")')
        if "axis" in params:
            return Spec(shapes[0], dtype)
        if self.extents is not None:
            sizes |= self.extents(sizes, **params)
        batch = broadcast(self.name, *batches)
        specs = tuple(
            Spec(batch + tuple(sizes[label] for label in core), own)
            for core, own in zip(self.core_outputs, each, strict=True)
        )
        return specs if self.several else specs[0]

    def explain(self, error: Exception, args: tuple[Any, ...], params: dict[str, Any]) -> BpropError:
        if isinstance(error, np.linalg.LinAlgError) and params.get("failure"):
            return ArgumentError(params["failure"])
        if isinstance(error, np.linalg.LinAlgError) and self.failure:
            error = np.linalg.LinAlgError(self.failure)
        return super().explain(error, args, params)


def _cores(part: str) -> list[tuple[str, ...]]:
    """Return the labels of each operand in one half of a signature: "(n,k),()" is n and k, and none."""
    return [tuple(re.findall(r"\w+", core)) for core in re.findall(r"\(([^)]*)\)", part)]


__all__ = ["General"]
