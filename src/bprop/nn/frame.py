"""The forward context: what one application of a module saves for its backward pass, and which application is running.

It does not import modules: here they are objects, compared by identity.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..core.value import asarray


class Frame:
    """What one application of a module saves for the backward pass, and later y_bar and x_bar.

    - ``inputs``: the arguments of ``fprop``. ``y``: what the formula returned.
    - ``saved``: intermediates by name, from `Module.keep`.
    - ``bars``: the gradients of the module's own parameters that a handwritten ``bprop`` assigns, by name.
    - ``pass_id``: an object that all frames of one forward pass share; ``None`` under a transform.
    - ``pullback``: from y_bar to x_bar, where the backward pass is derived; ``None`` where it is handwritten.
    - ``y_hooked``: y after the hooks; ``None`` without hooks. ``x_hook_pullback``, ``y_hook_pullback``: the pullbacks
      of the hooks on x and on y; ``None`` where they replaced nothing.
    """

    __slots__ = (
        "bars",
        "inputs",
        "pass_id",
        "pullback",
        "saved",
        "x_bar",
        "x_hook_pullback",
        "y",
        "y_bar",
        "y_hook_pullback",
        "y_hooked",
    )

    def __init__(self, inputs: tuple[Any, ...], pass_id: object = None) -> None:
        self.inputs = inputs
        self.pass_id = pass_id
        self.saved: dict[str, Any] = {}
        self.bars: dict[str, Any] = {}
        self.pullback: Callable[[Any], Any] | None = None
        self.y: Any = None
        self.y_hooked: Any = None
        self.x_hook_pullback: Callable[[Any], Any] | None = None
        self.y_hook_pullback: Callable[[Any], Any] | None = None
        self.y_bar: Any = None
        self.x_bar: Any = None

    @property
    def x(self) -> Any:
        """The (first) input."""
        return self.inputs[0]


PASS: ContextVar[object | None] = ContextVar("bprop_pass", default=None)
"""The identity of the forward pass that is running: one object for all modules that it calls."""

PURE = object()
"""The value of `PASS` inside ``module(x)``, where the ``fprop`` of the children saves nothing either."""

_ACTIVE: ContextVar[tuple[tuple[object, Frame], ...]] = ContextVar("bprop_frames", default=())
"""The modules whose formula or rule is running, with their frames, the innermost last."""


class active:  # noqa: N801 - reads as a statement: `with active(module, frame):`
    """Make ``frame`` the frame that ``module.x``, ``module.y`` and ``module.W_bar = …`` mean."""

    def __init__(self, module: object, frame: Frame) -> None:
        self.entry = (module, frame)

    def __enter__(self) -> Frame:
        self.token = _ACTIVE.set((*_ACTIVE.get(), self.entry))
        return self.entry[1]

    def __exit__(self, *error: object) -> None:
        _ACTIVE.reset(self.token)


def active_frame(module: object) -> Frame | None:
    """Return the innermost frame of ``module`` whose formula or rule is running, or ``None``."""
    return next((frame for running, frame in reversed(_ACTIVE.get()) if running is module), None)


def innermost() -> object | None:
    """Return the module whose formula or rule is running and has called no other, or ``None``."""
    running = _ACTIVE.get()
    return running[-1][0] if running else None


def unchanging(value: Any) -> Any:
    """Return ``value``, copied if the caller could change it before the backward pass: a NumPy array may be refilled."""
    if not isinstance(value, np.ndarray):
        return value
    return asarray(value) if value.dtype.kind in "biuf" else value.copy()


__all__ = ["PASS", "PURE", "Frame", "active", "active_frame", "innermost", "unchanging"]
