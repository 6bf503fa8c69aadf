"""PyTorch op by op, with the AVX-512 kernels of its MKL on processors that are not Intel's.

MKL asks its function ``mkl_serv_intel_cpu_true`` whether the processor says GenuineIntel, and takes AVX2 kernels where it does
not. The function is overwritten in this process's memory, before MKL is first used, by one that returns 1. Nothing on
disk is touched, and no other process sees it. On an Intel processor nothing changes.
"""

import ctypes
import mmap
import platform
import sys
from pathlib import Path

from ..workload import Workload
from . import UnavailableError, installed, torch

YES = bytes.fromhex("b801000000c3")
"""mov eax, 1; ret"""
READ, WRITE, EXECUTE = 1, 2, 4


class Peer(torch.Peer):
    def __init__(self, workload: Workload, threads: int) -> None:
        unlock(Path(installed("torch").__file__).parent / "lib" / "libtorch_cpu.so")
        super().__init__(workload, threads)

    def version(self) -> str:
        return f"{super().version()}, MKL's AVX-512 path"


def unlock(library: Path) -> None:
    """Make the MKL inside a library believe that this is an Intel processor."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise UnavailableError("MKL chooses by vendor on x86-64 only, and its memory is changed as on Linux")
    if "avx512f" not in Path("/proc/cpuinfo").read_text():
        raise UnavailableError("this processor has no AVX-512")
    try:
        function = ctypes.CDLL(str(library)).mkl_serv_intel_cpu_true
    except (OSError, AttributeError):
        raise UnavailableError("this PyTorch has no MKL, or one that does not ask for the vendor") from None
    place = ctypes.cast(function, ctypes.c_void_p).value or 0
    start = place & -mmap.PAGESIZE
    size = -(-(place + len(YES) - start) // mmap.PAGESIZE) * mmap.PAGESIZE
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if protect(start, size, READ | WRITE | EXECUTE):
        raise UnavailableError(f"the system does not let MKL's code be changed (error {ctypes.get_errno()})")
    ctypes.memmove(place, YES, len(YES))
    protect(start, size, READ | EXECUTE)
    if function() != 1:
        raise UnavailableError("MKL still sees another vendor")
