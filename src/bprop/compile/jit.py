"""`compile`: finds the trace that a call wants, or makes one, and runs its native program."""

import copy
import functools
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

import numpy as np

from .. import gradients  # noqa: F401 - whole rooms first: see core/lazy.py
from ..core.cell import CHANGES
from ..core.dtype import KINDS
from ..core.error import (
    ArgumentError,
    BpropError,
    CompileError,
    DTypeError,
    IndexingError,
    ShapeError,
    StateError,
    shown_place,
)
from ..core.foreign_array import is_array_like, lent
from ..core.graph import Graph
from ..core.interpreter import EVALUATE, StateScope, current, using
from ..core.tree import Structure, flatten, merge, unflatten
from ..core.value import Array, asarray, refuse_masked
from ..gradients.variable import name_of, parameter_name
from ..ops import stack
from .frontend.advice import Advice
from .frontend.cache_key import Signature, roots
from .frontend.call_guard import Change, Guard
from .frontend.compiled_call import CompiledCall, in_step
from .frontend.known_trace import KnownTrace
from .frontend.lru_cache import Cache
from .frontend.traced_call import is_array, trace_call
from .passes.finite_check import NotFiniteError
from .passes.inline import inline
from .report import Kernels, Report, counted
from .runtime.fork import register_fork_reset
from .runtime.memory import data_of
from .verify import Verification, verify

if TYPE_CHECKING:
    from .ir.memory_plan import MemoryPlan
    from .runtime.executable import Program

P = ParamSpec("P")
R = TypeVar("R")
KEPT = 32
"""Programs that one compiled function keeps, and traces that lead to them."""


