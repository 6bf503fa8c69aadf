"""`bprop` is a namespace of the Array API standard 2024.12: names, parameters, dtypes, promotion, devices, DLPack.

Names and parameters are those of the standard's stubs (`standard.json`). The standard's own suite is run by `run.py`, which needs
a checkout of it. Planted: `device` dropped from `eye`; "integral" without unsigned integers; a namespace for any version.
"""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import bprop
from bprop.core.error import ArgumentError, BpropError, DTypeError

HERE = Path(__file__).parent
STANDARD = json.loads((HERE / "standard.json").read_text(encoding="utf-8"))
INFO = bprop.__array_namespace_info__()
HOLDERS = {
    "functions": bprop,
    "linalg": bprop.linalg,
    "fft": bprop.fft,
    "methods": bprop.Array,
    "info": INFO,
}
FUNCTIONS = [(kind, name, text) for kind in HOLDERS for name, text in STANDARD[kind].items()]
SKIPS = 23


def signature(text):
    """Parameters as the standard writes them."""
    return inspect.signature(eval(f"lambda {text}: None", {"__builtins__": {}}))


@pytest.mark.parametrize(("kind", "name", "text"), FUNCTIONS, ids=[f"{kind}.{name}" for kind, name, _ in FUNCTIONS])
def test_parameters_are_the_standards(kind, name, text):
    theirs = signature(text).parameters
    ours = inspect.signature(getattr(HOLDERS[kind], name)).parameters
    positional = [parameter for parameter in theirs.values() if parameter.kind is not parameter.KEYWORD_ONLY]
    for parameter, own in zip(positional, ours.values(), strict=False):
        if not name.startswith("__"):  # Python calls these with positions
            assert (own.name, own.kind) == (parameter.name, parameter.kind)
        assert own.default is not own.empty or parameter.default is parameter.empty
    for parameter in theirs.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert ours[parameter.name].kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
            assert ours[parameter.name].default == parameter.default
    # what the standard does not know must not be needed
    extra = [own for own in ours.values() if own.name not in theirs and own.default is own.empty]
    assert len(extra) <= len(positional) if name.startswith("__") else not extra


def test_constants_and_dtypes():
    assert {name: getattr(bprop, name) for name in STANDARD["constants"] if name != "nan"} == {
        "e": np.e, "inf": np.inf, "newaxis": None, "pi": np.pi
    }  # fmt: skip
    assert np.isnan(bprop.nan)
    for name in STANDARD["dtypes"]:
        dtype = getattr(bprop, name)
        assert dtype == np.dtype(name)
        assert dtype != None  # noqa: E711 - NumPy's dtype("float64") is equal to None
        assert bprop.zeros(2, dtype=dtype).dtype is np.zeros(2, dtype).dtype
    assert set(STANDARD["dtypes"] + STANDARD["constants"]) <= set(bprop.__all__)


def test_an_array_knows_its_namespace():
    x = bprop.ones(2)
    assert x.__array_namespace__() is bprop
    assert x.__array_namespace__(api_version=bprop.__array_api_version__) is bprop
    assert bprop.grad(lambda x: x.__array_namespace__(api_version="2021.12").sum(x * x))(np.ones(2))[0] == 2
    with pytest.raises(ArgumentError, match=r"2024\.12.*'1999\.12'"):
        x.__array_namespace__(api_version="1999.12")
    for name in STANDARD["attributes"]:
        assert hasattr(bprop.ones((2, 2)), name)


# --- dtypes ---
RANK = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 2}


@pytest.mark.parametrize("name", STANDARD["dtypes"])
def test_promotion_is_the_standards(name):
    """Within bool, integers, and floating-point numbers the standard says what two dtypes are promoted to."""
    first = np.dtype(name)
    for other in map(np.dtype, STANDARD["dtypes"]):
        if RANK[first.kind] != RANK[other.kind] or (
            {str(first), str(other)} >= {"uint64"} and "i" in first.kind + other.kind
        ):
            continue
        wanted = promoted(first, other)
        assert bprop.result_type(first, other) == wanted
        x, y = bprop.ones(2, dtype=first), bprop.ones(2, dtype=other)
        assert bprop.concat([x, y]).dtype == bprop.where(bprop.asarray(True), x, y).dtype == wanted
        assert bprop.result_type(x, y, first) == wanted


def promoted(first, other):
    """The least dtype that holds both: the standard's tables in one rule."""
    holds = [
        dtype for dtype in map(np.dtype, STANDARD["dtypes"]) if np.can_cast(first, dtype) and np.can_cast(other, dtype)
    ]
    return min((dtype for dtype in holds if RANK[dtype.kind] == RANK[first.kind]), key=lambda dtype: dtype.itemsize)


KINDS = ["bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating", "numeric"]


def test_kinds_of_dtypes():
    for name in STANDARD["dtypes"]:
        for kind in KINDS:
            assert bprop.isdtype(getattr(bprop, name), kind) == np.isdtype(np.dtype(name), kind)
    assert bprop.isdtype("int8", ("bool", np.int8))
    assert not bprop.isdtype("int8", ())
    with pytest.raises(ArgumentError, match="integral"):
        bprop.isdtype("int8", "integers")


