"""Which entries of a cotangent are present, in a form that a body can take as arguments and give as results.

The *presence* of an array is what `Region.absent` says of it: ``None`` (no cotangent), ``True`` (all entries present),
or a mask, a bool array of the array's shape or of shape () (all entries or none). A region passes masks into its body
as further arrays.

While a body is traced only the *kind* of a presence is fixed: ``None``, ``True``, or the shape of a mask. The carry of a
loop needs one kind for all iterations. Kinds have a least upper bound, `common_kind`, and every presence can be written
in a larger kind (`to_kind`), so `fixpoint` finds the smallest kind that fits.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..ops import broadcast_to, full, reshape

Kind = tuple[int, ...] | bool | None


def kind_of(presence: Any) -> Kind:
    """Return the kind of a presence."""
    kind: Kind = presence if presence is None or presence is True else presence.shape
    return kind


def common_kind(first: Kind, second: Kind) -> Kind:
    """Return the least kind in which both can be written: ``None`` < ``True`` < a mask of shape () < a full mask."""
    if isinstance(first, tuple) and isinstance(second, tuple):
        return first if len(first) > len(second) else second
    if isinstance(first, tuple):
        return first
    return second if isinstance(second, tuple) else first or second


def carry_kinds(before: Sequence[Kind], presences: Iterable[Any]) -> list[Kind]:
    """Return the kinds that fit a carry before and after an iteration.

    ``before``: its kinds before. ``presences``: those of the body's results, of which the carry is the first part.
    """
    return [common_kind(kind, kind_of(presence)) for kind, presence in zip(before, presences, strict=False)]


def to_kind(presence: Any, kind: Kind) -> Any:
    """Return a presence in a larger ``kind``; an array that is no cotangent counts as present there."""
    if not isinstance(kind, tuple):
        return kind
    return full(kind, True) if presence is None or presence is True else broadcast_to(presence, kind)


def masks_of(presences: Iterable[Any]) -> list[Any]:
    """Return those presences that are masks: what a body takes or gives as arrays."""
    return [presence for presence in presences if presence is not None and presence is not True]


def with_masks(kinds: Sequence[Kind], masks: Iterable[Any]) -> list[Any]:
    """Return a presence of each kind; ``masks`` has an array for each kind that is a shape, in order."""
    masks = iter(masks)
    return [next(masks) if isinstance(kind, tuple) else kind for kind in kinds]


def stacked_presence(row_presence: Any, ys: Any, stacked_masks: Iterator[Any]) -> Any:
    """Return the presence of the stacked rows ``ys`` of a loop.

    ``row_presence`` is that of one row. If it is a mask, the next of ``stacked_masks`` has the masks of all rows; one
    of shape () has become one number for each row.
    """
    if row_presence is None or row_presence is True:
        return row_presence
    mask = next(stacked_masks)
    return mask if mask.shape == ys.shape else broadcast_to(reshape(mask, mask.shape + (1,) * (ys.ndim - 1)), ys.shape)


__all__ = ["Kind", "carry_kinds", "common_kind", "kind_of", "masks_of", "stacked_presence", "to_kind", "with_masks"]
