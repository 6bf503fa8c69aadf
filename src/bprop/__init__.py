"""bprop: gradients you can see, trust, and compute fast.

>>> import bprop, numpy as np
>>> bprop.grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
Array([2., 4.])
"""

import importlib
import types
import typing

from . import data as data
from . import fft as fft
from . import interop as interop
from . import linalg as linalg
from . import nn as nn
from . import optim as optim
from . import train as train
from ._version import __version__ as __version__
from .compile import Compiled as Compiled
from .compile import compile as compile
from .compile import get_threads as get_threads
from .compile import set_threads as set_threads
from .core.cell import Cell as Cell
from .core.error import *
from .core.function import NAMESPACES as _NAMESPACES
from .core.graph import Graph as Graph
from .core.method import API_VERSIONS as _API_VERSIONS
from .core.value import Array as Array
from .diagnose import *
from .gradients import *
from .ops import *
from .ops.namespace_info import __array_namespace_info__ as __array_namespace_info__
from .region import *
from .view import view as view

if not typing.TYPE_CHECKING:  # type checkers follow the imports instead: a computed list they cannot read
    __all__ = ["data", "fft", "linalg", "nn", "optim", "train"]
    __all__ += [name for name, value in globals().items() if name[0] != "_" and not isinstance(value, types.ModuleType)]

__array_api_version__ = _API_VERSIONS[-1]

_NAMESPACES["scipy"] = lambda: importlib.import_module(".scipy", __name__)

if typing.TYPE_CHECKING:
    from . import scipy as scipy
    from .scipy import special as special
else:

    def __getattr__(name: str) -> types.ModuleType:
        """Load the namespace of SciPy's functions on first use."""
        if name in _NAMESPACES:
            return _NAMESPACES[name]()
        if name == "special":  # where SciPy looks for the functions of an array's namespace
            return _NAMESPACES["scipy"]().special
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
