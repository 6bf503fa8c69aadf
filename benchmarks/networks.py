"""Training steps of convolutional, recurrent and attention networks beside PyTorch and JAX: forward, backward, Adam, in float32.

Every library works in a process of its own; blocks are timed in turn. All of them start with the same weights and batch, and the
losses of the first step are compared. Printed are medians: milliseconds of a step, and seconds of the first step of a fresh
process, tracing and compiling included, importing not, with nothing kept on disk. PyTorch runs op by op, images with the channels
last, and with its memory kept (``torch``: an allocator told not to give it back) or as installed (``torch-plain``), or compiled
by ``torch.compile`` where there is a C++ compiler (``torch-compile``, with its memory kept).

``--inference`` times the network alone in evaluation mode, on one example and on the batch. ``--memory`` prints peaks in place of
times: megabytes of 10⁶ bytes resident beyond those of the imported library, in the steps after the second, and (in brackets) in all.

    python -m benchmarks.networks [--threads N] [--peer P ...] [--blocks N] [--seconds S] [--inference] [--memory] [NETWORK ...]
"""

import argparse
import os
from collections.abc import Sequence

from .in_turn import measure
from .network_memory import peaks
from .network_peer import Task, build
from .process import usable

PEERS = ("bprop", "torch", "torch-plain", "torch-compile", "jax")
LIBRARIES = {peer: peer.partition("-")[0] for peer in PEERS}
KEPT = {
    "MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TOP_PAD_": "268435456",
}  # fmt: skip
ENVIRONMENTS = {"torch": KEPT, "torch-compile": KEPT}
NETWORKS = ("lenet", "resnet20", "lstm", "gpt")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks", description=__doc__)
    parser.add_argument("network", nargs="*", choices=[[], *NETWORKS], metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--peer", action="append", choices=PEERS, metavar="P", help=", ".join(PEERS))
    parser.add_argument("--threads", type=int, default=usable(), metavar="N", help="of every library (all CPUs)")
    parser.add_argument("--blocks", type=int, default=9, metavar="N", help="per library (9)")
    parser.add_argument("--seconds", type=float, default=0.3, metavar="S", help="of a block (0.3); 0 is one step")
    parser.add_argument("--inference", action="store_true", help="the network alone, for one example and for the batch")
    parser.add_argument("--memory", action="store_true", help="peak memory in place of times (on Linux)")
    read = parser.parse_args()
    limits = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BPROP_NUM_THREADS", "NPROC")
    os.environ.update(dict.fromkeys(limits, str(read.threads)), BPROP_CACHE="0", JAX_PLATFORMS="cpu")
    peers = read.peer or PEERS
    header = "   peak of steps, MB (in all)" if read.memory else "   best peer / bprop;  first call, s"
    print(f"{'':22}" + "".join(f"{peer:>16}" for peer in peers) + header)
    for network in read.network or NETWORKS:
        tasks = [Task(network, False, 1), Task(network, False)] if read.inference else [Task(network)]
        for task in tasks:
            row = memory_row(task, peers) if read.memory else time_row(task, peers, read.blocks, read.seconds)
            print(f"{task!s:22}{row}", flush=True)


def time_row(task: Task, peers: Sequence[str], blocks: int, seconds: float) -> str:
    """Return the times of a task as a line of the table."""
    rows = measure(build, str(task), peers, blocks, seconds, 1, 1e-3, ENVIRONMENTS)
    steps = "".join(f"{rows[peer].call * 1e3:16.2f}" if peer in rows else f"{'-':>16}" for peer in peers)
    others = [rows[peer].call for peer in peers if peer != "bprop" and peer in rows]
    ratio = f"{min(others) / rows['bprop'].call:8.2f}" if others and "bprop" in rows else f"{'-':>8}"
    firsts = "  ".join(f"{peer} {rows[peer].first:.1f}" for peer in peers if peer in rows)
    return f"{steps}   {ratio};  {firsts}"


def memory_row(task: Task, peers: Sequence[str]) -> str:
    """Return the peaks of a task as a line of the table."""
    rows = peaks(build, str(task), peers, LIBRARIES, ENVIRONMENTS)
    return "".join(
        f"{rows[peer].calls / 1e6:8.0f} {f'({rows[peer].all / 1e6:.0f})':>7}" if peer in rows else f"{'-':>16}"
        for peer in peers
    )


if __name__ == "__main__":
    main()
