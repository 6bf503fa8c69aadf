"""Gradients of small NumPy code, eager: bprop beside HIPS autograd, where that is installed.

Blocks of the two are timed in turns in one process, and the median of the blocks' times per gradient is printed with the
ratio of the medians and the quartiles of the ratios block by block. The gradients are compared first.

    python -m benchmarks.eager [PIECE ...]
"""

import sys
import timeit
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any

import numpy as np

import bprop

from .piece import PIECES

SECONDS = 0.1
BLOCKS = 15


def gradients(make: Any) -> dict[str, tuple[Callable[[Any], Any], Any]]:
    """Return by library the gradient of a piece and its argument."""
    f, x = make(np)
    made = {"bprop": (bprop.grad(f), x)}
    try:
        import autograd
        import autograd.numpy
    except ImportError:
        return made
    f, x = make(autograd.numpy)
    return made | {"autograd": (autograd.grad(f), x)}


def main(names: list[str]) -> None:
    print(f"{'piece':22} {'bprop µs':>10} {'autograd µs':>12} {'ratio':>7}   quartiles")
    ratios = []
    for make in PIECES:
        if names and make.__name__ not in names:
            continue
        made = gradients(make)
        values = [np.asarray(gradient(x)) for gradient, x in made.values()]
        for value in values[1:]:
            np.testing.assert_allclose(value, values[0], rtol=1e-9, atol=1e-12)
        timers = {name: timeit.Timer(lambda gradient=g, x=x: gradient(x)) for name, (g, x) in made.items()}
        count = max(1, int(SECONDS / max(timer.timeit(3) / 3 for timer in timers.values())))
        times: dict[str, list[float]] = {name: [] for name in timers}
        for _ in range(BLOCKS):
            for name, timer in timers.items():
                times[name].append(timer.timeit(count) / count * 1e6)
        ours, theirs = times["bprop"], times.get("autograd", [])
        line = f"{make.__name__:22} {median(ours):10.1f}"
        if theirs:
            low, _, high = quantiles([b / a for a, b in zip(ours, theirs, strict=True)])
            ratios.append(median(theirs) / median(ours))
            line += f" {median(theirs):12.1f} {ratios[-1]:7.2f}   {low:.2f} to {high:.2f}"
        print(line, flush=True)
    if ratios:
        print(f"{'median ratio':22} {'':10} {'':12} {median(ratios):7.2f}   (autograd's time divided by bprop's)")


if __name__ == "__main__":
    main(sys.argv[1:])
