"""Time to the first training step in a fresh process: nothing compiled before, and from the cache on disk (milliseconds).

The step is that of an MLP 784-512-512-10 with Adam on batches of 128. Every time is measured in a process of its own, cold
and cached ones in turn; the least and the median are printed. Then the first step of ever deeper networks of equal layers,
for which time should grow as their depth. ``python -m benchmarks.compile_time [--repeats N] [--json]``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

from .process import ROOT

STEP = """
import json, sys, time
start = time.perf_counter()
import numpy as np
import bprop
from bprop import nn, optim
imported = time.perf_counter()
from benchmarks.step import training
*sizes, batch = map(int, sys.argv[1:])
generator = np.random.default_rng(0)
step, model, optimizer = training(sizes)
x = bprop.asarray(generator.normal(size=(batch, sizes[0])).astype(np.float32))
t = bprop.asarray(generator.integers(0, sizes[-1], batch))
ready = time.perf_counter()
step(model, optimizer, x, t)
done = time.perf_counter()
print(json.dumps({"import": imported - start, "first step": done - ready, "both": imported - start + done - ready}))
"""
WIDTH, BATCH = 32, 16


def measure(sizes: list[int], batch: int, cache: str) -> dict[str, float]:
    """Return the milliseconds of import and first step in a fresh process; an empty ``cache`` is none."""
    environment = {**os.environ, "BPROP_CACHE": "1" if cache else "0", "BPROP_CACHE_DIR": cache}
    environment.pop("BPROP_CACHE_SIZE", None)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # Python's own compiler is not what is measured
    arguments = [sys.executable, "-c", STEP, *map(str, (*sizes, batch))]
    result = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=True)
    return {name: 1e3 * seconds for name, seconds in json.loads(result.stdout).items()}


def first_steps(repeats: int) -> dict[str, list[dict[str, float]]]:
    sizes, batch = [784, 512, 512, 10], 128
    found: dict[str, list[dict[str, float]]] = {"cold": [], "cached": []}
    measure(sizes, batch, "")  # Python compiles the library's files, and they come into memory
    with tempfile.TemporaryDirectory() as folder:
        filled = os.path.join(folder, "filled")
        measure(sizes, batch, filled)
        for number in range(repeats):
            found["cold"].append(measure(sizes, batch, os.path.join(folder, str(number))))
            found["cached"].append(measure(sizes, batch, filled))
    return found


def depths(repeats: int) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {depth: [] for depth in (10, 20, 40, 80)}
    for _ in range(repeats):
        for depth, times in found.items():
            times.append(measure([WIDTH] * depth + [10], BATCH, "")["first step"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compile_time", description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print all times as one JSON object")
    options = parser.parse_args()
    found, deep = first_steps(options.repeats), depths(options.repeats)
    if options.json:
        print(json.dumps({"784-512-512-10": found, "depth": deep}))
        return
    print(f"{'784-512-512-10, batch 128':28} {'import':>14} {'first step':>14} {'both':>14}   (ms, least / median)")
    for name, rows in found.items():
        cells = []
        for part in ("import", "first step", "both"):
            times = [row[part] for row in rows]
            cells.append(f"{min(times):6.0f} /{statistics.median(times):6.0f}")
        print(f"{name:28} {' '.join(f'{cell:>14}' for cell in cells)}")
    print(f"\n{f'{WIDTH}-{WIDTH}-…-10, batch {BATCH}':28} {'first step':>14} {'per layer':>14}")
    for depth, times in deep.items():
        print(
            f"{f'{depth} layers':28} {f'{min(times):6.0f} /{statistics.median(times):6.0f}':>14} {min(times) / depth:14.1f}"
        )


if __name__ == "__main__":
    main()
