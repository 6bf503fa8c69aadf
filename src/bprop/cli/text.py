"""``bprop train text FILE`` and ``bprop generate RUN``."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..core.printable import printable_lines
from .live import ViewOption, live
from .option import (
    AsJson,
    RunArgument,
    Seed,
    find_run,
    interruptible,
    is_set,
    out_option,
    path_of,
    rate,
    resume_option,
    resumed_run,
    saved_state,
    text_argument,
)
from .screen import print_json, screen


def text(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(parser=path_of, metavar="FILE", help="A text in UTF-8.", show_default=False)],
    model: Annotated[
        Literal["rnn", "transformer"], typer.Option(help="rnn: a recurrent network. transformer: causal attention.")
    ] = "rnn",
    cell: Annotated[Literal["lstm", "gru", "rnn"], typer.Option(help="The cells of the recurrent network.")] = "lstm",
    hidden: Annotated[
        int | None,
        typer.Option(min=1, help="Numbers inside, of a state or a character.", show_default="rnn 256, transformer 128"),
    ] = None,
    layers: Annotated[
        int | None, typer.Option(min=1, help="Layers on top of each other.", show_default="rnn 1, transformer 4")
    ] = None,
    embedding: Annotated[int, typer.Option(min=1, help="Numbers that stand for a character (rnn).")] = 64,
    heads: Annotated[int, typer.Option(min=1, help="Of attention (transformer).")] = 4,
    dropout: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of activities that are silent in training.")
    ] = 0.0,
    window: Annotated[
        int, typer.Option(min=1, help="Characters through which error derivatives go back, or that attention sees.")
    ] = 64,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows per step.")] = 32,
    epochs: Annotated[int, typer.Option(min=1, help="How often the text is read.")] = 10,
    learning_rate: Annotated[
        float | None,
        typer.Option(callback=rate, help="Size of the first step (Adam).", show_default="rnn 4e-3, transformer 1e-3"),
    ] = None,
    seed: Seed = 0,
    out: Annotated[Path | None, out_option("runs/<file>-<date>-<n>")] = None,
    resume: Annotated[Path | None, resume_option()] = None,
    view: ViewOption = False,
    as_json: AsJson = False,
) -> None:
    """Learn to predict a text, character by character.

    The last tenth of the text is held out. What was learned is measured on it,
    in bits per character, beside a model that counts runs of three characters.

    The folder of the run gets run.json, text.json, metrics.jsonl,
    checkpoint.safetensors, model.safetensors and curves.png.
    [bold]bprop generate[/bold] writes text with it.

    Interrupted or killed, it goes on with --resume: the options come from the
    run, and so, bit for bit, does the result.
    """
    from ..train.digit import next_folder
    from ..train.text import DEFAULTS, TextSettings, read_text, text_settings, train_text

    options: dict[str, Any] = {
        "model": model,
        "cell": cell,
        "hidden": hidden,
        "layers": layers,
        "embedding": embedding,
        "heads": heads,
        "dropout": dropout,
        "window": window,
        "batch_size": batch_size,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    options |= {name: value for name, value in DEFAULTS[model].items() if options[name] is None}
    corpus = read_text(path)
    if resume is not None:
        folder = resumed_run(resume, out)
        options |= {name: value for name, value in text_settings(folder).items() if not is_set(context, name)}
    corpus.check_length(options["window"])
    if resume is None:
        folder = next_folder(name=path.stem) if out is None else out
    stream = sys.stderr if as_json else sys.stdout
    console, _, _ = screen(stream)
    console.print(
        f"{path.name}: {len(corpus):,} characters, {len(corpus.vocabulary):,} different ones; the last "
        f"{len(corpus) - corpus.learned:,} are held out",
        soft_wrap=True,
    )
    with interruptible(lambda: saved_state(folder, text_argument(path))), live(view, lambda: folder):
        result = train_text(corpus, TextSettings(**options), out=folder, resume=resume is not None, progress=stream)
    _show(result, stream)
    if as_json:
        print_json(
            {
                "text": str(path),
                "characters": len(corpus),
                "held_out": len(corpus) - corpus.learned,
                "vocabulary": len(corpus.vocabulary),
                "bits_per_character": {"network": result.bits, "ngram": result.ngram_bits},
                "verdict": result.verdict,
                "epochs": len(result.run.history),
                "seed": options["seed"],
                "parameters": result.run.config["parameters"],
                "seconds": round(result.seconds, 3),
                "run": str(folder),
            }
        )


def _show(result: Any, stream: Any) -> None:
    """Print the bits per character of both models, and what they say."""
    from ..train.text.fit import ORDER

    console, tables, new_table = screen(stream)
    table = new_table("Held-out text")
    table.add_column("model", no_wrap=True)
    table.add_column("bits per character", justify="right", no_wrap=True)
    table.add_row("network", f"{result.bits:.3f}", style="bold")
    table.add_row(f"{ORDER}-gram, Witten-Bell smoothing", f"{result.ngram_bits:.3f}")
    console.print()
    tables.print(table)
    console.print(result.verdict, soft_wrap=True)
    console.print(f"{result.run.config['parameters']:,} parameters, {result.seconds:.1f} s")
    console.print(f"record: {result.run.folder}", soft_wrap=True)


def generate(
    run: RunArgument,
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="How it begins.", show_default=False)],
    length: Annotated[
        int, typer.Option(min=1, max=1_000_000, metavar="N", help="How many characters are written.")
    ] = 400,
    temperature: Annotated[
        float,
        typer.Option(min=0, metavar="T", help="Below 1, likely characters are preferred; at 0 the likeliest is taken."),
    ] = 0.7,
    seed: Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write text with the network of a run, letter by letter, as a text that begins with the prompt would go on."""
    from ..train.text import load_text_model

    letters = load_text_model(find_run(run)).letters(prompt, length, temperature=temperature, seed=seed)
    if as_json:
        print_json({"run": str(run), "prompt": prompt, "text": "".join(letters)})
        return
    sys.stdout.write(printable_lines(prompt))
    for letter in letters:
        sys.stdout.write(printable_lines(letter))
        sys.stdout.flush()
    sys.stdout.write("\n")
