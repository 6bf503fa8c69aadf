"""A plugin of pytest for `run.py`: every floating-point and complex array that a test makes is a variable of a differentiation.

One `Record` is current from the start, and the functions of the namespace that make arrays hand out its variables, so that
every op that follows is recorded. A value under differentiation does not give its number away; here it does where the suite
itself asks for it, to compare it, and nowhere else: where bprop would take a number, it refuses as ever.
"""

import functools
import os
import sys
from typing import Any

import bprop
from bprop.core.dtype import is_inexact
from bprop.core.interpreter import using
from bprop.core.value import Array
from bprop.gradients.reverse import Record, Recorded

PACKAGE = os.path.dirname(bprop.__file__) + os.sep
CREATION = [
    "arange",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "zeros",
    "zeros_like",
]
FREQUENCIES = ["fftfreq", "rfftfreq"]

OWNER = Record(name="the suite")
RECORDING = using(OWNER)


def recording(f):
    """Return ``f``, whose result is a variable of the differentiation."""

    @functools.wraps(f)
    def made(*args, **options):
        y = f(*args, **options)
        return OWNER.input(y) if type(y) is Array and is_inexact(y.dtype) else y

    return made


def asked_by_suite():
    """Whether code outside bprop called the method of the value that asks for its number."""
    frame = sys._getframe(2)
    own = sys.modules[Array.__module__].__file__
    while frame is not None and frame.f_code.co_filename == own:
        frame = frame.f_back
    return frame is not None and not frame.f_code.co_filename.startswith(PACKAGE)


def numbers(self: Recorded, what: str, refused: Any = Recorded.numbers) -> Any:
    """Return the numbers to the suite, and refuse them to others."""
    return self.value.numbers(what) if asked_by_suite() else refused(self, what)


def pytest_configure(config):
    for name in CREATION:
        setattr(bprop, name, recording(getattr(bprop, name)))
    for name in FREQUENCIES:
        setattr(bprop.fft, name, recording(getattr(bprop.fft, name)))
    Recorded.numbers = numbers  # type: ignore[method-assign]
    RECORDING.__enter__()


def pytest_unconfigure(config):
    RECORDING.__exit__(None, None, None)
