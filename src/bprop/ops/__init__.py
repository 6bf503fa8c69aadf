"""The only place an op is declared, in files by the Array API's categories. Each file says what it exports."""

import types
import typing

from ..core.value import asarray as asarray
from .activation import *
from .arithmetic import *
from .arrangement import *
from .at import *
from .banded_system import *
from .bessel import *
from .bitwise import *
from .comparison import *
from .complex import *
from .concatenation import *
from .constant import *
from .contraction import *
from .convolution import *
from .creation import *
from .cumulative import *
from .data_type import *
from .determinant import *
from .elliptic import *
from .entropy import *
from .exponential import *
from .exponential_integral import *
from .factorisation import *
from .gamma import *
from .grid import *
from .incomplete_gamma import *
from .indexing import *
from .least_squares import *
from .linear_algebra import *
from .linear_system import *
from .log_sum_exp import *
from .lu import *
from .manipulation import *
from .matrix import *
from .matrix_function import *
from .moment import *
from .namespace_info import *
from .norm import *
from .normal_distribution import *
from .pooling import *
from .power import *
from .power_transformation import *
from .random import *
from .recursive_filter import *
from .reduction import *
from .rounding import *
from .scipy import *
from .search import *
from .selection import *
from .set import *
from .sigmoidal import *
from .sinc import *
from .singular_value import *
from .sorting import *
from .spatial_convolution import *
from .special import *
from .special_function import *
from .subscript import *
from .trigonometric import *
from .window import *

if not typing.TYPE_CHECKING:  # type checkers follow the star imports instead: a computed list they cannot read
    __all__ = [name for name, value in globals().items() if name[0] != "_" and not isinstance(value, types.ModuleType)]

del types, typing
