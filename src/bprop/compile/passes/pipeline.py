"""The passes of the compiler, in order, each a function from one value to another.

=====================  ==================================================================================
pass                   what goes out
=====================  ==================================================================================
`inline`               the graph without ``custom``, ``checkpoint`` and ops that are written with others; of a
                       program by the front end (what a region closes over is an input), of bodies here
`fold_constants`       what depends on no input as captured arrays; by the front end, since they are inputs
`add_finite_checks`    one check of all that products with absent cotangents need to be finite
`simplify`             identities, constants, equal and dead nodes gone
`reassociate_gathers`  products of rows of a table as products of the table, where it has fewer rows
`assign_layouts`       images with their axes in the order in which convolutions compute fastest
`lower_convolutions`   convolutions as contractions of windows
`prepack_operands`     matrices that loops multiply by in panels for the target's registers
`fold_transposes`      products that make their result in the order in which it is read
`fuse`                 kernels: which nodes share a loop nest
`build_loop_nests`     what a kernel computes for one entry; its loops, loads and stores
`lower_bodies`         the bodies of scans, branches and loops, lowered by these passes
`tile`                 contractions: register tiles and blocks for the target's registers and caches
`fuse_epilogues`       maps moved into the contraction whose blocks they read
`plan_loops`           in which order a reduction combines, what runs side by side, what threads divide
`plan_memory`          a buffer for every value: the arena, inputs, outputs
`schedule`             the order of the work, what is parallel, and the barriers
=====================  ==================================================================================

The LLVM back end (`bprop.compile.llvm.module`) emits the result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...core.error import CompileError
from ...core.graph import Graph, inner_graphs
from ...core.simplify import simplify
from ..ir.kernel import Kernel
from ..ir.lowered import Lowered
from ..ir.memory_plan import MemoryPlan, aligned, bytes_of
from ..ir.target import Target
from .assign_layouts import assign_layouts
from .build_loop_nests import build_loop_nests
from .finite_check import add_finite_checks
from .fold_transpose import fold_transposes
from .fuse import fuse
from .fuse_epilogues import fuse_epilogues
from .inline import inline
from .lower_convolutions import lower_convolutions
from .plan_loops import plan_loops
from .plan_memory import plan_memory
from .prepack_operands import prepack_operands
from .reassociate_gathers import reassociate_gathers
from .schedule import schedule
from .tile import tile


def lower(graph: Graph, target: Target, donated: Mapping[int, int] | None = None) -> Lowered:
    """Return an inlined graph as kernels with buffers and a schedule.

    ``donated`` maps outputs to the inputs whose memory takes their value. Raises `CompileError` where an op or a dtype has no
    native code.
    """
    donated = donated or {}
    graph = reassociate_gathers(simplify(add_finite_checks(simplify(graph), donated)))
    graph = assign_layouts(graph)
    graph = fold_transposes(simplify(prepack_operands(lower_convolutions(graph), target)))
    _check_dtypes(graph)
    kernels = build_loop_nests(fuse(graph))
    kernels = fuse_epilogues(tile(lower_bodies(kernels, target), target), graph, donated)
    kernels = plan_loops(kernels, target)
    memory = plan_memory(graph, kernels, donated)
    return Lowered(graph, tuple(kernels), memory, schedule(kernels, memory, target), target)


def lower_bodies(kernels: Sequence[Kernel], target: Target) -> list[Kernel]:
    """Return the kernels with the bodies of regions lowered, and the workspace that those need."""
    return [_with_bodies(kernel, target) for kernel in kernels]


def _with_bodies(kernel: Kernel, target: Target) -> Kernel:
    bodies = tuple(lower(inline(graph), target) for graph in inner_graphs(kernel.root))
    if not bodies:
        return kernel
    return replace(kernel, bodies=bodies, workspace=_workspace(kernel, [body.memory for body in bodies]))


def _workspace(kernel: Kernel, bodies: Sequence[MemoryPlan]) -> int:
    """Return how many bytes a region needs beside its operands and results: an arena, and two buffers for each carry."""
    carries = kernel.root.edges[: kernel.root.params.get("carries", 0)]
    return max(aligned(body.size) for body in bodies) + 2 * sum(aligned(bytes_of(edge)) for edge in carries)


def _check_dtypes(graph: Graph) -> None:
    """Refuse dtypes that have no native code."""
    for node in (*graph.inputs, *graph.nodes):
        for spec in node.specs:
            if spec.dtype.kind not in "biuc" and spec.dtype.str[1:] not in ("f4", "f8"):
                name = node.op.name if node.op else "input"
                advice = 'convert with .astype("float32") first'
                raise CompileError(f"{name}: {spec}: dtype {spec.dtype} has no native code: {advice}")
