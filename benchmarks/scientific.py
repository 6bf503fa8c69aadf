"""The field's own tasks in float64, one thread: value and derivative in bprop, HIPS autograd, JAX and PyTorch.

Every library works in a process of its own; blocks are timed in turn, and medians are printed in milliseconds with the first
call in brackets. Before anything is timed, all derivatives are compared.

    python -m benchmarks.scientific [--task NAME] [--peer NAME] [--blocks N]
"""

import argparse
import multiprocessing
import os
from statistics import median
from time import perf_counter
from typing import Any

SECONDS = 0.2
ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "BPROP_NUM_THREADS": "1", "BPROP_CACHE": "0",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}  # fmt: skip


def work(pipe: Any, peer: str, name: str) -> None:
    """Serve one peer on one task: the result of the first call and its time, then a block for every message."""
    from .objective import TASKS
    from .objective_peer import PEERS

    try:
        task = TASKS[name]()
        call = PEERS[peer](task)
        began = perf_counter()
        parts = call()
        pipe.send((perf_counter() - began, parts))
    except ImportError as error:
        pipe.send((None, str(error)))
        return
    began = perf_counter()
    for _ in range(3):
        call()
    count = max(1, int(SECONDS / ((perf_counter() - began) / 3)))
    while pipe.recv():
        began = perf_counter()
        for _ in range(count):
            call()
        pipe.send((perf_counter() - began) / count)


def measure(name: str, peers: list[str], blocks: int) -> dict[str, tuple[float, float]]:
    """Return by peer the median time of a call and the time of the first one, in seconds."""
    import numpy as np

    context = multiprocessing.get_context("spawn")
    pipes, first, results = {}, {}, {}
    processes = []
    for peer in peers:
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, peer, name), daemon=True)
        process.start()
        processes.append(process)
        seconds, parts = ours.recv()
        if seconds is None:
            print(f"{peer}: {parts}", flush=True)
            continue
        pipes[peer], first[peer], results[peer] = ours, seconds, parts
    for peer, parts in results.items():
        for part, right in zip(parts, next(iter(results.values())), strict=True):
            np.testing.assert_allclose(part, right, rtol=1e-7, atol=1e-8 * np.abs(right).max(), err_msg=peer)
    times: dict[str, list[float]] = {peer: [] for peer in pipes}
    for _ in range(blocks):
        for peer, pipe in pipes.items():
            pipe.send(True)
            times[peer].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(False)
    for process in processes:
        process.join()
    return {peer: (median(times[peer]), first[peer]) for peer in pipes}


def main() -> None:
    os.environ.update(ONE_THREAD)  # before NumPy is loaded
    from .objective import TASKS
    from .objective_peer import PEERS

    parser = argparse.ArgumentParser(prog="python -m benchmarks.scientific", description=__doc__)
    parser.add_argument("--task", action="append", choices=TASKS, metavar="T", help=", ".join(TASKS))
    parser.add_argument("--peer", action="append", choices=PEERS, metavar="P", help=", ".join(PEERS))
    parser.add_argument("--blocks", type=int, default=5, metavar="N", help="per peer (5)")
    read = parser.parse_args()
    peers = read.peer or list(PEERS)
    print(f"{'ms (first call, s)':16}" + "".join(f"{peer:>24}" for peer in peers))
    for name in read.task or TASKS:
        rows = measure(name, peers, read.blocks)
        shown = [f"{rows[p][0] * 1e3:.2f} ({rows[p][1]:.1f})" if p in rows else "-" for p in peers]
        print(f"{name:16}" + "".join(f"{cell:>24}" for cell in shown), flush=True)


if __name__ == "__main__":
    main()
