"""The projections of attention: from inputs to queries, keys and values of every head, and from what the heads give to y."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ArgumentError, DTypeError, ShapeError
from ..core.interpreter import EVALUATE, using
from ..core.number import flag, integer, number
from ..core.value import Array, asarray
from ..ops import Generator, astype, expand_dims, matmul, permute_dims, reshape, where
from .cell import parameter
from .default_generator import generator_for, split
from .dot_product_attention import WeightDropout, checked_mask, draws_of
from .initialiser import Initialiser, glorot_uniform
from .module import Module
from .setting import allocating, floating

Source = tuple[Any, int, int]
"""An input and which of the three projections, to queries, keys and values, it has: first, and the one after the last."""


class AttentionProjections(Module):
    """Parameters, settings and inputs of `MultiHeadAttention`."""

    def __init__(
        self,
        width: int,
        heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
        init: Initialiser | None = None,
    ) -> None:
        self.width, self.heads = integer(self, "width", width), integer(self, "heads", heads)
        if self.width % self.heads:
            raise ArgumentError(
                f"MultiHeadAttention: width {self.width} is not divisible by {self.heads} heads: each gets a part of equal size"
            )
        self.dropout = number(self, "dropout", dropout, 0, 1)
        self.batch_first = flag(self, "batch_first", batch_first)
        bias, dtype = flag(self, "bias", bias), floating(self, dtype)
        given = ("width", width), ("kdim", kdim), ("vdim", vdim)
        widths = [self.width if n is None else integer(self, name, n) for name, n in given]
        draw, init = generator_for("MultiHeadAttention", generator, seed), glorot_uniform() if init is None else init
        self.packed = widths == [self.width] * 3
        shapes = {"W_in": (3 * self.width, self.width)} if self.packed else {
            name: (self.width, n) for name, n in zip(("W_q", "W_k", "W_v"), widths, strict=True)
        }  # fmt: skip
        for name, shape in {**shapes, "W_out": (self.width, self.width)}.items():
            with using(EVALUATE), allocating(self, name, shape, dtype):
                setattr(self, name, parameter(init(shape, dtype, draw)))
        if bias:
            for name, size in (("b_in", 3 * self.width), ("b_out", self.width)):
                setattr(self, name, parameter(np.zeros(size), dtype))
        self.generator: Generator | None = None
        if self.dropout:
            with using(EVALUATE):  # not traced, even if the layer is made under a transform
                self.generator = split(draw)  # other bits than those of the weights

    @property
    def has_bias(self) -> bool:
        """Whether there are b_in and b_out."""
        return "b_in" in self.__dict__["_cells"]

    @property
    def pytorch_names(self) -> dict[str, str]:
        """PyTorch's names of the parameters."""
        separate = {f"W_{letter}": f"{letter}_proj_weight" for letter in "qkv"}
        names = {"W_in": "in_proj_weight"} if self.packed else separate
        names = {**names, "b_in": "in_proj_bias", "W_out": "out_proj.weight", "b_out": "out_proj.bias"}
        return {name: pytorch_name for name, pytorch_name in names.items() if name in self.__dict__["_cells"]}

    def _sources(self, query: Any, key: Any, value: Any) -> list[Source]:
        """Return the inputs in the dtype of the parameters, with the projections that each of them has; raise if they do not fit."""
        if key is None and value is not None:
            raise ArgumentError("MultiHeadAttention: there is a value but no key")
        query = self._checked("x", query, self._input_width(0))
        if key is None:
            if not self.packed:
                raise ArgumentError(
                    f"MultiHeadAttention: keys have {self._input_width(1)} numbers, values {self._input_width(2)}, queries "
                    f"{self.width}: give x, key and value"
                )
            return [(query, 0, 3)]
        key = self._checked("key", key, self._input_width(1))
        if value is None and self.packed:
            sources = [(query, 0, 1), (key, 1, 3)]
        else:
            value = self._checked("value", key if value is None else value, self._input_width(2))
            sources = [(query, 0, 1), (key, 1, 2), (value, 2, 3)]
        shapes = [x.shape for x, _, _ in sources]
        batch = -3 if self.batch_first else -2
        if len({len(shape) for shape in shapes}) > 1 or (
            query.ndim == 3 and len({shape[batch] for shape in shapes}) > 1
        ):
            raise ShapeError(
                f"MultiHeadAttention: x, key and value have shapes {', '.join(map(str, shapes))}: they should have equally "
                f"many sequences, N in {self._form}"
            )
        if len(sources) == 3 and shapes[1][:-1] != shapes[2][:-1]:
            raise ShapeError(f"MultiHeadAttention: key {shapes[1]} and value {shapes[2]}: every key has one value")
        return sources

    @property
    def _form(self) -> str:
        return "(N, T, …)" if self.batch_first else "(T, N, …)"

    @property
    def _scale(self) -> float:
        return float((self.width // self.heads) ** -0.5)

    def _input_width(self, projection: int) -> int:
        """Return the length of the last axis of what goes into a projection."""
        cells = self.__dict__["_cells"]
        return int(cells["W_in" if self.packed else ("W_q", "W_k", "W_v")[projection]].array.shape[1])

    def _weights(self, first: int, last: int) -> Array:
        """Return the weights of some of the three projections, one below the other."""
        if self.packed:
            W: Array = self.W_in
            return W if (first, last) == (0, 3) else W[first * self.width : last * self.width]
        separate: Array = (self.W_q, self.W_k, self.W_v)[first]
        return separate

    def _checked(self, name: str, x: Any, width: int) -> Array:
        """Return an input in the dtype of the parameters; raise where it is none."""
        x, dtype = asarray(x), self.__dict__["_cells"]["W_out"].read().dtype
        if x.dtype.kind == "f" and x.dtype != dtype:
            raise DTypeError(
                f"MultiHeadAttention: {name} is {x.dtype} but W_out is {dtype}: write {name}.astype({str(dtype)!r}), or make "
                f"the layer with dtype={str(x.dtype)!r}"
            )
        if x.ndim not in (2, 3) or x.shape[-1] != width:
            raise ShapeError(
                f"MultiHeadAttention: {name} has shape {x.shape}; it should be {self._form[:-2]}{width}) or (T, {width})"
            )
        return x if x.dtype == dtype else astype(x, dtype)

    def _project(self, sources: list[Source]) -> list[Array]:
        """Return q, k and v, each (N, heads, T, d)."""
        parts: list[Array] = []
        for x, first, last in sources:
            z = matmul(x, self._weights(first, last).T)
            if self.has_bias:
                z = z + self.b_in[first * self.width : last * self.width]
            parts += self._split(z, last - first)
        return parts

    def _split(self, z: Array, count: int) -> list[Array]:
        """Return (T, N, count · width) or (N, T, …) as ``count`` arrays (N, heads, T, d)."""
        if z.ndim == 2:
            z = expand_dims(z, 0 if self.batch_first else 1)
        first, second, width = z.shape
        z = reshape(z, (first, second, count, self.heads, width // count // self.heads))
        z = permute_dims(z, (2, 0, 3, 1, 4) if self.batch_first else (2, 1, 3, 0, 4))
        return [z[part] for part in range(count)]

    def _merge(self, heads: Array, batched: bool) -> Array:
        """Return (N, heads, T, d) as (T, N, width) or (N, T, width), or (T, width): the inverse of `_split`."""
        z = permute_dims(heads, (0, 2, 1, 3) if self.batch_first else (2, 0, 1, 3))
        z = reshape(z, (*z.shape[:2], self.width))
        return z if batched else reshape(z, (heads.shape[2], self.width))

    def _out(self, o: Array, single: bool) -> Array:
        """Return the last linear layer of the heads."""
        y: Array = matmul(self._merge(o, not single), self.W_out.T)
        return y + self.b_out if self.has_bias else y

    def _allowed(self, mask: Any, key_mask: Any, q: Array, k: Array) -> Any:
        """Return both masks as one, which broadcasts to (N, heads, T, S), or ``None``."""
        shape = (*q.shape[:-1], k.shape[-2])
        mask = checked_mask("MultiHeadAttention", mask, shape, q.dtype)
        if key_mask is None:
            return mask
        keys = asarray(key_mask)
        wanted = [(shape[0], shape[-1])] + [(shape[-1],)] * (shape[0] == 1)
        if keys.dtype.kind != "b":
            raise DTypeError(f"MultiHeadAttention: key_mask is bool, True at keys that there are, not {keys.dtype}")
        if keys.shape not in wanted:
            raise ShapeError(f"MultiHeadAttention: key_mask has shape {keys.shape}; (N, S) is {wanted[0]}")
        keys = reshape(keys, (shape[0], 1, 1, shape[-1]))
        if mask is None:
            return keys
        return mask & keys if mask.dtype.kind == "b" else mask + where(keys, asarray(np.zeros((), q.dtype)), -np.inf)

    def _dropout(self, q: Array, k: Array) -> WeightDropout | None:
        """Return what says which weights are dropped, and go on in the stream of random numbers."""
        if not self.training or self.generator is None:
            return None
        state = self.generator.state
        self.generator.state = state + asarray(np.array([0, draws_of(q, k)], np.uint64))
        return WeightDropout(self.dropout, state)


__all__ = ["AttentionProjections", "Source"]
