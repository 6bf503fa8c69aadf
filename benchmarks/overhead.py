"""Time that bprop adds to NumPy per op: evaluated, and recorded for differentiation (microseconds, small arrays).

Every op is timed beside its NumPy function, interleaved over several rounds; the medians and their spread are printed.
"""

import statistics
import timeit
from functools import partial

import numpy as np

import bprop
from bprop.core.interpreter import using
from bprop.gradients.reverse import Record

a = np.ones(3)
m = np.ones((8, 8))
x, M = bprop.asarray(a), bprop.asarray(m)
record = Record()
recorded = {id(x): record.input(x), id(M): record.input(M)}

ROWS = [
    ("add", np.add, bprop.add, (a, a), (x, x)),
    ("multiply", np.multiply, bprop.multiply, (a, a), (x, x)),
    ("exp", np.exp, bprop.exp, (a,), (x,)),
    ("tanh", np.tanh, bprop.tanh, (a,), (x,)),
    ("where", np.where, bprop.where, (a > 0, a, a), (x > 0, x, x)),
    ("sum", np.sum, bprop.sum, (a,), (x,)),
    ("matmul", np.matmul, bprop.matmul, (m, m), (M, M)),
    ("reshape", np.reshape, bprop.reshape, (a, (3, 1)), (x, (3, 1))),
]


def microseconds(call, number: int = 5000) -> float:
    return timeit.timeit(call, number=number) / number * 1e6


def main(rounds: int = 15) -> None:
    print(
        f"{'op':10} {'numpy':>7} {'evaluated':>16} {'recorded':>16}   (µs beyond NumPy, median ± half the quartiles' range)"
    )
    evaluated_all, recorded_all = [], []
    for name, ours, theirs, operands, arrays in ((r[0], r[2], r[1], r[3], r[4]) for r in ROWS):
        lifted = tuple(recorded.get(id(one), one) for one in arrays)
        base, plain, taped = [], [], []
        for _ in range(rounds):
            base.append(microseconds(partial(theirs, *operands)))
            plain.append(microseconds(partial(ours, *arrays)) - base[-1])
            with using(record):
                taped.append(microseconds(partial(ours, *lifted)) - base[-1])
        cells = []
        for sample in (plain, taped):
            low, middle, high = statistics.quantiles(sample, n=4)
            cells.append(f"{middle:8.2f} ± {(high - low) / 2:4.2f}")
        print(f"{name:10} {statistics.median(base):7.2f} {cells[0]:>16} {cells[1]:>16}")
        evaluated_all.append(statistics.median(plain))
        recorded_all.append(statistics.median(taped))
    print(
        f"median over ops: evaluated {statistics.median(evaluated_all):.2f}, recorded {statistics.median(recorded_all):.2f}"
    )


if __name__ == "__main__":
    main()
