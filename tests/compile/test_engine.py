"""LLVM at work: what it takes for a compilation it gives back."""

import ctypes
import gc
import os
import sys
from pathlib import Path

import pytest

from bprop.compile.llvm.engine import optimised
from bprop.compile.llvm.host import current_target

LOOP = """
define double @sum(ptr %x) {{
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %s = phi double [0.0, %entry], [%more, %loop]
  %at = getelementptr double, ptr %x, i64 %i
  %one = load double, ptr %at
  %more = fadd double %s, %one
  %next = add i64 %i, 1
  %again = icmp ult i64 %next, {}
  br i1 %again, label %loop, label %done
done:
  ret double %more
}}
"""


def resident():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="reads the resident memory as on Linux, of glibc's allocator")
def test_a_compilation_leaves_no_memory_behind():
    """A pass manager that is not freed keeps 70 kB and more; what is left are two."""
    count, before = 60, 0
    for start in (1000, 2000):  # LLVM's own tables are there after the first round
        before = resident()
        for size in range(start, start + count):
            module, target = optimised(LOOP.format(size), current_target())
            target.emit_object(module)
            del module, target
    assert resident() - before < 10_000 * count
