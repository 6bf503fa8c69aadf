"""The example calls of the registry's ops as functions of their floating-point operands alone."""

import numpy as np
import pytest

import bprop
from bprop.core.op import REGISTRY
from bprop.diagnose.case import cases

every_differentiable_op = pytest.mark.parametrize(
    "op", [pytest.param(op, id=op.name) for op in REGISTRY.values() if op.differentiable and not op.is_region]
)


def replaced(args, positions, xs):
    """Return ``args`` with those at the ``positions`` replaced by ``xs``."""
    replacements = dict(zip(positions, xs, strict=True))
    return [replacements.get(position, arg) for position, arg in enumerate(args)]


def scalar_calls(op):
    """Yield (f, xs, params) for each example call of ``op`` with floating-point operands.

    f is a function of these operands, xs, alone. It returns a scalar: Σₖ cos(k) yₖ, summed over the outputs of the op.
    """
    for args, params in cases(op):
        positions = [position for position, arg in enumerate(args) if getattr(arg, "dtype", np.dtype(int)).kind == "f"]

        def f(*xs, args=args, params=params, positions=positions):
            y = op(*replaced(args, positions, xs), **params)
            ys = y if op.several else (y,)
            return sum(bprop.sum(y * np.cos(np.arange(y.size, dtype=y.dtype)).reshape(y.shape)) for y in ys)

        if positions:
            yield f, [args[position] for position in positions], params


def function_of_arrays(op, args, params):
    """Return a call of ``op`` as a function of its array operands alone, of whatever dtype, and these operands."""
    positions = [position for position, arg in enumerate(args) if isinstance(arg, np.ndarray)]
    return lambda *xs: op(*replaced(args, positions, xs), **params), [args[position] for position in positions]
