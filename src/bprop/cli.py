"""The command line: ``bprop train digits``, ``bprop doctor``."""

import json
import shlex
import sys
import time
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer

from . import __version__
from .core.error import BpropError

app = typer.Typer(
    name="bprop",
    help="Backpropagation you can watch: train a network, look at what it learned, check this machine.\n\n"
    "New here? Run  [bold]bprop train digits[/bold]  : a few seconds, no downloads.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
train = typer.Typer(help="Train a model on data that comes with the library.", no_args_is_help=True)
app.add_typer(train, name="train")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"bprop {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Hold the options that stand before a command."""


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise typer.BadParameter(f"{text!r} is not a list of sizes such as 128,64")
    return sizes


def _checked_sizes(text: str) -> str:
    _sizes(text)
    return text


def _rate(value: float) -> float:
    if not 0 < value < float("inf"):
        raise typer.BadParameter(f"{value} is not a positive number")
    return value


@train.command()
def digits(
    context: typer.Context,
    epochs: Annotated[int, typer.Option(min=1, help="How often every image is seen.")] = 30,
    seed: Annotated[
        int, typer.Option(min=0, max=2**64 - 1, help="Decides initial weights and the order of images.")
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="A new folder for the record.", show_default="runs/digits-<date>-<n>"),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per step.")] = 64,
    learning_rate: Annotated[float, typer.Option(callback=_rate, help="Size of a step (Adam).")] = 3e-3,
    hidden: Annotated[
        str, typer.Option(callback=_checked_sizes, help="Sizes of the hidden layers, with commas.")
    ] = "128,64",
    resume: Annotated[
        Path | None, typer.Option(help="The folder of an interrupted run that goes on; more --epochs may be given.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object as the last line; all else goes to stderr.")
    ] = False,
) -> None:
    """Learn to read handwritten digits: 1,438 images of 8 × 8 pixels to learn from, 359 others as the test.

    Writes metrics.jsonl, checkpoint.safetensors, curves.png, model.safetensors and run.json to the run's folder.
    """
    from .train.digit import digit_settings, next_folder, train_digits

    options: dict[str, Any] = {
        "epochs": epochs,
        "seed": seed,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "hidden": _sizes(hidden),
    }
    if resume is None:
        folder = next_folder() if out is None else out
    else:
        if out is not None:
            raise typer.BadParameter("--resume goes on in the folder that it names, without --out")
        folder = resume
        for name, value in digit_settings(folder).items():
            source = context.get_parameter_source(name)
            if source is None or source.name == "DEFAULT":  # what is given is compared with what was
                options[name] = value
    stream = sys.stderr if as_json else sys.stdout
    start = time.perf_counter()
    try:
        result = train_digits(
            **options,
            out=folder,
            resume=resume is not None,
            progress=stream,
        )
    except KeyboardInterrupt:
        print(f"\ninterrupted after {time.perf_counter() - start:.1f} s; {_saved(folder)}", file=sys.stderr)
        raise typer.Exit(130) from None
    _show(result, stream)
    if as_json:
        print(
            json.dumps(
                {
                    "test_accuracy": result.test_accuracy,
                    "train_accuracy": result.train_accuracy,
                    "train_loss": result.train_loss,
                    "seconds": round(result.seconds, 3),
                    "epochs": options["epochs"],
                    "seed": options["seed"],
                    "parameters": result.parameters,
                    "gradient_norms": result.gradient_norms,
                    "saturation": {row.path: row.saturated for row in result.saturation},
                    "confusion": result.confusion.tolist(),
                    "run": str(folder),
                }
            )
        )


def _saved(folder: Path) -> str:
    from .train.checkpoint import CHECKPOINT

    metrics = folder / "metrics.jsonl"
    if not metrics.is_file() or not (folder / CHECKPOINT).is_file():
        return "nothing was saved"
    done = len(metrics.read_text(encoding="utf-8").splitlines())
    epochs = "1 epoch" if done == 1 else f"{done} epochs"
    command = f"bprop train digits --resume {shlex.quote(str(folder))}"
    return f"{folder} holds the metrics of {epochs} and a checkpoint; to go on:\n  {command}"


_WIDEST = 80


def _show(result: Any, stream: Any) -> None:
    import numpy as np
    from rich.box import HEAVY_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=stream, highlight=False)
    narrow = console.width < _WIDEST
    # A table squeezed until its numbers are gone says nothing: on a narrow terminal its lines run on instead.
    look: dict[str, Any] = {"title_justify": "left", "box": None if narrow else HEAVY_HEAD}
    tested = int(result.confusion.sum())
    right = int(np.trace(result.confusion))

    table = Table(title="What was shown (rows) and what was read (columns)", **look)
    table.add_column("", style="bold")
    for digit in range(10):
        table.add_column(str(digit), justify="right")
    table.add_column("right", justify="right")
    for digit, row in enumerate(result.confusion):
        cells = [
            Text(str(count), style="bold green" if column == digit else "bold red") if count else Text("·", style="dim")
            for column, count in enumerate(row)
        ]
        table.add_row(str(digit), *cells, f"{row[digit] / max(row.sum(), 1):.1%}")
    tables = Console(file=stream, highlight=False, width=max(console.width, _WIDEST))
    console.print()
    tables.print(table)

    layers = Table(title="Layers after training (all training images)", **look)
    for name in ("layer", "|∂E/∂W|", "|∂E/∂b|", "saturated", "dead units"):
        layers.add_column(name, justify="left" if name == "layer" else "right", no_wrap=True)
    stuck = {row.path: row for row in result.saturation}
    for position, layer in enumerate(result.model):
        path = f"layers.{position}"
        if path in stuck:
            layers.add_row(repr(layer), "", "", f"{stuck[path].saturated:.1%}", f"{stuck[path].dead:.1%}")
        else:
            W, b = (result.gradient_norms[f"{path}.{name}"] for name in ("W", "b"))
            layers.add_row(repr(layer), f"{W:.2e}", f"{b:.2e}", "", "")
    console.print()
    tables.print(layers)
    console.print("[dim]saturated: share of activities with |y| > 0.95, which pass little back[/dim]")
    console.print()
    console.print(
        f"[bold]test accuracy {result.test_accuracy:.2%}[/bold] ({right} of {tested}), "
        f"train accuracy {result.train_accuracy:.2%}, {result.parameters:,} parameters, {result.seconds:.1f} s",
        soft_wrap=True,
    )
    console.print(f"record: {result.run.folder}", soft_wrap=True)


