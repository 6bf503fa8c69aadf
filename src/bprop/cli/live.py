"""``--view``: the page of a training while it goes on, served on this machine."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from .screen import complain
from .view import open_page, run_page

ViewOption = Annotated[
    bool, typer.Option("--view", help="Show the training on a page while it goes on: curves, layers, gradients.")
]


@contextmanager
def live(enabled: bool, folder: Callable[[], Path | None]) -> Iterator[None]:
    """Serve the page of the run in a folder, which is read anew for every request, until the block ends.

    ``folder``: gives the folder; ``None`` before there is one. The page stays in the browser as it was last; ``bprop view RUN`` shows it
    again.
    """
    if not enabled:
        yield
        return
    from ..train.training_page import content, training_page
    from ..view.server import PageServer

    def page(part: str) -> str:
        path = folder()
        if path is None or not (path / "run.json").exists():
            title, history, epochs = "a training that has not begun", list[Any](), list[Any]()
        else:
            title, history, epochs = run_page(path)
        return (
            content(title, history, epochs) if part == "content" else training_page(title, history, epochs, live=True)
        )

    with PageServer(page) as server:
        complain(f"watch it at {server.url}")
        open_page(server)
        sys.stderr.flush()
        yield
    path = folder()
    if path is not None:
        complain(f"the page again: bprop view {path}")


__all__ = ["ViewOption", "live"]
