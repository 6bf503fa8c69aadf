"""Names of weights in files and mappings: bprop's paths, PyTorch's names, and the names of other models.

A weight of a module has a path, ``layers.0.W``, and a name in PyTorch, ``0.weight``. The second follows from the first by what
the classes on the way declare in ``pytorch_names``: {part of a path: PyTorch's name}, where an empty name leaves the part out.
Loading understands both; saving writes the first, or with ``names="pytorch"`` the second. A mapping from names in the file
to either says what models of other projects call their weights.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.cell import Cell
from ..core.error import ArgumentError

__all__ = ["Transposed", "gpt2", "pytorch"]


class Transposed(NamedTuple):
    """In a mapping of names: an array that is stored as the transpose of the weight, (inputs, outputs) of a `Linear`.

    - ``path``: the path of the weight, or its name in PyTorch.

    **Source:** Radford et al. (2019), the code of GPT-2, whose ``Conv1D`` computes x @ W.

    >>> import bprop
    >>> from bprop import nn
    >>> layer = nn.Linear(3, 2, bias=False)
    >>> layer.load_state_dict({"kernel": bprop.ones((3, 2), dtype="float32")}, names={"kernel": nn.names.Transposed("W")})
    >>> layer.W.shape
    (2, 3)
    """

    path: str


Target = str | Transposed | None
"""What an array of a file is for: a weight, by its path or PyTorch's name; ``None``: for nothing."""
Names = Mapping[str, Target] | Callable[[str], Target] | Literal["pytorch"] | None


def pytorch(module: Any) -> dict[str, str]:
    """Return PyTorch's names of parameters and running statistics by path; generators of random numbers have none.

    - ``module``: the module. Classes of your own may declare ``pytorch_names``, {"W": "weight"}; without it names are those
      of the attributes.

    A `Sequential` has its layers by number or name, ``0.weight``. Of a `Residual` the module inside has no name of its own and
    the shortcut is ``downsample``, as in torchvision's residual networks.

    Raises `ArgumentError` where two weights would have the same name.

    **Source:** PyTorch 2, ``torch.nn.Module.state_dict``; torchvision, ``resnet.py``.

    >>> from bprop import nn
    >>> nn.names.pytorch(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, affine=False, track_running_stats=False)))
    {'layers.0.W': '0.weight', 'layers.0.b': '0.bias'}
    """
    _check_module(module, "names.pytorch")
    return _Lookup(module, refuse_clashes=True).names


def gpt2(module: Any, parts: Mapping[str, str] | None = None) -> dict[str, Target]:
    """Return the mapping from GPT-2's names, as published on Hugging Face, to those of a model of your own.

    - ``module``: a model with an attribute for each part of GPT-2: ``wte``, an `Embedding`, ``wpe``, `LearnedPositions`, ``h``,
      a list of blocks, and ``ln_f``, a `LayerNorm`; in a block ``ln_1``, ``attn``, ``ln_2``, ``mlp.c_fc`` and ``mlp.c_proj``.
      Attention has PyTorch's packed ``in_proj_weight``, or `Linear` layers ``c_attn`` and ``c_proj``.
    - ``parts``: where the model calls parts something else: {GPT-2's name: the model's}, such as {"h": "blocks", "mlp.c_fc":
      "linear1"}.

    The result is for ``names=`` in loading and saving. GPT-2 stores the weights of its dense layers as (inputs, outputs):
    they are transposed. Masks in its files are passed over, and so is ``transformer.`` before names. Raises `ArgumentError`
    where two weights would have the same name.

    **Source:** Radford et al. (2019), Language models are unsupervised multitask learners; names of its published weights.

    >>> from bprop import nn
    >>> class Model(nn.Module):
    ...     def __init__(self):
    ...         self.embedding, self.ln_f = nn.Embedding(5, 4), nn.LayerNorm(4)
    >>> nn.names.gpt2(Model(), {"wte": "embedding"})["wte.weight"]
    'embedding.weight'
    """
    _check_module(module, "names.gpt2")
    of_model = {model: part for part, model in (parts or {}).items()}
    of_attention = {model: part for part, model in _GPT2_ATTENTION.items()}
    mapping: dict[str, Target] = {}
    names = {
        name: _with_parts(_with_parts(name, of_model), of_attention)
        for name in _Lookup(module, refuse_clashes=True).by_name
    }
    # of the names of a shared weight the first is saved, and GPT-2 has that of the embedding
    for name, stored in sorted(names.items(), key=lambda pair: pair[1].startswith("lm_head.")):
        if stored in mapping:
            raise ArgumentError(f"names.gpt2: {_path_of(mapping[stored])!r} and {name!r} would both be {stored!r}")
        mapping[stored] = Transposed(name) if stored.endswith(_GPT2_TRANSPOSED) else name
    for stored in list(mapping):
        block, inside, _ = stored.partition(".attn.")
        if inside:
            mapping |= {f"{block}.attn.{mask}": None for mask in ("bias", "masked_bias")}
    if "wte.weight" in mapping:
        mapping.setdefault("lm_head.weight", mapping["wte.weight"])  # the same weights
    return {**mapping, **{f"transformer.{stored}": target for stored, target in mapping.items()}}


