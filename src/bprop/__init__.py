"""bprop: gradients you can see, trust, and compute fast.

>>> import bprop, numpy as np
>>> bprop.grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
Array([2., 4.])
"""

import importlib
import typing

from ._version import __version__ as __version__
from .core import function as _function
from .core import lazy as _lazy

if typing.TYPE_CHECKING:
    from . import data as data
    from . import fft as fft
    from . import linalg as linalg
    from . import networks as networks
    from . import nn as nn
    from . import optim as optim
    from . import scipy as scipy
    from . import train as train
    from .compile import Compiled as Compiled
    from .compile import compile as compile
    from .compile import get_threads as get_threads
    from .compile import set_threads as set_threads
    from .core.cell import Cell as Cell
    from .core.error import *
    from .core.graph import Graph as Graph
    from .core.value import Array as Array
    from .diagnose import *
    from .formula import *
    from .gradients import *
    from .ops import *
    from .ops.namespace_info import __array_api_version__ as __array_api_version__
    from .ops.namespace_info import __array_namespace_info__ as __array_namespace_info__
    from .region import *
    from .scipy import special as special
    from .view import view as view
else:  # the same, loaded on first use
    __getattr__, __dir__ = _lazy.lazy_attributes(
        __name__,
        {
            "core.error": _lazy.EVERYTHING,
            "core.value": ("Array",),
            "core.cell": ("Cell",),
            "core.graph": ("Graph",),
            "ops.namespace_info": ("__array_api_version__", "__array_namespace_info__"),
            "ops": _lazy.EVERYTHING,
            "gradients": _lazy.EVERYTHING,
            "region": _lazy.EVERYTHING,
            "formula": _lazy.EVERYTHING,
            "compile": ("Compiled", "compile", "get_threads", "set_threads"),
            "diagnose": _lazy.EVERYTHING,
            "view": ("view",),
            "core": (),
            "interop": (),
            "scipy": ("special",),  # SciPy looks there for the functions of an array's namespace
        },
        namespaces=("data", "fft", "linalg", "networks", "nn", "optim", "train"),
    )


def _loader(module: str) -> typing.Callable[[], typing.Any]:
    return lambda: importlib.import_module(module, __name__)


_function.NAMESPACES["scipy"] = _loader(".scipy")
_function.DECLARING.extend(map(_loader, (".ops", ".interop", ".fft", ".region")))
