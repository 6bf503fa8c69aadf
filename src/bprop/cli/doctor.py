"""``bprop doctor``: what there is on this machine, and whether it computes rightly."""

import sys
import time
from typing import Any

import typer

from .._version import __version__
from ..core.error import BpropError
from .screen import screen


def doctor() -> None:
    """Show versions, processor and cores, and check that gradients, native code and data are right here."""
    import os
    import platform
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    from ..compile.llvm.host import host

    console, _, _ = screen(sys.stdout)
    console.print(f"bprop {__version__}", style="bold", end="")
    console.print(f" on Python {platform.python_version()}, {platform.platform()}")
    for name in ("numpy", "scipy", "llvmlite", "safetensors", "rich", "typer", "matplotlib"):
        try:
            console.print(f"  {name:12} {version_of(name)}")
        except PackageNotFoundError:
            console.print(f"  {name:12} not installed", style="red")
    machine = host()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    console.print(f"  {'LLVM':12} {machine.llvm}")
    console.print(f"  {'processor':12} {_processor()} (to LLVM: {machine.cpu})")
    console.print(f"  {'cores':12} {usable} usable of {os.cpu_count()}")
    healthy = True
    for name, setting in (("vectors", _vectors), ("threads", _threads), ("cache", _cache)):
        try:
            console.print(f"  {name:12} {setting()}", soft_wrap=True)
        except BpropError as error:  # a variable of the environment that says what cannot be
            healthy = False
            console.print(f"  {name:12} {error.message}", style="red", soft_wrap=True)

    console.print()
    if not _run_checks(console) or not healthy:
        raise typer.Exit(1)


def _run_checks(console: Any) -> bool:
    """Check gradients, native code and data, and print the results; returns whether all are right."""
    healthy = True
    for name, check in (("gradients", _check_gradient), ("native code", _check_native), ("data", _check_data)):
        start = time.perf_counter()
        try:
            text = check()
            console.print("✓", style="green", end="")
            console.print(f" {name:12} {text} ({time.perf_counter() - start:.2f} s)", soft_wrap=True)
        except Exception as error:  # any exception is a finding
            healthy = False
            console.print("✗", style="red", end="")
            console.print(f" {name:12} {type(error).__name__}: {error}", soft_wrap=True)
    return healthy


def _processor() -> str:
    import platform

    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for text in file:
                if text.startswith("model name"):
                    return text.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _vectors() -> str:
    from ..compile.llvm.host import current_target, host

    target, features = current_target(), host().features
    extensions = [name for name in ("sse4.2", "avx", "avx2", "fma", "avx512f", "neon", "sve") if name in features]
    return (
        f"{', '.join(extensions) or 'none known'}; compiled for {8 * target.vector} bits, {target.registers} registers"
    )


def _threads() -> str:
    import os

    from ..compile import get_threads

    names = ("BPROP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    limits = ", ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ)
    return f"{get_threads()} for compiled programs ({limits or 'not limited by the environment'})"


def _cache() -> str:
    from ..compile.runtime.object_cache import store
    from .cache import size

    programs = store()
    if programs is None:
        return "compiled programs are not kept on disk"
    refusal = programs.refusal()
    if refusal:
        return f"compiled programs are not kept: {programs.folder} {refusal}"
    entries = programs.entries()
    count = "1 compiled program" if len(entries) == 1 else f"{len(entries):,} compiled programs"
    return f"{count}, {size(sum(entry.size for entry in entries))}, in {programs.folder}"


def _small_step() -> tuple[Any, Any, Any, Any]:
    import numpy as np

    from .. import nn
    from ..ops import Generator

    generator = Generator(0)
    model = nn.Sequential(nn.Linear(5, 7, np.float64, generator), nn.Tanh(), nn.Linear(7, 3, np.float64, generator))
    x = np.asarray(generator.normal((11, 5)))
    return model, nn.CrossEntropy(), x, np.arange(11) % 3


def _check_gradient() -> str:
    from ..gradients import numerical, value_and_grad

    model, loss, x, t = _small_step()

    def error(model: Any) -> Any:
        return loss(model(x), t)

    _, gradients = value_and_grad(error)(model)
    worst = _largest_difference(gradients, numerical(error)(model))
    if not worst < 1e-8:
        raise ArithmeticError(f"reverse mode and central differences differ by {worst:.1e}")
    return f"reverse mode agrees with central differences to {worst:.0e}"


def _largest_difference(first: Any, second: Any) -> float:
    """Return the largest absolute difference of two dicts of arrays with the same keys."""
    import numpy as np

    return max(float(np.abs(np.asarray(first[path]) - np.asarray(second[path])).max()) for path in first)


def _check_native() -> str:
    from ..compile import compile
    from ..gradients import value_and_grad

    model, loss, x, t = _small_step()

    def step(model: Any, x: Any) -> Any:
        E, gradients = value_and_grad(lambda m: loss(m(x), t))(model)
        return {"E": E, **gradients}

    worst = _largest_difference(step(model, x), compile(step)(model, x))
    if not worst < 1e-12:
        raise ArithmeticError(f"native and evaluated numbers differ by {worst:.1e}")
    return f"a gradient compiles and agrees with NumPy to {worst:.0e}"


def _check_data() -> str:
    from ..data import digits as load

    images, labels = load()
    if len(images) != 1797 or len(labels) != 1797:
        raise ValueError(f"{len(images)} images and {len(labels)} labels instead of 1797")
    return "1,797 images of digits are readable"
