"""What the code generator knows about this machine."""

from typing import NamedTuple


class Host(NamedTuple):
    """The processor as LLVM names it, its instruction set extensions, and the version of LLVM."""

    cpu: str
    features: list[str]
    llvm: str


def host() -> Host:
    """Return the processor that native code is generated for.

    >>> from bprop.compile.native.host import host
    >>> bool(host().cpu)
    True
    """
    from llvmlite import binding

    features = [name for name, present in binding.get_host_cpu_features().items() if present]
    return Host(binding.get_host_cpu_name(), features, ".".join(map(str, binding.llvm_version_info)))
