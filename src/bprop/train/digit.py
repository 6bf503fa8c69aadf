"""The example of the library: a multi-layer perceptron that reads handwritten digits."""

import os
import re
import time
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from ..core.error import ArgumentError
from ..core.number import whole
from ..core.value import asarray
from ..data import digits
from ..gradients import grad
from ..nn import CrossEntropy, Linear, Module, Sequential, Tanh
from ..ops import Generator
from ..optim import Adam
from .checkpoint import Checkpoint
from .data import stratified_split
from .health import Saturation, norms, saturation
from .loop import fit
from .metric import accuracy, confusion_matrix
from .run import Run
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


def digit_model(hidden: Sequence[int], generator: Generator) -> Sequential:
    """Return 64 pixels → tanh layers of the sizes ``hidden`` → 10 logits.

    >>> import bprop
    >>> from bprop.train.digit import digit_model
    >>> digit_model([16], bprop.Generator(0))
    Sequential(3 layers, 1,210 parameters
      (layers.0): Linear(64 → 16, float32)
      (layers.1): Tanh()
      (layers.2): Linear(16 → 10, float32)
    )
    """
    sizes = [64, *hidden]
    layers: list[Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [Linear(inputs, outputs, generator=generator), Tanh()]
    return Sequential(*layers, Linear(sizes[-1], 10, generator=generator))


def train_digits(
    *,
    epochs: int = 30,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    hidden: Sequence[int] = (128, 64),
    resume: bool = False,
    progress: bool | TextIO = True,
) -> DigitResult:
    """Train on 1,438 images of digits and test on 359 others; with the defaults more than 97 % of those are read right.

    The test images are measured after every epoch, for the record; nothing is chosen by them.

    Parameters
    ----------
    epochs, batch_size, learning_rate
        Of the training with Adam.
    seed
        Decides the initial weights and the order of the examples.
    out, resume, progress
        As for `fit`.
    hidden
        Sizes of the hidden layers.

    Raises
    ------
    ArgumentError
        For sizes that are no positive integers.

    **Source:** data: Alpaydin & Kaynak (1998), see `bprop.data.digits`; method: Leibe (2016), Backpropagation.

    >>> from bprop.train.digit import train_digits
    >>> train_digits(epochs=3, progress=False).test_accuracy > 0.9
    True
    """
    if not hidden or any(whole(size, 1) is None for size in hidden):
        raise ArgumentError(f"train_digits: hidden is a list of layer sizes such as [128, 64], not {hidden!r}")
    start = time.perf_counter()
    train, test = digit_data()
    model = digit_model(hidden, Generator(seed))
    loss = CrossEntropy()
    run = fit(
        model,
        loss,
        Adam(learning_rate),
        train,
        test,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        out=out,
        resume=resume,
        progress=progress,
        title="handwritten digits (validation: the 359 test images)",
    )
    x, t = (asarray(array) for array in train)
    y, y_test = np.asarray(model(x)), np.asarray(model(asarray(test[0])))
    return DigitResult(
        run=run,
        model=model,
        test_accuracy=accuracy(y_test, test[1]),
        train_accuracy=accuracy(y, train[1]),
        train_loss=float(loss(y, t)),
        confusion=confusion_matrix(y_test, test[1], 10),
        saturation=saturation(model, x),
        gradient_norms=norms(grad(lambda m: loss(m(x), t))(model)),
        seconds=time.perf_counter() - start,
        parameters=sum(w.size for w in model.parameters().values()),
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
    {'epochs': 1, 'seed': 0, 'batch_size': 64, 'learning_rate': 0.003, 'hidden': [16]}
    """
    with Checkpoint(folder) as checkpoint:
        record, config = checkpoint.record, checkpoint.record["config"]
        widths = {}
        for name, entry in checkpoint.archive.entries.items():
            bias = re.fullmatch(r"model/layers\.(\d+)\.b", name)
            if bias and len(entry.shape) == 1:
                widths[int(bias[1])] = entry.shape[0]
        if len(widths) < 2 or not isinstance(config.get("optimizer"), dict):
            checkpoint.archive.refuse("arrays", "not of a network that `train_digits` makes")
    return {
        "epochs": record["epochs"],
        "seed": config.get("seed"),
        "batch_size": config.get("batch_size"),
        "learning_rate": config["optimizer"].get("learning_rate"),
        "hidden": [widths[layer] for layer in sorted(widths)][:-1],
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
