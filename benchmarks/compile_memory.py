"""Resident memory while one function is compiled for ever more shapes (megabytes): what stays is a leak.

A small training step is compiled for one batch size after the other, without the cache on disk. ``programs`` are those that the
function keeps: their number has a bound, and what is dropped gives its memory back, so that the line is flat once the bound is
reached. ``python -m benchmarks.compile_memory [--shapes N]``, on Linux; 1,000 shapes take some minutes.
"""

import argparse
import ctypes
import gc
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .step import training


def resident() -> float:
    """Return the megabytes resident now, without what is free."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def line(shapes: int, every: int) -> Iterator[tuple[int, int, float]]:
    """Compile for so many batch sizes; yield how many were, the programs kept, and the megabytes resident."""
    os.environ["BPROP_CACHE"] = "0"
    step, model, optimizer = training([4, 3])
    for batch in range(shapes + 1):
        if batch % every == 0:
            yield batch, len(step.programs), resident()
        x = np.zeros((batch + 1, 4), np.float32)
        step(model, optimizer, x, np.zeros(batch + 1, np.int64))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compile_memory", description=__doc__.partition("\n")[0])
    parser.add_argument("--shapes", type=int, default=1000)
    shapes = parser.parse_args().shapes
    warnings.simplefilter("ignore")  # that programs are dropped is the point
    print(f"{'compilations':>12} {'programs':>9} {'resident MB':>12}")
    for count, kept, megabytes in line(shapes, max(shapes // 10, 1)):
        print(f"{count:12} {kept:9} {megabytes:12.1f}", flush=True)


if __name__ == "__main__":
    main()
