"""Compiled code on disk: used when it is exactly what was written for exactly this program, and never otherwise."""

import os
import random
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bprop
from bprop.compile import compile
from bprop.compile.llvm.host import current_target, generate_for, parallel_threshold
from bprop.compile.llvm.module import emit_module
from bprop.compile.passes.inline import inline
from bprop.compile.passes.pipeline import lower
from bprop.compile.runtime import executable as code
from bprop.compile.runtime import object_cache as store
from bprop.compile.runtime.fingerprint import declaration, fingerprint
from bprop.compile.runtime.object_cache import Entry, Store
from bprop.core.op import REGISTRY
from support.profile import examples
from support.random_graph import programs
from support.random_graph import run as follow

KEY = "0123456789abcdef" * 4
ENTRY = Entry(
    (bytes(range(200)), bytes(range(200, 256))),
    ("expf", "logf"),
    {"arena": 4096, "callbacks": 2},
    {"name": "step", "ops": 3, "kernels": 1, "cpu": "any"},
)
posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners and modes are POSIX's")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BPROP_CACHE", "1")
    monkeypatch.setenv("BPROP_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("BPROP_CACHE_SIZE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def compilations(folder, monkeypatch):
    """Every text that LLVM compiles."""
    texts = []
    right = code.compiled
    monkeypatch.setattr(code, "compiled", lambda text, target: texts.append(text) or right(text, target))
    return texts


def energy(x, w):
    return bprop.sum(bprop.tanh(x @ w) ** 2)


def run(f=energy, shape=(5, 3)):
    x = np.linspace(-1, 1, shape[0] * shape[1]).reshape(shape)
    compiled = compile(lambda x, w: bprop.value_and_grad(f, argnums=(0, 1))(x, w))
    result = compiled(x, x.T.copy())
    expected = bprop.value_and_grad(f, argnums=(0, 1))(bprop.asarray(x), bprop.asarray(x.T.copy()))
    for a, b in zip((result[0], *result[1]), (expected[0], *expected[1]), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-12, atol=1e-14)
    return compiled


def test_a_second_program_is_read_not_compiled(compilations, folder):
    first = run()
    second = run()
    assert len(compilations) == 1
    assert str(first.kernels) == str(second.kernels)
    assert str(first.memory) == str(second.memory)
    assert first.llvm == second.llvm
    assert "define" in second.llvm
    assert len(list(folder.iterdir())) == 1


def test_what_differs_is_compiled(compilations):
    run()
    run(lambda x, w: bprop.sum(bprop.tanh(x @ w) ** 3))
    run(lambda x, w: bprop.sum(bprop.tanh(x @ w) ** 2.0))
    run(lambda x, w: bprop.sum(bprop.sin(x @ w) ** 2))
    run(shape=(5, 4))
    assert len(compilations) == 5
    with generate_for("x86-64"):
        run()
    assert len(compilations) == 6


def test_donation_is_part_of_the_fingerprint():
    graph = bprop.trace(lambda x: x + 1)(bprop.ones(3))
    assert len({fingerprint(graph, {}, "cpu"), fingerprint(graph, {0: 0}, "cpu"), fingerprint(graph, {}, "other")}) == 3


def test_the_fingerprint_tells_constants_apart():
    numbers = (1, 1.0, True, 0.0, -0.0, float("inf"), float("nan"))
    graphs = [bprop.trace(lambda x, n=n: bprop.multiply(x, n))(bprop.ones(3)) for n in numbers]
    dtypes = [bprop.trace(lambda x: x * 2)(bprop.ones(3, dtype=d)) for d in (np.float32, np.float64, np.int64)]
    outputs = [bprop.trace(lambda x, n=n: [bprop.exp(x), x][n])(bprop.ones(3)) for n in (0, 1)]
    texts = [fingerprint(graph, {}, "") for graph in (*graphs, *dtypes, *outputs)]
    assert None not in texts
    # 1, 1.0 and True times an array of floats are three ways to say one thing; their texts still differ
    assert len(set(texts)) == len(texts)


@given(programs(), st.integers(0, 13), st.tuples(*[st.integers(0, 30)] * 3), st.sampled_from(("u", "b", "s")))
@examples(25)
def test_code_follows_from_the_fingerprint(steps, place, others, kind):
    """Of programs that differ in one step: one fingerprint means one code; and the same program has both again."""
    place %= len(steps)
    changed = [*steps[:place], (kind, *others), *steps[place + 1 :]]
    xs = [bprop.ones(shape) for shape in ((3, 4), (4,), ())]
    found = {}
    for program in (steps, steps, changed, steps[:place] or steps):
        graph = bprop.trace(lambda *xs, program=program: follow(program, xs))(*xs).closed()[0]
        text = fingerprint(graph, {}, "")
        assert text is not None
        with parallel_threshold(0):
            found.setdefault(text, set()).add(str(emit_module(lower(inline(graph), current_target()))))
    assert all(len(codes) == 1 for codes in found.values())
    assert len(found) >= 1 + (len({code for codes in found.values() for code in codes}) > 1)


def test_files_that_changed_since_the_library_was_loaded_keep_nothing():
    """Also if nothing was compiled before: what runs is not what the files say."""
    code = """
import os, pathlib, time
import bprop
stat, now = pathlib.Path.stat, time.time()
def later(self, **options):
    found = stat(self, **options)
    return os.stat_result([*found[:8], now, *found[9:10]]) if self.name == "op.py" else found
pathlib.Path.stat = later
from bprop.compile.runtime.fingerprint import fingerprint
print(fingerprint(bprop.trace(bprop.exp)(bprop.ones(3)), {}, ""))
"""
    env = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(bprop.__file__))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=env, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "None"), done.stderr


