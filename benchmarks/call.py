"""Time of one call of a compiled training step beyond its native code (microseconds).

The native code alone is the program called on the table of pointers of the step's last call, with nothing around it. Both
are timed in turns, and the least of many rounds is printed: the machine only ever adds.

    python -m benchmarks.call
"""

import timeit
from functools import partial

import numpy as np

import bprop
from bprop import nn

from .step import training


def training_step(sizes: list[int], batch: int, closed: bool):
    """Return a compiled training step and what to call it with."""
    step, model, rule = training(sizes)
    random = np.random.default_rng(0)
    x = bprop.asarray(random.normal(size=(batch, sizes[0])).astype(np.float32))
    t = bprop.asarray(random.integers(0, sizes[-1], batch))
    loss = nn.CrossEntropy()

    @bprop.compile
    def closed_step(x, t):
        E, gradients = bprop.value_and_grad(lambda m: loss(m(x), t))(model)
        rule.update(model, gradients)
        return E

    return (closed_step, (x, t)) if closed else (step, (model, rule, x, t))


CASES = [
    ("4-16-3, step(model, rule, x, t)", [4, 16, 3], False),
    ("4-16-3, step(x, t)", [4, 16, 3], True),
    ("10 layers of 16", [16] * 11, False),
]


def main(rounds: int = 1000, number: int = 40) -> None:
    print(f"{'':34} {'native':>8} {'call':>8} {'overhead':>9}   (µs)")
    for name, sizes, closed in CASES:
        step, args = training_step(sizes, 32, closed)
        for _ in range(5):
            step(*args)
        run, call = partial(step.program._run, step._last.address, 0, 1, None), partial(step, *args)
        native, called = [], []
        for _ in range(rounds):
            native.append(timeit.timeit(run, number=number) / number * 1e6)
            called.append(timeit.timeit(call, number=number) / number * 1e6)
        print(f"{name:34} {min(native):8.2f} {min(called):8.2f} {min(called) - min(native):9.2f}")


if __name__ == "__main__":
    main()
