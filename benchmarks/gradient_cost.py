"""Cost of value and gradient over the cost of the function alone, for multilayer perceptrons of 10² to 10⁷ parameters.

float32, tanh hidden layers, softmax cross-entropy, batch 64. Reverse mode promises a small constant: the two matrix
products of the backward pass per layer against the one of the forward pass. Both are timed interleaved.
"""

import statistics
import time
from functools import partial
from itertools import pairwise

import numpy as np

import bprop

SIZES = [(4, 8, 4), (16, 32, 10), (64, 100, 32, 10), (256, 256, 128, 10), (784, 900, 300, 10), (2000, 2500, 1900, 10)]
BATCH = 64


def network(sizes, rng):
    return [
        (bprop.asarray((rng.normal(size=(o, i)) / np.sqrt(i)).astype(np.float32)), bprop.zeros(o, dtype="float32"))
        for i, o in pairwise(sizes)
    ]


def loss(layers, x, target):
    for W, b in layers[:-1]:
        x = bprop.tanh(x @ W.T + b)
    W, b = layers[-1]
    return -bprop.mean(bprop.sum(bprop.where(target, bprop.log_softmax(x @ W.T + b), 0), axis=1))


def seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    rng = np.random.default_rng(0)
    print(f"{'parameters':>10} {'function µs':>12} {'gradient µs':>12} {'ratio':>7}   spread of the ratio (quartiles)")
    for sizes in SIZES:
        layers = network(sizes, rng)
        count = sum(W.size + b.size for W, b in layers)
        x = bprop.asarray(rng.normal(size=(BATCH, sizes[0])).astype(np.float32))
        target = bprop.asarray(np.eye(sizes[-1], dtype=bool)[rng.integers(0, sizes[-1], BATCH)])
        both = bprop.value_and_grad(loss)
        rounds = 15 if count > 10**6 else 200
        for _ in range(3):
            loss(layers, x, target), both(layers, x, target)
        f, g = [], []
        for _ in range(rounds):
            f.append(seconds(partial(loss, layers, x, target)))
            g.append(seconds(partial(both, layers, x, target)))
        low, middle, high = statistics.quantiles([b / a for a, b in zip(f, g, strict=True)], n=4)
        print(
            f"{count:10d} {statistics.median(f) * 1e6:12.1f} {statistics.median(g) * 1e6:12.1f} {middle:7.2f}   "
            f"{low:.2f} to {high:.2f}"
        )


if __name__ == "__main__":
    main()
