"""Devices of the Array API standard: all arrays are in the memory of the CPU."""

from typing import Any

from .error import ArgumentError

CPU = "cpu"
"""The one device, as it is written in ``device=``."""

DLPACK_CPU = (1, 0)
"""The same in DLPack: kind and number of the device."""


def check(device: Any, name: str) -> None:
    """Raise where ``device`` is neither ``"cpu"`` nor ``None``; ``name`` is the function that was given it."""
    if device is not None and not (isinstance(device, str) and device == CPU):
        raise ArgumentError(f'{name}: there is one device, "cpu", and not {device!r:.60}')
