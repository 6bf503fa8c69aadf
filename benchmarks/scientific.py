"""The field's own tasks in float64, one thread: value and derivative in bprop, HIPS autograd, JAX and PyTorch.

Every library works in a process of its own; blocks are timed in turn, and medians are printed in milliseconds with the first
call of a process in brackets, in seconds. Before anything is timed, all derivatives are compared. JAX without `jit` takes some
ten seconds for a call of an LSTM, and is left out there unless ``--peer "jax eager"`` asks for it.

    python -m benchmarks.scientific [--long] [--task NAME] [--peer NAME] [--blocks N] [--seconds S]
"""

import argparse

from .in_turn import Call, limit_threads, measure
from .objective import LONG, TASKS
from .objective_peer import PEERS


def build(peer: str, task: str) -> Call:
    """Return a call of a task by a library."""
    return PEERS[peer](TASKS[task]())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scientific", description=__doc__)
    parser.add_argument("--task", action="append", choices=TASKS, metavar="T", help=", ".join(TASKS))
    parser.add_argument("--peer", action="append", choices=PEERS, metavar="P", help=", ".join(PEERS))
    parser.add_argument("--long", action="store_true", help=f"the long rows instead: {', '.join(LONG)}")
    parser.add_argument("--blocks", type=int, default=5, metavar="N", help="per peer (5)")
    parser.add_argument("--seconds", type=float, default=0.2, metavar="S", help="of a block (0.2); 0 is one call")
    read = parser.parse_args()
    limit_threads()
    columns = read.peer or list(PEERS)
    print(f"{'ms (first call, s)':18}" + "".join(f"{peer:>18}" for peer in columns))
    for name in read.task or [name for name in TASKS if (name in LONG) == read.long]:
        peers = read.peer or [peer for peer in PEERS if peer != "jax eager" or "LSTM" not in name]
        rows = measure(build, name, peers, read.blocks, read.seconds, 1)
        shown = [f"{rows[p].call * 1e3:.2f} ({rows[p].first:.1f})" if p in rows else "-" for p in columns]
        print(f"{name:18}" + "".join(f"{cell:>18}" for cell in shown), flush=True)


if __name__ == "__main__":
    main()
