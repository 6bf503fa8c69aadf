"""The families: what the author of an op declares, and the shape and dtype rule that follows from it.

Interpreters (forward, reverse, batching, text, native code) switch on these classes and never on single ops.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, ClassVar, Literal

import numpy as np

from . import dtype as dtypes
from .elementwise import Elementwise, NoDerivative, Selection
from .error import DTypeError, ShapeError
from .general import General
from .interpreter import CURRENT
from .op import Op, Operand, dtype_of, shape_of
from .shape import normalise_axis, reduced
from .value import Spec
from .window import Window

__all__ = [
    "Bilinear",
    "Creation",
    "Cumulative",
    "Elementwise",
    "General",
    "Join",
    "Linear",
    "NoDerivative",
    "Random",
    "Reduction",
    "Region",
    "Selection",
]


class Reduction(Op):
    """y combines the entries of x along ``axis`` (a sorted tuple); ``keepdims`` keeps them with size 1.

    ``init``, ``combine(state, x)`` and ``finish(state)`` work on tuples of scalars and are written with ops;
    ``partial(y, x, axis)`` is ∂y/∂x with y broadcast back, or ``chosen(y, x, axis)`` says which entries were chosen, and the share
    that each of them has; an op with neither (any, all) does not vary.
    ``merge(*states, *others)`` joins the states of two parts, so that long reductions go in pieces; ``neutral``: over
    no axes nothing changes, and axes may be reduced one after the other. ``native(x, **params)`` is y by other ops, for native code: several passes, which others share;
    then nothing is combined.
    """

    arity = 1

    def __init__(
        self,
        name: str,
        evaluate: Callable[..., Any],
        *,
        init: tuple[float, ...] = (),
        combine: Callable[..., tuple[Any, ...]] | None = None,
        finish: Callable[..., Any] | None = None,
        partial: Callable[..., Any] | float | None = None,
        chosen: Callable[..., tuple[Any, Any]] | None = None,
        kind: Literal["same", "float", "sum", "bool"] = "same",
        empty: bool = True,
        complex_step: Callable[..., Any] | bool | None = True,
        merge: Callable[..., tuple[Any, ...]] | None = None,
        neutral: bool = False,
        native: Callable[..., Any] | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(name, evaluate, **rest)
        self.native = native
        self.init = init
        self.combine = combine
        self.finish = finish
        self.partial = partial
        self.chosen = chosen
        self.kind = kind
        self.empty = empty
        self.merge = merge
        self.neutral = neutral
        self.complex_step = complex_step
        self.differentiable = partial is not None or chosen is not None

    def spec(self, *operands: Operand, **params: Any) -> Spec:
        (x,) = operands
        shape, axes = shape_of(x), params["axis"]
        if not self.empty:
            for axis in axes:
                if shape[axis] == 0:
                    raise ShapeError(f"{self.name}: axis {axis} of shape {shape} is empty and has no {self.name}")
        dtype = dtypes.result_type(dtype_of(x))
        if self.kind == "sum":
            dtype = dtypes.accumulated(dtype)
        if self.kind == "float":
            dtype = dtypes.to_float(dtype)
        if self.kind == "bool":
            dtype = dtypes.BOOL
        return Spec(reduced(shape, axes, params["keepdims"]), dtype)


class Cumulative(Op):
    """y_k = ``combine``(y_{k-1}, x1_k, x2_k, …) along ``axis``; y_0 is the first entry of the last operand.

    All operands have one shape. ``combine`` works on scalars, is written with ops and linear in the pair of state and
    last operand. ``jvp(y, xs, x_dots, axis)`` and ``vjp(y_bar, y, xs, needs, axis)`` are formulas written with ops;
    what ``needs`` says no to may be ``None``. ``kind``: ``"sum"`` gives small integers 64 bits.
    """

    def __init__(
        self,
        name: str,
        evaluate: Callable[..., Any],
        *,
        combine: Callable[..., Any],
        jvp: Callable[..., Any],
        vjp: Callable[..., tuple[Any, ...]],
        arity: int = 1,
        kind: Literal["same", "sum"] = "sum",
        **rest: Any,
    ) -> None:
        super().__init__(name, evaluate, **rest)
        self.combine = combine
        self.jvp: Any = jvp
        self.vjp: Any = vjp
        self.arity = arity
        self.kind = kind

    def spec(self, *operands: Operand, **params: Any) -> Spec:
        shapes = [shape_of(x) for x in operands]
        if len(set(shapes)) > 1:
            raise ShapeError(f"{self.name}: shapes {' and '.join(map(str, shapes))} are not the same")
        normalise_axis(self.name, params["axis"], len(shapes[0]), shapes[0])
        dtype = dtypes.result_type(*map(dtype_of, operands))
        return Spec(shapes[0], dtypes.accumulated(dtype) if self.kind == "sum" else dtype)


class Linear(Op):
    """y is linear in x: a re-indexing (reshape, transpose, slice, gather, …) or a sum along an index map.

    Complex entries are moved as real ones are.

    ``shape(x, *others, **params)``: the result's shape. ``adjoint(y_bar, x, *others, **params)``: x_bar, written with
    ops; ``x`` is seen only by shape and dtype. ``index``: the map in one of two directions, a function of the loop
    variables, the input's shape and the other operands: with ``scatter=False`` the loop runs over y and
    y[o] = x[index(o)]; with ``scatter=True`` it runs over x and y[index(i)] += x[i]. Another operand (integer indices,
    without derivative) is a reader with a ``shape``: ``indices(position, size)`` is the entry, counted from the front.
    ``lift(params, size, x)``: the parameters that do the same to every entry of a leading batch axis of that size;
    ``align`` names the parameter whose rank x must be padded to first (broadcasting). An op with other operands gives
    ``batch(size, x, *others, batched, **params)`` instead. ``view``: the entries stay where they are in memory.
    ``compose(first, then)``: the parameters that do both in one application; ``neutral(shape, **params)``: whether an
    application that keeps the shape changes nothing.

    Of an op that works axis by axis: ``reorder(axes, **params)``, where x = base.transpose(axes), gives parameters and axes
    with y = op(base, **parameters).transpose(axes). ``gather(o, inner, **params)`` is for a scatter that puts entries apart,
    and says which of them is at o: a position in x, always one that there is, and pairs (index, stop) of what has to lie in
    [0, stop); elsewhere y is 0.
    """

    takes_complex = True

    def __init__(
        self,
        name: str,
        evaluate: Callable[..., Any],
        *,
        shape: Callable[..., tuple[int, ...]],
        adjoint: Callable[..., Any],
        index: Callable[..., tuple[Any, ...]],
        lift: Callable[..., dict[str, Any]] | None,
        batch: Callable[..., Any] | None = None,
        align: str | None = None,
        scatter: bool = False,
        view: bool = False,
        compose: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] | None = None,
        neutral: Callable[..., bool] | None = None,
        reorder: Callable[..., tuple[dict[str, Any], tuple[int, ...]] | None] | None = None,
        gather: Callable[..., Any] | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(name, evaluate, **rest)
        self.reorder = reorder
        self.gather = gather
        self.shape = shape
        self.adjoint = adjoint
        self.index = index
        self.lift = lift
        self.batch = batch
        self.align = align
        self.scatter = scatter
        self.view = view
        self.compose = compose
        self.neutral = neutral

    def spec(self, *operands: Operand, **params: Any) -> Spec:
        x, *others = operands
        x_spec = x if isinstance(x, Spec) else Spec((), dtypes.result_type(x))
        return Spec(self.shape(x_spec, *others, **params), x_spec.dtype)


class Join(Op):
    """y holds the inputs one after the other along the parameter ``axis``; all their other sizes agree."""

    takes_complex = True

    def spec(self, *operands: Operand, **params: Any) -> Spec:
        axis, shapes = params["axis"], [shape_of(x) for x in operands]
        first = shapes[0]
        for shape in shapes:
            if len(shape) != len(first):
                raise ShapeError(f"{self.name}: shapes {first} and {shape} have different numbers of axes")
            for other, (size, expected) in enumerate(zip(shape, first, strict=True)):
                if size != expected and other != axis:
                    raise ShapeError(
                        f"{self.name}: shapes {first} and {shape} do not fit along axis {axis}: axis {other} has sizes "
                        f"{expected} and {size}"
                    )
        length = sum(shape[axis] for shape in shapes)
        return Spec((*first[:axis], length, *first[axis + 1 :]), dtypes.result_type(*map(dtype_of, operands)))

    def starts(self, operands: Sequence[Any], axis: int) -> list[int]:
        """Return where along ``axis`` of y each of the operands begins."""
        return list(accumulate((x.shape[axis] for x in operands[:-1]), initial=0))


class Bilinear(Op):
    """y is linear in x1 and in x2: a contraction, given by labels for the axes of x1, x2 and y as in an einsum.

    ``labels(shape1, shape2, **params)`` returns three strings, or raises what does not fit. ``adjoint(y_bar, other, labels,
    position, shape)``: the cotangent of the operand at ``position``, which has ``shape``, written with ops; ``other`` is the
    other operand. ``canonical``: the op contracts by any labels, its parameter of that name.

    ``windowed``: labels are also tied to each other by the `Window`s of the parameter ``windows``, as in a convolution; its
    adjoint takes them too. ``native(x1, x2, **params)`` is y by other ops, for native code.
    """

    canonical: ClassVar["Bilinear"]
    """The op with which rules and passes write the contractions that they make."""
    arity = 2
    takes_complex = True

    def __init__(
        self,
        name: str,
        evaluate: Callable[..., Any],
        *,
        labels: Callable[..., tuple[str, str, str]],
        adjoint: Callable[..., Any],
        canonical: bool = False,
        windowed: bool = False,
        native: Callable[..., Any] | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(name, evaluate, **rest)
        self.labels = labels
        self.adjoint = adjoint
        self.windowed = windowed
        self.native = native
        if canonical:
            Bilinear.canonical = self

    def spec(self, *operands: Operand, **params: Any) -> Spec:
        x1, x2 = operands
        labels1, labels2, out = self.labels(shape_of(x1), shape_of(x2), **params)
        sizes = self.sizes(labels1, shape_of(x1), labels2, shape_of(x2), **self.window_params(params))
        return Spec(tuple(sizes[label] for label in out), dtypes.result_type(dtype_of(x1), dtype_of(x2)))

    def window_params(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return of the parameters the windows, where there may be any."""
        return {"windows": params["windows"]} if self.windowed else {}

    def relabelled(self, labels: tuple[str, str, str], params: dict[str, Any]) -> tuple["Bilinear", dict[str, Any]]:
        """Return the op, and its parameters, that contracts by other labels and the same windows."""
        return self if self.windowed else self.canonical, {"labels": labels, **self.window_params(params)}

    def sizes(
        self,
        labels1: str,
        shape1: tuple[int, ...],
        labels2: str,
        shape2: tuple[int, ...],
        windows: tuple[Window, ...] = (),
    ) -> dict[str, int]:
        """Return the extent of every label, or raise naming both shapes and the axis."""
        sizes: dict[str, int] = {}
        for window in windows:
            sizes |= window.lengths
        for labels, shape in ((labels1, shape1), (labels2, shape2)):
            for axis, (label, size) in enumerate(zip(labels, shape, strict=True)):
                matched = sizes.setdefault(label, size)
                if matched != size and matched != 1 and size != 1:
                    raise ShapeError(
                        f"{self.name}: shapes {shape1} and {shape2} do not fit: axis {axis} of {shape} has size {size}, "
                        f"the axis it is matched with has size {matched}"
                    )
                sizes[label] = max(matched, size) if 0 not in (matched, size) else 0
        return sizes