def test_every_op_has_a_declaration_that_can_be_told():
    assert len({declaration(op) for op in REGISTRY.values()}) == len(REGISTRY)


def test_a_changed_declaration_is_compiled_again(compilations, monkeypatch):
    run()
    monkeypatch.setattr(REGISTRY["tanh"], "native", "sinh")  # and gives what it says now
    x = np.linspace(-1, 1, 15).reshape(5, 3)
    y = compile(lambda x: bprop.tanh(x))(x)
    assert len(compilations) == 2
    np.testing.assert_allclose(np.asarray(y), np.sinh(x), rtol=1e-14)
    monkeypatch.undo()


def test_an_own_formula_that_changes_is_told_apart(monkeypatch):
    op = REGISTRY["tanh"]
    seen = set()
    for factor in (2.0, 3.0):
        for f in (lambda x: x * factor, lambda x: x + factor):  # noqa: B023
            monkeypatch.setattr(op, "native", f)
            seen.add(declaration(op))
    assert len(seen) == 4


def test_callbacks_are_those_of_this_process(compilations):
    a = np.array([[4.0, 1.0], [1.0, 3.0]])
    for _ in range(2):
        found = compile(bprop.cholesky)(a)
        np.testing.assert_allclose(np.asarray(found), np.linalg.cholesky(a), rtol=1e-14)
    assert len(compilations) == 1
    broken = compile(bprop.cholesky)
    with pytest.raises(bprop.BpropError):
        broken(-a)
    assert len(compilations) == 1


def test_each_callback_is_its_own(compilations):
    a = np.array([[4.0, 1.0], [1.0, 3.0]])

    def several(a):
        def row(c, x):
            return c + bprop.sum(bprop.cholesky(a * x)), bprop.linalg.eigvalsh(a * x)

        total, rows = bprop.scan(row, bprop.asarray(0.0), np.array([1.0, 4.0]))
        return bprop.cholesky(a), total, rows, bprop.linalg.eigvalsh(a)

    for _ in range(2):
        first, total, rows, last = (np.asarray(one) for one in compile(several)(a))
        np.testing.assert_allclose(first, np.linalg.cholesky(a), rtol=1e-14)
        np.testing.assert_allclose(total, np.linalg.cholesky(a).sum() * 3, rtol=1e-14)
        np.testing.assert_allclose(rows, np.linalg.eigvalsh(a) * np.array([[1.0], [4.0]]), rtol=1e-12)
        np.testing.assert_allclose(last, np.linalg.eigvalsh(a), rtol=1e-12)
    assert len(compilations) == 1


