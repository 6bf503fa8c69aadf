"""What a training says while it runs: a live bar on a terminal, plain lines anywhere else."""

import sys
from typing import Any, TextIO

LINES = 20
"""About how many epochs get a line of their own."""


class Progress:
    """Reports epochs and batches to ``stream``; with ``None`` it says nothing."""

    def __init__(self, stream: TextIO | None, epochs: int, batches: int | None) -> None:
        self.stream, self.epochs, self.batches = stream, epochs, batches
        self.every = max(1, epochs // LINES)
        self.bar: Any = None
        self.task: Any = None

    def __enter__(self) -> "Progress":
        if self.stream is not None and self.stream.isatty():
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
        if self.bar is not None:
            self.bar.stop()

    def say(self, text: str) -> None:
        """Print one line."""
        if self.bar is not None:
            self.bar.console.print(text, markup=False)
        elif self.stream is not None:
            print(text, file=self.stream, flush=True)

    def batch(self, epoch: int, loss: float) -> None:
        """Report a batch."""
        if self.bar is not None:
            self.bar.update(self.task, advance=1, description=f"epoch {epoch}/{self.epochs}  loss {loss:.4f}")

    def epoch(self, number: int, text: str) -> None:
        """Report the end of an epoch; of many epochs only some are shown, the first and the last always."""
        if number == 1 or number == self.epochs or number % self.every == 0:
            self.say(text)


def stream_for(progress: bool | TextIO) -> TextIO | None:
    """Return where to report: standard output for ``True``, nowhere for ``False``, else the stream given."""
    if isinstance(progress, bool):
        return sys.stdout if progress else None
    return progress
