"""The lecture's ways to a gradient, one file each, and the transforms built on them."""

from .batch import vmap
from .jacobian import hessian, hvp, jacobian
from .numerical import numerical
from .paths import paths
from .transform import grad, jvp, linearize, trace, value_and_grad, vjp

__all__ = [
    "grad", "hessian", "hvp", "jacobian", "jvp", "linearize", "numerical", "paths",
    "trace", "value_and_grad", "vjp", "vmap",
]  # fmt: skip
