"""Memory of an eager gradient of small NumPy code: bprop beside HIPS autograd, where that is installed.

Printed is by how much Python's allocated memory rises at most while one gradient is computed (tracemalloc, which NumPy tells of
its arrays), after gradients that fill the caches.

    python -m benchmarks.eager_memory [PIECE ...]
"""

import gc
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

from .eager import gradients
from .piece import PIECES

WARM_UP = 5


def peak(gradient: Callable[[Any], Any], x: Any) -> float:
    """Return the kilobytes by which the allocated memory rises at most during one gradient."""
    for _ in range(WARM_UP):
        gradient(x)
    gc.collect()
    tracemalloc.start()
    try:
        gradient(x)  # what stays after a call is there before the one that counts
        gc.collect()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        gradient(x)
        return (tracemalloc.get_traced_memory()[1] - before) / 1e3
    finally:
        tracemalloc.stop()


def main(names: list[str]) -> None:
    print(f"{'piece':22} {'bprop kB':>10} {'autograd kB':>12} {'ratio':>7}")
    for make in PIECES:
        if names and make.__name__ not in names:
            continue
        peaks = [peak(gradient, x) for gradient, x in gradients(make).values()]
        line = f"{make.__name__:22} {peaks[0]:10.1f}"
        if len(peaks) > 1:
            line += f" {peaks[1]:12.1f} {peaks[0] / peaks[1]:7.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
