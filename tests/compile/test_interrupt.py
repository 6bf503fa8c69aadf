"""Ctrl-C at every instant at which Python hears of it: cells are a whole step further or as they were, and nothing stays taken."""

import dis
import os
import signal
import sys

import numpy as np
import pytest

import bprop
from bprop.compile.llvm.host import parallel_threshold
from bprop.compile.runtime.thread_pool import THREAD_POOL
from bprop.core.cell import RUNNING, Cell

LIBRARY = os.path.dirname(bprop.__file__)
LOOKS = {"CALL", "CALL_FUNCTION_EX", "CALL_KW", "JUMP_BACKWARD", "RESUME"}
"""Instructions in which Python runs the handlers of signals."""

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="threads of native code need POSIX")


class Interrupt:
    """A trace function that raises `KeyboardInterrupt` after the n-th of these instructions in the library."""

    def __init__(self, number):
        self.number = number
        self.before = {}

    def __call__(self, frame, event, _):
        if not frame.f_code.co_filename.startswith(LIBRARY):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            place = self.before.get(frame)
            name = "RESUME" if place is None else dis.opname[frame.f_code.co_code[place]]
            self.before[frame] = frame.f_lasti
            self.number -= name in LOOKS
            if self.number == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self


def interrupted(call, number):
    """Return whether ``call`` had as many instants."""
    before = sys.gettrace()
    sys.settrace(Interrupt(number))
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("change", ["nothing", "one is held", "all are held", "other threads"])
@pytest.mark.parametrize("what", ["step", "loop"])
def test_at_every_instant_of_a_call(what, change):
    cells = [Cell(bprop.zeros((16, 16))) for _ in range(3)]

    @bprop.compile
    def step(x):
        for cell in cells:
            cell.write(cell.read() + x)
        return bprop.sum(x)

    x, threads = np.ones((16, 16)), bprop.get_threads()
    many = np.ones((4, 16, 16))
    call = (lambda: step(x)) if what == "step" else (lambda: step.loop(many))

    def number():
        """The number of steps: all entries of all cells hold it."""
        found = np.unique([cell.array.data for cell in cells])
        assert len(found) == 1
        return int(found[0])

    try:
        bprop.set_threads(2)
        with parallel_threshold(0):
            call(), step(x), step(x)
        instants, more = 0, True
        while more:
            if change in ("one is held", "all are held"):
                held = [(cell.read(), number()) for cell in cells[: 1 if "one" in change else 3]]
            else:
                held = []
            if change == "other threads":
                bprop.set_threads(5 - bprop.get_threads())
            before = number()
            instants += 1
            more = interrupted(call, instants)
            assert number() - before in ((0, 1) if what == "step" else range(5))
            assert not THREAD_POOL.caller
            assert not RUNNING
            assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
            for array, entry in held:
                assert (array.data == entry).all()
            before = number()
            step(x), step(x)
            assert number() == before + 2
        assert instants > 20
    finally:
        bprop.set_threads(threads)


def test_at_every_instant_of_a_change():
    """A cell that was changed is noticed by the next call, also where the change was interrupted."""
    cell = Cell(bprop.zeros(()))

    @bprop.compile
    def step(x):
        cell.write(cell.read() + x)

    x, more, instants = np.ones(()), True, 0
    while more:
        cell.write(bprop.zeros(()))
        step(x), step(x), step(x)
        instants += 1
        more = interrupted(lambda: cell.write(bprop.asarray(10.0)), instants)
        now = cell.array.item()
        step(x)
        assert cell.array.item() == now + 1
    assert instants > 5