class Creation(Op):
    """An array made from parameters alone (``shape``, ``dtype``, …). ``entry``: the value at an index, for native code.
    ``absent``: its zeros stand for a derivative that is not there. ``canonical``: every entry is its parameter ``value``.
    """

    canonical: ClassVar["Creation"]
    """The op with which passes write the constants that they make."""
    differentiable = False
    takes_complex = True

    def __init__(
        self,
        name: str,
        evaluate: Callable[..., Any],
        *,
        entry: str,
        absent: bool = False,
        canonical: bool = False,
        **rest: Any,
    ) -> None:
        super().__init__(name, evaluate, **rest)
        self.entry = entry
        self.absent = absent
        if canonical:
            Creation.canonical = self

    def spec(self, *operands: Operand, **params: Any) -> Spec:
        return Spec(params["shape"], params["dtype"])


class Random(Op):
    """Random entries as a function of a counter-based generator's ``state`` (…, 2) uint64: key and counter.

    The leading axes of the state are batches: the result has shape (…, *shape). ``entry``: native instruction that
    gives entry i from key and counter; ``None`` where native code calls ``evaluate`` back.
    """

    differentiable = False

    def __init__(
        self,
        name: str,
        evaluate: Callable[..., Any],
        *,
        entry: str | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(name, evaluate, **rest)
        self.entry = entry

    def spec(self, *operands: Operand, **params: Any) -> Spec:
        (state,) = operands
        if not isinstance(state, Spec) or state.dtype != np.uint64 or state.shape[-1:] != (2,):
            raise DTypeError(f"{self.name}: the state must be uint64 of shape (…, 2), not {state}")
        return Spec(state.shape[:-1] + tuple(params["shape"]), params["dtype"])


class Region(Op):
    """An op that holds a function: its meaning under every interpretation is one file in `bprop.region`.

    It takes arrays and returns a tuple of arrays. All methods run under the interpreter that should see the ops inside.
    """

    is_region = True
    several = True
    takes_complex = True  # what it holds decides
    native: Any = ""
    """The kind of kernel that native code makes of it; a region without one is replaced by the ops of its body."""

    def record(self, args: tuple[Any, ...], params: dict[str, Any], needs: tuple[bool, ...]) -> tuple[Any, Any]:
        """Return the outputs and the pullback, a function from a tuple of y_bars (``None``: absent) to the x_bars."""
        raise NotImplementedError

    def jvp(self, args: tuple[Any, ...], args_dot: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        """Return the outputs and their tangents (``None``: absent)."""
        raise NotImplementedError

    def batch(self, args: tuple[Any, ...], batched: tuple[bool, ...], params: dict[str, Any], level: Any) -> Any:
        """Return the outputs for a batch on the leading axis of the arguments marked ``batched``, all batched.

        ``level`` is the `Batch` that asks: it has the size, and says which entries count.
        """
        raise NotImplementedError

    def absent(self, args: tuple[Any, ...], present: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        """Return the outputs, and which of their entries are present, as ``present`` says it of the arguments.

        ``None``: no cotangent or tangent; ``True``: present everywhere; a bool array: of its shape, or of shape (),
        for all entries or none. A region that does not say what it does to them sees zeros.
        """
        outputs = CURRENT.get().bind(self, args, params)
        return outputs, tuple(True if dtypes.is_inexact(y.dtype) else None for y in outputs)

    def complex_step(self, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Return the outputs at complex arguments."""
        raise NotImplementedError

    def numbers(self, args: Sequence[Any], params: dict[str, Any]) -> tuple[Any, ...]:
        """Return the outputs for NumPy arrays, where native code calls back."""
        raise NotImplementedError

    def body(self, params: dict[str, Any]) -> Any:
        """Return the `Graph` that a traced node holds, with one input per argument."""
        return params["body"]

    def spec(self, *operands: Operand, **params: Any) -> tuple[Spec, ...]:
        specs: tuple[Spec, ...] = params["body"].specs
        return specs
