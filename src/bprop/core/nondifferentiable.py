"""NumPy functions without a rule: which of them have no derivative anyway, and what to write for the others.

The names are those in `numpy`, with ``linalg.`` before them where they are there.
"""

from collections.abc import Callable
from typing import Any

import numpy as np


def _of_numpy(names: str) -> frozenset[Callable[..., Any]]:
    """Return the functions of these names; a version of NumPy need not have them all."""
    return frozenset(getattr(np, name) for name in names.split() if hasattr(np, name))


OF_SHAPE_AND_DTYPE = _of_numpy(
    "common_type diag_indices_from einsum_path iscomplexobj isrealobj may_share_memory shares_memory tril_indices_from "
    "triu_indices_from"
)
"""What these return depends on shapes and dtypes (and on whether memory is the same) alone: they need no numbers."""

NONDIFFERENTIABLE = OF_SHAPE_AND_DTYPE | _of_numpy(
    # questions, whose answers are true or false
    "allclose array_equal array_equiv isclose iscomplex isin isneginf isposinf isreal "
    # positions and orders
    "argwhere digitize flatnonzero lexsort nanargmax nanargmin ravel_multi_index unravel_index "
    # integers, bits and dates, and the distance of a number from the next, which is constant between powers of two
    "bitwise_count gcd lcm packbits unpackbits busday_count busday_offset is_busday datetime_as_string isnat spacing "
    # dtypes
    "min_scalar_type "
    # text and files
    "array2string array_repr array_str save savetxt savez savez_compressed"
)
"""What these return does not depend on the numbers, or only in steps: inside a transform those not in `OF_SHAPE_AND_DTYPE` see the numbers."""

EFFECTS = _of_numpy("save savetxt savez savez_compressed")
"""Of these, the ones that do something: once, and not for every entry of a batch."""

IN_PLACE_NAMES = frozenset(("copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"))
IN_PLACE = _of_numpy(" ".join(IN_PLACE_NAMES))
"""What these write into is their first argument."""

INSTEAD = {
    "allclose": "numpy.all(numpy.isclose(a, b))",
    "argwhere": "numpy.where(condition, x, 0), which keeps the shape, for what depends on the entries that are chosen",
    "array_equal": "numpy.all(a1 == a2)",
    "array_equiv": "numpy.all(a1 == a2)",
    "copyto": "bprop.where(condition, source, x)",
    "fill_diagonal": "bprop.where(numpy.eye(n, dtype=bool), value, x)",
    "flatnonzero": "numpy.where(condition, x, 0), which keeps the shape, for what depends on the entries that are chosen",
    "full": "bprop.broadcast_to(x, shape)",
    "lib.stride_tricks.as_strided": "numpy.lib.stride_tricks.sliding_window_view(x, window)[::step], or x[positions]",
    **{f"lib.scimath.{name}": f"numpy.{name}(x + 0j)" for name in "arccos arcsin arctanh log log10 log2 sqrt".split()},  # noqa: SIM905
    "nanargmax": "numpy.argmax(numpy.where(numpy.isnan(x), -numpy.inf, x), axis)",
    "nanargmin": "numpy.argmin(numpy.where(numpy.isnan(x), numpy.inf, x), axis)",
    "place": "x.at[mask].set(values)",
    "put": "x.at[index].set(values)",
    "put_along_axis": "x.at[index].set(values)",
    "putmask": "bprop.where(mask, values, x)",
}
"""What does the same and has a derivative, or can be traced, for those of the other functions where that is short."""

__all__ = ["EFFECTS", "INSTEAD", "IN_PLACE", "IN_PLACE_NAMES", "NONDIFFERENTIABLE", "OF_SHAPE_AND_DTYPE"]
