"""The error function: a polynomial in x² below, e^(-x²) times a polynomial in (x - 4) / (x + 4) above.

(1 + 2x) e^(x²) erfc x changes little over the whole half line (Shepherd & Laframboise, 1981), so that its polynomial keeps
the relative accuracy of erfc far into the tail. The tail would magnify the rounding error of x²: it goes into the exponential.
Polynomials are minimax in relative error, by Remez' exchange in 50 digits.

**Sources:** Shepherd & Laframboise (1981), Chebyshev approximation of (1 + 2x) exp(x²) erfc x in 0 ≤ x < ∞; Cody (1969),
Rational Chebyshev approximations for the error function.
"""

from typing import Any

from ...ops.special import ERFCX
from .exponential import LOG2_E, beyond_linear, reduced, rounded, scaled
from .formula import Number, in_double

_ERF = {
    24: (0.12837916612625122, -0.3761262595653534, 0.11283578723669052, -0.026853347197175026, 0.005187161732465029,
         -0.000799784145783633, 7.806834764778614e-05),
    53: (0.1283791670955126, -0.3761263890318375, 0.11283791670954858, -0.026866170645072938, 0.005223977624781026,
         -0.0008548326978739613, 0.0001205533103646019, -1.492559348969583e-05, 1.646097245654385e-06,
         -1.6350020690859867e-07, 1.4657845599601638e-08, -1.1365522218486599e-09, 5.945003620530886e-11),
}  # fmt: skip
"""erf x / x - 1 as a polynomial in x², |x| ≤ 1: to 2^-29 and 2^-56."""
_ERFC: dict[int, tuple[float, ...]] = {
    24: (1.2329951188500088, -0.1396211175352015, 0.015379606336155451, 0.06809708170789489, -0.10103754091835544,
         0.09373330985369915, -0.06634847158151715, 0.03715008214125736, -0.016111777269253995, 0.005166795708626918,
         -0.0008685023589462879, -0.0005165093800156022),
    53: ERFCX,
}  # fmt: skip
"""(1 + 2x) e^(x²) erfc x as a polynomial in (x - 4) / (x + 4), from x = 0.45 on: to 2^-32 and 2^-54."""


def _central(x: Number) -> Number:
    """Erf x - x for |x| ≤ 1."""
    f = x.field
    return x * f.polynomial(x * x, _ERF[f.precision])


def _tail(x: Number) -> Number:
    """Erfc x for x ≥ 0.45."""
    f = x.field
    x = f.at_most(x, 11.0 if f.precision == 24 else 28.0)
    square, lost = (x * x, f.number(0.0)) if f.precision == 24 else f.product(x, x)
    n, bits = rounded(-square, LOG2_E, 2 * f.bias)
    r, _ = reduced(-square, n)
    r = r - lost
    prefactor = f.polynomial((x - 4) / (x + 4), _ERFC[f.precision]) / f.fma(2.0, x, 1.0)
    return scaled(f.fma(prefactor, r + beyond_linear(r), prefactor), bits)


@in_double
def erf(x: Number) -> Number:
    """As x + x P(x²) below 1, 1 - erfc |x| above."""
    f, size = x.field, abs(x)
    outer = f.with_sign(1 - _tail(f.at_least(size, 0.45)), x)
    return f.where(size < 1, x + _central(x), outer)


@in_double
def erfc(x: Number) -> Number:
    """1 - erf x around 0, where 1 - x is a sum of two numbers; to the left 2 - erfc |x|."""
    f, size = x.field, abs(x)
    tail = _tail(f.at_least(size, 0.45))
    high = 1 - x
    inner = high + (((1 - high) - x) - _central(x))
    return f.where(size < 0.84, inner, f.where(x < 0, 2 - tail, tail))


FORMULAS: dict[str, Any] = {"erf": erf, "erfc": erfc}
