"""What is exported is run: NumPy and SciPy alone give the value and the gradient that the library gives."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import special

import bprop
from bprop.core.error import ArgumentError, BpropError

RNG = np.random.default_rng(5)
X, T, TABLE = RNG.normal(size=(6, 3)), RNG.normal(size=6), RNG.normal(size=(4, 5))


def mlp(p, x, t):
    return np.sum((t - np.tanh(x @ p["W"] + p["b"]) @ p["v"]) ** 2) / len(t)


FUNCTIONS = {
    "least squares": (lambda w, x, t: np.sum((t - x @ w) ** 2), (np.ones(3), X, T)),
    "network": (mlp, ({"W": X[:3, :], "b": X[3], "v": X[4]}, X, T)),
    "classes": (lambda w, x: bprop.logsumexp(x @ w) - (x @ w)[2], (TABLE[:3], X[0])),
    "entries": (lambda w: w[0] * w[1] ** 2 + np.exp(w[2]), (T,)),
    "slices": (lambda u: np.sum((u[2:] - 2 * u[1:-1] + u[:-2]) ** 2) + u[::2] @ u[::2], (T,)),
    "indices": (lambda e: np.sum(np.sin(e[np.array([0, 2, 2])])), (TABLE,)),
    "branches": (lambda x: np.sum(np.where(x > 0, np.log(np.abs(x)), x**2)), (T,)),
    "constants": (lambda w: np.sum(np.asarray(TABLE) @ w), (np.ones(5),)),
    "saturated": (lambda x: np.sum(np.tanh(x)) + np.sum(bprop.sigmoid(-x)), (np.array([0.3, 20.0, -25.0, 700.0]),)),
    "special": (lambda x: np.sum(bprop.scipy.special.gammaln(x)) + np.sum(bprop.erf(x)), (np.abs(T) + 0.5,)),
    "many names": (lambda x: sum(np.sin(x[i % 6]) * np.cos(x[(i + 1) % 6]) * x[i % 5] for i in range(40)), (T,)),
    "joined": (lambda x: np.sum(np.concatenate([x, x[:2] ** 2]) ** 3), (T,)),
    "norm": (lambda x: np.linalg.norm(x) + np.linalg.slogdet(np.outer(x, x) + np.eye(6))[1], (T,)),
    "sorted": (lambda x: np.sort(x) @ np.arange(6.0) + np.max(x), (T,)),
}


def run(source, *args):
    names = {}
    exec(compile(source, "<exported>", "exec"), names)
    return names["value_and_grad"](*args)


def leaves(args):
    for x in args:
        yield from (x[key] for key in x) if isinstance(x, dict) else [x]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_source_gives_the_librarys_numbers(name):
    f, args = FUNCTIONS[name]
    source = bprop.export(f)(*args).numpy
    with np.errstate(all="ignore"):
        value, *bars = run(source, *leaves(args))
    expected, gradient = bprop.value_and_grad(f)(*args)
    np.testing.assert_allclose(value, expected.numpy(), rtol=1e-13)
    for bar, wanted in zip(bars, leaves([gradient]), strict=True):
        np.testing.assert_allclose(bar, np.asarray(wanted), rtol=1e-12, atol=1e-300)
    latex = bprop.export(f)(*args).latex
    assert latex.count("{") == latex.count("}")
    assert latex.startswith("\\begin{aligned}")


def test_a_saved_file_runs_without_the_library(tmp_path):
    path = tmp_path / "energy.py"
    bprop.export(lambda w, x: bprop.logsumexp(x @ w))(np.ones(3), X).save(path)
    program = "import sys, numpy as np, energy; print(*energy.value_and_grad(np.ones(3), np.eye(3))[1]); assert 'bprop' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    w_bar = np.array(done.stdout.split(), float)
    np.testing.assert_allclose(w_bar, special.softmax(np.ones(3)), rtol=1e-14)
    bprop.export(lambda w: w * w)(2.0).save(tmp_path / "energy.tex")
    assert r"\bar{w} &= 2 \, w" in (tmp_path / "energy.tex").read_text(encoding="utf-8")
    with pytest.raises(ArgumentError, match=r"suffix is one of \.py, \.tex, \.txt, not '\.doc'"):
        bprop.export(lambda w: w * w)(2.0).save(tmp_path / "energy.doc")


def test_what_cannot_be_written_is_refused_by_name():
    with pytest.raises(BpropError, match="airy_ai"):
        _ = bprop.export(lambda x: bprop.scipy.special.airy(x)[0])(1.0).numpy
    with pytest.raises(BpropError, match="scan holds a function"):
        bprop.export(lambda x: bprop.scan(lambda c, _: (c * x, c), x, length=3)[0])(1.0)


def test_a_large_constant_is_an_argument():
    table = RNG.normal(size=(1, 2000))
    source = bprop.export(lambda w: np.sum((table @ w) ** 2))(np.ones(2000)).numpy
    assert "c0: float64[1,2000], a constant of the function" in source
    np.testing.assert_allclose(run(source, np.ones(2000), table)[0], table.sum() ** 2, rtol=1e-12)


def test_names_that_the_source_needs_or_that_are_alike_are_kept_apart():
    def f(np, E, E_bar, embed, p, p_a):
        return (np * E + E_bar) * embed[1] * p["a"] + p_a

    args = (2.0, 3.0, 5.0, np.array([1.0, 7.0]), {"a": 11.0}, 13.0)
    value, *bars = run(bprop.export(f, argnums=(0, 1, 2, 3, 4, 5))(*args).numpy, *leaves(args))
    expected, gradient = bprop.value_and_grad(f, (0, 1, 2, 3, 4, 5))(*args)
    assert value == expected.numpy()
    for bar, wanted in zip(bars, leaves(gradient), strict=True):
        np.testing.assert_array_equal(bar, np.asarray(wanted))
