"""The report on a running training: a live bar on a terminal, plain lines anywhere else."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from ..core.error import ArgumentError
from ..core.printable import printable

LINES = 20
"""About how many epochs get a line of their own."""


class Progress:
    """Reports epochs and batches.

    Parameters
    ----------
    stream
        Where to write, or ``None`` for no report.
    epochs, batches
        How many epochs there are, and batches in each (``None`` if unknown).
    """

    def __init__(self, stream: TextIO | None, epochs: int, batches: int | None) -> None:
        self.stream, self.epochs, self.batches = stream, epochs, batches
        self.every = max(1, epochs // LINES)
        self.bar: Any = None
        self.task: Any = None

    def __enter__(self) -> "Progress":
        if self.stream is not None and _is_terminal(self.stream):
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self.bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                console=Console(file=self.stream, highlight=False),
                transient=True,
            )
            self.task = self.bar.add_task(
                "training", total=None if self.batches is None else self.epochs * self.batches
            )
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._ignore_closed():
            if self.bar is not None:
                self.bar.stop()

    def notify(self, text: str) -> None:
        """Print one line."""
        text = printable(text)
        with self._ignore_closed():
            if self.bar is not None:
                self.bar.console.print(text, markup=False, emoji=False)
            elif self.stream is not None:
                print(text, file=self.stream, flush=True)

    @contextlib.contextmanager
    def _ignore_closed(self) -> Iterator[None]:
        """Stop reporting, and go on training, when the stream is closed (`bprop … | head`, a closed terminal)."""
        try:
            yield
        except (OSError, ValueError):  # ValueError: the stream was closed here
            self.stream = self.bar = None

    def batch(self, epoch: int, loss: float, count: int = 1) -> None:
        """Report that ``count`` batches are done; ``loss`` is that of the last."""
        with self._ignore_closed():
            if self.bar is not None:
                self.bar.update(self.task, advance=count, description=f"epoch {epoch}/{self.epochs}  loss {loss:.4f}")

    def epoch(self, number: int, text: str) -> None:
        """Report the end of an epoch; of many epochs only some are shown, the first and the last always."""
        if number == 1 or number == self.epochs or number % self.every == 0:
            self.notify(text)


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # something that only writes; closed
        return False


def stream_for(progress: bool | TextIO) -> TextIO | None:
    """Return where to report: standard output for ``True``, nowhere for ``False``, else the stream given."""
    if isinstance(progress, bool):
        return sys.stdout if progress else None
    if progress is not None and not hasattr(progress, "write"):
        raise ArgumentError(f"fit: progress is True, False or a stream, not {progress!r:.60}")
    return progress
