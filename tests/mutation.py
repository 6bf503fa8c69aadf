"""Plant faults in the source, one at a time, and see whether a test fails: how good the tests are, as a number.

    python tests/mutation.py --count 100 --seed 0        # the score; two faults at a time
    python tests/mutation.py --only src/bprop/optim      # faults in one folder
    python tests/mutation.py --list                      # the faults of a seed, without running anything
    python tests/mutation.py --skip 40                   # go on with the 41st fault of a run that was ended

A fault is drawn by rule: a group of files, a file by its number of places, a place and a change. Groups count alike:
derivative rules, passes of the compiler, optimisers, checkpoints. What a change may be is listed in `changes`. Prose,
annotations, the arguments of errors and what is only printed are left out. A fault is caught if a test of its room fails
or takes too long. Survivors that nobody could notice stand in `EQUIVALENT` with the reason, and are not counted.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "bprop"

GROUPS = {
    "rules": ["ops/*.py", "gradients/absent.py", "gradients/batch.py", "gradients/forward.py", "gradients/reverse.py",
              "gradients/jacobian.py", "nn/*.py", "region/*.py"],
    "passes": ["core/simplify.py", "core/rewrite.py", "compile/passes/*.py", "compile/ir/*.py"],
    "optimisers": ["optim/*.py"],
    "checkpoints": ["train/checkpoint.py", "train/archive.py", "train/storage.py"],
}  # fmt: skip
"""Where faults are planted."""

TESTS = {
    "ops": ["tests/ops", "tests/gradients", "tests/diagnose", "tests/compile/test_registry.py"],
    "gradients": ["tests/gradients", "tests/region", "tests/ops/test_registry.py", "tests/compile/test_registry.py"],
    "nn": ["tests/nn", "tests/gradients/test_unreached.py", "tests/train/test_fit.py"],
    "region": ["tests/region", "tests/compile/test_control.py", "tests/compile/test_scan.py"],
    "core": ["tests/compile", "tests/core"],
    "compile": ["tests/compile"],
    "optim": ["tests/optim"],
    "train": ["tests/train"],
}
"""Which tests answer for a room, the likeliest first."""

LIMIT = 1800
"""Seconds that the tests of one fault may take: several times as long as those of the largest room on a quiet machine."""

EQUIVALENT: dict[str, str] = {
    "src/bprop/optim/rmsprop.py: RMSprop: maximum(v - m * m, 0)  →  maximum(0, v - m * m)": "the larger of two numbers",
    "src/bprop/compile/ir/blocking.py: _even: max(largest, grain)  →  max(grain, largest)": "the larger of two numbers",
    "src/bprop/optim/line_search.py: _zoom: min(right - t, t - left)  →  min(t - left, right - t)": "the lesser of two",
    "src/bprop/compile/ir/loop_nest.py: parallel_loop: extent(loop) >= MIN_PARALLEL_ITERATIONS  →  extent(loop) > MIN_PARALLEL_ITERATIONS": "which loop threads share: the bits are the same",
    "src/bprop/compile/ir/kernel.py: _comparable: issubclass(kind, np.ndarray)  →  issubclass(np.ndarray, kind)": "arrays are then not comparable, and such kernels share no function",
    "src/bprop/compile/passes/fuse_epilogues.py: _EpilogueFusion: old in x.reads  →  old not in x.reads": "what reads a view from memory may fail, and is waited for as such",
}
"""Faults, as they are printed, that change no result, and why."""

SWAPS: dict[type[ast.AST], list[type[ast.AST]]] = {
    ast.Add: [ast.Sub], ast.Sub: [ast.Add], ast.Mult: [ast.Div], ast.Div: [ast.Mult], ast.FloorDiv: [ast.Mult],
    ast.Lt: [ast.LtE, ast.Gt], ast.LtE: [ast.Lt, ast.Gt], ast.Gt: [ast.GtE, ast.Lt], ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq], ast.Is: [ast.IsNot], ast.IsNot: [ast.Is], ast.In: [ast.NotIn],
    ast.NotIn: [ast.In], ast.And: [ast.Or], ast.Or: [ast.And], ast.BitAnd: [ast.BitOr], ast.BitOr: [ast.BitAnd],
}  # fmt: skip
PROSE = {"doc", "text", "latex", "examples", "what", "name", "origin", "strict"}
"""Keyword arguments for readers, for the tests themselves, or that only assert (``zip(…, strict=True)``)."""
SPEED = {
    "estimated_nanoseconds",
    "_strategy",
    "_splits_columns",
    "_macro_tile",
    "COPIED",
    "TRANSPOSED",
    "GATHERED",
    "NUMBERS",
    "VECTORS",
    "FINITE_CHECK_SUMS",
}
"""Definitions that decide about speed alone: whatever they say, results have the same bits."""
SAMPLES = ("SHAPES", "EXAMPLES")
"""Ends of the names of constants that hold examples for tests."""
READERS = {"_doc", "print", "publish", "function", "TypeVar", "ParamSpec", "__repr__", "__str__", "explain"}
"""Functions whose calls or bodies hold no fault that a number would show."""


@dataclass(frozen=True)
class Fault:
    """A change of one node of a file's syntax tree."""

    path: Path
    line: int
    text: str
    definition: str
    changed: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT).as_posix()}:{self.line}: {self.text}"

    @property
    def key(self) -> str:
        """The fault without its line, which moves."""
        return f"{self.path.relative_to(ROOT).as_posix()}: {self.definition}: {self.text}"


