"""`TextModel`: a network with the characters that it knows, as it is stored in the folder of a run, and writing with it."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from ...core.error import ArgumentError, BpropError
from ...core.number import integer, number
from ...networks import CharRNN, CharTransformer
from ...ops import Generator
from ..record import Field, RecordError, json_bytes, read_json
from ..run import WEIGHTS, to_json
from ..storage import StorageError, run_folder, write_whole
from ..weight import load_weights
from .carried import CarriedState
from .corpus import encoded
from .windowed import Windowed

TEXT_RECORD = "text.json"
FORMAT, VERSION = "bprop text", 1
MODELS = ("rnn", "transformer")
DEFAULTS: dict[str, dict[str, Any]] = {
    "rnn": {"hidden": 256, "layers": 1, "learning_rate": 4e-3},
    "transformer": {"hidden": 128, "layers": 4, "learning_rate": 1e-3},
}
"""Settings that suit each model."""
CELLS = ("lstm", "gru", "rnn")
WIDEST, DEEPEST, LONGEST = 65_536, 64, 1_000_000


@dataclass(frozen=True)
class TextSettings:
    """How a network is made and trained: what `train_text` takes.

    ``cell`` and ``embedding``, the numbers for a character, are of the rnn; ``heads`` is of the transformer.
    ``hidden`` is the length of the rnn's state, and of what stands for a character inside the transformer."""

    model: str = "rnn"
    cell: str = "lstm"
    hidden: int = 256
    layers: int = 1
    dropout: float = 0.0
    embedding: int = 64
    heads: int = 4
    window: int = 64
    batch_size: int = 32
    epochs: int = 10
    learning_rate: float = 4e-3
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in (("model", MODELS), ("cell", CELLS)):
            if getattr(self, name) not in choices:
                allowed = ", ".join(map(repr, choices))
                raise ArgumentError(f"train_text: {name} is one of {allowed}, not {getattr(self, name)!r:.60}")
        for name in ("hidden", "layers", "embedding", "heads", "window", "batch_size", "epochs"):
            integer("train_text", name, getattr(self, name))
        number("train_text", "dropout", self.dropout, 0, 1)
        number("train_text", "learning_rate", self.learning_rate, 0, inf, open_low=True)

    @classmethod
    def restored(cls, field: Field) -> "TextSettings":
        """Return the settings in a record, each of them checked."""
        return cls(
            model=field["model"].choice(MODELS),
            cell=field["cell"].choice(CELLS),
            layers=field["layers"].integer(1, DEEPEST),
            dropout=field["dropout"].number(least=0),
            epochs=field["epochs"].integer(1),
            learning_rate=field["learning_rate"].number(above=0),
            seed=field["seed"].integer(most=2**64 - 1),
            **{
                name: field[name].integer(1, WIDEST)
                for name in ("hidden", "embedding", "heads", "window", "batch_size")
            },
        )


