"""The peers, one file each: what is compared, in the best configuration of each that we know.

A file has `Peer`, a subclass of `Training`, and imports its library when an instance is made.
"""

from abc import ABC, abstractmethod
from importlib import import_module
from typing import Any, ClassVar

from ..workload import Workload

STEP, LOOP = "one call per step", "native loop"
PEERS: dict[str, str] = {
    "numpy": STEP,
    "torch": STEP,
    "torch-compile": STEP,
    "torch-avx512": STEP,
    "jax": STEP,
    "bprop": STEP,
    "jax-scan": LOOP,
    "bprop-loop": LOOP,
}
"""The comparison that each peer belongs to; the file of ``torch-compile`` is ``torch_compile.py``."""


class Skipped(Exception):
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

    @abstractmethod
    def losses(self, result: Any) -> list[float]:
        """Wait for a call to end and return its loss before each of the steps."""

    @abstractmethod
    def version(self) -> str:
        """Return the version of the library."""


def peer(name: str) -> type[Training]:
    """Return the class of a peer, loading its file but not its library."""
    made: type[Training] = import_module(f"{__name__}.{name.replace('-', '_')}").Peer
    return made


def installed(library: str, extra: str = "bench") -> Any:
    """Return the module of a library, or skip the peer."""
    try:
        return import_module(library)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise  # it is there, but broken
        raise Skipped(f"{library} is not installed: pip install '.[{extra}]'") from None
