"""The only place an op is declared, in files by the Array API's categories. Each file says what it exports."""

from ..core.value import asarray
from . import (
    activation,
    arithmetic,
    arrangement,
    at,
    comparison,
    concatenation,
    creation,
    data_type,
    exponential,
    grid,
    indexing,
    linear_algebra,
    manipulation,
    matrix,
    random,
    reduction,
    selection,
    subscript,
)
from .activation import *
from .arithmetic import *
from .arrangement import *
from .at import *
from .comparison import *
from .concatenation import *
from .creation import *
from .data_type import *
from .exponential import *
from .grid import *
from .indexing import *
from .linear_algebra import *
from .manipulation import *
from .matrix import *
from .random import *
from .reduction import *
from .selection import *
from .subscript import *

__all__ = ["asarray"]
__all__ += activation.__all__
__all__ += arithmetic.__all__
__all__ += arrangement.__all__
__all__ += at.__all__
__all__ += comparison.__all__
__all__ += concatenation.__all__
__all__ += creation.__all__
__all__ += data_type.__all__
__all__ += exponential.__all__
__all__ += grid.__all__
__all__ += indexing.__all__
__all__ += linear_algebra.__all__
__all__ += manipulation.__all__
__all__ += matrix.__all__
__all__ += random.__all__
__all__ += reduction.__all__
__all__ += selection.__all__
__all__ += subscript.__all__
