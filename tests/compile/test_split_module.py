"""A module in parts: every function is in one of them, and the numbers are those of the whole."""

import re

import numpy as np
import pytest

import bprop
from bprop.compile.llvm import split_module as splitting
from bprop.compile.llvm.engine import compiled
from bprop.compile.llvm.host import current_target
from bprop.compile.llvm.module import emit_module
from bprop.compile.llvm.split_module import split_module
from bprop.compile.passes.inline import inline
from bprop.compile.passes.pipeline import lower
from bprop.compile.runtime import executable

X = np.random.default_rng(0).normal(size=(40, 30))


def kernels(x):
    """Maps, reductions, products, elementary functions and random numbers."""
    y = bprop.tanh(x @ x.mT) @ x
    return bprop.sum(bprop.exp(y), axis=0), bprop.max(y, axis=1), bprop.cumulative_sum(bprop.sin(y), axis=0)


def scanned(x):
    def step(carry, row):
        carry = bprop.tanh(carry * 0.5 + row)
        return carry, bprop.sum(carry)

    last, sums = bprop.scan(step, bprop.zeros(30, dtype=x.dtype), x)
    return last, sums, bprop.logsumexp(x, axis=1), x.mT @ x


def called_back(x):
    """NumPy solves, through a pointer that Python sets."""
    return bprop.linalg.solve(x @ x.mT + 40 * np.eye(40), x), bprop.exp(x), bprop.sum(x, axis=0)


def lowered(f):
    return lower(inline(bprop.trace(f)(X).closed()[0]), current_target())


@pytest.mark.parametrize("f", [kernels, scanned, called_back])
def test_parts_give_the_same_bits(f, monkeypatch):
    monkeypatch.setenv("BPROP_CACHE", "0")
    monkeypatch.setattr(splitting, "MIN_WEIGHT", 1)
    results, counts = [], []
    for count in (1, 2, 5):
        monkeypatch.setattr(executable, "available", lambda count=count: count)
        monkeypatch.setattr(
            executable, "compiled", lambda texts, target: counts.append(len(texts)) or compiled(texts, target)
        )
        results.append([np.asarray(y).tobytes() for y in bprop.compile(f)(X)])
    assert counts == [1, 2, 5]
    assert results[0] == results[1] == results[2]


def test_every_function_is_in_one_part(monkeypatch):
    monkeypatch.setattr(splitting, "MIN_WEIGHT", 1)
    module = emit_module(lowered(kernels))
    parts = split_module(module, 3)
    defined = [re.findall(r'(?m)^define .*@"([^"]+)"\(', part) for part in parts]
    inlined = {f.name for f in module.functions if "alwaysinline" in f.attributes}
    written = [name for part in defined for name in part if name not in inlined]
    assert sorted(written) == sorted(f.name for f in module.functions if f.blocks and f.name not in inlined)
    assert len(parts) == 3
    assert inlined


def test_small_modules_stay_whole():
    module = emit_module(lowered(bprop.exp))
    assert split_module(module, 8) == (str(module),)
