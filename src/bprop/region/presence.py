"""Which entries of a region's cotangents are present: the masks go into its body and come out again as further arrays.

A presence is what `Region.absent` says of one array: ``None``, ``True`` or a mask. Its kind, ``None``, ``True`` or the
mask's shape, is known while a body is traced; a carry needs one kind for all turns.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..core.interpreter import using
from ..gradients.absent import Absent
from ..ops import broadcast_to, full, reshape

Kind = tuple[int, ...] | bool | None


def masked(graph: Callable[..., Any], args: Sequence[Any], present: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Apply a graph where entries of its arguments are absent; return its results and their presence."""
    owner = Absent()
    lifted = [owner.marked(x, here) for x, here in zip(args, present, strict=True)]
    with using(owner):
        ys = graph(*lifted)
    return [owner.lower(y) for y in ys], [owner.presence(y) for y in ys]


def kind_of(presence: Any) -> Kind:
    """Return the kind of a presence."""
    kind: Kind = presence if presence is None or presence is True else presence.shape
    return kind


def joined(first: Kind, then: Kind) -> Kind:
    """Return the kind that both fit into; what is no cotangent beside one is present."""
    if isinstance(first, tuple) and isinstance(then, tuple):
        return first if len(first) > len(then) else then
    if isinstance(first, tuple):
        return first
    return then if isinstance(then, tuple) else first or then


def as_kind(presence: Any, kind: Kind) -> Any:
    """Return a presence as one of ``kind``."""
    if not isinstance(kind, tuple):
        return kind
    return full(kind, True) if presence is None or presence is True else broadcast_to(presence, kind)


def arrays(presences: Iterable[Any]) -> list[Any]:
    """Return those that are masks."""
    return [here for here in presences if here is not None and here is not True]


def refilled(kinds: Sequence[Kind], masks: Sequence[Any]) -> list[Any]:
    """Return a presence for each kind, of masks for those that are shapes, in order."""
    given = iter(masks)
    return [next(given) if isinstance(kind, tuple) else kind for kind in kinds]


def stacked_presence(presence: Any, ys: Any, stacks: Any) -> Any:
    """Return the presence of stacked rows; one of shape () has become one for each row."""
    if presence is None or presence is True:
        return presence
    mask = next(stacks)
    return mask if mask.shape == ys.shape else broadcast_to(reshape(mask, mask.shape + (1,) * (ys.ndim - 1)), ys.shape)


__all__ = ["Kind", "arrays", "as_kind", "joined", "kind_of", "masked", "refilled", "stacked_presence"]