def places(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield the nodes in which a fault can be planted, with the name of the definition at the top of the file."""

    def walk(node: ast.AST, definition: str) -> Iterator[tuple[ast.AST, str]]:
        if isinstance(node, ast.Raise | ast.Assert | ast.Import | ast.ImportFrom | ast.JoinedStr | ast.Global):
            return
        if isinstance(node, ast.FunctionDef) and node.name in READERS | SPEED:
            return
        if isinstance(node, ast.Assign) and any(_is_left_out(target) for target in node.targets):
            return
        called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        if called in READERS or called.endswith(("Error", "Warning")):
            return
        yield node, definition
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_params") or (
                isinstance(node, ast.AnnAssign) and name == "target"
            ):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.keyword) and child.arg in PROSE:
                    continue
                if isinstance(child, ast.AST):
                    yield from walk(child, definition)

    for top in tree.body:
        if isinstance(top, ast.FunctionDef | ast.ClassDef):
            yield from walk(top, top.name)
        elif isinstance(top, ast.Assign) and isinstance(top.targets[0], ast.Name) and top.targets[0].id != "__all__":
            yield from walk(top, top.targets[0].id)


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node may be changed to."""
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp):
        for other in SWAPS.get(type(node.op), []):
            yield replaced(node, op=other())
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        for other in SWAPS.get(type(node.ops[0]), []):
            yield replaced(node, ops=[other()])
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        yield node.operand
    elif isinstance(node, ast.If | ast.IfExp):
        yield replaced(node, test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield ast.Constant(not node.value)
        elif isinstance(node.value, int | float):
            yield ast.Constant(node.value + 1)
            if isinstance(node.value, float) and node.value:
                yield ast.Constant(node.value * 1.5)
    elif isinstance(node, ast.Call) and len(node.args) == 2 and not any(isinstance(x, ast.Starred) for x in node.args):
        yield replaced(node, args=node.args[::-1])
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield ast.Pass()


def _is_left_out(target: ast.AST) -> bool:
    """Return whether a constant holds examples, or decides about speed alone."""
    names = [each.id for each in ast.walk(target) if isinstance(each, ast.Name)]
    return any(name.endswith(SAMPLES) or name in SPEED for name in names)


def replaced(node: ast.AST, **fields: object) -> ast.AST:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


class _Plant(ast.NodeTransformer):
    def __init__(self, node: ast.AST, new: ast.AST) -> None:
        self.node, self.new = node, new

    def visit(self, node: ast.AST) -> ast.AST:
        return ast.copy_location(self.new, node) if node is self.node else self.generic_visit(node)


def faults(path: Path) -> list[tuple[ast.AST, ast.AST, str]]:
    """Return every fault of a file: node, change, definition."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [(node, new, definition) for node, definition in places(tree) for new in changes(node)]


def planted(path: Path, number: int) -> Fault:
    """Return the fault of that number as source with one change."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    options = [(node, new, definition) for node, definition in places(tree) for new in changes(node)]
    node, new, definition = options[number]
    before, after = ast.unparse(node).partition("\n")[0], ast.unparse(ast.fix_missing_locations(new)).partition("\n")[0]
    changed = ast.unparse(ast.fix_missing_locations(_Plant(node, new).visit(tree)))
    return Fault(path, node.lineno, f"{before}  →  {after}", definition, changed)


def drawn(count: int, seed: int, only: str) -> list[Fault]:
    """Draw different faults, from one group after the other."""
    generator = random.Random(seed)
    pools = {}
    for group, patterns in GROUPS.items():
        paths = sorted({path for pattern in patterns for path in SOURCE.glob(pattern)})
        found = [(path, n) for path in paths for n in range(len(faults(path))) if only in path.as_posix()]
        if found:
            pools[group] = generator.sample(found, len(found))
    result: list[Fault] = []
    while len(result) < count and any(pools.values()):
        for pool in pools.values():
            while pool and len(result) < count:
                fault = planted(*pool.pop())
                if fault.key not in EQUIVALENT:
                    result.append(fault)
                    break
    return result


def witness(fault: Fault, home: str) -> str:
    """Return the first test that fails with the fault, or nothing: those named like the definition, then all of the room.

    ``home`` is the folder where libraries keep what they make once, such as the list of fonts.
    """
    room = fault.path.relative_to(SOURCE).parts[0]
    name = fault.definition.strip("_")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        shutil.copytree(ROOT / "src", Path(folder) / "src")
        (Path(folder) / "src" / fault.path.relative_to(ROOT / "src")).write_text(fault.changed, encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": str(Path(folder) / "src"), "BPROP_CACHE": "0", "HOME": home}
        pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider"]
        for selected in (["-k", f"{name} or {fault.path.stem}", *TESTS[room]], TESTS[room]):
            try:
                done = subprocess.run(
                    [*pytest, *selected],
                    cwd=ROOT,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=LIMIT,
                )
            except subprocess.TimeoutExpired:
                return f"no end after {LIMIT} s"
            if done.returncode not in (0, 5):  # 5: no test is named like that
                lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
                return lines[0].partition(" - ")[0] if lines else "pytest could not begin"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of the path of the files to plant faults in")
    parser.add_argument("--list", action="store_true", help="print the faults and run nothing")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--skip", type=int, default=0, help="leave out so many faults of the seed")
    options = parser.parse_args()
    chosen = drawn(options.count, options.seed, options.only)[options.skip :]
    if options.list:
        print(*chosen, sep="\n")
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, ThreadPoolExecutor(options.jobs) as pool:
        results = []
        for fault, test in zip(chosen, pool.map(lambda fault: witness(fault, home), chosen), strict=True):
            results.append(bool(test))
            print(f"caught   {fault}   by {test}" if test else f"SURVIVED {fault}", flush=True)
    print(
        f"\n{sum(results)} of {len(results)} faults caught (seed {options.seed}); {len(EQUIVALENT)} known as equivalent"
    )


if __name__ == "__main__":
    main()
