"""`train_text`: a network learns to predict a text, character by character, beside an n-gram model."""

import os
import time
from dataclasses import dataclass
from math import log
from typing import Any, TextIO

from ...nn import CrossEntropy
from ...optim import Adam, schedule
from ..callback import Callback, RecordWriter
from ..checkpoint import CHECKPOINT
from ..loop import fit
from ..run import Run
from ..storage import StorageError
from .corpus import Corpus
from .model import TEXT_RECORD, TextModel, TextSettings, read_record
from .ngram import NGram

ORDER = 3
"""Of the n-gram model: a character is predicted from the two before it."""
DECAY = 0.85
"""What the learning rate is multiplied by over an epoch."""


@dataclass
class TextResult:
    """What `train_text` returns: the model, the record, and bits per character of the held-out part, network and n-gram."""

    model: TextModel
    run: Run
    bits: float
    ngram_bits: float
    seconds: float

    @property
    def verdict(self) -> str:
        """A sentence that compares the two."""
        if self.bits < self.ngram_bits:
            return f"the network needs {1 - self.bits / self.ngram_bits:.1%} fewer bits than the {ORDER}-gram model"
        return f"the network is no better than the {ORDER}-gram model: more epochs or a longer text may help"


class _Epoch(Callback):
    """Ends the streams with the epoch, and records bits per character."""

    def __init__(self, model: TextModel) -> None:
        self.model = model

    def on_epoch(self, run: Run, entry: dict[str, Any]) -> None:
        self.model.module.reset()
        entry["validation_bits_per_character"] = entry["validation_loss"] / log(2)


def train_text(
    corpus: Corpus,
    settings: TextSettings | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool | TextIO = True,
) -> TextResult:
    """Train a network on the first nine tenths of a text, and measure it on the last tenth, beside an n-gram model.

    Every epoch goes through the text once. A recurrent network reads ``settings.batch_size`` streams side by side, window by
    window; the state is carried from window to window, error derivatives are not. A transformer reads the windows in an order
    that is drawn. Nothing is chosen by the held-out part. Adam, with gradients clipped to norm 1 and a rate that falls
    exponentially.

    Parameters
    ----------
    corpus
        The text, from `read_text`.
    settings
        Network and training.
    out, resume, progress
        As for `fit`. The folder also gets text.json, with which `load_text_model` makes the model again.

    Returns
    -------
    Model, record and bits per character. Those in the record of an epoch are of windows that start without a state, and so a
    little higher than ``bits``, for which a recurrent network knows the whole text before a character, and a transformer half a
    window of it or more.

    Raises
    ------
    TextError
        For a text that is too short.
    StorageError
        For a folder whose run has learned from another text.

    **Source:** Graves (2013), Generating sequences with recurrent neural networks; clipping: Pascanu, Mikolov & Bengio
    (2013), On the difficulty of training recurrent neural networks.

    >>> from bprop.train.text import Corpus, TextSettings, train_text
    >>> settings = TextSettings(hidden=16, embedding=8, window=8, batch_size=4, epochs=30)
    >>> result = train_text(Corpus("to be or not to be. " * 40, "a line"), settings, progress=False)
    >>> result.bits < 0.5, len(result.model.generate("to be", 10))
    (True, 10)
    """
    settings = settings or TextSettings()
    start = time.perf_counter()
    x, t = corpus.streams(settings.window, settings.batch_size)
    streams = min(settings.batch_size, (corpus.learned - 1) // settings.window)
    about: dict[str, Any] = {"text": corpus.name, "characters": len(corpus), "sha256": corpus.digest}
    if resume and out is not None:
        _check_same_text(out, corpus)
    model = TextModel(corpus.vocabulary, settings, streams)
    rate = schedule.Exponential(settings.learning_rate, DECAY ** (streams / len(x)))
    run = fit(
        model.module,
        CrossEntropy(),
        Adam(rate, clip_norm=1.0),
        (x, t),
        corpus.held_out_windows(settings.window),
        epochs=settings.epochs,
        batch_size=streams,
        seed=settings.seed,
        shuffle=settings.model != "rnn",
        metrics=[],
        out=out,
        resume=resume,
        callbacks=[RecordWriter(lambda folder: model.save(folder, about)), _Epoch(model)],
        progress=progress,
        title=f"characters of {os.path.basename(corpus.name)} (validation: the last tenth)",
    )
    ids, first = corpus.ids, corpus.learned
    before = max(first - settings.window * 4, 0)
    bits = model.module.bits(ids[before:], first - before)
    ngram = NGram(ids[:first], len(corpus.vocabulary), ORDER).bits(ids[before:], first - before)
    if run.folder is not None:
        model.save(run.folder, {**about, "scores": {"network": bits, "ngram": ngram}})
    return TextResult(model, run, bits, ngram, time.perf_counter() - start)


def _check_same_text(folder: str | os.PathLike[str], corpus: Corpus) -> None:
    """Refuse to go on with another text."""
    if not os.path.exists(os.path.join(folder, CHECKPOINT)):
        return
    record = read_record(folder)
    if record["sha256"].text() != corpus.digest:
        raise StorageError(
            f"{os.path.join(folder, TEXT_RECORD)}: the run has learned from {record['text'].text()} of "
            f"{record['characters'].integer():,} characters; {corpus.name}, of {len(corpus):,}, is another text or was changed"
        )


def text_settings(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the options with which the run in ``folder`` was begun, for `TextSettings`."""
    return dict(vars(TextSettings.restored(read_record(folder)["settings"])))


__all__ = ["DECAY", "ORDER", "TextResult", "text_settings", "train_text"]
