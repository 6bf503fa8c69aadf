"""`Callback`: the user's own code during a training. `TensorBoard`: what is measured, for that program."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.error import ArgumentError
from ..core.file import as_path
from ..gradients.variable import name_of

if TYPE_CHECKING:
    from .run import Run


RESERVED = ("epoch", "train_loss", "validation_loss", "learning_rate", "seconds")
"""What only `fit` writes into the record of an epoch, beside ``validation_`` and the names of the metrics."""
_ABSENT = object()


class Callback:
    """What `fit` calls on the way; write the methods that are wanted. A plain function stands for `on_epoch`.

    ``run.stop(reason)`` ends the training after the step or epoch. A callback with a state that matters to a resumed run
    offers ``state_dict()``, which returns plain values for JSON, and ``load_state_dict(state)``.

    >>> from bprop.train import Callback
    >>> class Enough(Callback):
    ...     def on_epoch(self, run, entry):
    ...         if entry["train_loss"] < 0.01:
    ...             run.stop("the loss is below 0.01")
    """

    def on_start(self, run: "Run") -> None:
        """Called before the first step, and before the first step after a resume."""

    def on_step(self, run: "Run", step: int, loss: float) -> None:
        """Called after every update, the ``step``-th since the beginning; ``loss`` is that of the batch before it."""

    def on_epoch(self, run: "Run", entry: dict[str, Any]) -> None:
        """Called after every epoch with its record, before it is written: numbers put into ``entry`` are written too.

        What `fit` has measured, and the names ``epoch``, ``train_loss``, ``validation_loss``, ``learning_rate`` and
        ``seconds``, are its own: a callback that changes them is an `ArgumentError`.
        """

    def on_end(self, run: "Run") -> None:
        """Called once at the end, however it came; ``run.status`` says how."""


class _Plain(Callback):
    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def on_epoch(self, run: "Run", entry: dict[str, Any]) -> None:
        self.function(run, entry)


class Callbacks:
    """All callbacks of a run, as one."""

    def __init__(self, given: Any) -> None:
        if not isinstance(given, list | tuple):
            raise ArgumentError(f"fit: callbacks are a list of Callback objects and functions, not {given!r:.60}")
        for one in given:
            if isinstance(one, type) or not (isinstance(one, Callback) or callable(one)):
                hint = f": write {one.__name__}(…)" if isinstance(one, type) else ""
                raise ArgumentError(f"fit: {one!r:.60} is no bprop.train.Callback and no function (run, entry){hint}")
        self.all = [one if isinstance(one, Callback) else _Plain(one) for one in given]
        self.stepping = [one for one in self.all if type(one).on_step is not Callback.on_step]
        self.keeping = [one for one in given if hasattr(one, "state_dict") and hasattr(one, "load_state_dict")]

    def start(self, run: "Run") -> None:
        for one in self.all:
            one.on_start(run)

    def step(self, run: "Run", step: int, loss: float) -> None:
        for one in self.stepping:
            one.on_step(run, step, loss)

    def epoch(self, run: "Run", entry: dict[str, Any]) -> None:
        measured = dict(entry)
        for one in self.all:
            one.on_epoch(run, entry)
            name = name_of(one.function) if isinstance(one, _Plain) else type(one).__name__
            for key in [*RESERVED, *measured]:
                if entry.get(key, _ABSENT) is not measured.get(key, _ABSENT):
                    raise ArgumentError(
                        f"fit: the callback {name} changed {key!r} in the record of the epoch, which is what fit measured: "
                        f"write your number under a name of its own"
                    )
            for key in entry:
                if not isinstance(key, str) or not key:
                    raise ArgumentError(
                        f"fit: the callback {name} wrote under {key!r:.60}: names in a record are texts"
                    )

    def end(self, run: "Run") -> None:
        for one in self.all:
            one.on_end(run)

    def names(self) -> list[str]:
        return [type(one).__name__ for one in self.keeping]

    def states(self) -> list[Any]:
        return [one.state_dict() for one in self.keeping]

    def load(self, states: list[Any]) -> None:
        for one, state in zip(self.keeping, states, strict=True):
            one.load_state_dict(state)


class TensorBoard(Callback):
    """Write every number of every epoch for TensorBoard to ``folder`` (look at it with ``tensorboard --logdir folder``).

    Needs the extra ``tensorboard``: ``pip install 'bprop[tensorboard]'``; `ArgumentError` without it. A resumed run goes on
    in the same folder, and what was written after its checkpoint is marked as void.

    >>> from bprop.train import TensorBoard
    >>> callable(TensorBoard.on_epoch)
    True
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise ArgumentError("TensorBoard: not installed: pip install 'bprop[tensorboard]'") from None
        self.folder = str(as_path(folder, "TensorBoard: the folder"))
        self.writer: Any = None
        self._make = SummaryWriter

    def on_start(self, run: "Run") -> None:
        """Open the file."""
        # Its name would be that of the second and the machine; what nobody can guess, nobody plants a link for.
        suffix = f".{os.urandom(16).hex()}"
        first = len(run.history) + 1 if run.history else None
        self.writer = self._make(self.folder, purge_step=first, filename_suffix=suffix)

    def on_epoch(self, run: "Run", entry: dict[str, Any]) -> None:
        """Write the numbers of the epoch, ``validation_loss`` as ``validation/loss``."""
        for name, value in entry.items():
            part, _, rest = name.partition("_")
            if name != "epoch" and isinstance(value, int | float):
                tag = f"{part}/{rest}" if rest and part in ("train", "validation") else name
                self.writer.add_scalar(tag, value, entry["epoch"])
        self.writer.flush()

    def on_end(self, run: "Run") -> None:
        """Close the file."""
        if self.writer is not None:
            self.writer.close()
