"""The peers, one file each: what is compared, in the best configuration of each that we know.

A file has `Peer`, a subclass of `Training`, and imports its library when an instance is made.
"""

from abc import ABC, abstractmethod
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

from ..workload import Workload

STEP, LOOP = "one call per step", "native loop"


class Entry(NamedTuple):
    """A peer's module, and the comparison it belongs to. ``changed``: it is not the library as installed."""

    module: str
    comparison: str = STEP
    changed: bool = False


PEERS = {
    "numpy": Entry(f"{__name__}.numpy"),
    "torch": Entry(f"{__name__}.torch"),
    "torch-compile": Entry(f"{__name__}.torch_compile"),
    "torch-avx512": Entry(f"{__name__}.torch_avx512", changed=True),
    "jax": Entry(f"{__name__}.jax"),
    "bprop": Entry(f"{__name__}.bprop"),
    "jax-scan": Entry(f"{__name__}.jax_scan", LOOP),
    "bprop-loop": Entry(f"{__name__}.bprop_loop", LOOP),
}


class UnavailableError(Exception):
    """This peer cannot run here; the message says why, and what to install."""


class Training(ABC):
    """A workload in a library's hands. Making one imports the library and puts the numbers where it wants them."""

    steps: ClassVar[int] = 1
    """Training steps per call."""

    @abstractmethod
    def __init__(self, workload: Workload, threads: int) -> None: ...

    @abstractmethod
    def start(self) -> None:
        """Go back to the initial parameters, Adam's moments at zero, without compiling anything again."""

    @abstractmethod
    def call(self) -> Any:
        """Make ``steps`` steps; what is returned need not be there yet."""

    def wait(self, result: Any) -> None:  # noqa: B027 - most need not
        """Return when a call has ended, for libraries whose calls return before."""

    @abstractmethod
    def losses(self, result: Any) -> list[float]:
        """Wait for a call to end and return its loss before each of the steps."""

    @abstractmethod
    def version(self) -> str:
        """Return the version of the library."""


def installed(library: str, extra: str = "bench") -> Any:
    """Return the module of a library, or skip the peer."""
    try:
        return import_module(library)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise  # it is there, but broken
        raise UnavailableError(f"{library} is not installed: pip install '.[{extra}]'") from None