class TextModel:
    """A network and the characters that it knows.

    Parameters
    ----------
    vocabulary
        The characters; their positions are the network's ids.
    settings
        How the network is made.
    streams
        How many windows a batch has.

    Attributes
    ----------
    module
        What is trained: the network, with the states that it carries from batch to batch if it has any.
    """

    def __init__(self, vocabulary: str, settings: TextSettings, streams: int) -> None:
        self.vocabulary, self.settings, self.streams = vocabulary, settings, streams
        size, draw = len(vocabulary), Generator(settings.seed)
        hidden, layers, dropout = settings.hidden, settings.layers, settings.dropout
        self.module: CarriedState | Windowed
        if settings.model == "transformer":
            self.module = Windowed(
                CharTransformer(size, settings.window, hidden, layers, settings.heads, dropout, generator=draw)
            )
        else:
            cell: Any = settings.cell  # one of them, as the settings have checked
            self.module = CarriedState(
                CharRNN(size, hidden, settings.embedding, cell, layers, dropout, generator=draw), streams
            )

    def generate(self, prompt: str, length: int = 400, *, temperature: float = 1.0, seed: int = 0) -> str:
        """Return ``length`` characters that the network writes after ``prompt``.

        Parameters
        ----------
        prompt
            The beginning, one character or more of those that the network knows.
        length
            How many characters are written.
        temperature
            Each is drawn from softmax(y / temperature): below 1 the likely ones are preferred, at 0 the likeliest is taken.
        seed
            Decides what is drawn.

        Raises
        ------
        ArgumentError
            For an unknown character and for numbers out of range.

        **Source:** temperature: Ackley, Hinton & Sejnowski (1985), A learning algorithm for Boltzmann machines.
        """
        return "".join(self.letters(prompt, length, temperature=temperature, seed=seed))

    def letters(self, prompt: str, length: int = 400, *, temperature: float = 1.0, seed: int = 0) -> Iterator[str]:
        """Yield what `generate` returns, character by character."""
        if not prompt:
            raise ArgumentError("generate: the prompt is empty; it has one character or more")
        ids = encoded(prompt, self.vocabulary, "generate: the prompt")
        integer("generate", "length", length)
        if length > LONGEST:
            raise ArgumentError(f"generate: length is 1 … {LONGEST:,}, not {length:,}")
        number("generate", "temperature", temperature, 0, inf)
        letters = self.module.written(ids, length, temperature, Generator(seed))
        return (self.vocabulary[letter] for letter in letters)

    def save(self, folder: Path, more: dict[str, Any]) -> None:
        """Write the record into the folder of a run, where `fit` writes the weights; ``more`` is what else to record."""
        record = {
            "format": FORMAT,
            "version": VERSION,
            "vocabulary": self.vocabulary,
            "streams": self.streams,
            "settings": asdict(self.settings),
            **more,
        }
        write_whole(folder / TEXT_RECORD, json_bytes(to_json(record), indent=2))


def read_record(folder: str | os.PathLike[str]) -> Field:
    """Return the record of a text's run. Raises `StorageError` where there is none, or for another format."""
    path = run_folder(folder)
    if not (path / TEXT_RECORD).is_file():
        raise StorageError(f"{path} holds no network that reads texts: there is no {TEXT_RECORD} in it")
    record = read_json(path / TEXT_RECORD)
    record["format"].choice((FORMAT,))
    record["version"].integer(VERSION, VERSION)
    return record


def load_text_model(folder: str | os.PathLike[str]) -> TextModel:
    """Return the model that `train_text` stored in the folder of a run; of an interrupted one, as after its last epoch.

    Raises `StorageError` if a file cannot be read, or a record was changed; the message names the field.
    """
    path, record = Path(folder), read_record(folder)
    vocabulary = record["vocabulary"].text()
    if not vocabulary or len(set(vocabulary)) < len(vocabulary):
        raise record["vocabulary"].error("it lists different characters, one or more")
    file = path / WEIGHTS
    try:
        size = file.stat().st_size
    except OSError as error:
        raise StorageError(f"{file}: {error.strerror}: no epoch has ended yet") from None
    settings, streams = TextSettings.restored(record["settings"]), record["streams"].integer(1, WIDEST)
    widest = max(settings.hidden, len(vocabulary), streams)
    if (
        4 * settings.hidden * widest > 2 * size + 2**20 or settings.layers * 4 * settings.hidden**2 > 2 * size + 2**20
    ):  # before there is memory for them
        raise record["settings"].error(f"a network of other sizes than the weights in {WEIGHTS}")
    model = TextModel(vocabulary, settings, streams)
    try:
        load_weights(model.module, file)
    except StorageError:
        raise
    except BpropError as error:
        raise RecordError(f"{path / TEXT_RECORD} and {file.name} do not belong together: {error.message}") from None
    for name, weight in model.module.parameters().items():
        if not np.isfinite(np.asarray(weight)).all():
            raise StorageError(f"{file}: {name} is not finite")
    return model


__all__ = ["DEFAULTS", "MODELS", "TEXT_RECORD", "TextModel", "TextSettings", "load_text_model", "read_record"]
