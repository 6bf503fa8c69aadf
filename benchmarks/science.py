"""Ten pieces of NumPy and SciPy code: the value by NumPy, value and gradient by bprop, HIPS autograd and JAX.

In float64, one thread, every library in a process of its own, blocks in turn. Printed are medians in microseconds, and of
compiled ones the first call of a process in brackets, in seconds. Values and gradients are compared first. A piece that a
library cannot do as it stands has a dash, and standard error says why.

    python -m benchmarks.science [--blocks N] [--seconds S] [PIECE ...]
"""

import argparse
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy

from .in_turn import Call, limit_threads, measure
from .science_piece import PIECES, Made

Maker = Callable[[Any], Made]


def by_numpy(make: Maker) -> Call:
    """The value alone."""
    import scipy.linalg
    import scipy.special

    f, x = make(SimpleNamespace(np=numpy, special=scipy.special, solve_triangular=scipy.linalg.solve_triangular))
    return lambda: [numpy.asarray(f(x))]


def by_bprop(make: Maker, compiled: bool = False) -> Call:
    """By NumPy's and SciPy's names, eager or one compiled program."""
    import scipy.special

    import bprop

    lib = SimpleNamespace(np=numpy, special=scipy.special, solve_triangular=bprop.scipy.linalg.solve_triangular)
    f, x = make(lib)
    both = bprop.value_and_grad(f)
    function, x = bprop.compile(both) if compiled else both, bprop.asarray(x)
    return lambda: [numpy.asarray(part) for part in function(x)]


def by_autograd(make: Maker) -> Call:
    """By the namespaces of HIPS autograd."""
    import autograd
    import autograd.numpy
    import autograd.scipy.linalg
    import autograd.scipy.special

    linalg, special = autograd.scipy.linalg, autograd.scipy.special
    f, x = make(SimpleNamespace(np=autograd.numpy, special=special, solve_triangular=linalg.solve_triangular))
    both = autograd.value_and_grad(f)
    return lambda: [numpy.asarray(part) for part in both(x)]


def by_jax(make: Maker) -> Call:
    """By JAX's namespaces, one jitted program."""
    import jax
    import jax.scipy.linalg
    import jax.scipy.special

    jax.config.update("jax_enable_x64", True)
    linalg, special = jax.scipy.linalg, jax.scipy.special
    f, x = make(SimpleNamespace(np=jax.numpy, special=special, solve_triangular=linalg.solve_triangular))
    function, x = jax.jit(jax.value_and_grad(f)), jax.numpy.asarray(x)
    return lambda: [numpy.asarray(part) for part in function(x)]


PEERS: dict[str, Callable[[Maker], Call]] = {
    "NumPy, value": by_numpy,
    "bprop": by_bprop,
    "bprop compiled": lambda make: by_bprop(make, compiled=True),
    "autograd": by_autograd,
    "jax jit": by_jax,
}


def build(peer: str, piece: str) -> Call:
    """Return a call of a piece by a library."""
    return PEERS[peer](PIECES[piece])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.science", description=__doc__)
    parser.add_argument("piece", nargs="*", choices=[[], *PIECES], metavar="PIECE", help=", ".join(PIECES))
    parser.add_argument("--blocks", type=int, default=7, metavar="N", help="per library (7)")
    parser.add_argument("--seconds", type=float, default=0.1, metavar="S", help="of a block (0.1); 0 is one call")
    read = parser.parse_args()
    limit_threads()
    print(f"{'µs (first call, s)':20}" + "".join(f"{peer:>18}" for peer in PEERS))
    for name in read.piece or PIECES:
        rows = measure(build, name, list(PEERS), read.blocks, read.seconds, 1)
        cells = []
        for peer in PEERS:
            shown = f"{rows[peer].call * 1e6:.1f}" if peer in rows else "-"
            if peer in rows and peer in ("bprop compiled", "jax jit"):
                shown += f" ({rows[peer].first:.1f})"
            cells.append(f"{shown:>18}")
        print(f"{name:20}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