_GPT2_ATTENTION = {
    "attn.c_attn.weight": "attn.in_proj_weight",
    "attn.c_attn.bias": "attn.in_proj_bias",
    "attn.c_proj": "attn.out_proj",
}
_GPT2_TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


def _with_parts(name: str, parts: Mapping[str, str]) -> str:
    """Return a name with the parts between its points that are in ``parts`` replaced, of several the longest."""
    words, replaced = name.split("."), list[str]()
    while words:
        length = next((n for n in range(len(words), 0, -1) if ".".join(words[:n]) in parts), 0)
        replaced.append(parts[".".join(words[:length])] if length else words[0])
        words = words[max(length, 1) :]
    return ".".join(replaced)


# --- which cell has which name ---
def _named_cells(module: Any, inside: frozenset[int] = frozenset()) -> Iterator[tuple[str, str | None, Cell]]:
    """Yield (path, PyTorch's name or ``None``, cell) of every cell in a module, a shared one under each of its paths."""
    table: Mapping[str, str] = module.pytorch_names
    inside |= {id(module)}
    for name, cell in module.__dict__.get("_cells", {}).items():
        yield name, table.get(name, name), cell
    for part_path, child in module.children():
        if id(child) in inside:
            continue
        if not hasattr(type(child), "pytorch_names"):  # a generator
            yield from ((f"{part_path}.{path}", None, cell) for path, cell in child.cells().items())
            continue
        prefix = _translated(part_path, table)
        for path, inner, cell in _named_cells(child, inside):
            path_in_whole = f"{part_path}.{path}"
            joined = None if inner is None else f"{prefix}.{inner}" if prefix else inner
            yield path_in_whole, table.get(path_in_whole, joined), cell


def _translated(part_path: str, table: Mapping[str, str]) -> str:
    """Return PyTorch's name of a child: the longest part of its path that is in the table is replaced."""
    parts = part_path.split(".")
    for length in range(len(parts), 0, -1):
        start = ".".join(parts[:length])
        if start in table:
            return ".".join(part for part in (table[start], *parts[length:]) if part)
    return part_path


class _Lookup:
    """The paths of a holder's cells, by any of their paths and by any of their names in PyTorch."""

    def __init__(self, holder: Any, refuse_clashes: bool = False) -> None:
        self.cells: dict[str, Cell] = holder.cells()
        first = {id(cell): path for path, cell in self.cells.items()}
        self.by_path = {path: path for path in self.cells}
        self.by_name: dict[str, str] = {}
        clashes = set()
        for path, name, cell in _named_cells(holder) if hasattr(type(holder), "pytorch_names") else ():
            self.by_path[path] = first[id(cell)]
            if name is None:
                continue
            other = self.by_name.setdefault(name, first[id(cell)])
            if other != first[id(cell)]:
                clashes.add(name)
                if refuse_clashes:
                    raise ArgumentError(
                        f"{type(holder).__name__}: {other!r} and {path!r} would both be {name!r} in PyTorch's names: "
                        f"give a class on the way pytorch_names that tell them apart"
                    )
        self.by_name = {name: path for name, path in self.by_name.items() if name not in clashes}
        self.names: dict[str, str] = {}
        """The first name of each path, where it has one."""
        for name, path in self.by_name.items():
            self.names.setdefault(path, name)

    def path_of(self, name: str, pytorch_first: bool) -> str | None:
        """Return the path of the cell with a name, in either way of naming."""
        first, second = (self.by_name, self.by_path) if pytorch_first else (self.by_path, self.by_name)
        return first.get(name, second.get(name))


