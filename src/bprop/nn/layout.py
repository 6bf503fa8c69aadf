"""Layouts: strings such as "NCHW" that name the axes of an input, a letter each; C is that of the channels."""

from typing import Any

from ..core.error import ArgumentError, ShapeError
from ..core.number import label
from ..core.value import Array


def checked_layout(owner: object, layout: Any, layouts: tuple[str, str]) -> str:
    """Return ``layout``, the first of ``layouts`` for ``None``; raise `ArgumentError` where it is none of them."""
    if layout is None:
        return layouts[0]
    if layout not in layouts:
        raise ArgumentError(f"{label(owner)}: layout is {layouts[0]!r} or {layouts[1]!r}, not {layout!r:.60}")
    return str(layout)


def check_axes(owner: object, layout: str, x: Array, **sizes: int) -> None:
    """Raise `ShapeError` where ``x`` has not the axes of ``layout``, or another length than ``sizes`` say by letter."""
    wanted = ", ".join(str(sizes.get(letter, letter)) for letter in layout)
    if x.ndim != len(layout) or any(x.shape[layout.index(letter)] != size for letter, size in sizes.items()):
        raise ShapeError(f"{label(owner)}: x has shape {x.shape}, it should be ({wanted}) in layout {layout!r}")


__all__ = ["check_axes", "checked_layout"]
