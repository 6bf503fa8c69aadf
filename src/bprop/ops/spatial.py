"""What convolutions and pooling take: one number for each spatial axis, padding, and where the channels are."""

from typing import Any, NamedTuple

from ..core.error import ArgumentError, ShapeError
from ..core.number import integer, label, whole_number
from ..core.shape import Shape
from ..core.value import Array

__all__ = []

LAYOUTS = {1: ("NCL", "NLC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}
"""By the number of spatial axes: N examples, C channels, and L, or depth, height and width."""
Padding = int | str | tuple[int | tuple[int, int], ...]


class Layout(NamedTuple):
    """Where the channels and the spatial axes of an array are, counted from its end."""

    channels: int
    spatial: tuple[int, ...]

    @property
    def rank(self) -> int:
        """How many spatial axes there are."""
        return len(self.spatial)

    def labels(self, batch: int, channels: str, spatial: str) -> str:
        """Return labels for ``batch`` leading axes, then channels and spatial axes in their order."""
        inner = channels + spatial if self.channels < self.spatial[0] else spatial + channels
        return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:batch] + inner

    def arranged(self, lead: Shape, channels: int, spatial: Shape) -> Shape:
        """Return a shape: leading axes, then channels and spatial axes in their order."""
        inner = (channels, *spatial) if self.channels < self.spatial[0] else (*spatial, channels)
        return (*lead, *inner)

    def split(self, owner: object, shape: Shape) -> tuple[Shape, int, Shape]:
        """Return the leading axes of a shape, its channels, and its spatial axes; raises `ShapeError` for too few axes."""
        if len(shape) <= self.rank:
            lengths = ["length"] * self.rank
            inner = ["channels", *lengths] if self.channels < self.spatial[0] else [*lengths, "channels"]
            raise ShapeError(f"{label(owner)}: x has shape {shape}, it should be (…, {', '.join(inner)})")
        lead = shape[: len(shape) - self.rank - 1]
        return lead, shape[self.channels], tuple(shape[axis] for axis in self.spatial)


def layout_name(owner: object, rank: int, layout: Any) -> str:
    """Return a name in `LAYOUTS`, the first where none is given; raises `ArgumentError` for any other."""
    names = LAYOUTS[rank]
    if layout is None:
        return names[0]
    if layout not in names:
        raise ArgumentError(f"{label(owner)}: layout is {names[0]!r} or {names[1]!r}, not {layout!r:.60}")
    return str(layout)


def layout_of(owner: object, rank: int, layout: Any) -> Layout:
    """Return the `Layout` of a name in `LAYOUTS`; the first where none is given."""
    if layout_name(owner, rank, layout)[-1] == "C":
        return Layout(-1, tuple(range(-rank - 1, -1)))
    return Layout(-rank - 1, tuple(range(-rank, 0)))


def check_axes(owner: object, layout: str, x: Array, optional: str = "", **sizes: int) -> str:
    """Return the letters of the axes of ``x``: those of ``layout``, or without the letter ``optional``.

    Raises `ShapeError` for another number of axes, and for another length than ``sizes`` say by letter.
    """
    shorter = layout.replace(optional, "") if optional else layout
    names = shorter if x.ndim == len(shorter) else layout
    if x.ndim != len(names) or any(x.shape[names.index(letter)] != size for letter, size in sizes.items()):
        allowed = dict.fromkeys((layout, shorter))
        wanted = " or ".join(
            f"({', '.join(str(sizes.get(letter, letter)) for letter in letters)})" for letters in allowed
        )
        raise ShapeError(f"{label(owner)}: x has shape {x.shape}, it should be {wanted} in layout {layout!r}")
    return names


def by_axis(owner: object, name: str, value: Any, rank: int, low: int = 1) -> tuple[int, ...]:
    """Return one integer from ``low`` on for each spatial axis, of a number for all or a tuple."""
    if not isinstance(value, tuple | list):
        return (integer(owner, name, value, low),) * rank
    if len(value) != rank:
        raise ArgumentError(f"{label(owner)}: {name} is a number or {rank} of them, not {value!r:.60}")
    return tuple(integer(owner, name, number, low) for number in value)


def padding_of(
    owner: object, padding: Any, stride: tuple[int, ...], reach: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """Return how many zeros stand before and after each axis.

    ``padding``: a number, one for each axis or pair (before, after), "valid" (none) or "same": as many as keep the length at
    stride 1, the odd one after. ``reach``: how far the last tap is from the first.
    """
    rank = len(stride)
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * rank
        if padding != "same":
            raise ArgumentError(f"{label(owner)}: padding is a number, pairs, 'same' or 'valid', not {padding!r:.60}")
        if set(stride) != {1}:
            raise ArgumentError(f"{label(owner)}: padding 'same' is for stride 1, not {stride}: give numbers")
        return tuple((total // 2, total - total // 2) for total in reach)
    entries = padding if isinstance(padding, tuple | list) else (padding,) * rank
    if len(entries) != rank:
        raise ArgumentError(f"{label(owner)}: padding is a number or one for each of {rank} axes, not {padding!r:.60}")
    pairs = []
    for entry in entries:
        pair = entry if isinstance(entry, tuple | list) else (entry, entry)
        if len(pair) != 2 or any(whole_number(side, 0) is None for side in pair):
            raise ArgumentError(
                f"{label(owner)}: padding is integers ≥ 0 or pairs (before, after) of them, not {padding!r:.60}"
            )
        pairs.append((int(pair[0]), int(pair[1])))
    return tuple(pairs)


def outputs_of(
    owner: object, axis: int, size: int, padding: tuple[int, int], taps: int, stride: int, dilation: int
) -> int:
    """Return at how many positions a window fits into a padded axis; raises `ShapeError` where at none."""
    padded, extent = size + sum(padding), (taps - 1) * dilation + 1
    if extent > padded:
        dilated = f" with dilation {dilation} reaches over {extent} entries," if dilation > 1 else ""
        padding_text = f" and {sum(padding)} of padding" if sum(padding) else ""
        raise ShapeError(
            f"{label(owner)}: a window of {taps}{dilated} does not fit into axis {axis} of x with {size} entries{padding_text}: "
            f"it may be at most {padded}"
        )
    return (padded - extent) // stride + 1
