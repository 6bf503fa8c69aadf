"""What the code generator knows about this machine, and how to make it generate for a lesser one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from ...core.error import ArgumentError

TARGETS = ("avx512", "avx2", "x86-64")
"""What ``BPROP_TARGET`` may name; without it code is generated for the processor as it is."""


class Host(NamedTuple):
    """The processor as LLVM names it, its instruction set extensions, and the version of LLVM."""

    cpu: str
    features: list[str]
    llvm: str


class Machine(NamedTuple):
    """What native code is generated for.

    ``cpu`` and ``features`` as LLVM takes them; a vector register holds ``vector`` bytes, and there are ``registers`` of
    them; ``fused``: x · y + z is one instruction with one rounding.
    """

    cpu: str
    features: str
    vector: int
    registers: int
    fused: bool


def host() -> Host:
    """Return the processor that this is.

    >>> from bprop.compile.llvm.host import host
    >>> bool(host().cpu)
    True
    """
    from llvmlite import binding

    features = [name for name, present in binding.get_host_cpu_features().items() if present]
    return Host(binding.get_host_cpu_name(), features, ".".join(map(str, binding.llvm_version_info)))


_current: ContextVar[Machine | None] = ContextVar("machine", default=None)
_known: dict[str, Machine] = {}


def machine() -> Machine:
    """Return what code is generated for: the processor, or the target that ``BPROP_TARGET`` or `generate_for` names.

    >>> from bprop.compile.llvm.host import machine
    >>> machine().vector in (16, 32, 64)
    True
    """
    return _current.get() or _machine(os.environ.get("BPROP_TARGET", ""))


@contextmanager
def generate_for(target: str) -> Iterator[Machine]:
    """Generate code for ``"avx512"``, ``"avx2"`` or plain ``"x86-64"`` inside the ``with`` statement.

    Raises `ArgumentError` for another name, or where the processor could not run the code.

    >>> from bprop.compile.llvm.host import generate_for
    >>> with generate_for("x86-64") as machine:
    ...     machine.vector, machine.fused
    (16, False)
    """
    with generating(_machine(target)):
        yield machine()


@contextmanager
def generating(target: Machine) -> Iterator[None]:
    """Generate code for what `machine` returned earlier, inside the ``with`` statement."""
    token = _current.set(target)
    try:
        yield
    finally:
        _current.reset(token)


def _machine(target: str) -> Machine:
    known = _known.get(target)
    if known is None:
        known = _known[target] = _described(target)
    return known


def _described(target: str) -> Machine:
    from llvmlite import binding

    every = binding.get_host_cpu_features()
    has, name = every.get, binding.get_host_cpu_name()
    if target not in ("", *TARGETS):
        raise ArgumentError(f"target {target!r} is none of {', '.join(TARGETS)}")
    if target == "x86-64":
        return Machine("x86-64", "", 16, 16, False)
    needed = {"avx512": ("avx512f", "avx512vl", "avx512dq", "avx512bw", "fma"), "avx2": ("avx2", "fma")}.get(target, ())
    missing = [one for one in needed if not has(one)]
    if missing:
        raise ArgumentError(f"target {target!r}: this processor ({name}) lacks {', '.join(missing)}")
    if (has("avx512f") and has("avx512vl")) and target != "avx2":
        # whole registers in loops, as in products: beside those, half of one saves a careful processor no clock
        return Machine(name, every.flatten() + ",-prefer-256-bit", 64, 32, True)
    if has("avx2"):
        features = ",".join(
            f"-{one}" if one.startswith("avx512") else f"{'+' if present else '-'}{one}"
            for one, present in every.items()
        )
        return Machine(name, features, 32, 16, bool(has("fma")))
    if has("neon"):
        return Machine(name, every.flatten(), 16, 32, True)
    return Machine(name, every.flatten(), 16, 16, bool(has("fma")))
