"""The only place an op is declared, in files by the Array API's categories. Each file says what it exports."""

from ..core.value import asarray
from . import (
    activation,
    arithmetic,
    bitwise,
    comparison,
    creation,
    exponential,
    indexing,
    linear_algebra,
    manipulation,
    random,
    reduction,
    rounding,
    selection,
    sigmoidal,
    special,
    trigonometric,
)
from .activation import *
from .arithmetic import *
from .bitwise import *
from .comparison import *
from .creation import *
from .exponential import *
from .indexing import *
from .linear_algebra import *
from .manipulation import *
from .random import *
from .reduction import *
from .rounding import *
from .selection import *
from .sigmoidal import *
from .special import *
from .trigonometric import *

__all__ = ["asarray"]
__all__ += activation.__all__
__all__ += arithmetic.__all__
__all__ += bitwise.__all__
__all__ += comparison.__all__
__all__ += creation.__all__
__all__ += exponential.__all__
__all__ += indexing.__all__
__all__ += linear_algebra.__all__
__all__ += manipulation.__all__
__all__ += random.__all__
__all__ += reduction.__all__
__all__ += rounding.__all__
__all__ += selection.__all__
__all__ += sigmoidal.__all__
__all__ += special.__all__
__all__ += trigonometric.__all__
