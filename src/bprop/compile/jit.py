"""From a Python function to a native program: trace, simplify, fuse, plan, generate, call."""

import functools
import threading
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

import numpy as np

from ..core.cell import CHANGES
from ..core.error import (
    ArgumentError,
    BpropError,
    CompileError,
    CompileWarning,
    DTypeError,
    IndexingError,
    ShapeError,
    StateError,
    shown_place,
)
from ..core.graph import Graph
from ..core.interpreter import EVALUATE, StateScope, current, using
from ..core.tree import Structure, flatten, unflatten
from ..core.value import Array, asarray, refuse_masked
from ..gradients.variable import name_of
from ..ops import stack
from .frontend.cache_key import contents, effects, key_of
from .frontend.call_guard import Watch
from .frontend.captures import Mentioned, Same
from .frontend.introspection import is_a
from .frontend.lru_cache import Cache
from .frontend.traced_call import Step, in_step, is_array
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
"""Programs that one compiled function keeps."""
RECENT = 4
"""Programs that are tried before a key is computed: a training step and its short last batch, say."""
LOOPED = 4
"""Loops, of one program and length, that it knows again without computing their key: in an epoch there are a few."""


class Compiled(Generic[P, R]):
    """A compiled function. Call it as the function it was made from.

    ``loop`` makes many calls in one native call. ``graph``, ``kernels``, ``memory`` and ``llvm`` show the program of the last
    call, stage by stage, ``report`` what of it is native code, and ``verification`` how far it was from eager evaluation.
    """

    def __init__(self, f: Callable[P, R], *, verify: bool = False) -> None:
        self.function = f
        self.name = name_of(f)
        if not isinstance(verify, bool):
            raise ArgumentError(f"compile: verify is True or False, not {verify!r:.60}")
        if any(kind(f) for kind in (isgeneratorfunction, iscoroutinefunction, isasyncgenfunction)):
            raise ArgumentError(
                f"compile: {self.name} is a generator or coroutine, whose code runs after the call: return a list or tuple"
            )
        self._last: Step | None = None
        self.reset_after_fork()
        self._verify = verify
        self._verification: Verification | None = None
        self._said = False
        self._unrolled = False
        self._written: set[Any] = set()
        self._effects: set[Any] = set()
        functools.update_wrapper(self, f, updated=())
        register_fork_reset(self)

    def reset_after_fork(self) -> None:
        """Begin without programs: also in a forked child where another thread was inside."""
        self.lock = threading.RLock()
        self.programs: Cache[Step] = Cache(KEPT)
        self._watches: list[tuple[Watch, Step, Any]] = []  # of the last calls with their keys, the latest first
        self._looped: deque[tuple[Step, Watch]] = deque(maxlen=LOOPED)

    def __call__(self, *args: P.args, **options: P.kwargs) -> R:
        if current() is not EVALUATE:
            return self.function(*args, **options)
        with self.lock:  # one call at a time: a step reads and writes cells
            mark = CHANGES.latest
            if not options:
                for known in self._watches:
                    watch, step, _ = known
                    leaves = watch.leaves(args)
                    if leaves is not None and (step.settled is mark or (watch.cells_hold() and step.fits())):
                        if step is not self._last:
                            self._watches.remove(known)
                            self._watches.insert(0, known)
                            self._last = step
                        try:
                            return cast(R, step(leaves, mark))
                        except IndexingError as error:
                            raise self._as_eager(error, step, args, options) from None
                        except NotFiniteError:
                            pass
                        return cast(R, self._masked(step, args, options))
            return cast(R, self._look_up(args, options, mark))

    def _look_up(self, args: tuple[Any, ...], options: dict[str, Any], mark: object) -> Any:
        """Call the program whose key is that of the arguments; make it if there is none."""
        leaves, structure = flatten((args, options))
        mentioned = Mentioned(self.function, leaves, structure, self._written)
        key = key_of(leaves, structure, mentioned)
        # before the step is traced, which may make slots: the places of leaves are those of this moment
        watch = None if options else Watch(mentioned, args)
        step, new, key = self._step(key, leaves, structure, mentioned, 5)
        if watch is not None:
            watch.forget(self._written)
        step.take(leaves)
        self._last = step
        self._watches = [one for one in self._watches if one[1] is not step][: RECENT - 1]
        if not self._verify or not new:
            result = self._called(step, leaves, mark, args, options)
        else:
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
                self.programs.drop(key)  # the next call finds out again
                raise
        if watch is not None:
            self._watches.insert(0, (watch, step, key))
        return result

    def _called(
        self, step: Step, leaves: Sequence[Any], mark: object, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        try:
            return step(leaves, mark)
        except IndexingError as error:
            raise self._as_eager(error, step, args, options) from None
        except NotFiniteError:
            pass
        return self._masked(step, args, options)

    def _masked(self, step: Step, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Do a call whose guard failed with the program that masks its products."""
        leaves, structure = flatten((args, options))
        return self._called(step.with_masks(self.function, leaves, structure), leaves, object(), args, options)

    def _step(
        self, key: Any, leaves: Sequence[Any], structure: Structure, mentioned: Mentioned, level: int
    ) -> tuple[Step, bool, Any]:
        """Return the program of a key, whether it is new, and its key; ``level`` is where the user is on the stack."""
        step = self.programs.get(key)
        if step is not None and step.fits():
            return step, False, key
        for leaf in leaves:
            if is_array(leaf) and leaf.dtype.kind not in "biuf":
                raise DTypeError(f"{self.name}: an argument has dtype {leaf.dtype}: use bool, integers or floats")
        before = contents(mentioned)
        try:
            step = Step(self.function, leaves, structure, f"compilation of {self.name}")
        except RecursionError:
            raise CompileError(
                f"{self.name}: Python's limit of nested calls was passed while it was traced: a function that calls itself "
                f"has to end by Python numbers or shapes; where a traced value decides, write bprop.while_loop or bprop.scan"
            ) from None
        if step.repeated is not None and not self._unrolled:
            self._unrolled = True
            warnings.warn(
                f"{self.name}: a Python loop was unrolled into {step.size} applications, many of them alike, at "
                f"{shown_place(step.repeated)}. Time to compile grows with every turn: bprop.scan compiles the body of such a "
                f"loop once, however often it runs",
                CompileWarning,
                stacklevel=level - 1,
            )
        after = contents(mentioned)
        self._effects |= effects(before, after)
        step.in_place, step.compared = self._arrays(step, leaves, mentioned)
        kept = [*self.programs.values(), step]
        read = {one for each in kept for one in each.in_place} - {one for each in kept for one in each.compared}
        written = self._effects | read
        if (
            after != before or written != self._written
        ):  # a count of the traces is an effect of them: no other call for that
            self._written = written
            key = key_of(leaves, structure, Mentioned(self.function, leaves, structure, self._written))
        for _, _, used in reversed(self._watches):  # also by calls that computed no key
            self.programs.get(used)
        if len(self.programs) == KEPT and self.programs.get(key) is None and not self._said:
            self._said = True
            warnings.warn(
                f"{self.name}: this is program {KEPT + 1}, and {KEPT} are kept: from now on the least recently used is "
                f"dropped for every new one, and compiled again when it is needed. Every combination of shapes, dtypes and "
                f"of what Python objects hold makes a program: pad to a few shapes, and pass numbers that change as arrays",
                CompileWarning,
                stacklevel=level - 1,
            )
        self.programs.put(key, step)
        return step, True, key

    def _arrays(self, step: Step, leaves: Sequence[Any], mentioned: Mentioned) -> tuple[set[Any], set[Any]]:
        """Return the NumPy arrays that a new program reads where they lie, and those at whose numbers its trace looked.

        The first are no part of a key, unless another program that is kept was traced with a look at them.
        """
        read = {id(one) for one in step.referenced} - {id(one) for one in step.looked}
        given = {id(leaf) for leaf in leaves}
        arrays = [one for one in mentioned.reached() if is_a(one, np.ndarray) and id(one) not in given]
        numbers = [one for one in arrays if not one.dtype.hasobject]
        every = {(Same(one), None) for one in numbers}
        in_place = {(Same(one), None) for one in numbers if id(one) in read}
        return in_place, every - in_place

    def _as_eager(
        self, error: IndexingError, step: Step, args: tuple[Any, ...], options: dict[str, Any]
    ) -> IndexingError:
        """Return what the eager call raises where native code met an index out of range: it names index, axis and line."""
        if step.effects:  # a callback sees its numbers once
            return error
        leaves, structure = flatten((args, options))
        try:
            with using(StateScope(below=EVALUATE)):
                arguments, named = unflatten(structure, [asarray(leaf) if is_array(leaf) else leaf for leaf in leaves])
                self.function(*arguments, **named)
        except IndexingError as found:
            found.step = error.step
            for note in getattr(error, "__notes__", ()):
                found.add_note(note)
            return found
        except Exception:  # what came first then is not what native code met
            return error
        return error

    def _looping(self, step: Step, leaves: Sequence[Any]) -> None:
        """Let a program go round with the cells among ``leaves``: the next single call finds its own again."""
        self._last = step
        self._watches = [one for one in self._watches if one[1] is not step]
        step.take(leaves)

    def _looped_call(
        self, step: Step, leaves: Sequence[Any], count: int, args: tuple[Any, ...], options: dict[str, Any]
    ) -> R:
        def masked(number: int) -> tuple[Step, list[Any]]:
            whole, structure = flatten((args, options))  # with the slots that the first trace made
            return step.with_masks(self.function, _row(whole, number), structure), whole

        try:
            return cast(R, step.loop(leaves, count, masked))
        except IndexingError as error:
            whole, structure = flatten((args, options))
            row, named = unflatten(structure, _row(whole, error.step or 0))
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
                for step, watch in () if options else self._looped:
                    again = watch.leaves(args)
                    if again is not None and watch.cells_hold() and step.fits():
                        self._looping(step, again)
                        return self._looped_call(step, again, len(again[step.arguments[0]]), args, options)
                leaves, structure = flatten((args, options))
                count = _steps(self.name, leaves)
                row = _row(leaves, 0)
                mentioned = Mentioned(self.function, row, structure, self._written)
                key = key_of(row, structure, mentioned)
                new = None if options else Watch(mentioned, args)
                if not self._verify or self.programs.get(key) is not None:  # what is to be verified is called by itself
                    step, *_ = self._step(key, row, structure, mentioned, 4)
                    if new is not None:
                        new.forget(self._written)
                    if step.loops:
                        if new is not None:
                            self._looped.appendleft((step, new))
                        self._looping(step, leaves)
                        return self._looped_call(step, leaves, count, args, options)
        leaves, structure = flatten((args, options))
        count, results = _steps(self.name, leaves), []
        for number in range(count):
            arguments, named = unflatten(structure, _row(leaves, number))
            try:
                results.append(flatten(self(*arguments, **named)))
            except Exception as error:
                in_step(error, number, count)
                raise
        columns = zip(*(leaves for leaves, _ in results), strict=True)
        return cast(R, unflatten(results[-1][1], [stack(one) if is_array(one[0]) else one[-1] for one in columns]))

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __deepcopy__(self, memo: Any) -> "Compiled[P, R]":
        return self  # as a function does

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
        program, step = self.program, cast(Step, self._last)
        return Report(self.name, program, step.line_of, step.masked_runs if step.guards else None)

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
def compile(f: Callable[P, R], *, verify: bool = False) -> Compiled[P, R]: ...
@overload
def compile(f: None = None, *, verify: bool = False) -> Callable[[Callable[P, R]], Compiled[P, R]]: ...
def compile(f: Callable[P, R] | None = None, *, verify: bool = False) -> Any:
    """Return ``f`` as native code, made on the first call for every new combination of shapes, dtypes and constants.

    Arguments and results are trees. Arrays, NumPy arrays and NumPy scalars are inputs; Python numbers, strings and
    other hashable objects are constants of the program (pass a learning rate as an array or a cell, or every value
    makes a program of its own). Cells (parameters, optimiser slots, generators), wherever they come from, are read and
    written; a parameter that is overwritten keeps its memory, unless someone holds an array that shares it. Arrays
    that ``f`` closes over are inputs by reference: a NumPy array that ops meet is read where it lies in every call, and one of up
    to 64 KiB at whose numbers Python or NumPy looked while tracing is compared by them (a larger one only by identity). Numbers,
    and what lists, dicts, bytes that can change and attributes of modules hold, are part of the key, also where a function or
    method refers to them that ``f`` may reach. Of other objects and of classes only those attributes are that this code
    mentions: a trainer's record of losses makes no program. Methods and
    properties that are replaced, other code or another class of an object of the user's, and another shape or dtype of a NumPy
    array in place make one. What the Python code of ``f`` does besides (print, append, count its calls, draw from
    ``random``) it does once, when a program is made, and what it changes so is no part of the key. `callback` does it in every
    call. 32 programs are kept, and a `CompileWarning` says once when there are more.
    Inside a transform the call is inlined.

    What a compiled function has beside its call, see `Compiled`: ``f.loop(…)`` makes many calls in one native call,
    ``f.report`` says what is native code and what calls NumPy or SciPy, ``f.graph``, ``f.kernels``, ``f.memory`` and
    ``f.llvm`` show the stages. Branches and loops on numbers are `cond`, `while_loop` and `scan`; `callback` lets Python see
    numbers. float32 and float64, integers and bools.

    A matrix product that an absent cotangent enters, as of a padded row behind a mask, is compiled for finite numbers and
    checked. The first call that meets NaN or infinity there makes a second program, which leaves the absent terms out, and
    so runs the Python code of ``f`` again; ``f.report`` counts such calls.

    ``verify=True``: the first call of every new program is evaluated eagerly as well, from the same cells, and leaves
    what the compiled one gives. Where an output or a written cell differs by more than rounding explains, which is measured
    by perturbing the roundings of the eager one, `VerificationError` names it and the cells are as before the call.
    ``f.verification`` shows the largest difference of each. The Python code of ``f`` then runs seven times. As a decorator:
    ``@bprop.compile`` or ``@bprop.compile(verify=True)``.

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
        return functools.partial(Compiled, verify=verify)
    return Compiled(f, verify=verify)


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
