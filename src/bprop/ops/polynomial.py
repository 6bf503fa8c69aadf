"""The roots of polynomials, as functions of their coefficients."""

from typing import Any

import numpy as np

from ..core.dtype import to_complex, to_float
from ..core.family import General
from .complex import complex_examples
from .concatenation import concat
from .contraction import matmul
from .creation import ones
from .cumulative import cumulative_prod
from .manipulation import broadcast_to, expand_dims


def _roots_value(p: Any) -> Any:
    p = p.astype(to_float(p.dtype), copy=False)
    y = np.empty((*p.shape[:-1], p.shape[-1] - 1), to_complex(p.dtype))
    if y.shape[-1] and not p[..., 0].all():
        raise np.linalg.LinAlgError
    for row in np.ndindex(p.shape[:-1]):
        y[row] = np.roots(p[row])
    return y


def _powers(y: Any, n: int) -> Any:
    """Return y^(n-1), …, y, 1, along a last axis of its own."""
    shape = (*y.shape, n - 1)
    rising = cumulative_prod(broadcast_to(expand_dims(y, -1), shape), axis=-1)
    return concat([ones((*y.shape, 1), dtype=y.dtype), rising], axis=-1)[..., ::-1]


def _slope(p: Any, powers: Any) -> Any:
    """Return p'(y), from the powers of the roots y."""
    n = p.shape[-1]
    falling = p[..., :-1] * np.arange(n - 1, 0, -1).astype(p.dtype)
    return matmul(powers[..., 1:], expand_dims(falling, -1))[..., 0]


def _roots_jvp(y: Any, xs: Any, x_dots: Any) -> Any:
    powers = _powers(y, xs[0].shape[-1])
    return -matmul(powers, expand_dims(x_dots[0], -1))[..., 0] / _slope(xs[0], powers)


def _roots_vjp(y_bar: Any, y: Any, xs: Any, needs: Any) -> tuple[Any]:
    powers = _powers(y, xs[0].shape[-1])
    scaled = -y_bar / _slope(xs[0], powers)
    return (matmul(expand_dims(scaled, -2), powers)[..., 0, :],)


roots_op = General(
    "roots",
    _roots_value,
    signature="(n)->(m)",
    extents=lambda sizes: {"m": sizes["n"] - 1},
    jvp=_roots_jvp,
    vjp=_roots_vjp,
    dtype=to_complex,
    takes_complex=True,
    failure="the first coefficient is 0, so that there are fewer roots, or one is not finite: leave out what is 0 in front",
    examples=complex_examples(
        lambda draw: [((x,), {}) for shape in ((4,), (2, 3), (2,)) for x in (draw(*shape), draw(*shape).real)]
    ),
    complex_step=False,
    latex=r"\operatorname{{roots}}({0})",
    doc="""The roots of Σ_k x_k r^(n-1-k), complex, in NumPy's order: n - 1 of them, since x_0 ≠ 0. r_dot = -Σ_k x_dot_k r^(n-1-k) / p'(r),
    not finite at a root that is another's, too.

    **Source:** Wilkinson (1963), Rounding errors in algebraic processes, ch. 2; the order: NumPy, ``roots``.""",
)

__all__ = ["roots_op"]
