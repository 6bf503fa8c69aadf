"""The target that code is generated for: this processor, or a lesser one on request."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import NamedTuple

from ...core.error import ArgumentError
from ..ir.target import PARALLEL_THRESHOLD, Target

TARGETS = ("avx512", "avx2", "x86-64")
"""What ``BPROP_TARGET`` may name; without it code is generated for the processor as it is."""


class Host(NamedTuple):
    """The processor as LLVM names it, its instruction set extensions, and the version of LLVM."""

    cpu: str
    features: list[str]
    llvm: str


def host() -> Host:
    """Return the processor that this is.

    >>> from bprop.compile.llvm.host import host
    >>> bool(host().cpu)
    True
    """
    from llvmlite import binding

    features = [name for name, present in binding.get_host_cpu_features().items() if present]
    return Host(binding.get_host_cpu_name(), features, ".".join(map(str, binding.llvm_version_info)))


_forced: ContextVar[str | None] = ContextVar("target", default=None)
_threshold: ContextVar[float] = ContextVar("parallel threshold", default=PARALLEL_THRESHOLD)


def current_target() -> Target:
    """Return what code is generated for: the processor, or the target that ``BPROP_TARGET`` or `generate_for` names.

    >>> from bprop.compile.llvm.host import current_target
    >>> current_target().vector in (16, 32, 64)
    True
    """
    forced = _forced.get()
    target = _described(os.environ.get("BPROP_TARGET", "") if forced is None else forced)
    return target._replace(parallel_threshold=_threshold.get())


@contextmanager
def generate_for(name: str) -> Iterator[Target]:
    """Generate code for ``"avx512"``, ``"avx2"`` or plain ``"x86-64"`` inside the ``with`` statement.

    Raises `ArgumentError` for another name, or where the processor could not run the code.

    >>> from bprop.compile.llvm.host import generate_for
    >>> with generate_for("x86-64") as target:
    ...     target.vector, target.fused
    (16, False)
    """
    _described(name)
    token = _forced.set(name)
    try:
        yield current_target()
    finally:
        _forced.reset(token)


@contextmanager
def parallel_threshold(nanoseconds: float) -> Iterator[None]:
    """Make kernels of at least so much work parallel inside the ``with`` statement; with 0 all of them, entry by entry.

    >>> from bprop.compile.llvm.host import parallel_threshold
    >>> with parallel_threshold(0):
    ...     pass  # programs made here use the thread pool even for a few numbers
    """
    token = _threshold.set(nanoseconds)
    try:
        yield
    finally:
        _threshold.reset(token)


@cache
def _described(target: str) -> Target:
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    has, name = features.get, binding.get_host_cpu_name()
    if target not in ("", *TARGETS):
        raise ArgumentError(f"target {target!r} is none of {', '.join(TARGETS)}")
    if target == "x86-64":
        return Target("x86-64", "", 16, 16, False)
    needed = {"avx512": ("avx512f", "avx512vl", "avx512dq", "avx512bw", "fma"), "avx2": ("avx2", "fma")}.get(target, ())
    missing = [feature for feature in needed if not has(feature)]
    if missing:
        raise ArgumentError(f"target {target!r}: this processor ({name}) lacks {', '.join(missing)}")
    if (has("avx512f") and has("avx512vl")) and target != "avx2":
        # 64-byte vectors in loops, too: products use them, so 32-byte ones elsewhere would not raise the clock
        return Target(name, features.flatten() + ",-prefer-256-bit", 64, 32, True)
    if has("avx2"):
        without_avx512 = ",".join(
            f"-{feature}" if feature.startswith("avx512") else f"{'+' if present else '-'}{feature}"
            for feature, present in features.items()
        )
        return Target(name, without_avx512, 32, 16, bool(has("fma")))
    if has("neon"):
        return Target(name, features.flatten(), 16, 32, True)
    return Target(name, features.flatten(), 16, 16, bool(has("fma")))
