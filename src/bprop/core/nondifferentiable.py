"""NumPy functions without a rule: which of them have no derivative anyway, and what to write for the others.

The names are those in `numpy`, with ``linalg.`` before them where they are there.
"""

from collections.abc import Callable
from typing import Any

import numpy as np


def _of_numpy(names: str) -> frozenset[Callable[..., Any]]:
    """Return the functions of these names; a version of NumPy need not have them all."""
    return frozenset(getattr(np, name) for name in names.split() if hasattr(np, name))


NONDIFFERENTIABLE = _of_numpy(
    # questions, whose answers are true or false
    "allclose array_equal array_equiv isclose iscomplex iscomplexobj isin isneginf isposinf isreal isrealobj "
    "may_share_memory shares_memory "
    # positions, orders and paths
    "argpartition argwhere digitize einsum_path flatnonzero lexsort nanargmax nanargmin "
    "diag_indices_from tril_indices_from triu_indices_from "
    # dtypes
    "common_type min_scalar_type "
    # text and files
    "array2string array_repr array_str save savetxt savez savez_compressed"
)
"""What these return does not depend on the numbers, or only in steps: inside a transform they see the numbers."""

EFFECTS = _of_numpy("save savetxt savez savez_compressed")
"""Of these, the ones that do something: once, and not for every entry of a batch."""

IN_PLACE = _of_numpy("copyto fill_diagonal place put put_along_axis putmask")
"""What these write into is their first argument."""

INSTEAD = {
    "add.accumulate": "bprop.cumulative_sum(x)",
    "add.reduce": "bprop.sum(x, axis=0)",
    "append": "bprop.concat([x, values], axis=axis)",
    "astype": "x.astype(dtype)",
    "atleast_1d": "bprop.reshape(x, (1,)) where x has no axis",
    "average": "bprop.sum(weights * x) / bprop.sum(weights)",
    "block": "bprop.concat of rows that are made by bprop.concat",
    "compress": "x[condition]",
    "copy": "x itself, which never changes",
    "copyto": "bprop.where(condition, source, x)",
    "deg2rad": "x * (numpy.pi / 180)",
    "degrees": "x * (180 / numpy.pi)",
    "diagflat": "bprop.diag(x)",
    "dsplit": "bprop.split(x, sections, axis=2)",
    "ediff1d": "bprop.diff(bprop.reshape(x, (-1,)))",
    "extract": "x[condition]",
    "fill_diagonal": "bprop.where(numpy.eye(n, dtype=bool), value, x)",
    "float_power": "bprop.pow(x, y)",
    "full": "bprop.broadcast_to(x, shape)",
    "hsplit": "bprop.split(x, sections, axis=1)",
    "ldexp": "x * 2.0**exponent",
    "linalg.cond": "s[..., 0] / s[..., -1] with s = bprop.linalg.svdvals(x)",
    "linalg.eig": "bprop.linalg.eigh(x) where x is symmetric",
    "linalg.eigvals": "bprop.linalg.eigvalsh(x) where x is symmetric",
    "matvec": 'bprop.einsum("...ij,...j->...i", x, v)',
    "modf": "(x - bprop.trunc(x), bprop.trunc(x))",
    "maximum.reduce": "bprop.max(x, axis=0)",
    "minimum.reduce": "bprop.min(x, axis=0)",
    "multiply.accumulate": "bprop.cumulative_prod(x)",
    "multiply.outer": "x[:, None] * y",
    "multiply.reduce": "bprop.prod(x, axis=0)",
    "nanmax": "bprop.max(bprop.where(bprop.isnan(x), -numpy.inf, x))",
    "nanmin": "bprop.min(bprop.where(bprop.isnan(x), numpy.inf, x))",
    "nanprod": "bprop.prod(bprop.where(bprop.isnan(x), 1.0, x))",
    "nansum": "bprop.sum(bprop.where(bprop.isnan(x), 0.0, x))",
    "partition": "bprop.sort(x)",
    "place": "x.at[mask].set(values)",
    "ptp": "bprop.max(x) - bprop.min(x)",
    "put": "x.at[index].set(values)",
    "put_along_axis": "x.at[index].set(values)",
    "putmask": "bprop.where(mask, values, x)",
    "rad2deg": "x * (180 / numpy.pi)",
    "radians": "x * (numpy.pi / 180)",
    "real_if_close": "x itself, which is real",
    "rollaxis": "bprop.moveaxis(x, axis, destination)",
    "select": "bprop.where inside bprop.where",
    "trapezoid": "bprop.sum((x[1:] + x[:-1]) * (dx / 2))",
    "vecmat": 'bprop.einsum("...i,...ij->...j", v, x)',
    "vsplit": "bprop.split(x, sections, axis=0)",
}
"""What does the same and has a derivative, for those of the other functions where that is short."""

__all__ = ["EFFECTS", "INSTEAD", "IN_PLACE", "NONDIFFERENTIABLE"]