def _check_module(holder: Any, what: str) -> None:
    if isinstance(holder, type) or not hasattr(type(holder), "pytorch_names"):
        raise ArgumentError(f"{what}: PyTorch's names are those of a Module, not of {holder!r:.60}")


def _path_of(target: Target) -> str | None:
    return target.path if isinstance(target, Transposed) else target


# --- loading and saving ---
NOT_IN_OLD_FILES = "num_batches_tracked"
"""What files of PyTorch before 0.4.1 lack, and so torchvision's published ones; it keeps its value, as in PyTorch."""


class Entry(NamedTuple):
    """What an array is for."""

    path: str | None
    """The path of the cell; ``None``: the holder has none."""
    label: str
    """How messages call it: its name in the file, and its path where that is another."""
    transposed: bool = False


class Assignment:
    """Which arrays of a file or mapping are for which cells of a holder."""

    def __init__(self, holder: Any, stored: list[str], names: Names, what: str) -> None:
        if not (names is None or names == "pytorch" or callable(names) or isinstance(names, Mapping)):
            raise ArgumentError(
                f"{what}: names is a mapping or a function from names in the file to paths, or 'pytorch', not {names!r:.60}"
            )
        if names is not None:
            _check_module(holder, what)
        lookup = _Lookup(holder)
        if isinstance(names, Mapping):
            targets = {name: names.get(name, name) for name in stored}
        else:
            targets = {name: names(name) if callable(names) else name for name in stored}
        for name, target in targets.items():
            if not (target is None or isinstance(target, str | Transposed)):
                raise ArgumentError(f"{what}: names gives {target!r:.60} for {name!r}, which is no path")
        wanted = [path for target in targets.values() if (path := _path_of(target)) is not None]
        theirs = sum(path in lookup.by_name for path in wanted)
        self.pytorch = names is not None or theirs > sum(path in lookup.by_path for path in wanted)
        """Whether the names are not bprop's own paths, so that cells that only bprop has are not there."""
        self.lookup = lookup
        self.entries: dict[str, Entry] = {}
        for name, target in targets.items():
            if target is not None:
                asked = str(_path_of(target))
                path = lookup.path_of(asked, self.pytorch)
                label = repr(name) if (path or asked) == name else f"{name!r} ({path or asked})"
                self.entries[name] = Entry(path, label, isinstance(target, Transposed))

    def missing(self) -> list[str]:
        """Return how messages call the cells that no array is for."""
        given = {entry.path for entry in self.entries.values()}
        names = self.lookup.names
        paths = [path for path in self.lookup.cells if path not in given]
        if not self.pytorch:
            return [repr(path) for path in paths]
        paths = [path for path in paths if path in names and not names[path].endswith(NOT_IN_OLD_FILES)]
        return [f"{path!r} ({names[path]})" if names[path] != path else repr(path) for path in paths]


def stored_arrays(holder: Any, names: Names, what: str) -> dict[str, NDArray[Any]]:
    """Return a copy of the array in every cell of ``holder`` by its path, or by the names that ``names`` says.

    Under PyTorch's names a shared weight is there under each, as in PyTorch; cells without one are left out.
    """
    if names is None:
        return {path: np.array(cell.read(), order="C") for path, cell in holder.cells().items()}
    if callable(names) or not (names == "pytorch" or isinstance(names, Mapping)):
        raise ArgumentError(
            f"{what}: names is 'pytorch', or a mapping from names in the file to paths, not {names!r:.60}; a function "
            f"cannot be turned around"
        )
    _check_module(holder, what)
    lookup = _Lookup(holder, refuse_clashes=True)
    if names == "pytorch":
        return {name: np.array(lookup.cells[path].read(), order="C") for name, path in lookup.by_name.items()}
    files: dict[str, tuple[str, bool]] = {}
    for file_name, target in names.items():
        if target is None:
            continue
        path = lookup.path_of(str(_path_of(target)), True)
        if path is None:
            raise ArgumentError(
                f"{what}: names gives {target!r:.60} for {file_name!r}, which {type(holder).__name__} has not"
            )
        files.setdefault(path, (file_name, isinstance(target, Transposed)))
    arrays: dict[str, NDArray[Any]] = {}
    for path, name in lookup.names.items():
        file_name, transposed = files.get(path, (name, False))
        if file_name in arrays:
            raise ArgumentError(f"{what}: names gives {file_name!r} to two weights, one of them {path!r}")
        array = np.asarray(lookup.cells[path].read())
        arrays[file_name] = np.array(array.T if transposed else array, order="C")
    return arrays
