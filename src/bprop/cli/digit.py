"""``bprop train digits``."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .live import ViewOption, live
from .option import (
    AsJson,
    HiddenOfMlp,
    LearningRate,
    Seed,
    interruptible,
    is_set,
    out_option,
    resume_option,
    resumed_run,
    saved_state,
    sizes,
)
from .screen import print_json, screen

Model = Literal["mlp", "cnn", "resnet"]


def digits(
    context: typer.Context,
    model: Annotated[
        Model, typer.Option(help="mlp: dense layers. cnn: convolutions. resnet: 20 layers of residual convolutions.")
    ] = "mlp",
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="How often every image is seen.", show_default="mlp 30, cnn 40, resnet 20"),
    ] = None,
    seed: Seed = 0,
    out: Annotated[Path | None, out_option("runs/digits-<date>-<n>")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per step.")] = 64,
    learning_rate: LearningRate = 3e-3,
    hidden: HiddenOfMlp = None,
    resume: Annotated[Path | None, resume_option()] = None,
    view: ViewOption = False,
    as_json: AsJson = False,
) -> None:
    """Learn to read handwritten digits: 1,438 images of 8 × 8 pixels to learn from, 359 others as the test.

    Writes metrics.jsonl, checkpoint.safetensors, curves.png, model.safetensors and run.json to the run's folder.
    """
    from ..train.digit import digit_settings, next_folder, train_digits

    options: dict[str, Any] = {
        "model": model,
        "epochs": epochs,
        "seed": seed,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "hidden": None if hidden is None else sizes(hidden),
    }
    if resume is None:
        if hidden is not None and model != "mlp":
            raise typer.BadParameter(
                f"sizes of hidden layers are for the mlp, not for {model}", param_hint="'--hidden'"
            )
        folder = next_folder() if out is None else out
    else:
        folder = resumed_run(resume, out)
        options.update({name: value for name, value in digit_settings(folder).items() if not is_set(context, name)})
    stream = sys.stderr if as_json else sys.stdout
    with live(view, lambda: folder), interruptible(lambda: saved_state(folder, "digits")):
        result = train_digits(**options, out=folder, resume=resume is not None, progress=stream, layers=view)
    _show(result, stream)
    if as_json:
        print_json(
            {
                "test_accuracy": result.test_accuracy,
                "train_accuracy": result.train_accuracy,
                "train_loss": result.train_loss,
                "seconds": round(result.seconds, 3),
                "model": options["model"],
                "epochs": len(result.run.history),
                "seed": options["seed"],
                "parameters": result.parameters,
                "gradient_norms": result.gradient_norms,
                "saturation": {row.path: row.saturated for row in result.saturation},
                "confusion": result.confusion.tolist(),
                "run": str(folder),
            }
        )


def _show(result: Any, stream: Any) -> None:
    import numpy as np
    from rich.text import Text

    console, tables, new_table = screen(stream)
    tested = int(result.confusion.sum())
    right = int(np.trace(result.confusion))

    table = new_table("What was shown (rows) and what was read (columns)")
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
    console.print()
    tables.print(table)

    layers = new_table("Layers after training (all training images)")
    for name in ("layer", "|∂E/∂W|", "|∂E/∂b|", "saturated", "dead units"):
        layers.add_column(name, justify="left" if name == "layer" else "right", no_wrap=True)
    saturation = {row.path: row for row in result.saturation}
    for path, layer in result.model.modules():
        if path in saturation:
            layers.add_row(repr(layer), "", "", f"{saturation[path].saturated:.1%}", f"{saturation[path].dead:.1%}")
        elif f"{path}.W" in result.gradient_norms:
            norms = (result.gradient_norms.get(f"{path}.{name}") for name in ("W", "b"))
            layers.add_row(repr(layer), *("" if norm is None else f"{norm:.2e}" for norm in norms), "", "")
    console.print()
    tables.print(layers)
    console.print(
        "saturated: share of activities with |y| > 0.95 (of ReLU: y = 0), which pass little or nothing back",
        style="dim",
    )
    console.print()
    console.print(f"test accuracy {result.test_accuracy:.2%}", style="bold", end="")
    console.print(
        f" ({right} of {tested}), train accuracy {result.train_accuracy:.2%}, {result.parameters:,} parameters, {result.seconds:.1f} s",
        soft_wrap=True,
    )
    console.print(f"record: {result.run.folder}", soft_wrap=True)
