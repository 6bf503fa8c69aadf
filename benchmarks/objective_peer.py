"""How each library takes a task of `benchmarks.objective`: the objective and its derivative as one call."""

from collections.abc import Callable
from typing import Any

import numpy

from .in_turn import Call
from .objective import Task


def bprop(task: Task, compiled: bool = False) -> Call:
    """Eager by NumPy's names, or one compiled program."""
    import bprop

    options = {"scan": bprop.scan} if compiled and task.scanned else {}

    def f(x):
        return task.objective(numpy, x, **options)

    def both(x):
        value, gradient = bprop.value_and_grad(f)(x)
        if not task.hessian:
            return value, gradient
        return value, gradient, bprop.jvp(bprop.grad(f), (x,), (numpy.ones_like(task.x),))[1]

    function = bprop.compile(both) if compiled else both
    x = bprop.asarray(task.x)
    return lambda: [numpy.asarray(part) for part in function(x)]


def autograd(task: Task) -> Call:
    """HIPS autograd; forward over reverse is a Hessian-vector product by reverse over reverse."""
    import autograd
    import autograd.numpy as np

    def f(x):
        return task.objective(np, x)

    both, product = autograd.value_and_grad(f), autograd.hessian_vector_product(f)

    def call():
        parts = list(both(task.x))
        if task.hessian:
            parts.append(product(task.x, numpy.ones_like(task.x)))
        return [numpy.asarray(part) for part in parts]

    return call


def jax(task: Task, jit: bool = True) -> Call:
    """In float64: one jitted program, or op by op, where the loop is Python's."""
    import jax

    jax.config.update("jax_enable_x64", True)
    options = {"scan": jax.lax.scan} if jit and task.scanned else {}

    def f(x):
        return task.objective(jax.numpy, x, **options)

    def both(x):
        value, gradient = jax.value_and_grad(f)(x)
        if not task.hessian:
            return value, gradient
        return value, gradient, jax.jvp(jax.grad(f), (x,), (jax.numpy.ones_like(x),))[1]

    function, x = jax.jit(both) if jit else both, jax.numpy.asarray(task.x)
    return lambda: [numpy.asarray(part) for part in function(x)]


class _TorchNumPy:
    """The few names of NumPy that the tasks use, as functions of tensors."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        for name in ("exp", "log", "sqrt", "sin", "cos", "tanh", "reshape", "abs"):
            setattr(self, name, getattr(torch, name))

    def sum(self, x: Any, axis: Any = None) -> Any:
        return self.torch.sum(x) if axis is None else self.torch.sum(x, dim=axis)

    def max(self, x: Any, axis: int, keepdims: bool = False) -> Any:
        return self.torch.amax(x, dim=axis, keepdim=keepdims)

    def min(self, x: Any, axis: int) -> Any:
        return self.torch.amin(x, dim=axis)

    def dot(self, a: Any, b: Any) -> Any:
        return self.torch.as_tensor(a) @ b

    def stack(self, parts: Any, axis: int = 0) -> Any:
        return self.torch.stack(parts, dim=axis)

    def concatenate(self, parts: Any, axis: int = 0) -> Any:
        return self.torch.cat([self.torch.as_tensor(part) for part in parts], dim=axis)

    def einsum(self, text: str, *operands: Any) -> Any:
        return self.torch.einsum(text, *map(self.torch.as_tensor, operands))


def torch(task: Task) -> Call:
    """PyTorch, op by op; NumPy constants of a task are tensors before it begins."""
    import torch

    torch.set_num_threads(1)
    np = _TorchNumPy(torch)
    f = _with_tensors(task.objective, torch)
    x = torch.tensor(task.x, requires_grad=True)

    def call():
        value = f(np, x)
        (gradient,) = torch.autograd.grad(value, x, create_graph=task.hessian)
        parts = [value, gradient]
        if task.hessian:
            parts += torch.autograd.grad(gradient, x, torch.ones_like(x))
        return [part.detach().numpy() for part in parts]

    return call


def _with_tensors(f: Any, torch: Any) -> Any:
    """Return ``f`` with tensors in place of the NumPy arrays that it closes over."""
    from types import CellType, FunctionType

    cells = tuple(
        CellType(torch.as_tensor(cell.cell_contents)) if isinstance(cell.cell_contents, numpy.ndarray) else cell
        for cell in f.__closure__
    )
    return FunctionType(f.__code__, {**f.__globals__, "numpy": _Tensors(torch)}, f.__name__, f.__defaults__, cells)


class _Tensors:
    """``numpy`` inside a task: it makes tensors."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch

    def zeros(self, shape: Any) -> Any:
        return self.torch.zeros(shape, dtype=self.torch.float64)


PEERS: dict[str, Callable[[Task], Call]] = {
    "bprop": bprop,
    "bprop compiled": lambda task: bprop(task, compiled=True),
    "autograd": autograd,
    "jax jit": jax,
    "jax eager": lambda task: jax(task, jit=False),
    "torch": torch,
}
