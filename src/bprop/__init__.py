"""bprop: gradients you can see, trust, and compute fast."""

from .core.error import *
from .core.value import Array
from .ops import *
from .gradients import *
from .region import *
from . import nn

__version__ = "0.1.0"