def test_a_function_of_the_users_is_called_by_a_kept_program(compilations):
    def seen_by_a_new_one():
        seen = []

        def halve(x):
            bprop.callback(lambda x: seen.append(float(x)), x)
            return x / 2

        compile(lambda x: bprop.while_loop(lambda x: x > 1, halve, x))(np.array(10.0))
        return seen

    assert seen_by_a_new_one() == seen_by_a_new_one() == [10, 5, 2.5, 1.25]
    assert len(compilations) == 1


def test_a_function_that_cannot_be_told_is_called_by_a_program_that_is_not_kept(compilations):
    seen, traced = [], []

    def f(x):
        traced.append(x * 2)  # a value of the trace, which has no text
        bprop.callback(lambda x: seen.append((float(x), len(traced))), x)
        return x / 2

    assert compile(f)(np.array(3.0)).item() == 1.5
    assert seen == [(3.0, 1)]
    assert len(compilations) == 1


def test_callbacks_inside_a_scan(compilations):
    a = np.stack([np.eye(2) * k for k in (1.0, 4.0, 9.0)])

    def roots(a):
        return bprop.scan(lambda c, x: (c + bprop.cholesky(x), c), bprop.zeros((2, 2)), a)

    for _ in range(2):
        final, _ = compile(roots)(a)
        np.testing.assert_allclose(np.asarray(final), np.eye(2) * 6)
    assert len(compilations) == 1


def test_equal_kernels_are_made_once(compilations):
    def layers(depth):
        def f(x, *weights):
            for w in weights:
                x = bprop.tanh(x @ w)
            return x

        draw = np.random.default_rng(depth)
        x, weights = draw.normal(size=(4, 6)), draw.normal(size=(depth, 6, 6))
        y = compile(f)(x, *weights)
        for w in weights:
            x = np.tanh(x @ w)
        np.testing.assert_allclose(np.asarray(y), x, rtol=1e-12, atol=1e-14)

    for depth in (2, 9):
        layers(depth)
    shallow, deep = (text.count("define internal") for text in compilations)
    assert deep == shallow


def test_kernels_that_differ_are_each_made(compilations):
    x = np.linspace(0.5, 2, 12).reshape(3, 4)
    f = compile(lambda x: (bprop.sum(x * 2, axis=0), bprop.sum(x * 3, axis=0), bprop.sum(x * 3, axis=1)))
    for y, z in zip(f(x), (2 * x.sum(0), 3 * x.sum(0), 3 * x.sum(1)), strict=True):
        np.testing.assert_allclose(np.asarray(y), z, rtol=1e-14)


# --- damage ---
def test_any_flipped_byte_makes_an_entry_nobody_has(tmp_path):
    kept = Store(tmp_path / "cache")
    kept.put(KEY, ENTRY)
    (path,) = kept.folder.iterdir()
    whole = path.read_bytes()
    assert kept.get(KEY) == ENTRY
    for place in range(len(whole)):
        for bit in (1, 128):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
            assert kept.get(KEY) is None
            assert not path.exists()  # it makes room for a good one
    for length in (*range(0, len(whole), 7), len(whole) - 1):
        path.write_bytes(whole[:length])
        assert kept.get(KEY) is None
    path.write_bytes(whole + b"\0")
    assert kept.get(KEY) is None
    path.write_bytes(whole)
    assert kept.get(KEY) == ENTRY


def test_an_entry_under_another_name_is_not_used(tmp_path):
    kept = Store(tmp_path / "cache")
    kept.put(KEY, ENTRY)
    other = KEY[::-1]
    (kept.folder / f"{KEY}.code").rename(kept.folder / f"{other}.code")
    assert kept.get(other) is None
    assert kept.get(KEY) is None


def test_damaged_programs_are_compiled_again_and_replaced(compilations, folder):
    run()
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    draw = random.Random(0)
    for number in range(8):
        place = draw.randrange(len(whole))
        bad = whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :] if number % 2 else whole[:place]
        path.write_bytes(bad)
        run()
        assert len(compilations) == 2 + number
        assert path.read_bytes() == whole
    run()
    assert len(compilations) == 9


