"""`Callback`: the user's own code during a training. `TensorBoard`: what is measured, for that program."""

import os
from collections.abc import Callable
from pathlib import Path
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
    """The base class of what `fit` calls during a training: override the methods you need. A function stands for `on_epoch`.

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
        """Called once at the end of every run; ``run.status`` says how it ended."""


class RecordWriter(Callback):
    """Writes a record before the first step, when the folder belongs to the run.

    A finished run that goes on thereby loses its scores, which are of weights about to be replaced.
    """

    def __init__(self, write: Callable[[Path], None]) -> None:
        self.write = write

    def on_start(self, run: "Run") -> None:
        if run.folder is not None:
            self.write(run.folder)


class _FunctionCallback(Callback):
    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def on_epoch(self, run: "Run", entry: dict[str, Any]) -> None:
        self.function(run, entry)


class Callbacks:
    """All callbacks of a run.

    Parameters
    ----------
    callbacks
        What the user has passed: `Callback` objects and functions.

    Attributes
    ----------
    with_on_step
        Those that are called after every update.
    stateful
        Those whose state a checkpoint holds.
    """

    def __init__(self, callbacks: Any) -> None:
        if not isinstance(callbacks, list | tuple):
            raise ArgumentError(f"fit: callbacks are a list of Callback objects and functions, not {callbacks!r:.60}")
        for callback in callbacks:
            if isinstance(callback, type) or not (isinstance(callback, Callback) or callable(callback)):
                hint = f": write {callback.__name__}(…)" if isinstance(callback, type) else ""
                raise ArgumentError(
                    f"fit: {callback!r:.60} is no bprop.train.Callback and no function (run, entry){hint}"
                )
        self._callbacks = [
            callback if isinstance(callback, Callback) else _FunctionCallback(callback) for callback in callbacks
        ]
        self.with_on_step = [callback for callback in self._callbacks if type(callback).on_step is not Callback.on_step]
        self.stateful = [
            callback
            for callback in callbacks
            if hasattr(callback, "state_dict") and hasattr(callback, "load_state_dict")
        ]

    def start(self, run: "Run") -> None:
        """Call ``on_start``."""
        for callback in self._callbacks:
            callback.on_start(run)

    def step(self, run: "Run", step: int, loss: float) -> None:
        """Call ``on_step``."""
        for callback in self.with_on_step:
            callback.on_step(run, step, loss)

    def epoch(self, run: "Run", entry: dict[str, Any]) -> None:
        """Call ``on_epoch``. Raises `ArgumentError` for a callback that changes what `fit` has measured."""
        measured = dict(entry)
        for callback in self._callbacks:
            callback.on_epoch(run, entry)
            function = callback.function if isinstance(callback, _FunctionCallback) else None
            name = type(callback).__name__ if function is None else name_of(function)
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
        """Call ``on_end``."""
        for callback in self._callbacks:
            callback.on_end(run)

    def stateful_names(self) -> list[str]:
        """Return the class names of the callbacks with a state."""
        return [type(callback).__name__ for callback in self.stateful]

    def states(self) -> list[Any]:
        """Return the states, for a checkpoint."""
        return [callback.state_dict() for callback in self.stateful]

    def load(self, states: list[Any]) -> None:
        """Load the states of a checkpoint."""
        for callback, state in zip(self.stateful, states, strict=True):
            callback.load_state_dict(state)


class TensorBoard(Callback):
    """Write every number of every epoch for TensorBoard (show it with ``tensorboard --logdir folder``).

    A resumed run goes on in the same folder; what was written after its checkpoint is marked as void.

    Parameters
    ----------
    folder
        Where the event files are written.

    Raises
    ------
    ArgumentError
        Without the extra ``tensorboard`` (``pip install 'bprop[tensorboard]'``).

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
        self._new_writer = SummaryWriter

    def on_start(self, run: "Run") -> None:
        """Open the file."""
        # By default the name is made of time and machine. A name that cannot be guessed cannot be a planted link.
        suffix = f".{os.urandom(16).hex()}"
        first_epoch = len(run.history) + 1 if run.history else None
        self.writer = self._new_writer(self.folder, purge_step=first_epoch, filename_suffix=suffix)

    def on_epoch(self, run: "Run", entry: dict[str, Any]) -> None:
        """Write the numbers of the epoch, ``validation_loss`` as ``validation/loss``."""
        for name, value in entry.items():
            prefix, _, rest = name.partition("_")
            if name != "epoch" and isinstance(value, int | float):
                tag = f"{prefix}/{rest}" if rest and prefix in ("train", "validation") else name
                self.writer.add_scalar(tag, value, entry["epoch"])
        self.writer.flush()

    def on_end(self, run: "Run") -> None:
        """Close the file."""
        if self.writer is not None:
            self.writer.close()
