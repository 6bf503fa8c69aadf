"""Calls from native code into Python: ops without native code (factorisations, sorting), `callback`, and signals."""

import ctypes
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...core.error import BpropError
from ...core.family import Region
from ...core.graph import Edge
from ...core.interpreter import FAILURES, QUIET
from ...core.shape import size_of
from ...core.value import Array, Spec
from ..ir.kernel import Kernel
from ..ir.status import CALL_ERROR
from .thread_pool import THREAD_POOL


class Failure:
    """The exception that a callback raised, kept until the native call has returned."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.inside: int | None = None  # the thread that is running a function of the user


SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_void_p))


def view(address: int, spec: Spec) -> Any:
    """Return a NumPy array over memory of the program."""
    buffer = (ctypes.c_char * max(size_of(spec.shape) * spec.dtype.itemsize, 1)).from_address(address)
    return np.ndarray(spec.shape, spec.dtype, buffer=buffer)  # type: ignore[arg-type]


def callback(kernel: Kernel, failure: Failure) -> Any:
    """Return a C function of a table of pointers (what the kernel reads, then what it stores)."""
    node, op = kernel.root, kernel.root.op
    assert op is not None
    reads, stored = list(kernel.reads), list(kernel.stored)

    def run(table: Any) -> int:
        args: list[Any] = []
        try:
            for x in node.inputs:
                args.append(view(table[reads.index(x)], x.spec) if type(x) is Edge else x)
            try:
                if isinstance(op, Region):
                    failure.inside = threading.get_ident()
                    y = op.numbers(args, node.params)
                else:
                    y = QUIET.run(op.evaluate, *args, **node.params)
            except BpropError:
                raise
            except FAILURES as error:
                if isinstance(op, Region):  # the user's own function: its errors are not translated
                    raise
                arrays = [Array(x.copy()) if isinstance(x, np.ndarray) else x for x in args]
                raise op.explain(error, tuple(arrays), node.params) from None
            for number, result in enumerate(y if type(y) is tuple else (y,)):
                view(table[len(reads) + number], stored[number].spec)[...] = result
        except BaseException as error:  # native code cannot propagate an exception; the caller raises it again
            failure.error = error
            return CALL_ERROR
        finally:
            failure.inside = None
            if THREAD_POOL.stranded:
                THREAD_POOL.abort_stranded()
        return 0

    return SIGNATURE(run)


def poll_callback(failure: Failure) -> Any:
    """Return a C function that gives Python the chance to run the handlers of signals, which may raise."""

    def poll() -> Iterator[int]:
        code = 0
        while True:
            try:
                yield code  # on resuming here Python runs the handlers, inside the try; on entering a function it would be outside
                code = 0
            except GeneratorExit:
                return
            except BaseException as error:
                failure.error = error
                code = CALL_ERROR

    polling = poll()
    next(polling)
    return ctypes.CFUNCTYPE(ctypes.c_int)(polling.__next__)
