"""Products as a training step has them, with what follows each: one generated kernel, or a BLAS and passes over memory.

Per layer of the workloads: ``forward``, relu(x Wᵀ + b); ``backward``, (z̄ W) masked by the layer below; ``update``, z̄ᵀ x
and Adam on the result. One thread on one CPU, all in one process, in turn; GFLOP/s of the products at the least time,
and the peak of that CPU from the same turns. NumPy calls OpenBLAS, PyTorch MKL or oneDNN op by op, JAX compiles with XLA: the
last two where they are installed. ``--target avx2`` generates for AVX2, and measures the peak of its vectors.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

VECTORS = {"avx512": 64, "avx2": 32, "x86-64": 16}
STAGES = ("forward", "backward", "update")
RATE, CORRECTION, B1, B2, EPSILON = 1e-3, 1.5, 0.9, 0.999, 1e-8


def formulas(xp: Any, stage: str) -> Callable[..., Any]:
    """Return a stage as a function of arrays in a namespace: `bprop`, `jax.numpy` or `torch`."""

    def forward(x: Any, W: Any, b: Any) -> Any:
        return xp.maximum(x @ W.T + b, xp.zeros_like(b))

    def backward(z_bar: Any, W: Any, y: Any) -> Any:
        return xp.where(y > 0, z_bar @ W, 0.0)

    def update(z_bar: Any, x: Any, W: Any, m: Any, v: Any) -> Any:
        g = z_bar.T @ x
        m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g * g
        return W - RATE * m / (xp.sqrt(v) * CORRECTION + EPSILON), m, v

    return {"forward": forward, "backward": backward, "update": update}[stage]


def by_blas(stage: str) -> Callable[..., Any]:
    """Return a stage as NumPy does it best: the product, then passes in place."""
    import numpy as np

    f = np.float32

    def forward(x: Any, W: Any, b: Any) -> Any:
        z = x @ W.T
        z += b
        return np.maximum(z, f(0), out=z)

    def backward(z_bar: Any, W: Any, y: Any) -> Any:
        x_bar = z_bar @ W
        x_bar *= y > 0
        return x_bar

    def update(z_bar: Any, x: Any, W: Any, m: Any, v: Any) -> Any:
        g = z_bar.T @ x
        m *= f(B1)
        m += f(1 - B1) * g
        v *= f(B2)
        g *= g
        g *= f(1 - B2)
        v += g
        np.sqrt(v, out=g)
        g *= f(CORRECTION)
        g += f(EPSILON)
        np.divide(m, g, out=g)
        g *= f(RATE)
        W -= g
        return W, m, v

    return {"forward": forward, "backward": backward, "update": update}[stage]


def torch_update(torch: Any, W: Any) -> Callable[..., Any]:
    """Return the update as PyTorch does it best: fused Adam."""
    parameter = torch.nn.Parameter(W.clone())
    optimizer = torch.optim.Adam([parameter], RATE, (B1, B2), EPSILON, fused=True)

    def update(z_bar: Any, x: Any, *_: Any) -> Any:
        parameter.grad = z_bar.T @ x
        optimizer.step()

    return update


def functions(stage: str, arrays: Sequence[Any]) -> dict[str, Callable[[], Any]]:
    """Return the stage in every library that is here; each call waits for its result."""
    import bprop

    made: dict[str, Callable[[], Any]] = {}
    ours, own = bprop.compile(formulas(bprop, stage)), [bprop.asarray(one) for one in arrays]
    made["bprop"] = lambda: ours(*own)
    theirs, copies = by_blas(stage), [one.copy() for one in arrays]
    made["NumPy"] = lambda: theirs(*copies)
    if find_spec("torch"):
        import torch

        tensors = [torch.tensor(one) for one in arrays]
        eager = torch_update(torch, tensors[2]) if stage == "update" else formulas(torch, stage)
        made["PyTorch"] = lambda: eager(*tensors)
    if find_spec("jax"):
        import jax

        jitted, there = jax.jit(formulas(jax.numpy, stage)), [jax.numpy.asarray(one) for one in arrays]
        made["JAX"] = lambda: jax.block_until_ready(jitted(*there))
    return made


def least(calls: dict[str, Callable[[], Any]], limit: float) -> dict[str, float]:
    """Return the least seconds of every call, taken in turn for so long."""
    found = dict.fromkeys(calls, float("inf"))
    for call in calls.values():
        call()
    end = time.perf_counter() + limit
    while time.perf_counter() < end:
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            found[name] = min(found[name], time.perf_counter() - start)
    return found


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernel", description=__doc__)
    parser.add_argument("--target", choices=VECTORS, help="generate for this instead of the processor as it is")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="per row")
    chosen = parser.parse_args(given)
    one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "BPROP_NUM_THREADS": "1", "NPROC": "1"}
    if chosen.target:
        one["BPROP_TARGET"] = chosen.target
    if any(os.environ.get(name) != value for name, value in one.items()):
        # libraries count the CPUs when they are loaded, so begin again on one
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        os.execve(
            sys.executable, [sys.executable, "-m", __spec__.name, *(given or sys.argv[1:])], {**os.environ, **one}
        )

    import numpy as np

    from .peak import Kernel
    from .workload import WORKLOADS

    peak = Kernel(VECTORS.get(chosen.target or ""))
    rounds = 5000
    rng = np.random.default_rng(0)
    header = False
    for workload in WORKLOADS.values():
        for i, o in dict.fromkeys(pairwise(workload.sizes)):
            shapes = {"x": (workload.batch, i), "W": (o, i), "b": (o,), "z": (workload.batch, o)}
            x, W, b, z_bar = (rng.standard_normal(shape).astype(np.float32) for shape in shapes.values())
            small, positive = np.zeros_like(W), np.full_like(W, 1e-3)
            operands = {"forward": (x, W, b), "backward": (z_bar, W, x), "update": (z_bar, x, W, small, positive)}
            for stage in STAGES:
                calls = functions(stage, operands[stage])
                if not header:
                    print(
                        f"{'':30} {'peak':>7} "
                        + " ".join(f"{name:>15}" for name in calls)
                        + "   GFLOP/s, share of peak"
                    )
                    header = True
                times = least({"peak": lambda: peak(rounds), **calls}, chosen.seconds)
                top = peak.flops * rounds / times.pop("peak") / 1e9
                speeds = {name: 2e-9 * workload.batch * i * o / found for name, found in times.items()}
                cells = " ".join(f"{speed:8.1f} {speed / top:6.0%}" for speed in speeds.values())
                print(f"{stage:9} {workload.batch:4d} × {i:4d} → {o:4d} {top:12.1f} {cells}", flush=True)


if __name__ == "__main__":
    main()