@pytest.mark.parametrize("name", STANDARD["dtypes"][1:])
def test_limits_of_dtypes(name):
    dtype = np.dtype(name)
    ours, numpys, other = (
        (bprop.iinfo, np.iinfo, bprop.finfo) if dtype.kind in "iu" else (bprop.finfo, np.finfo, bprop.iinfo)
    )
    for obj in (name, dtype, bprop.zeros(2, dtype=dtype)):
        info = ours(obj)
        for field in ("bits", "max", "min") + (() if dtype.kind in "iu" else ("eps", "smallest_normal")):
            assert getattr(info, field) == getattr(numpys(dtype), field)
            assert type(getattr(info, field)) in (int, float)
        assert info.dtype == (dtype if dtype.kind != "c" else dtype.type(0).real.dtype)
        with pytest.raises(DTypeError, match="info"):
            other(obj)


# --- devices and other libraries ---
def test_there_is_one_device():
    x = bprop.ones(2)
    assert x.device == INFO.default_device() == "cpu"
    assert INFO.devices() == ["cpu"]
    assert x.to_device("cpu") is x
    assert bprop.grad(lambda x: bprop.sum(x.to_device(x.device) ** 2))(np.ones(2))[1] == 2
    creation = [name for name, text in STANDARD["functions"].items() if "device" in text]
    for name in creation:
        arguments = {
            "full": (2, 1.0),
            "full_like": (x, 1.0),
            "linspace": (0, 1, 2),
            "eye": (2,),
            "astype": (x, "float32"),
        }
        f = getattr(bprop, name)
        given = arguments.get(name, (x if "x, /" in STANDARD["functions"][name] else 2,))
        assert f(*given, device="cpu").device == "cpu"
        with pytest.raises(ArgumentError, match=f"{name}.*cpu.*gpu"):
            f(*given, device="gpu")
    with pytest.raises(ArgumentError, match="to_device"):
        x.to_device("gpu")
    with pytest.raises(ArgumentError, match="streams"):
        x.to_device("cpu", stream=1)


def test_namespace_info():
    assert INFO.capabilities() == {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}
    assert bprop.ones((1,) * 64).ndim == 64
    assert INFO.dtypes() == {name: np.dtype(name) for name in STANDARD["dtypes"]}
    assert set(INFO.dtypes(kind=("bool", "complex floating"))) == {"bool", "complex64", "complex128"}
    defaults = INFO.default_dtypes(device="cpu")
    assert defaults["real floating"] == bprop.ones(1).dtype == bprop.asarray([1.5]).dtype
    assert defaults["complex floating"] == bprop.asarray([1j]).dtype
    assert defaults["integral"] == bprop.arange(1).dtype
    assert defaults["indexing"] == bprop.argsort(bprop.ones(1)).dtype


def test_dlpack_both_ways():
    numbers = np.arange(6.0).reshape(2, 3)
    x = bprop.from_dlpack(numbers)
    shared = bprop.from_dlpack(numbers, copy=False)
    numbers[0] = 7.0
    assert x[0, 1] == 1
    assert shared[0, 1] == 7
    assert bprop.from_dlpack(x, copy=True) is x
    assert bprop.grad(lambda x: bprop.sum(bprop.from_dlpack(x) ** 2))(np.ones(2))[0] == 2
    with pytest.raises(BpropError, match="asarray"):
        bprop.from_dlpack([1.0])


def test_memory_is_shared_where_dlpack_can_say_that_it_never_changes():
    x = bprop.arange(3.0)

    class Lender:
        def __dlpack__(self, **options):
            return x.__dlpack__(**{**options, "max_version": (1, 0), "copy": False})

        __dlpack_device__ = x.__dlpack_device__

    lent = np.from_dlpack(Lender())
    assert_array_equal(lent, x)
    assert np.shares_memory(lent, x.data)
    assert not lent.flags.writeable
    with pytest.raises(BufferError, match=r"copy=False needs max_version=\(1, 0\)"):
        x.__dlpack__(copy=False)


# --- the suite ---
def test_the_suites_skips_have_a_ceiling_and_a_reason_each():
    groups = (HERE / "skips.txt").read_text(encoding="utf-8").split("\n\n")[1:]
    skipped = [line for group in groups for line in group.splitlines() if not line.startswith("#")]
    assert len(skipped) <= SKIPS
    assert all(line.startswith("array_api_tests/test_") for line in skipped)
    assert all(group.startswith("# ") for group in groups)


# --- libraries that write for any namespace ---
def test_einops():
    einops = pytest.importorskip("einops.array_api")
    x = bprop.arange(6.0)
    assert_array_equal(einops.rearrange(x, "(a b) -> b a", a=2), np.arange(6.0).reshape(2, 3).T)
    gradient = bprop.grad(lambda x: bprop.sum(einops.reduce(x, "(a b) -> a", "mean", a=2) ** 2))(x)
    assert_array_equal(gradient, np.array([1, 1, 1, 4, 4, 4]) * 2 / 3)


def test_opt_einsum():
    opt_einsum = pytest.importorskip("opt_einsum")
    a, b, c = (np.arange(6.0).reshape(2, 3) + shift for shift in range(3))
    f = lambda a: bprop.sum(opt_einsum.contract("ij,kj,kl->il", a, bprop.asarray(b), bprop.asarray(c)))
    assert_array_equal(bprop.grad(f)(a), bprop.grad(lambda a: bprop.sum(bprop.einsum("ij,kj,kl->il", a, b, c)))(a))
