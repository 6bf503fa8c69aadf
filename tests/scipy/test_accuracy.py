"""The special functions of SciPy and their derivatives against mpmath: docs/scipy.md holds what is promised here.

What is measured, and the page, is docs/special_functions.py.
"""

import importlib.util
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest

import bprop
from bprop.scipy import special

PAGE = Path(__file__).parents[2] / "docs" / "scipy.md"
spec = importlib.util.spec_from_file_location("special_functions", PAGE.with_name("special_functions.py"))
table = importlib.util.module_from_spec(spec)
spec.loader.exec_module(table)

rows = pytest.mark.parametrize("row", table.ROWS, ids=lambda row: row.name)


def accurate(row, count):
    value, slope = table.errors(row, count)
    assert value <= row.value, f"{row.name} is off by {value:.3g} ULP"
    assert slope <= row.slope, f"the derivative of {row.name} is off by {slope:.3g} ULP"


@rows
def test_value_and_derivative_are_as_accurate_as_the_page_says(row):
    accurate(row, 6)


@pytest.mark.exhaustive
@rows
def test_value_and_derivative_are_as_accurate_everywhere(row):
    accurate(row, 200)


def test_the_page_is_what_its_program_prints():
    """Write it anew: python docs/special_functions.py > docs/scipy.md"""
    assert PAGE.read_text() == table.page() + "\n"


# --- second derivatives, where a formula of its own stands behind the first ---
CURVATURE = [
    ("erfcx", special.erfcx, lambda x: mp.exp(x * x) * mp.erfc(x), (-3.0, 0.5, 0.95, 5.0, 50.0), 32),
    ("log_ndtr", special.log_ndtr, lambda x: mp.log(table.below(x)), (-50.0, -3.0, -0.1, 0.1, 5.0), 32),
    ("dawsn", special.dawsn, lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x), (0.3, 1.2, 8.0, 30.0), 64),
    ("exprel", special.exprel, lambda x: mp.expm1(x) / x, (-30.0, -0.5, 1e-9, 0.5, 30.0), 8),
    ("spence", special.spence, lambda x: mp.re(mp.polylog(2, 1 - x)), (0.1, 0.8, 1.1, 3.0), 32),
    ("ellipk", special.ellipk, mp.ellipk, (0.001, 0.04, 0.06, 0.5, 0.99), 64),
    ("ellipe", special.ellipe, mp.ellipe, (0.001, 0.04, 0.06, 0.5, 0.99), 64),
    ("ndtri", special.ndtri, table.quantile, (1e-30, 0.01, 0.4, 0.9), 32),
    ("gammainc", lambda x: special.gammainc(2.5, x), lambda x: mp.gammainc(2.5, 0, x, regularized=True), (0.1, 1.0, 9.0), 32),
    ("iv", lambda x: special.iv(1, x), lambda x: mp.besseli(1, x), (0.1, 3.0, 30.0), 16),
]  # fmt: skip


@pytest.mark.parametrize(
    ("f", "exact", "at", "ceiling"), [row[1:] for row in CURVATURE], ids=[row[0] for row in CURVATURE]
)
def test_second_derivative_is_accurate(f, exact, at, ceiling):
    x = np.array(at)
    along = lambda f: lambda x: bprop.jvp(f, (x,), (np.ones(x.shape),))[1]
    for t, y in zip(at, np.asarray(along(along(f))(x)), strict=True):
        with mp.workdps(60):
            error = table.ulps(y, mp.diff(exact, mp.mpf(t), 2))
        assert error <= ceiling, f"at {t}: {error:.3g} ULP"


# --- ends of the range, ties, poles ---
ENDS = [
    ("erfcx", special.erfcx, np.inf, 0.0, 0.0),
    ("log_ndtr", special.log_ndtr, -np.inf, -np.inf, np.inf),
    ("log_ndtr", special.log_ndtr, 40.0, 0.0, 0.0),
    ("ndtri", special.ndtri, 0.0, -np.inf, np.inf),
    ("ndtri", special.ndtri, 1.0, np.inf, np.inf),
    ("erfcinv", special.erfcinv, 0.0, np.inf, -np.inf),
    ("entr", special.entr, 0.0, 0.0, np.inf),
    ("rgamma", special.rgamma, -2.0, 0.0, 2.0),
    ("rgamma", special.rgamma, np.inf, 0.0, 0.0),
    ("rel_entr, x", lambda x: special.rel_entr(x, 0.0), 0.0, 0.0, 0.0),
    ("rel_entr, x", lambda x: special.rel_entr(x, 2.0), 0.0, 0.0, -np.inf),
    ("rel_entr, y", lambda y: special.rel_entr(0.0, y), 0.0, 0.0, 0.0),
    ("kl_div, x", lambda x: special.kl_div(x, 0.0), 0.0, 0.0, 0.0),
    ("kl_div, y", lambda y: special.kl_div(0.0, y), 0.0, 0.0, 1.0),
    ("xlog1py", lambda y: special.xlog1py(0.0, y), -1.0, 0.0, 0.0),
    ("j1", special.j1, 0.0, 0.0, 0.5),
    ("sici", lambda x: special.sici(x)[0], 0.0, 0.0, 1.0),
    ("exprel", special.exprel, 0.0, 1.0, 0.5),
    ("spence", special.spence, 1.0, 0.0, -1.0),
    ("lambertw", special.lambertw, 0.0, 0.0, 1.0),
    ("gammainc", lambda x: special.gammainc(1.0, x), 0.0, 0.0, 1.0),
    ("gammainc", lambda x: special.gammainc(0.5, x), 0.0, 0.0, np.inf),
    ("betainc", lambda x: special.betainc(1.0, 3.0, x), 0.0, 0.0, 3.0),
    ("boxcox", lambda x: special.boxcox(2.0, x), 0.0, np.log(2.0), np.log(2.0) ** 2 / 2),
    ("inv_boxcox", lambda x: special.inv_boxcox(2.0, x), 0.0, np.exp(2.0), -2 * np.exp(2.0)),
    ("pseudo_huber", lambda x: special.pseudo_huber(1.0, x), 0.0, 0.0, 0.0),
    ("huber", lambda x: special.huber(1.0, x), -2.0, 1.5, -1.0),
    ("binom", lambda k: special.binom(5.0, k), 6.0, 0.0, -1 / 6),
]  # fmt: skip


@pytest.mark.parametrize("run", [lambda f: f, bprop.compile], ids=["eager", "compiled"])
@pytest.mark.parametrize(
    ("f", "x", "value", "slope"), [row[1:] for row in ENDS], ids=[f"{row[0]} at {row[2]}" for row in ENDS]
)
def test_at_the_ends(f, x, value, slope, run):
    for both in (lambda x: bprop.jvp(f, (x,), (1.0,)), lambda x: bprop.value_and_grad(f)(x)):
        y, dy = run(both)(x)
        np.testing.assert_allclose(np.asarray(y), value, rtol=1e-14, atol=1e-300)
        np.testing.assert_allclose(np.asarray(dy), slope, rtol=1e-14, atol=1e-300)
