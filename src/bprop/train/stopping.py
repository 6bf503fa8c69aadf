"""`EarlyStopping`: ends a training when a measure no longer improves, and restores the best weights."""

from collections.abc import Mapping
from math import isfinite, isnan
from typing import Any

from ..core.error import ArgumentError
from ..core.number import integer, number

_RISING = ("accuracy", "f1", "auc", "r2")


class EarlyStopping:
    """Stop when ``monitor`` has not improved by more than ``min_delta`` for ``patience`` epochs.

    A measure that is NaN ends the training, too; an infinite one is never the best. One object may serve several runs;
    ``run.best`` says which epoch was the best.

    Parameters
    ----------
    monitor
        A name in the record of an epoch, such as ``validation_loss``.
    patience
        How many epochs may pass without an improvement.
    min_delta
        A smaller change is no improvement.
    mode
        Whether ``"min"`` or ``"max"`` is better; by default max for accuracy, f1, auc and r2, min for anything else.
    restore_best
        Whether the model has, when `fit` returns, the weights after its best epoch.

    Raises
    ------
    ArgumentError
        For settings that make no sense.

    **Source:** Prechelt (1998), Early stopping, but when?; Leibe (2016), regularization.

    >>> from bprop.train import EarlyStopping
    >>> EarlyStopping("validation_accuracy", patience=3)
    EarlyStopping(monitor='validation_accuracy', patience=3, min_delta=0.0, mode='max', restore_best=True)
    """

    def __init__(
        self,
        monitor: str = "validation_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str | None = None,
        restore_best: bool = True,
    ) -> None:
        if not isinstance(monitor, str):
            raise ArgumentError(f"EarlyStopping: monitor is a name such as 'validation_loss', not {monitor!r:.60}")
        if mode not in (None, "min", "max"):
            raise ArgumentError(f"EarlyStopping: mode is 'min' or 'max', not {mode!r}")
        self.monitor = monitor
        self.patience = integer(self, "patience", patience, allowed="a positive integer of epochs")
        self.min_delta = number(self, "min_delta", min_delta, 0)
        self.mode = mode or ("max" if any(name in monitor.split("_") for name in _RISING) else "min")
        self.restore_best = bool(restore_best)

    def settings(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return dict(vars(self))

    def __repr__(self) -> str:
        return f"EarlyStopping({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class EarlyStoppingState:
    """What early stopping has seen so far.

    Parameters
    ----------
    settings
        The `EarlyStopping`.
    record
        What `record` returned in the run that goes on, or ``None``.

    Attributes
    ----------
    best, epoch
        The best value and its epoch, or ``None`` and 0.
    stale
        How many epochs have passed without a better one.
    """

    def __init__(self, settings: EarlyStopping, record: Mapping[str, Any] | None = None) -> None:
        self.settings = settings
        record = record or {}
        self.best: float | None = record.get("best")
        self.epoch: int = record.get("epoch", 0)
        self.stale: int = record.get("stale", 0)

    def record(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {"best": self.best, "epoch": self.epoch, "stale": self.stale}

    def update(self, entry: Mapping[str, Any]) -> bool:
        """Take in the record of an epoch; returns whether it is the best so far."""
        value = float(entry[self.settings.monitor])
        sign = 1 if self.settings.mode == "min" else -1
        if isfinite(value) and (self.best is None or sign * (self.best - value) > self.settings.min_delta):
            self.best, self.epoch, self.stale = value, entry["epoch"], 0
            return True
        self.stale += 1
        return False

    def stop_reason(self, entry: Mapping[str, Any]) -> str | None:
        """Return why to stop after an epoch, or ``None``."""
        name, value = self.settings.monitor, float(entry[self.settings.monitor])
        best = "" if self.best is None else f"; the best was {self.best:.6g} in epoch {self.epoch}"
        if isnan(value):
            return f"{name} is NaN, which no later epoch would mend{best}"
        if self.stale >= self.settings.patience:
            return f"{name} has not improved for {self.stale} epochs{best}"
        return None
