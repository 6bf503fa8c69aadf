"""bprop: gradients you can see, trust, and compute fast.

>>> import bprop, numpy as np
>>> bprop.grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
Array([2., 4.])
"""

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
from .core.graph import Graph as Graph
from .core.value import Array as Array
from .diagnose import *
from .gradients import *
from .ops import *
from .region import *
from .view import view as view

if not typing.TYPE_CHECKING:  # type checkers follow the imports instead: a computed list they cannot read
    __all__ = ["data", "fft", "linalg", "nn", "optim", "train"]
    __all__ += [name for name, value in globals().items() if name[0] != "_" and not isinstance(value, types.ModuleType)]

del types, typing
