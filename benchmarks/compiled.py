"""Value and gradient of small NumPy code, compiled: `bprop.compile` beside `jax.jit`, in float64, one thread.

Every library works in a process of its own; blocks are timed in turn. Printed are medians: microseconds of a call, and
milliseconds of the first call of a fresh process, tracing and compiling included, importing not, with nothing kept on disk.
Values and gradients are compared first.

    python -m benchmarks.compiled [--starts N] [--blocks N] [--seconds S] [PIECE ...]
"""

import argparse
from statistics import median

import numpy

from .in_turn import Call, limit_threads, measure
from .piece import PIECES

NAMES = {make.__name__: make for make in PIECES}
PEERS = ("bprop", "jax")


def build(peer: str, piece: str) -> Call:
    """Return a call of a piece's value and gradient by a library."""
    make = NAMES[piece]
    if peer == "bprop":
        import bprop

        f, x = make(numpy)
        function, x = bprop.compile(bprop.value_and_grad(f)), bprop.asarray(x)
    else:
        import jax

        jax.config.update("jax_enable_x64", True)
        f, x = make(jax.numpy)
        function, x = jax.jit(jax.value_and_grad(f)), jax.numpy.asarray(x)
    return lambda: [numpy.asarray(part) for part in function(x)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compiled", description=__doc__)
    parser.add_argument("piece", nargs="*", choices=[[], *NAMES], metavar="PIECE", help=", ".join(NAMES))
    parser.add_argument("--starts", type=int, default=3, metavar="N", help="processes for the first call (3)")
    parser.add_argument("--blocks", type=int, default=11, metavar="N", help="per library (11)")
    parser.add_argument("--seconds", type=float, default=0.1, metavar="S", help="of a block (0.1); 0 is one call")
    read = parser.parse_args()
    limit_threads()
    print(f"{'':22} {'µs per call':>29} {'':8} {'first call, ms':>19}")
    print(f"{'piece':22} {'bprop':>14} {'jax.jit':>14} {'ratio':>8} {'bprop':>9} {'jax.jit':>9} {'ratio':>8}")
    ratios = []
    for name in read.piece or NAMES:
        rows = measure(build, name, PEERS, read.blocks, read.seconds, read.starts)
        calls = [f"{rows[p].call * 1e6:14.2f}" if p in rows else f"{'-':>14}" for p in PEERS]
        firsts = [f"{rows[p].first * 1e3:9.0f}" if p in rows else f"{'-':>9}" for p in PEERS]
        ratio = (
            (rows["jax"].call / rows["bprop"].call, rows["jax"].first / rows["bprop"].first) if len(rows) == 2 else None
        )
        if ratio:
            ratios.append(ratio)
        shown = [f"{part:8.2f}" if ratio else f"{'-':>8}" for part in ratio or (0, 0)]
        print(f"{name:22} {' '.join(calls)} {shown[0]} {' '.join(firsts)} {shown[1]}", flush=True)
    if ratios:
        calls_median, firsts_median = (median(column) for column in zip(*ratios, strict=True))
        print(
            f"{'median ratio':22} {'':29} {calls_median:8.2f} {'':19} {firsts_median:8.2f}   (JAX's time over bprop's)"
        )


if __name__ == "__main__":
    main()
