"""The tree of commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from .._version import __version__
from ..core.printable import printable
from .cache import clear, listing
from .digit import digits
from .doctor import doctor
from .network import networks
from .predict import predict
from .run import runs, show
from .table import table
from .text import generate, text
from .view import view

TABLE = "TABLE.csv"
"""The name under which help lists the command for tables; any argument that is no other command's name is a table."""


class _TrainGroup(TyperGroup):
    """``bprop train digits``, ``bprop train text``, or ``bprop train`` with the name of a table."""

    def parse_args(self, context: Any, arguments: list[str]) -> list[str]:
        names = {*self.commands, "-h", "--help"} - {TABLE}  # that name, too, is the name of a file
        if arguments and arguments[0] not in names:
            arguments = [TABLE, *arguments]
        return super().parse_args(context, arguments)


class _TableCommand(TyperCommand):
    """The command whose name stands for its first argument, which usage therefore shows once."""

    def collect_usage_pieces(self, context: Any) -> list[str]:
        return ["--target COLUMN", "[OPTIONS]"]


class _BpropGroup(TyperGroup):
    """Lists the commands in the order in which they are needed, and escapes control characters in errors about arguments."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _printable():
            return super().make_context(*arguments, **options)

    def invoke(self, context: Any) -> Any:
        with _printable():
            return super().invoke(context)

    def list_commands(self, context: Any) -> list[str]:
        return ["train", "predict", "generate", "runs", "show", "view", "networks", "doctor", "cache"]


@contextmanager
def _printable() -> Iterator[None]:
    """Escape, in the errors that typer prints, what would control the terminal: they quote arguments and columns."""
    try:
        yield
    except Exception as error:
        if hasattr(error, "format_message"):
            text = printable(error.format_message())
            error.format_message = lambda: text
        raise


app = typer.Typer(
    cls=_BpropGroup,
    name="bprop",
    help="Backpropagation you can watch: train a network, look at what it learned, check this machine.\n\n"
    "New here? Run  [bold]bprop train digits[/bold]  : a few seconds, no downloads.\n\n"
    "A table of your own? Run  [bold]bprop train TABLE.csv --target COLUMN[/bold]  .\n\n"
    "A text? Run  [bold]bprop train text FILE.txt[/bold]  and  [bold]bprop generate RUN --prompt TEXT[/bold]  .",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
train = typer.Typer(
    help="Train a network: on a table or a text of your own, or on data that comes with the library.\n\n"
    "[bold]bprop train TABLE.csv --help[/bold]  ,  [bold]bprop train text --help[/bold]  and  "
    "[bold]bprop train digits --help[/bold]  list the options.",
    no_args_is_help=True,
    cls=_TrainGroup,
    rich_markup_mode="rich",
)
app.add_typer(train, name="train")
train.command(TABLE, cls=_TableCommand)(table)
train.command()(digits)
train.command()(text)
cache = typer.Typer(invoke_without_command=True, rich_markup_mode="rich")
app.add_typer(cache, name="cache")
cache.callback()(listing)
cache.command()(clear)
for command in (predict, generate, runs, show, view, networks, doctor):
    app.command()(command)


def _version(is_set: bool) -> None:
    if is_set:
        print(f"bprop {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Hold the options that stand before a command."""
