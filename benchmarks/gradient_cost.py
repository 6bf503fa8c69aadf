"""Cost of value and gradient over the cost of the function alone: 10³ to 10⁷ parameters, then 1 to 100 layers.

float32, tanh hidden layers, softmax cross-entropy, batch 64; eager against eager and compiled against compiled. Reverse
mode promises a small constant: the two matrix products of the backward pass per layer against the one of the forward
pass. Function and gradient are timed in turn, and the ratio is that of the least times. ``flat`` is the largest ratio of
the column over the smallest. The last column is the time of the gradient's first call, compilation included: it should
grow like the number of layers.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import bprop

SIZES = [(16, 32, 16, 10), (64, 100, 32, 10), (256, 256, 128, 10), (784, 900, 300, 10), (2000, 2500, 1900, 10)]
DEPTHS = [1, 3, 10, 30, 100]
WIDTH = 64
BATCH = 64
SECONDS = 1.0
"""Per function and row."""


def network(sizes: Sequence[int], rng: np.random.Generator) -> Any:
    return [
        (bprop.asarray((rng.normal(size=(o, i)) / np.sqrt(i)).astype(np.float32)), bprop.zeros(o, dtype="float32"))
        for i, o in pairwise(sizes)
    ]


def loss(layers: Any, x: Any, target: Any) -> Any:
    for W, b in layers[:-1]:
        x = bprop.tanh(x @ W.T + b)
    W, b = layers[-1]
    return -bprop.mean(bprop.sum(bprop.where(target, bprop.log_softmax(x @ W.T + b), 0), axis=1))


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def least(*calls: Callable[[], Any], limit: float) -> list[float]:
    """Return the least time of each, taken in turn for so many seconds."""
    found = [seconds(call) for call in calls]
    end = time.perf_counter() + limit * len(calls)
    while time.perf_counter() < end:
        found = [min(old, seconds(call)) for old, call in zip(found, calls, strict=True)]
    return found


def measure(sizes: Sequence[int], limit: float) -> tuple[str, float, float]:
    """Return a row, and the ratios of eager and compiled."""
    rng = np.random.default_rng(0)
    layers = network(sizes, rng)
    x = bprop.asarray(rng.normal(size=(BATCH, sizes[0])).astype(np.float32))
    target = bprop.asarray(np.eye(sizes[-1], dtype=bool)[rng.integers(0, sizes[-1], BATCH)])
    both = bprop.value_and_grad(loss)
    forward, backward = bprop.compile(loss), bprop.compile(both)
    calls = [partial(f, layers, x, target) for f in (loss, both, forward, backward)]
    first = [seconds(call) for call in calls]
    times = [one * 1e6 for one in (*least(*calls[:2], limit=limit), *least(*calls[2:], limit=limit))]
    ratios = times[1] / times[0], times[3] / times[2]
    count = sum(W.size + b.size for W, b in layers)
    cells = [f"{count:10d} {len(layers):6d}"]
    cells += [f"{times[i]:11.1f} {times[i + 1]:11.1f} {ratio:6.2f}" for i, ratio in zip((0, 2), ratios, strict=True)]
    return f"{' '.join(cells)} {first[3]:9.2f}", *ratios


def table(rows: Sequence[Sequence[int]], limit: float) -> None:
    print(f"{'':17} {'eager µs':>11} {'':18} {'compiled µs'.rjust(11)}")
    names = f"{'function':>11} {'gradient':>11} {'ratio':>6}"
    print(f"{'parameters':>10} {'layers':>6} {names} {names} {'first s':>9}")
    eager, compiled = [], []
    for sizes in rows:
        line, one, other = measure(sizes, limit)
        print(line, flush=True)
        eager.append(one)
        compiled.append(other)
    print(f"{'flat':>17} {max(eager) / min(eager):30.2f} {max(compiled) / min(compiled):30.2f}\n")


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gradient_cost", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help="per function and row")
    limit = parser.parse_args(given).seconds
    table(SIZES, limit)
    table([(WIDTH,) * depth + (10,) for depth in DEPTHS], limit)


if __name__ == "__main__":
    main()
