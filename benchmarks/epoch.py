"""Time of a training step inside `fit`: in native stretches, batch by batch, and of its program alone (microseconds).

``python -m benchmarks.epoch [rounds]``. Epochs are timed between two calls of a callback; of every way the fastest epoch
counts, over rounds in which the ways take turns. An epoch has a fixed cost too (drawing the order, looking for what is not
finite, its record), which few steps have to share: compare the first two rows.
"""

import itertools
import sys
import time

import numpy as np

import bprop
from bprop import nn, optim
from bprop.train import Callback, fit

ROWS = [  # widths, examples, batch size: like iris, more of the like, and the digits
    ((4, 16, 3), 150, 32),
    ((4, 16, 3), 32_000, 32),
    ((64, 64, 10), 1797, 32),
    ((64, 64, 10), 1797, 64),
    ((64, 64, 10), 17_970, 64),
]
SECONDS = 0.7
"""How long a training lasts, beside its compilation."""


class Clock(Callback):
    """Takes the time at the end of every epoch, and stops when there is enough of them."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_epoch(self, run, entry) -> None:
        self.times.append(time.perf_counter())
        if len(self.times) > 5 and self.times[-1] - self.times[1] > SECONDS:
            run.stop("enough")

    def best(self) -> float:
        return float(np.min(np.diff(self.times)[2:]))


def network(widths):
    generator = bprop.Generator(0)
    layers = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs, generator=generator), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def epoch(widths, data, size) -> float:
    """Return the seconds of an epoch of `fit`."""
    clock = Clock()
    fit(
        network(widths), nn.CrossEntropy(), optim.Adam(1e-3), data, epochs=10**6, batch_size=size, callbacks=[clock],
        progress=False,
    )  # fmt: skip
    return clock.best()


def program(widths, x, t, size) -> float:
    """Return the seconds of one step's program, the examples of its batch taken natively as well."""
    model, rule, loss = network(widths), optim.Adam(1e-3), nn.CrossEntropy()
    X, T = bprop.asarray(x), bprop.asarray(t)
    rule.init(model)

    @bprop.compile
    def step(model, rule, rows):
        x, t = bprop.take(X, rows, axis=0), bprop.take(T, rows, axis=0)
        E, gradients = bprop.value_and_grad(lambda m: loss(m(x), t))(model)
        rule.update(model, gradients)
        return E

    count = max(500, len(x) // size)
    rows = np.random.default_rng(0).integers(0, len(x), (count, size))
    step.loop(model, rule, rows)
    best, begin = np.inf, time.perf_counter()
    while time.perf_counter() - begin < SECONDS:
        before = time.perf_counter()
        step.loop(model, rule, rows)
        best = min(best, time.perf_counter() - before)
    return best / count


def main(rounds: int = 3) -> None:
    random = np.random.default_rng(0)
    print(
        f"{'network':10} {'examples':>8} {'batch':>5} {'batch by batch':>15} {'stretches':>10} {'program':>8} {'beyond':>7}"
    )
    for widths, count, size in ROWS:
        x = random.normal(size=(count, widths[0])).astype(np.float32)
        t = random.integers(0, widths[-1], count)

        def batches(x=x, t=t, size=size):
            order = random.permutation(len(x))
            for start in range(0, len(x), size):
                rows = order[start : start + size]
                yield x[rows], t[rows]

        ways = [lambda: epoch(widths, batches, size), lambda: epoch(widths, (x, t), size)]  # noqa: B023
        ways.append(lambda: program(widths, x, t, size))  # noqa: B023
        single, stretches, alone = (
            min(times) for times in zip(*([way() for way in ways] for _ in range(rounds)), strict=True)
        )
        steps = -(-count // size)
        single, stretches, alone = (1e6 * one for one in (single / steps, stretches / steps, alone))
        print(
            f"{'-'.join(map(str, widths)):10} {count:8,} {size:5} {single:15.2f} {stretches:10.2f} {alone:8.2f} "
            f"{stretches - alone:7.2f}"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
