"""``bprop view``: a function's graph as a page, served on this machine or written to a file."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .example import ExampleArgument, read_example
from .option import path_of
from .screen import complain, screen


def view(
    example: ExampleArgument,
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
    """Show the computational graph of a function: step forward and back through it, change its inputs.

    FILE.py:NAME names a function called without arguments that returns (f, args), or such a pair.

    The page is served on 127.0.0.1 until Ctrl-C, under an address with a token. --save writes a file that needs no server.
    """
    from .. import view as view_of
    from ..view.page import render
    from ..view.server import PageServer

    console, _, _ = screen(sys.stdout)
    f, args = read_example(example)
    figure = view_of(f, *args)
    if save is not None:
        figure.save(save)
        console.print(f"wrote {save}", soft_wrap=True)
        return
    server = PageServer(render(figure.name, [figure]), port)
    try:
        console.print(f"{figure.name}: {server.url}", soft_wrap=True)
        if browser and not _open(server.url):
            complain(
                f"there is no browser here to open it in. From another machine, first run\n"
                f"  ssh -L {server.port}:127.0.0.1:{server.port} THIS-MACHINE\n"
                f"and open the address there; or write a file with --save graph.html"
            )
        console.print("Ctrl-C ends it.")
        sys.stdout.flush()
        server.run()
    except KeyboardInterrupt:
        console.print("\nended")
    finally:
        server.close()


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
