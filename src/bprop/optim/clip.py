"""Clipping: bounds on the norm or on the entries of gradients, applied before an update."""

from collections.abc import Mapping
from math import inf
from typing import Any

import numpy as np

from ..core.error import ArgumentError
from ..core.number import number
from ..core.value import Array, asarray
from ..ops import abs, astype, max, maximum, minimum, sqrt, square, sum, where


def global_norm(gradients: Mapping[str, Any]) -> Array:
    """Return ‖g‖₂ over all entries of all gradients, a float64 scalar.

    Computed as m √Σ (g/m)² with m the largest absolute entry, in float64: no square overflows or vanishes. NaN or
    infinite if an entry is.

    - ``gradients``: arrays by path, of any shape and dtype.

    >>> import bprop
    >>> from bprop import optim
    >>> optim.global_norm({"W": bprop.full((2, 2), 1e200), "b": bprop.zeros(2)})
    Array(2.e+200)
    """
    arrays = [astype(g, np.float64) for g in _arrays("global_norm", gradients).values() if g.size]
    if not arrays:
        return asarray(0.0)
    largest = max(abs(arrays[0]))
    for g in arrays[1:]:
        largest = maximum(largest, max(abs(g)))
    scale = where((largest > 0) & (largest < inf), largest, 1.0)
    total = sum(square(arrays[0] / scale))
    for g in arrays[1:]:
        total = total + sum(square(g / scale))
    return scale * sqrt(total)


def clip_norm(gradients: Mapping[str, Any], max_norm: float) -> tuple[dict[str, Array], Array]:
    """Return the gradients scaled so that their global norm is at most ``max_norm``, and the norm before.

    g ← g · min(1, c / (‖g‖ + 10⁻⁶)), as PyTorch's ``clip_grad_norm_`` has it. The norm is computed by `global_norm`, in
    float64. If the norm is not finite, nothing is scaled: the entry that is NaN or infinite stays where it is and does
    not spread to the other parameters. Raises `ArgumentError` unless c > 0.

    - ``gradients``: arrays by path, of any shape and dtype.
    - ``max_norm``: c > 0.

    **Source:** Pascanu, Mikolov & Bengio (2013), On the difficulty of training recurrent neural networks, algorithm 1;
    PyTorch, ``torch.nn.utils.clip_grad_norm_``.

    >>> import bprop
    >>> from bprop import optim
    >>> clipped, norm = optim.clip_norm({"W": bprop.asarray([3.0]), "b": bprop.asarray([4.0])}, 1.0)
    >>> norm, clipped["W"].item().__round__(5)
    (Array(5.), 0.6)
    """
    limit = number("clip_norm", "max_norm", max_norm, 0, open_low=True)
    norm = global_norm(gradients)
    factor = where(norm < inf, minimum(1.0, limit / (norm + 1e-6)), 1.0)
    clipped = {path: g * astype(factor, g.dtype) for path, g in _arrays("clip_norm", gradients).items()}
    return clipped, norm


def clip_value(gradients: Mapping[str, Any], max_value: float) -> dict[str, Array]:
    """Return the gradients with every entry clipped to [-c, c]; NaN stays NaN. Raises `ArgumentError` unless c > 0.

    - ``gradients``: arrays by path, of any shape and dtype.
    - ``max_value``: c > 0.

    **Source:** PyTorch, ``torch.nn.utils.clip_grad_value_``.

    >>> import bprop
    >>> from bprop import optim
    >>> optim.clip_value({"W": bprop.asarray([3.0, -0.5])}, 1.0)
    {'W': Array([ 1. , -0.5])}
    """
    limit = number("clip_value", "max_value", max_value, 0, open_low=True)
    return {path: maximum(minimum(g, limit), -limit) for path, g in _arrays("clip_value", gradients).items()}


def _arrays(what: str, gradients: Any) -> dict[str, Array]:
    if not isinstance(gradients, Mapping):
        raise ArgumentError(f"{what}: gradients map paths to arrays, not {type(gradients).__name__}")
    return {path: asarray(g) for path, g in gradients.items()}