@app.command()
def doctor() -> None:
    """Show versions, processor and cores, and check that gradients, native code and data are right here."""
    import os
    import platform
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    from rich.console import Console

    from .compile.native.host import host

    console = Console(highlight=False)
    console.print(f"[bold]bprop {__version__}[/bold] on Python {platform.python_version()}, {platform.platform()}")
    for name in ("numpy", "scipy", "llvmlite", "safetensors", "rich", "typer", "matplotlib"):
        try:
            console.print(f"  {name:12} {version_of(name)}")
        except PackageNotFoundError:
            console.print(f"  {name:12} [red]not installed[/red]")
    machine = host()
    shown = [name for name in ("sse4.2", "avx", "avx2", "fma", "avx512f", "neon", "sve") if name in machine.features]
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    console.print(f"  {'LLVM':12} {machine.llvm}")
    console.print(f"  {'processor':12} {_processor()} (to LLVM: {machine.cpu})")
    console.print(f"  {'vectors':12} {', '.join(shown) or 'none known'}")
    console.print(f"  {'cores':12} {usable} usable of {os.cpu_count()}")
    limits = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if name in os.environ}
    console.print(
        f"  {'threads':12} {', '.join(f'{k}={v}' for k, v in limits.items()) or 'not limited by the environment'}"
    )

    console.print()
    well = True
    for name, check in (("gradients", _check_gradient), ("native code", _check_native), ("data", _check_data)):
        start = time.perf_counter()
        try:
            text = check()
            console.print(f"[green]✓[/green] {name:12} {text} ({time.perf_counter() - start:.2f} s)", soft_wrap=True)
        except Exception as error:  # whatever it is, it is the finding
            well = False
            console.print(f"[red]✗[/red] {name:12} {type(error).__name__}: ", end="", soft_wrap=True)
            console.print(str(error), markup=False, soft_wrap=True)
    if not well:
        raise typer.Exit(1)


def _processor() -> str:
    import platform

    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for text in file:
                if text.startswith("model name"):
                    return text.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _small_step() -> tuple[Any, Any, Any, Any]:
    import numpy as np

    from . import nn
    from .ops import Generator

    generator = Generator(0)
    model = nn.Sequential(nn.Linear(5, 7, np.float64, generator), nn.Tanh(), nn.Linear(7, 3, np.float64, generator))
    x = np.asarray(generator.normal((11, 5)))
    return model, nn.CrossEntropy(), x, np.arange(11) % 3


def _check_gradient() -> str:
    import numpy as np

    from .gradients import value_and_grad

    model, loss, x, t = _small_step()
    _, gradients = value_and_grad(lambda m: loss(m(x), t))(model)
    worst, step = 0.0, 1e-6
    for path, cell in model.cells().items():
        start = np.asarray(cell.read())
        for index in np.ndindex(start.shape):
            values = []
            for sign in (1, -1):
                moved = start.copy()
                moved[index] += sign * step
                cell.write(type(cell.array)(moved))
                values.append(float(loss(model(x), t)))
            worst = max(worst, abs((values[0] - values[1]) / (2 * step) - float(gradients[path][index])))
        cell.write(type(cell.array)(start))
    if not worst < 1e-8:
        raise ArithmeticError(f"reverse mode and central differences differ by {worst:.1e}")
    return f"reverse mode agrees with central differences to {worst:.0e}"


def _check_native() -> str:
    import numpy as np

    from .compile import compile
    from .gradients import value_and_grad

    model, loss, x, t = _small_step()

    def step(model: Any, x: Any) -> Any:
        return value_and_grad(lambda m: loss(m(x), t))(model)

    E, gradients = step(model, x)
    E_native, native = compile(step)(model, x)
    pairs = [(E, E_native), *((gradients[path], native[path]) for path in gradients)]
    worst = max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs)
    if not worst < 1e-12:
        raise ArithmeticError(f"native and evaluated numbers differ by {worst:.1e}")
    return f"a gradient compiles and agrees with NumPy to {worst:.0e}"


def _check_data() -> str:
    from .data import digits as load

    images, labels = load()
    if len(images) != 1797 or len(labels) != 1797:
        raise ValueError(f"{len(images)} images and {len(labels)} labels instead of 1797")
    return "1,797 images of digits are readable"


def main() -> None:
    """Run the command line; errors of the library are printed without a traceback."""
    for stream in (sys.stdout, sys.stderr):  # where the encoding has no ∂, a ? is better than the end of the run
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app()
    except BpropError as error:
        print(f"bprop: {error.message}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # `bprop … | head`: nobody reads any further
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:  # a full disk, say: nothing that a traceback explains better
        print(f"bprop: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
