"""Options that several commands share, and how their values are checked."""

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from .screen import complain

MOST_SEED = 2**64 - 1


def sizes(text: str) -> list[int]:
    """Return the sizes that a text such as 128,64 lists."""
    try:
        values = [int(word) for word in text.split(",")]
    except ValueError:
        values = []
    if not values or min(values) < 1:
        raise typer.BadParameter(f"{text!r} is not a list of sizes such as 128,64")
    return values


def _checked_sizes(text: str | None) -> str | None:
    if text is not None:
        sizes(text)
    return text


def rate(value: float | None) -> float | None:
    """Return a learning rate that is a positive number, or none."""
    if value is not None and not 0 < value < float("inf"):
        raise typer.BadParameter(f"{value} is not a positive number")
    return value


def _seed(value: int) -> int:
    if not 0 <= value <= MOST_SEED:
        raise typer.BadParameter(f"{value} is not a whole number from 0 to 2^64 - 1")
    return value


def path_of(text: str | Path) -> Path:
    """Return the path that a text or a default names; an empty text would name the current folder and is refused."""
    if not str(text).strip():
        raise typer.BadParameter("the path is empty")
    return Path(text)


def out_option(default: str) -> Any:
    """Return the option for the folder of a run."""
    return typer.Option(parser=path_of, metavar="FOLDER", help="A new folder for the record.", show_default=default)


Seed = Annotated[
    int, typer.Option(callback=_seed, metavar="INTEGER", help="Decides initial weights and the order of examples.")
]
LearningRate = Annotated[float, typer.Option(callback=rate, help="Size of a step (Adam).")]
Hidden = Annotated[str, typer.Option(callback=_checked_sizes, help="Sizes of the hidden layers, with commas.")]
HiddenOfMlp = Annotated[
    str | None,
    typer.Option(
        callback=_checked_sizes, help="Sizes of the hidden layers of mlp, with commas.", show_default="128,64"
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object as the last line; all else goes to stderr.")
]
RunArgument = Annotated[
    Path,
    typer.Argument(
        parser=path_of, metavar="RUN", help="The folder of a run, or its name in runs/.", show_default=False
    ),
]


def find_run(run: Path) -> Path:
    """Return the folder that ``run`` names: itself, or the one of that name in runs/."""
    inside = Path("runs") / run
    return inside if not run.exists() and inside.is_dir() else run


def resume_option() -> Any:
    """Return the option that names a run to go on with."""
    return typer.Option(
        parser=path_of,
        metavar="RUN",
        help="An interrupted run that goes on, or a finished one with more --epochs.",
        show_default=False,
    )


def resumed_run(resume: Path, out: Path | None) -> Path:
    """Return the folder of the run that ``--resume`` names, which ``--out`` cannot name, too."""
    if out is not None:
        raise typer.BadParameter("--resume goes on in the folder that it names, without --out")
    return find_run(resume)


@contextmanager
def interruptible(saved: Callable[[], str]) -> Iterator[None]:
    """Turn Ctrl-C and signals that end a training into a line that says what is ``saved``, and the exit status of shells."""
    start = time.perf_counter()
    try:
        yield
    except KeyboardInterrupt as error:
        complain(f"\ninterrupted after {time.perf_counter() - start:.1f} s; {saved()}")
        raise typer.Exit(128 + getattr(error, "number", 2)) from None  # of SIGINT, SIGTERM, as shells count


def is_set(context: typer.Context, name: str) -> bool:
    """Return whether an option was set on the command line. In a resumed run the others come from the run."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def shell_name(path: Path | str) -> str:
    """Return the name of a file, quoted for a shell so that it is an argument, and no option and no command.

    >>> from bprop.cli.option import shell_name
    >>> shell_name("room climate.csv"), shell_name("-x.csv"), shell_name("digits")
    ("'room climate.csv'", './-x.csv', './digits')
    """
    text = str(path)
    is_ambiguous = text.startswith("-") or not Path(text).suffix
    return shlex.quote(f"./{text}" if is_ambiguous and not Path(text).is_absolute() else text)


def text_argument(path: Path | str) -> str:
    """Return what stands after ``bprop train`` for a text: the command and the name of the file, quoted for a shell.

    >>> from bprop.cli.option import text_argument
    >>> text_argument("my diary.txt"), text_argument("-x.txt")
    ("text 'my diary.txt'", 'text ./-x.txt')
    """
    text = str(path)
    return f"text {shlex.quote(f'./{text}' if text.startswith('-') else text)}"


def resume_command(data: str, folder: Path) -> str:
    """Return the command that goes on with the run on ``data`` in ``folder``."""
    return f"bprop train {data} --resume {shlex.quote(str(folder))}"


def saved_state(folder: Path, data: str) -> str:
    """Return a text that says what an interrupted run on ``data`` has saved in its folder, and how to go on."""
    from ..train.checkpoint import CHECKPOINT
    from ..train.run import METRICS

    metrics = folder / METRICS
    if not metrics.is_file() or not (folder / CHECKPOINT).is_file():
        return "nothing was saved"
    done = len(metrics.read_text(encoding="utf-8").splitlines())
    epochs = "1 epoch" if done == 1 else f"{done} epochs"
    return f"{folder} holds the metrics of {epochs} and a checkpoint; to go on:\n  {resume_command(data, folder)}"
