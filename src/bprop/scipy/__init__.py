"""SciPy's functions with derivatives, by SciPy's names: `special`, `stats`, `linalg`, `signal`, `integrate`, `optimize`.

SciPy's ufuncs (``scipy.special.gamma``) find their derivatives by themselves. SciPy's other functions are written in Python, and
make NumPy arrays of what they are given: for those there is this namespace, with the same names and arguments.

>>> import bprop
>>> bprop.grad(lambda loc: bprop.scipy.stats.norm.logpdf(1.0, loc, 2.0))(0.5)
Array(0.125)
"""

from typing import TYPE_CHECKING

from .. import gradients, ops  # noqa: F401 - whole rooms first: see core/lazy.py
from ..core.lazy import lazy_attributes

__all__ = ["integrate", "linalg", "optimize", "signal", "special", "stats"]

if TYPE_CHECKING:
    from . import integrate, linalg, optimize, signal, special, stats
else:  # one by one: SciPy's own modules are slow to load, and most of these need none of them
    __getattr__, __dir__ = lazy_attributes(__name__, {}, namespaces=__all__)
