"""The lecture's ways to a gradient, one file each, and the transforms built on them."""

from .jacobian import hessian, hvp, jacobian
from .transform import grad, jvp, linearize, trace, value_and_grad, vjp, vmap

__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "linearize", "trace", "value_and_grad", "vjp", "vmap"]
