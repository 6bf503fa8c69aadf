"""What a training is made of: the task, the settings of its run, and its observers."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ..nn import Module
from ..ops import Generator
from ..optim import Optimizer
from .callback import Callbacks
from .interrupt import SignalGuard
from .metric import Metric
from .progress import Progress
from .source import Data, Source
from .step import TrainingStep


@dataclass(frozen=True)
class Task:
    """What is trained, how, and on what data."""

    model: Module
    loss: Any
    optimizer: Optimizer
    step: TrainingStep
    source: Source
    validation: Data | None
    metrics: dict[str, Metric]
    dtype: Any
    generator: Generator


@dataclass(frozen=True)
class Settings:
    """How long to train and when to save; ``config`` identifies the task, for a comparison when it is resumed."""

    epochs: int
    checkpoint_every: int | timedelta | None
    config: dict[str, Any]
    versions: dict[str, str]


@dataclass(frozen=True)
class Observers:
    """What watches a training from outside: callbacks, the report on its progress, and signals."""

    callbacks: Callbacks
    progress: Progress
    signals: SignalGuard
