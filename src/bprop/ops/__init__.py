"""The only place an op is declared, in files by the Array API's categories. Each file says what it exports."""

from ..core.value import asarray
from . import (
    activation,
    arithmetic,
    arrangement,
    at,
    bitwise,
    comparison,
    concatenation,
    contraction,
    creation,
    cumulative,
    data_type,
    determinant,
    exponential,
    factorisation,
    grid,
    indexing,
    least_squares,
    linear_algebra,
    linear_system,
    manipulation,
    matrix,
    norm,
    random,
    reduction,
    rounding,
    scipy,
    search,
    selection,
    set,
    sigmoidal,
    singular_value,
    sorting,
    special,
    subscript,
    trigonometric,
)
from .activation import *
from .arithmetic import *
from .arrangement import *
from .at import *
from .bitwise import *
from .comparison import *
from .concatenation import *
from .contraction import *
from .creation import *
from .cumulative import *
from .data_type import *
from .determinant import *
from .exponential import *
from .factorisation import *
from .grid import *
from .indexing import *
from .least_squares import *
from .linear_algebra import *
from .linear_system import *
from .manipulation import *
from .matrix import *
from .norm import *
from .random import *
from .reduction import *
from .rounding import *
from .scipy import *
from .search import *
from .selection import *
from .set import *
from .sigmoidal import *
from .singular_value import *
from .sorting import *
from .special import *
from .subscript import *
from .trigonometric import *

__all__ = ["asarray"]
__all__ += activation.__all__
__all__ += arithmetic.__all__
__all__ += arrangement.__all__
__all__ += at.__all__
__all__ += bitwise.__all__
__all__ += comparison.__all__
__all__ += concatenation.__all__
__all__ += contraction.__all__
__all__ += creation.__all__
__all__ += cumulative.__all__
__all__ += data_type.__all__
__all__ += determinant.__all__
__all__ += exponential.__all__
__all__ += factorisation.__all__
__all__ += grid.__all__
__all__ += indexing.__all__
__all__ += least_squares.__all__
__all__ += linear_algebra.__all__
__all__ += linear_system.__all__
__all__ += manipulation.__all__
__all__ += matrix.__all__
__all__ += norm.__all__
__all__ += random.__all__
__all__ += reduction.__all__
__all__ += rounding.__all__
__all__ += scipy.__all__
__all__ += search.__all__
__all__ += selection.__all__
__all__ += set.__all__
__all__ += sigmoidal.__all__
__all__ += singular_value.__all__
__all__ += sorting.__all__
__all__ += special.__all__
__all__ += subscript.__all__
__all__ += trigonometric.__all__
