"""``bprop view``: a function's graph as a page, served on this machine or written to a file."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .example import Example, read_example
from .option import find_run, path_of
from .screen import complain, screen


def view(
    example: Annotated[
        str,
        typer.Argument(
            metavar="FILE.py:NAME|RUN",
            help="A function called without arguments that returns (f, args), or such a pair; or the folder of a run.",
            show_default=False,
        ),
    ],
    save: Annotated[
        Path | None,
        typer.Option(
            parser=path_of,
            metavar="PATH",
            help="Write a file instead: .html, .svg, .png, .pdf, .tex or .dot.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1.", show_default="a free one")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Show the computational graph of a function, the modules of a network, or how a run went.

    FILE.py:NAME names a function called without arguments that returns (f, args), or such a pair: step forward and back through its
    graph, change its inputs; of modules unfold what goes through them. Of a RUN: its curves, and what `--view` kept of its layers.

    The page is served on 127.0.0.1 until Ctrl-C, under an address with a token. --save writes a file that needs no server.
    """
    from .. import view as view_of
    from ..view.server import PageServer

    console, _, _ = screen(sys.stdout)
    if _is_run(example):
        from ..train.training_page import training_page

        title, history, epochs = run_page(find_run(Path(example)))
        page = training_page(title, history, epochs)
        if save is not None:
            _save_page(save, page)
    else:
        figure = view_of(*_flat(read_example(example)))
        title = figure.name
        if save is not None:
            figure.save(save)
        page = "" if save is not None else figure.page()
    if save is not None:
        console.print(f"wrote {save}", soft_wrap=True)
        return
    server = PageServer(page, port)
    try:
        console.print(f"{title}: {server.url}", soft_wrap=True)
        if browser:
            open_page(server, "; or write a file with --save graph.html")
        console.print("Ctrl-C ends it.")
        sys.stdout.flush()
        server.run()
    except KeyboardInterrupt:
        console.print("\nended")
    finally:
        server.close()


def _flat(example: Example) -> tuple[Any, ...]:
    return (example.f, *example.args)


def _is_run(text: str) -> bool:
    return not text.rpartition(":")[0].endswith(".py") and find_run(Path(text)).is_dir()


def run_page(folder: Path) -> tuple[str, list[Any], list[Any]]:
    """Return the title of a run, the records of its epochs, and what was kept of its layers: what its page shows."""
    from ..train.layer_record import FILE, read_layers
    from ..train.table.run_summary import read_summary

    summary = read_summary(folder)
    title = str(summary.config.get("title") or folder.name)
    epochs = read_layers(folder) if (folder / FILE).exists() else []
    return title, summary.history, epochs


def _save_page(path: Path, page: str) -> None:
    from ..core.error import ArgumentError
    from ..core.file import write_whole

    if path.suffix.lower() != ".html":
        raise ArgumentError(f"save: a run is a page: the ending of {path.name!r} has to be .html")
    write_whole(path, page.encode(), lasting=False)


def open_page(server: Any, otherwise: str = "") -> None:
    """Open a served page in a browser; where there is none, say how another machine's gets there, and what to do ``otherwise``."""
    if not _open(server.url):
        complain(
            f"there is no browser here to open it in. From another machine, first run\n"
            f"  ssh -L {server.port}:127.0.0.1:{server.port} THIS-MACHINE\n"
            f"and open the address there{otherwise}"
        )


def _open(url: str) -> bool:
    """Open an address in a browser; return whether there is one. One that runs in the terminal is none: it would take that over."""
    import webbrowser

    on_screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    try:
        return on_screen and webbrowser.open(url)
    except webbrowser.Error:
        return False
