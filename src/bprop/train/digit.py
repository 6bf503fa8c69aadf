"""The example of the library: networks that read handwritten digits."""

import os
import re
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from ..core.error import ArgumentError
from ..core.number import whole_number
from ..core.value import asarray
from ..data import digits
from ..gradients import grad
from ..networks import parameters
from ..nn import CrossEntropy, Sequential
from ..ops import Generator
from ..optim import Adam, schedule
from .checkpoint import Checkpoint
from .data import stratified_split
from .digit_model import HIDDEN, SETTINGS, digit_model, model_name
from .evaluation import evaluating
from .health import Saturation, norms, saturation
from .layer_record import LayerRecord
from .loop import fit
from .metric import accuracy, confusion_matrix
from .run import Run
from .source import Data
from .storage import StorageError

SPLIT_SEED = 0
"""The split does not depend on the seed of the training, so that runs can be compared."""


class DigitResult(NamedTuple):
    """What `train_digits` returns: run, model, accuracies, the confusion matrix (10, 10), saturation and gradient norms."""

    run: Run
    model: Sequential
    test_accuracy: float
    train_accuracy: float
    train_loss: float
    confusion: NDArray[np.int64]
    saturation: list[Saturation]
    gradient_norms: dict[str, float]
    seconds: float
    parameters: int


