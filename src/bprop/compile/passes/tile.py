"""Tiling of contractions: which labels run along a register tile, what is packed, what goes in blocks.

Small ones go in register tiles, large ones in blocks (`bprop.compile.ir.blocking`), a matrix times a vector along its rows
as dot products. Where B does not move by one along the columns it is packed first so that it does. The order of the sum is
that of the labels.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from ...core.error import CompileError
from ...core.family import Bilinear
from ...core.graph import Edge
from ..ir.affine_index import flattened
from ..ir.blocking import plan_blocks
from ..ir.contraction import Contraction, Label, Roles, merged
from ..ir.kernel import Kernel
from ..ir.loop_nest import parallel_loop
from ..ir.target import Target

ROWS = 6
VECTORS, COLUMNS = 2, 8
"""Vectors of a row of a tile, and of a tile of one row: as many sums as hide the latency of a multiply-add."""
DOT_ROWS, DOT_COLUMNS = 2, 8
"""Most rows of a contraction by dot products, since the matrix is read once for each, and columns that are computed together."""
SMALL, SMALL_TRANSPOSED = 2**19, 2**17
"""Multiplications below which packing both operands costs more than it gains; the latter where B is transposed anyway."""


def tile(kernels: Sequence[Kernel], target: Target) -> list[Kernel]:
    """Return the kernels with the tiling of those that are contractions."""
    return [_tiled(kernel, target) if kernel.kind == "contract" else kernel for kernel in kernels]


def _tiled(kernel: Kernel, target: Target) -> Kernel:
    contraction = _contraction(kernel, target)
    return replace(kernel, contraction=contraction, workspace=contraction.packed * contraction.dtype.itemsize)


def _contraction(kernel: Kernel, target: Target) -> Contraction:
    edges: tuple[Edge, ...] = tuple(view.edge for view in kernel.views)
    dtype = kernel.root.specs[0].dtype
    roles, offsets, sizes = _roles(kernel)
    rows, columns = roles.rows, roles.columns
    if not columns or (rows and not _has_unit(columns, 1) and _has_unit(rows, 0) and _has_unit(rows, 2)):
        # multiplication commutes: the vectors run along the rows
        roles, edges, offsets = roles.swapped(), edges[::-1], offsets[::-1]
        rows, columns = roles.rows, roles.columns
    column = min(columns, key=lambda label: (label.strides[2] != 1, -label.extent), default=Label(1, (0, 1, 1)))
    row = max(rows, key=lambda label: label.extent, default=Label(1, (0, 0, 0)))
    outer = [*roles.batch, *(x for x in rows if x is not row), *(x for x in columns if x is not column)]
    depth, empty = prod(label.extent for label in roles.contracted), 0 in sizes
    dtypes = {edge.spec.dtype for edge in (*edges, kernel.root.output)}
    floating = len(dtypes) == 1 and dtype.kind == "f"
    packs = column.extent > 1 and column.strides[1] != 1
    dots = (
        packs
        and not empty
        and row.extent <= DOT_ROWS
        and floating
        and _is_contiguous_along_sum(roles.contracted, target.lanes(dtype.itemsize))
    )
    packs &= not dots
    blocking = None
    if not dots and floating and not empty and _is_large(roles, depth, packs):
        blocking = plan_blocks(dtype, roles, target)
        packed = blocking.packed
    else:
        packed = depth * column.extent if packs and not empty else 0
    width, vectors, tile_rows = _register_tile(dtype, row.extent, column.extent, target)
    if dots:
        iterations = [(label, label.extent) for label in outer] + [(column, -(-column.extent // DOT_COLUMNS))]
    else:
        iterations = [(label, label.extent) for label in outer] if not packs else []
        iterations += [(row, -(-row.extent // tile_rows)), (column, -(-column.extent // (width * vectors)))]
    parallel = parallel_loop(iterations, lambda pair: int(pair[1]))
    return Contraction(
        dtype=dtype,
        edges=(edges[0], edges[1]),
        offsets=offsets,
        row=row,
        column=column,
        outer=tuple(outer),
        contracted=tuple(roles.contracted),
        size=prod(kernel.root.specs[0].shape),
        empty=empty,
        dot_columns=DOT_COLUMNS if dots else 0,
        packs=packs,
        packed=packed,
        blocking=blocking,
        width=target.lanes(dtype.itemsize) if dots else width,
        vectors=vectors,
        rows=tile_rows,
        parallel_label=parallel[0] if parallel else None,
    )


def _roles(kernel: Kernel) -> tuple[Roles, tuple[int, int], list[int]]:
    """Return the labels by their role, where A and B begin, and the extents of all labels."""
    node = kernel.root
    op = node.op
    assert isinstance(op, Bilinear)
    shapes = [x.spec.shape for x in node.edges]
    labels1, labels2, out = op.labels(shapes[0], shapes[1], **node.params)
    sizes = op.sizes(labels1, shapes[0], labels2, shapes[1])
    strides: list[dict[str, int]] = []
    offsets: list[int] = []
    for view, labels in zip(kernel.views, (labels1, labels2), strict=True):
        address = flattened(view.position, view.edge.spec.shape)
        if not address.linear():
            raise CompileError(f"{op}: an operand does not lie at constant strides")
        steps: dict[str, int] = {}
        for axis, label in enumerate(labels):
            step = sum(c for term, c in address.terms.items() if term.detail == axis)
            steps[label] = steps.get(label, 0) + step
        strides.append(steps)
        offsets.append(address.constant)
    steps, step = {}, 1
    for label in reversed(out):
        steps[label] = step
        step *= sizes[label]
    strides.append(steps)
    by_name = {
        name: Label(size, (strides[0].get(name, 0), strides[1].get(name, 0), strides[2].get(name, 0)))
        for name, size in sizes.items()
    }
    order = [name for name in dict.fromkeys(labels1 + labels2) if by_name[name].extent != 1]
    result = [by_name[name] for name in order if name in out]
    roles = Roles(
        [label for label in result if not label.strides[1]],
        [label for label in result if label.strides[1] and not label.strides[0]],
        [label for label in result if label.strides[0] and label.strides[1]],
        [by_name[name] for name in order if name not in out],
    )
    return roles, (offsets[0], offsets[1]), list(sizes.values())


def _is_large(roles: Roles, depth: int, packs: bool) -> bool:
    """Return whether a contraction goes in blocks."""
    sides = [max(side, key=lambda label: label.extent, default=Label(1, (0, 0, 0))) for side in roles[:2]]
    extents = [label.extent for label in sides]
    outer = [label for labels in roles[:3] for label in labels if label not in sides]
    work = prod(extents) * depth
    if any(all(not label.strides[operand] for label in outer) for operand in (0, 1)):
        work *= prod(label.extent for label in outer)  # one operand is the same for all of them, and packed once
    return (
        bool(roles.contracted)
        and (_has_unit(roles.rows, 2) or _has_unit(roles.columns, 2))
        and min(extents) > 2
        and work >= (SMALL_TRANSPOSED if packs else SMALL)
    )


def _register_tile(dtype: "np.dtype[Any]", rows: int, columns: int, target: Target) -> tuple[int, int, int]:
    """Return the numbers in a vector, and the vectors in a row and the rows of a tile."""
    width = 1 if dtype.kind == "b" else target.lanes(dtype.itemsize)
    while width > 1 and width // 2 >= columns:
        width //= 2
    vectors = min(-(-max(columns, 1) // width), max(VECTORS, COLUMNS // max(rows, 1)))
    max_rows = ROWS * VECTORS // vectors
    return width, vectors, -(-max(rows, 1) // -(-max(rows, 1) // max_rows))  # few rows beyond the edge


def _has_unit(labels: Sequence[Label], operand: int) -> bool:
    return any(label.strides[operand] == 1 for label in labels)


def _is_contiguous_along_sum(contracted: Sequence[Label], width: int) -> bool:
    """Return whether both operands are contiguous along the sum, for at least one vector."""
    if not contracted:
        return False
    last = merged(contracted)[-1]
    return last.strides[:2] == (1, 1) and last.extent >= width