@posix
def test_what_others_could_have_written_is_not_used(compilations, folder, monkeypatch):
    run()
    (path,) = folder.iterdir()
    monkeypatch.setattr(store, "_warned", set())
    folder.chmod(0o770)
    with pytest.warns(RuntimeWarning, match="can be written by others"):
        run()
    run()  # said once
    assert len(compilations) == 3
    folder.chmod(0o700)
    path.chmod(0o666)
    with pytest.warns(RuntimeWarning, match="can be written by others"):
        run()
    assert len(compilations) == 4
    run()  # was replaced by one that nobody else can write
    assert len(compilations) == 4
    assert path.stat().st_mode & 0o777 == 0o600


@posix
def test_what_belongs_to_another_user_is_not_used(compilations, folder, monkeypatch):
    run()
    mine = os.geteuid()
    monkeypatch.setattr(store, "_warned", set())
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.warns(RuntimeWarning, match="belongs to another user"):
        run()
    assert len(compilations) == 2


@posix
def test_a_link_in_place_of_an_entry_is_not_followed(tmp_path):
    kept = Store(tmp_path / "cache")
    kept.put(KEY, ENTRY)
    path = kept.folder / f"{KEY}.code"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert kept.get(KEY) is None
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert kept.get(KEY) is None  # and does not wait for a writer


@posix
def test_a_link_to_the_folder_is_the_users_own(tmp_path, monkeypatch):
    """Who makes the link says whose files are read: a folder of downloads, say, belongs to the user as well."""
    kept = Store(tmp_path / "cache")
    kept.put(KEY, ENTRY)
    link = Store(tmp_path / "link")
    link.folder.symlink_to(kept.folder)
    assert link.get(KEY) == ENTRY
    assert link.refusal() == ""
    right = os.lstat

    def others(path, **options):
        found = list(right(path, **options))
        found[4] += path == link.folder
        return os.stat_result(found)

    monkeypatch.setattr(os, "lstat", others)
    monkeypatch.setattr(store, "_warned", set())
    with pytest.warns(RuntimeWarning, match="is a link that belongs to another user"):
        assert link.get(KEY) is None
    assert kept.get(KEY) == ENTRY


@posix
def test_what_is_too_large_or_no_file_is_no_entry(tmp_path):
    kept = Store(tmp_path / "cache")
    kept.put(KEY, ENTRY)
    path = kept.folder / f"{KEY}.code"
    os.truncate(path, 2**40)  # a hole: it takes no room on the disk
    assert [one.about for one in kept.entries()] == [None]
    assert kept.get(KEY) is None
    assert not path.exists()
    path.mkdir()
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        assert kept.get(KEY) is None
        kept.put(KEY, ENTRY)
    assert len(os.listdir("/dev/fd")) == before


@posix
def test_the_folder_is_the_users_own(compilations, folder):
    run()
    assert folder.stat().st_mode & 0o777 == 0o700


# --- places ---
def test_nothing_is_kept_where_nothing_can_be(compilations, folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "cache", "/proc/nowhere", "/dev/null"):
        monkeypatch.setenv("BPROP_CACHE_DIR", str(place))
        run()
    assert len(compilations) == 3
    for value in ("0", "", "off"):
        monkeypatch.setenv("BPROP_CACHE", value)
        assert store.store() is None
    assert not folder.exists()


