"""Memory of bprop's training step against what it cannot do without: parameters, optimiser state, live activations.

``needed``: parameters, Adam's two moments, and the output of every layer, which the way back reads; the batch itself is the
caller's. ``planned``: what the program has, namely the cells it reads or writes, its arena and its results. ``grown``: by how
much the resident memory of the process grew at most over making model and optimiser and the steps after, each workload in
a process of its own that has compiled a step of the same form before; on Linux. Less than a few megabytes of it mean nothing.
"""

import ctypes
import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from .process import ROOT, peak_resident
from .step import training
from .workload import WORKLOADS, Workload


def needed(workload: Workload) -> int:
    """Return the bytes of parameters, moments and the outputs of all layers."""
    return 4 * (3 * workload.parameters + workload.batch * sum(workload.sizes[1:]))


def measure(workload: Workload) -> dict[str, int]:
    """Train for a few steps in this process; return bytes ``planned`` and ``grown``."""
    batch = workload.data()[2:]
    small = workload._replace(sizes=tuple(min(size, 40) for size in workload.sizes), batch=20)
    step, model, optimizer = training(small.sizes)
    step(model, optimizer, *small.data()[2:])  # LLVM is loaded, and its memory is there to be used again
    resident = forget()
    step, model, optimizer = training(workload.sizes)
    step(model, optimizer, *batch)
    forget()  # what compiling took for a moment is not what training takes
    for _ in range(3):
        E = step(model, optimizer, *batch)
    cells = [cell.array for one in (model, optimizer) for cell in one.cells().values()]
    planned = step.memory.size + sum(one.size * one.dtype.itemsize for one in (*cells, E))
    return {"planned": planned, "grown": peak_resident() - resident}


def forget() -> int:
    """Let the record of the most resident memory begin anew; return the bytes resident now."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what is free is not to count, wherever the allocator keeps it
    Path("/proc/self/clear_refs").write_text("5")
    return peak_resident()


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measure(WORKLOADS[sys.argv[1]])))
        return
    print(f"{'':28} {'needed MB':>10} {'planned MB':>11} {'ratio':>6} {'grown MB':>10} {'ratio':>6}")
    for name, workload in WORKLOADS.items():
        command = [sys.executable, "-m", __spec__.name, name]
        found: dict[str, Any] = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
        least = needed(workload)
        cells = " ".join(f"{found[key] / 1e6:10.3f} {found[key] / least:6.2f}" for key in ("planned", "grown"))
        print(f"{name:28} {least / 1e6:10.3f}  {cells}", flush=True)


if __name__ == "__main__":
    main()
