"""Schedules: learning rates as functions of the count of updates, made of ops, so that compiled steps contain them.

``optim.SGD(schedule.Cosine(0.1, steps=1000))``: the count t of updates made so far is a cell, the rate of update t + 1
is the schedule at t, in float64. Nothing is compiled anew as the rate changes, and a resumed count resumes the
schedule. Steps are updates, not epochs: write ``every=30 * steps_per_epoch``, or `PerEpoch` for a rate that is constant
within an epoch. A schedule is also a function of a plain number: ``schedule.Cosine(0.1, 1000)(500)``.
"""

from .composition import PerEpoch, WarmUp
from .cosine import Cosine, CosineWarmRestarts, OneCycle
from .decay import Constant, Exponential, InverseTime, Linear, MultiStep, Polynomial, Step
from .schedule import Schedule

__all__ = [
    "Constant",
    "Cosine",
    "CosineWarmRestarts",
    "Exponential",
    "InverseTime",
    "Linear",
    "MultiStep",
    "OneCycle",
    "PerEpoch",
    "Polynomial",
    "Schedule",
    "Step",
    "WarmUp",
]