class Compiled(Generic[P, R]):
    """A compiled function. Call it as the function it was made from.

    ``loop`` makes many calls in one native call. ``graph``, ``kernels``, ``memory`` and ``llvm`` show the program of the last
    call, stage by stage, ``report`` what of it is native code, and ``verification`` how far it was from eager evaluation.
    """

    def __init__(self, f: Callable[P, R], *, verify: bool = False, ignore: Iterable[str] = ()) -> None:
        self.function = f
        self.name = name_of(f)
        if not isinstance(verify, bool):
            raise ArgumentError(f"compile: verify is True or False, not {verify!r:.60}")
        names = None if isinstance(ignore, str) or not isinstance(ignore, Iterable) else tuple(ignore)
        if names is None or not all(isinstance(name, str) for name in names):
            raise ArgumentError(f'compile: ignore is a tuple of names, such as ("losses",), not {ignore!r:.60}')
        self.ignore: tuple[str, ...] = names
        if any(kind(f) for kind in (isgeneratorfunction, iscoroutinefunction, isasyncgenfunction)):
            raise ArgumentError(
                f"compile: {self.name} is a generator or coroutine, whose code runs after the call: return a list or tuple"
            )
        self._last: CompiledCall | None = None
        self._verify = verify
        self._verification: Verification | None = None
        self._advice = Advice(f)
        self._retraces = self._advice.in_row
        self.reset_after_fork()
        functools.update_wrapper(self, f, updated=())
        register_fork_reset(self)

    def reset_after_fork(self) -> None:
        """Begin without programs: also in a forked child where another thread was inside."""
        self.lock = threading.RLock()
        self.programs: Cache[Program] = Cache(KEPT)
        self._masking: Cache[Program] = Cache(KEPT)
        self._traces: list[KnownTrace] = []  # the last used first
        self._effects: dict[tuple[int, Any], Any] = {}  # what tracing changes: a place, and the object kept alive

    def __call__(self, *args: P.args, **options: P.kwargs) -> R:
        if current() is not EVALUATE:
            return self.function(*args, **options)
        with self.lock:  # one call at a time: a step reads and writes cells
            mark = CHANGES.latest
            if not options:
                for trace in self._traces:
                    leaves = trace.signature.leaves_of(args)
                    if (
                        leaves is not None
                        and trace.guard.holds()
                        and (trace.step.settled is mark or trace.fits(trace.signature))
                    ):
                        step = trace.step
                        if step is not self._last:
                            self._use(trace)
                        if self._retraces:
                            self._retraces.clear()
                        try:
                            return cast(R, step(leaves, mark))
                        except IndexingError as error:
                            raise self._as_eager(error, step, args, options) from None
                        except NotFiniteError:
                            pass
                        return cast(R, self._masked(step, args, options))
            return cast(R, self._other_call(args, options, mark))

    def _other_call(self, args: tuple[Any, ...], options: dict[str, Any], mark: object) -> Any:
        """Do a call that is not one of the last ones by its very objects."""
        leaves, structure, args, options = self._arguments(args, options)
        trace, new = self._trace_for(leaves, structure, None if options else args)
        step = trace.step
        step.take(leaves)
        self._use(trace)
        if not self._verify or not new:
            return self._called(step, leaves, mark, args, options)
        try:
            result, self._verification = verify(
                self.function,
                args,
                options,
                lambda: self._called(step, leaves, mark, args, options),
                step.cells_written,
                self.name,
            )
        except BpropError as error:
            self._verification = getattr(error, "verification", None)
            self._drop(step)  # the next call finds out again
            raise
        return result

    def _arguments(self, args: Any, options: Any) -> tuple[list[Any], Structure, Any, Any]:
        """Return leaves and structure of the arguments, and the arguments, with NumPy arrays for those of other libraries."""
        leaves, structure = flatten((args, options))
        foreign = [position for position, leaf in enumerate(leaves) if is_array_like(leaf) and not is_array(leaf)]
        if foreign:
            numbers = [lent(f"{self.name}: an argument", leaves[position]) for position in foreign]
            leaves = merge(leaves, foreign, numbers)
            args, options = unflatten(structure, leaves)
        return leaves, structure, args, options

    def _use(self, trace: KnownTrace) -> None:
        """Put a trace first."""
        self._last = trace.step
        self._traces = [trace, *(other for other in self._traces if other is not trace)]

    def _drop(self, step: CompiledCall) -> None:
        self.programs.drop(step.key)
        self._traces = [trace for trace in self._traces if trace.step.program is not step.program]

    def _called(
        self, step: CompiledCall, leaves: Sequence[Any], mark: object, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        try:
            return step(leaves, mark)
        except IndexingError as error:
            raise self._as_eager(error, step, args, options) from None
        except NotFiniteError:
            pass
        return self._masked(step, args, options)

    def _masked(self, step: CompiledCall, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Do a call whose guard failed with the program that masks its products."""
        leaves, structure = flatten((args, options))
        masked = step.with_masks(self.function, leaves, structure, self._masking)
        return self._called(masked, leaves, object(), args, options)

    # --- finding a trace, or making one ---
    def _trace_for(
        self, leaves: Sequence[Any], structure: Structure, args: Sequence[Any] | None
    ) -> tuple[KnownTrace, bool]:
        """Return the trace for a call, and whether its program is new."""
        signature = Signature(leaves, structure, args)
        changes: list[Change] = []
        for trace in self._traces:
            if not trace.is_for(signature):
                continue
            if not trace.guard.holds():
                differing = trace.guard.changes()
                changes = changes or differing
                if not differing or any(change.matters for change in differing):
                    continue
                trace.guard = self._guard(leaves, structure, trace.step)  # other objects of the same numbers
            if trace.take(signature):
                self._advice.in_row.clear()
                return trace, False
        trace = self._traced(signature, leaves, structure)
        if trace.step.new:
            self._advice.on_values(trace, self._traces)
        else:
            self._advice.on_changes(changes)
        self._keep(trace)
        return trace, trace.step.new

    def _guard(self, leaves: Sequence[Any], structure: Structure, step: CompiledCall | None = None) -> Guard:
        """Return what holds while all that a call reaches is the same, but for arrays that ``step`` reads where they lie."""
        arguments = roots(leaves, structure, lambda n: parameter_name(self.function, n) or f"argument {n}")
        guard = Guard({**arguments, "": self.function}, self.ignore, self._effects.keys())
        if step is not None:
            guard.forget(step.trace.in_place)
        return guard

    def _traced(self, signature: Signature, leaves: Sequence[Any], structure: Structure) -> KnownTrace:
        """Trace a call."""
        for leaf in leaves:
            if is_array(leaf) and leaf.dtype.kind not in KINDS:
                raise DTypeError(
                    f"{self.name}: an argument has dtype {leaf.dtype}: use bool, integers, floats or complex numbers"
                )
        guard = self._guard(leaves, structure)
        try:
            trace = trace_call(self.function, leaves, structure, f"compilation of {self.name}")
            step = CompiledCall(trace, self.programs)
            step.take(leaves)
        except RecursionError:
            raise CompileError(
                f"{self.name}: Python's limit of nested calls was passed while it was traced: a function that calls itself "
                f"has to end by Python numbers or shapes; where a traced value decides, write bprop.while_loop or bprop.scan"
            ) from None
        if step.trace.repeated is not None:
            self._advice.say(
                "unrolled",
                f"a Python loop was unrolled into {step.trace.size} applications, many of them alike, at "
                f"{shown_place(step.trace.repeated)}. Time to compile grows with every turn: bprop.scan compiles the body of such a "
                f"loop once, however often it runs",
            )
        if not guard.holds():  # tracing changed something: it is an effect, and as from now on it always was
            made = {change.key: change.owner for change in guard.changes() if change.is_effect}
            if made.keys() - self._effects.keys():
                self._traces = []  # their guards look at it
            self._effects |= made
            guard = self._guard(leaves, structure)
        guard.forget(step.trace.in_place)
        return KnownTrace(signature, guard, step)

    def _keep(self, trace: KnownTrace) -> None:
        """Keep a trace and its program; of too many, those that were used longest ago are dropped."""
        step = trace.step
        for used in reversed(self._traces):
            self.programs.get(used.step.key)
        if step.new and len(self.programs) == KEPT:
            self._advice.say(
                "program",
                f"this is program {KEPT + 1}, and {KEPT} are kept: from now on the least recently used is "
                f"dropped for every new one, and compiled again when it is needed. Every combination of shapes, dtypes and "
                f"of what Python objects hold makes a program: pad to a few shapes, and pass numbers that change as arrays",
            )
        self.programs.put(step.key, step.program)
        kept = {id(program) for program in self.programs.values()}
        if self._advice.is_repeated:  # what was traced last will not come again
            self._traces = self._traces[1:]
        self._traces = [trace, *(other for other in self._traces if id(other.step.program) in kept)][:KEPT]

    def _as_eager(
        self, error: IndexingError, step: CompiledCall, args: tuple[Any, ...], options: dict[str, Any]
    ) -> IndexingError:
        """Return what the eager call raises where native code met an index out of range: it names index, axis and line."""
        if step.trace.effects:  # a callback sees its numbers once
            return error
        leaves, structure = flatten((args, options))
        try:
            with using(StateScope(below=EVALUATE)):
                arguments, named = unflatten(structure, [asarray(leaf) if is_array(leaf) else leaf for leaf in leaves])
                self.function(*arguments, **named)
        except IndexingError as eager_error:
            eager_error.step = error.step
            for note in getattr(error, "__notes__", ()):
                eager_error.add_note(note)
            return eager_error
        except Exception:  # what came first then is not what native code met
            return error
        return error

    def _looped_call(
        self, trace: KnownTrace, leaves: Sequence[Any], mark: object, args: tuple[Any, ...], options: dict[str, Any]
    ) -> R:
        step = trace.step
        count = next(len(leaves[position]) for position in step.trace.arguments if type(leaves[position]) is not float)
        self._use(trace)
        if not trace.is_settled(mark):
            step.take(leaves, trace.looped)

        def masked(number: int) -> tuple[CompiledCall, list[Any]]:
            all_leaves, structure = flatten((args, options))  # with the slots that the first trace made
            return step.with_masks(self.function, _row(all_leaves, number), structure, self._masking), all_leaves

        try:
            return cast(R, step.loop(leaves, count, masked, mark))
        except IndexingError as error:
            all_leaves, structure = flatten((args, options))
            row, named = unflatten(structure, _row(all_leaves, error.step or 0))
            raise self._as_eager(error, step, row, named) from None

    def loop(self, *args: P.args, **options: P.kwargs) -> R:
        """Do k calls in one: every array among the arguments has an axis of length k first, a row for each call.

        What ``[f(x, t) for x, t in zip(X, T)]`` does, ``f.loop(X, T)`` does natively, with the same bits: parameters and
        other cells go from one call to the next. Arrays in the result have the axis of length k first; what is no array is
        as the last call returned it. What is the same for every call is closed over, or repeated for nothing by
        ``bprop.broadcast_to(x, (k, *x.shape))``. Python looks for Ctrl-C about every twentieth of a second: it ends the loop
        between two calls, and those before are done.

        Raises `ShapeError` where the first axes differ, `ArgumentError` where no argument is an array, and what a call
        raises: then the calls before it are done, and a note says how many.

        **Source:** JAX, ``lax.scan``; here the carry are the cells.

        >>> import bprop, numpy as np
        >>> from bprop import nn, optim
        >>> model, rule, loss = nn.Linear(1, 1), optim.SGD(0.1), nn.SquaredError()
        >>> @bprop.compile
        ... def step(model, rule, x, t):
        ...     E, gradients = bprop.value_and_grad(lambda m: loss(m(x), t))(model)
        ...     rule.update(model, gradients)
        ...     return E
        >>> x = np.linspace(-1, 1, 80, dtype=np.float32).reshape(20, 4, 1)  # 20 batches of 4
        >>> losses = step.loop(model, rule, x, 2 * x)
        >>> losses.shape, bool(losses[-1] < losses[0])
        ((20,), True)
        """
        if current() is EVALUATE:
            with self.lock:
                mark = CHANGES.latest
                for trace in () if options else self._traces:
                    again = trace.loops(args, mark)
                    if again is not None:
                        return self._looped_call(trace, again, mark, args, options)
                leaves, structure, args, options = self._arguments(args, options)
                _steps(self.name, leaves)
                if not self._verify:  # what is to be verified is called by itself
                    row = _row(leaves, 0)
                    trace, _ = self._trace_for(row, structure, None)
                    if trace.step.loops:
                        looped = Signature(row, structure, None if options else args)
                        trace.looped = looped.settled(trace.step.trace.asked, trace.guard.cells)
                        return self._looped_call(trace, leaves, mark, args, options)
        leaves, structure, args, options = self._arguments(args, options)
        count, results = _steps(self.name, leaves), []
        for number in range(count):
            arguments, named = unflatten(structure, _row(leaves, number))
            try:
                results.append(flatten(self(*arguments, **named)))
            except Exception as error:
                in_step(error, number, count)
                raise
        columns = zip(*(leaves for leaves, _ in results), strict=True)
        return cast(
            R, unflatten(results[-1][1], [stack(column) if is_array(column[0]) else column[-1] for column in columns])
        )

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __reduce__(self) -> str:
        """Return the name by which another process finds its own, as of functions.

        Raises `ArgumentError` where the name in the module is not that of this object.
        """
        name = str(getattr(self, "__qualname__", ""))
        named: Any = sys.modules.get(str(self.__module__))
        for part in name.split("."):
            named = getattr(named, part, None)
        if named is not self:
            raise ArgumentError(
                f"{self.name}: a compiled function is pickled by its name, and {self.__module__}.{name} is another object: "
                f"decorate a function of the module with @bprop.compile, or compile in the process that calls it"
            )
        return name

    def __deepcopy__(self, memo: Any) -> "Compiled[P, R]":
        if not isinstance(self.function, MethodType):
            return self  # as a function does
        method = copy.deepcopy(self.function, memo)  # of the copied object, as a plain bound method
        return Compiled(method, verify=self._verify, ignore=self.ignore)

    @property
    def program(self) -> "Program":
        """The native program of the last call."""
        if self._last is None:
            raise CompileError(f"{self.name} has no program yet: call it once with the arguments you mean")
        return self._last.program

    @property
    def graph(self) -> Graph:
        """The simplified graph of the last call's program."""
        return self.program.graph

    @property
    def kernels(self) -> Kernels:
        """What was fused into which kernel, with FLOPs and bytes."""
        return Kernels(self.program)

    @property
    def report(self) -> Report:
        """What of the last call's program is native code, and the closed list of what is not."""
        program, step = self.program, cast(CompiledCall, self._last)
        return Report(self.name, program, step.trace.line_of, step.masked_runs if step.trace.guards else None)

    @property
    def verification(self) -> Verification:
        """By how much the last new program differed from eager evaluation on its first call; see `compile`."""
        if self._verification is None:
            raise StateError(
                f"{self.name} has not been verified: "
                + ("call it once" if self._verify else "make it with compile(f, verify=True), and call it")
            )
        return self._verification

    @property
    def memory(self) -> "MemoryPlan":
        """Where every value lives; ``size`` is the arena's, ``total`` what it would be without reuse."""
        return self.program.memory

    @property
    def llvm(self) -> str:
        """The optimised LLVM code."""
        return self.program.llvm

    def __repr__(self) -> str:
        if self._last is None:
            return f"<compiled {self.name}: no program yet>"
        kernels, programs = self.kernels, len(self.programs)
        return (
            f"<compiled {self.name}: {counted(programs, 'program')}; the last has {counted(len(self.graph.nodes), 'op')} in "
            f"{counted(len(kernels), 'kernel')}, {kernels.flops:,} flop, {kernels.bytes:,} B moved, arena {self.memory.size:,} B>"
        )


def _row(leaves: Sequence[Any], step: int) -> list[Any]:
    """Return the leaves of one call of a loop."""
    return [leaf[step] if is_array(leaf) else leaf for leaf in leaves]


def _steps(name: str, leaves: Sequence[Any]) -> int:
    """Return how many calls a loop makes: the length of the first axis of every array."""
    refuse_masked(f"{name}.loop: an argument", leaves)
    shapes = [leaf.shape for leaf in leaves if is_array(leaf)]
    lengths = {shape[:1] for shape in shapes}
    if not shapes:
        raise ArgumentError(
            f"{name}.loop: no argument is an array, so nothing says how many steps: give one with an axis of steps first"
        )
    if len(lengths) > 1 or lengths & {(), (0,)}:
        shown = ", ".join(map(str, shapes))
        raise ShapeError(
            f"{name}.loop: every array has an axis of steps first, of one length of at least 1; here are shapes {shown}. "
            f"Close over what is the same for every step, or repeat it with bprop.broadcast_to(x, (k, *x.shape))"
        )
    return int(shapes[0][0])


@overload
def compile(f: Callable[P, R], *, verify: bool = False, ignore: Iterable[str] = ()) -> Compiled[P, R]: ...
@overload
def compile(
    f: None = None, *, verify: bool = False, ignore: Iterable[str] = ()
) -> Callable[[Callable[P, R]], Compiled[P, R]]: ...
def compile(f: Callable[P, R] | None = None, *, verify: bool = False, ignore: Iterable[str] = ()) -> Any:
    """Return ``f`` as native code: traced at the first call of a kind, compiled, and called from then on.

    Parameters
    ----------
    f : function
        Arguments and results are trees. Inside a transform a call is inlined. As a decorator: ``@bprop.compile`` or
        ``@bprop.compile(ignore=("losses",))``.
    verify : bool
        The first call of every new program is evaluated eagerly as well, from the same cells, and leaves what the compiled
        one gives. Where an output or a written cell differs by more than rounding explains, which is measured by perturbing
        the roundings of the eager one, `VerificationError` names it and the cells are as before the call.
        ``f.verification`` shows the largest difference of each. The Python code of ``f`` then runs seven times.
    ignore : tuple of str
        Names of attributes, variables and keys of dicts that are not looked at: what lies there is as of the trace.

    **Arguments.** Arrays, NumPy arrays, NumPy scalars and Python floats are inputs. A float is weak: what it is computed with
    says the dtype. If Python asks for its number (``if``, ``float()``, a comparison, NumPy, ``**``, a parameter of an op), the
    trace is for that number only. Other Python numbers, strings and hashable objects are constants. Shapes, dtypes,
    structure and constants of a call are compared by equality.

    **Cells** (parameters, optimiser slots, generators), wherever they come from, are read and written. A parameter that is
    overwritten keeps its memory, unless someone holds an array that shares it.

    **What f reaches.** Everything that can be reached from ``f`` and its arguments is compared by identity before a call:
    closures, defaults, globals that its code names, attributes, private ones too, entries of containers, and the functions
    and classes of the user's that are met. If any of it is another object, ``f`` is traced again. A graph that is equal to
    an earlier one uses that one's native code. What belongs to Python or to an installed package is itself by identity, and
    is not looked through. A NumPy array is read where it lies; one of up to 64 KiB at whose numbers Python or NumPy looked
    while tracing is compared by them, a larger one only by identity.

    **Python code runs at a trace only**: a print, an append, a draw from ``random``. What a trace itself changes, such as a
    count of its calls, is not compared. `callback` runs at every call. A `CompileWarning` says once what makes every call a
    trace, which number several programs differ in, and that more than 32 programs were made: 32 are kept.

    What a compiled function has beside its call, see `Compiled`: ``f.loop(…)`` makes many calls in one native call,
    ``f.report`` says what is native code and what calls NumPy or SciPy, ``f.graph``, ``f.kernels``, ``f.memory`` and
    ``f.llvm`` show the stages. Branches and loops on numbers are `cond`, `while_loop` and `scan`; `callback` lets Python see
    numbers. float32 and float64, integers and bools.

    A matrix product that an absent cotangent enters, as of a padded row behind a mask, is compiled for finite numbers and
    checked. The first call that meets NaN or infinity there makes a second program, which leaves the absent terms out, and
    so runs the Python code of ``f`` again; ``f.report`` counts such calls.

    **Threads.** A program runs on `get_threads` threads: what `set_threads` or the environment variable
    ``BPROP_NUM_THREADS`` says, else the CPUs that the process may use. Results have the same bits for any number.

    **Cache.** Machine code is kept on disk for other processes, in ``BPROP_CACHE_DIR`` (else ``~/.cache/bprop``), up to
    ``BPROP_CACHE_SIZE`` megabytes (else 256); ``BPROP_CACHE=0`` switches that off, and the command ``bprop cache`` lists and
    clears it. ``BPROP_TARGET`` (``avx512``, ``avx2``, ``x86-64``) makes code for a lesser processor.

    Raises `CompileError` naming op, shapes, dtypes and the line that made the op where there is no native code (float16),
    `TracedValueError` where Python asks for a number of a traced value, `MemoryError`, and what the ops inside raise; then
    no cell has changed.

    **Source:** Frostig, Johnson & Leary (2018), Compiling machine learning programs via high-level tracing; Lattner &
    Adve (2004), LLVM.

    >>> import bprop
    >>> from bprop.compile import compile
    >>> f = compile(lambda x: bprop.sum(bprop.exp(x) * 2))
    >>> f(bprop.zeros(3))
    Array(6.)
    >>> len(f.kernels), f.memory.size
    (1, 0)
    >>> print(f.report)
    <lambda>: 3 ops in 1 kernel
      native code    9 flop (100 % of those counted), 32 B moved
      arena          0 B, for 0 B of intermediate values
      in place       0 of 1 results
      called back    nothing: every op of the step is native code
    """
    if f is None:
        return functools.partial(Compiled, verify=verify, ignore=ignore)
    return Compiled(f, verify=verify, ignore=ignore)


def native(graph: Graph) -> Callable[..., list[Array]]:
    """Compile a graph as it is; return a function of one array per input that returns the list of outputs.

    The arrays have the shapes and dtypes of the graph's inputs, else `DTypeError` is raised. Raises `CompileError`
    where an op has no native code.

    >>> import bprop
    >>> from bprop.compile import native
    >>> native(bprop.trace(lambda x: x * x)(bprop.ones(2)))(bprop.asarray([2.0, 3.0]))
    [Array([4., 9.])]
    """
    from .runtime.executable import Program

    closed, captured = inline(graph).closed()
    program = Program(closed)

    def run(*args: Any) -> list[Array]:
        arrays = [data_of(x) for x in (*args, *captured)]
        for array, node in zip(arrays, closed.inputs, strict=True):
            if (array.shape, array.dtype) != tuple(node.specs[0]):
                raise DTypeError(f"native: an argument is {array.dtype}{list(array.shape)}, expected {node.specs[0]}")
        outputs = [np.empty(spec.shape, spec.dtype) for spec in closed.specs]
        program(arrays, outputs)
        return [Array(x) for x in outputs]

    return run