def test_a_full_disk_keeps_nothing(compilations, folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        run()
        assert list(folder.iterdir()) == []
    run()
    run()
    assert len(compilations) == 2


@posix
def test_the_folder_follows_the_environment(monkeypatch):
    for name in ("BPROP_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    assert store.folder_of_store() is None or store.folder_of_store().is_absolute()
    monkeypatch.setenv("HOME", "")
    assert store.folder_of_store() is None or store.folder_of_store().is_absolute()
    monkeypatch.setenv("HOME", "/home/a")
    assert str(store.folder_of_store()) == "/home/a/.cache/bprop"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which its specification says to ignore
    assert str(store.folder_of_store()) == "/home/a/.cache/bprop"
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert str(store.folder_of_store()) == "/cache/bprop"
    monkeypatch.setenv("BPROP_CACHE_DIR", "/here")
    assert str(store.folder_of_store()) == "/here"


# --- bounds ---
def test_what_was_used_longest_ago_goes_first(tmp_path):
    kept = Store(tmp_path / "cache")
    keys = [f"{number:064x}" for number in range(6)]
    for number, key in enumerate(keys[:5]):
        kept.put(key, ENTRY)
        os.utime(kept.folder / f"{key}.code", (number, number))
    size = (kept.folder / f"{keys[0]}.code").stat().st_size
    assert kept.get(keys[0]) == ENTRY  # now the last used
    foreign = kept.folder / "notes.txt"
    foreign.write_text("x" * 10 * size)
    stale = kept.folder / f".{keys[0][:50]}.{'0' * 32}.part"
    stale.write_text("")
    os.utime(stale, (1, 1))
    kept.limit = 3 * size
    kept.put(keys[5], ENTRY)
    assert {path.name for path in kept.folder.iterdir()} == {
        "notes.txt", *(f"{keys[number]}.code" for number in (0, 4, 5))
    }  # fmt: skip
    kept.limit = size - 1
    kept.put(keys[1], ENTRY)  # larger than all there may be
    assert kept.get(keys[1]) is None
    assert kept.clear() == (3, 3 * size)
    assert foreign.exists()


def test_the_size_follows_the_environment(folder, monkeypatch):
    for text, limit in (("1.5", 1_500_000), ("", 256_000_000)):
        monkeypatch.setenv("BPROP_CACHE_SIZE", text)
        assert store.store().limit == limit
    monkeypatch.setattr(store, "_warned", set())
    for text in ("lots", "-1", "nan"):
        monkeypatch.setenv("BPROP_CACHE_SIZE", text)
        with pytest.warns(RuntimeWarning, match="megabytes"):
            assert store.store().limit == 256_000_000
    monkeypatch.setenv("BPROP_CACHE_SIZE", "0")
    assert store.store() is None


# --- processes ---
PROGRAM = """
import sys
import numpy as np, bprop
from bprop.compile.runtime import executable as code
made = []
right = code.compiled
code.compiled = lambda *args: made.append(1) or right(*args)
f = bprop.compile(lambda x: bprop.sum(bprop.exp(x) * 2))
print(float(f(np.arange(4.0))), len(made), "bprop.compile.llvm.module" in sys.modules)
"""


def processes(folder, count):
    environment = {**os.environ, "BPROP_CACHE": "1", "BPROP_CACHE_DIR": str(folder)}
    started = [
        subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, encoding="utf-8")
        for _ in range(count)
    ]
    return [one.communicate(timeout=300)[0].split() for one in started]


def test_two_processes_at_once_and_a_third_later(folder):
    both = processes(folder, 2)
    (later,) = processes(folder, 1)
    (value,) = {line[0] for line in (*both, later)}
    assert float(value) == pytest.approx(2 * np.exp(np.arange(4.0)).sum(), rel=1e-15)
    assert later[1] == "0"
    assert later[2] == "False"  # nothing that makes code was loaded
    assert [path.suffix for path in folder.iterdir()] == [".code"]


def test_the_list_is_that_of_the_last_used(tmp_path):
    kept = Store(tmp_path / "cache")
    assert kept.entries() == []
    assert kept.clear() == (0, 0)
    keys = [f"{number:064x}" for number in range(3)]
    for key in keys:
        kept.put(key, ENTRY)
    os.utime(kept.folder / f"{keys[1]}.code", (time.time() + 5,) * 2)
    (kept.folder / f"{keys[2]}.code").write_bytes(b"")
    found = kept.entries()
    assert found[0].path.stem == keys[1]
    assert {one.path.stem: one.about for one in found} == {keys[0]: ENTRY.about, keys[1]: ENTRY.about, keys[2]: None}