def digit_data() -> tuple[tuple[NDArray[Any], NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]:
    """Return ((x, t), (x_test, t_test)): pixels as float32 (N, 64) in [0, 1], labels as int64 (N,), split 80 : 20.

    The split keeps the share of every digit and is always the same.

    >>> from bprop.train.digit import digit_data
    >>> (x, t), (x_test, t_test) = digit_data()
    >>> x.shape, x_test.shape, float(x.max())
    ((1438, 64), (359, 64), 1.0)
    """
    images, labels = digits()
    x = images.reshape(len(images), -1).astype(np.float32) / 16
    t = labels.astype(np.int64)
    first, second = stratified_split(t, 0.2, SPLIT_SEED)
    return (x[first], t[first]), (x[second], t[second])


def train_digits(
    *,
    model: str = "mlp",
    epochs: int | None = None,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    batch_size: int = 64,
    learning_rate: float | None = None,
    hidden: Sequence[int] | None = None,
    resume: bool = False,
    progress: bool | TextIO = True,
    layers: bool = False,
) -> DigitResult:
    """Train on 1,438 images of digits and test on 359 others; with the defaults more than 97 % of those are read right.

    The test images are measured after every epoch, for the record; nothing is chosen by them.

    Parameters
    ----------
    model
        ``"mlp"``, ``"cnn"`` or ``"resnet"``, see `bprop.train.digit_model`.
    epochs, batch_size, learning_rate
        Of the training with Adam; by default what `bprop.train.digit_model.SETTINGS` has for the model. Of cnn and resnet
        the rate falls exponentially.
    seed
        Decides the initial weights and the order of the examples.
    out, resume, progress
        As for `fit`.
    layers
        Whether every epoch's gradients, updates and activations are kept for a page (`LayerRecord`).
    hidden
        Sizes of the hidden layers of the mlp, by default (128, 64).

    Raises
    ------
    ArgumentError
        For an unknown model, and for sizes that are no positive integers or not of the mlp.

    **Source:** data: Alpaydin & Kaynak (1998), see `bprop.data.digits`; method: Leibe (2016), Backpropagation.

    >>> from bprop.train.digit import train_digits
    >>> train_digits(epochs=3, progress=False).test_accuracy > 0.9
    True
    """
    if model not in SETTINGS:
        raise ArgumentError(f"train_digits: model is one of {', '.join(map(repr, SETTINGS))}, not {model!r:.60}")
    if hidden is not None and model != "mlp":
        raise ArgumentError(f"train_digits: hidden is for the mlp; the hidden layers of {model} are given")
    sizes = HIDDEN if hidden is None else hidden
    if not sizes or any(whole_number(size, 1) is None for size in sizes):
        raise ArgumentError(f"train_digits: hidden is a list of layer sizes such as [128, 64], not {hidden!r}")
    start = time.perf_counter()
    settings = SETTINGS[model]
    train, test = digit_data()
    if settings.is_convolutional:
        train, test = ((x.reshape(-1, 1, 8, 8), t) for x, t in (train, test))
    network = digit_model(model, sizes, Generator(seed))
    rate: Any = settings.learning_rate if learning_rate is None else learning_rate
    if settings.decay < 1:
        rate = schedule.Exponential(rate, settings.decay ** (batch_size / len(train[0])))
    loss = CrossEntropy()
    run = fit(
        network,
        loss,
        Adam(rate),
        train,
        test,
        epochs=settings.epochs if epochs is None else epochs,
        batch_size=batch_size,
        seed=seed,
        out=out,
        resume=resume,
        progress=progress,
        callbacks=[LayerRecord(*train, loss)] if layers else [],
        title="handwritten digits (validation: the 359 test images)",
    )
    return _result(run, network, loss, train, test, start)


def _result(run: Run, model: Sequential, loss: CrossEntropy, train: Data, test: Data, start: float) -> DigitResult:
    """Measure a trained model, in evaluation mode."""
    x, t = (asarray(array) for array in train)
    with evaluating(model):
        y, y_test = np.asarray(model(x)), np.asarray(model(asarray(test[0])))
        gradients = grad(lambda m: loss(m(x), t))(model)
    return DigitResult(
        run=run,
        model=model,
        test_accuracy=accuracy(y_test, test[1]),
        train_accuracy=accuracy(y, train[1]),
        train_loss=float(loss(y, t)),
        confusion=confusion_matrix(y_test, test[1], 10),
        saturation=saturation(model, x),
        gradient_norms=norms(gradients),
        seconds=time.perf_counter() - start,
        parameters=parameters(model),
    )


def digit_settings(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the options with which the run in ``folder`` was begun, for `train_digits`.

    Raises `StorageError` where there is no checkpoint, or that of another training.

    >>> import os, tempfile
    >>> from bprop.train.digit import digit_settings, train_digits
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     folder = os.path.join(parent, "run")
    ...     result = train_digits(epochs=1, hidden=[16], out=folder, progress=False)
    ...     digit_settings(folder)
    {'model': 'mlp', 'epochs': 1, 'seed': 0, 'batch_size': 64, 'learning_rate': 0.003, 'hidden': [16]}
    """
    with Checkpoint(folder) as checkpoint:
        record, config = checkpoint.record, checkpoint.record["config"]
        labels, optimizer = config.get("model"), config.get("optimizer")
        name = model_name([str(label) for label in labels]) if isinstance(labels, list) else None
        if name is None or not isinstance(optimizer, dict):
            checkpoint.archive.refuse("config", "not of a network that `train_digits` makes")
        widths = {}
        for array, entry in checkpoint.archive.entries.items():
            bias = re.fullmatch(r"model/layers\.(\d+)\.b", array)
            if bias and len(entry.shape) == 1:
                widths[int(bias[1])] = entry.shape[0]
    return {
        "model": name,
        "epochs": record["epochs"],
        "seed": config.get("seed"),
        "batch_size": config.get("batch_size"),
        "learning_rate": optimizer.get("learning_rate"),
        "hidden": [widths[layer] for layer in sorted(widths)][:-1] if name == "mlp" else None,
    }


def next_folder(parent: str | os.PathLike[str] = "runs", name: str = "digits") -> Path:
    """Make the first ``parent/<name>-<date>-<n>`` that does not exist yet, and return it. Raises `StorageError`.

    All characters of ``name`` but letters, digits and . _ - are replaced.
    """
    name = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:80] or "run"
    number = 1
    while True:
        folder = Path(parent) / f"{name}-{date.today():%Y-%m-%d}-{number}"
        try:
            folder.mkdir(parents=True)  # fails if it exists: two runs started at once get two folders
            return folder
        except FileExistsError:
            number += 1
        except OSError as error:
            raise StorageError(f"the folder {folder} cannot be made: {error.strerror or error}") from None
