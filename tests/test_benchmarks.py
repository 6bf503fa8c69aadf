"""The comparison with other libraries: it compares losses first, survives its peers, and leaves no process behind."""

import ctypes
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import bprop

ROOT = Path(__file__).resolve().parents[1]

pytestmark = [
    pytest.mark.skipif(not (ROOT / "benchmarks" / "__main__.py").is_file(), reason="not in a checkout: no benchmarks/"),
    pytest.mark.skipif(sys.platform == "win32", reason="processes are stopped and continued as on POSIX"),
]

KEYS = {"workload", "peer", "us_per_step", "gflops", "compile_s", "peak_rss_mb"}
FAKES = {
    "right": "",
    "many": "    steps = 16",
    "loud": "    def call(self): print('a library prints'); return super().call()",
    "wrong": "    def losses(self, result): return [x + 0.002 * (self.count - 1) for x in super().losses(result)]",
    "nan": "    def losses(self, result): return [float('nan')]",
    "drifting": "    def wait(self, result): self.bias = 1",
    "absent": "    def __init__(self, *_): raise UnavailableError('nosuch is not installed: pip install nosuch')",
    "crash": "    def wait(self, result): sys.stderr.write('first\\nthe last line'); sys.stderr.flush(); os.abort()",
    "error": "    def __init__(self, *_): raise ValueError('nothing works')",
    "slow": "    def wait(self, result): time.sleep(60)",
}
FAKE = """
import os, sys, time
from benchmarks.peer import UnavailableError, Training
from benchmarks.workload import reference

class Peer(Training):
{body}

class _Fake(Training):
    def __init__(self, workload, threads):
        if (folder := os.environ.get("FAKE_PIDS")) is not None:
            open(os.path.join(folder, str(os.getpid())), "w").close()
        self.known, self.bias = reference(workload, 40), 0
        self.start()
    def start(self):
        self.count = 0
    def call(self):
        self.count += self.steps
        return self.count
    def losses(self, result):
        return [x + self.bias for x in self.known[result - self.steps : result]]
    def version(self):
        return "fake 1"
"""


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """Return the entries of peers that are made up, one module each."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT / "src")]))
    peer = importlib.import_module("benchmarks.peer")
    entries = {}
    for name, body in FAKES.items():
        head, _, rest = FAKE.partition("class Peer(Training):\n{body}\n")
        code = f"{head}{rest}\nclass Peer(_Fake):\n{body or '    pass'}\n"
        (tmp_path / f"fake_{name}.py").write_text(code, encoding="utf-8")
        entries[name] = peer.Entry(f"fake_{name}", peer.LOOP if name == "many" else peer.STEP)
    return entries


@pytest.fixture
def run(fakes, monkeypatch, capsys):
    """Return a function that runs the command on fake peers: status, standard output, standard error."""
    main = importlib.import_module("benchmarks.__main__")

    def call(*names, json=False, workload="4-16-3"):
        before = signal.getsignal(signal.SIGTERM)
        try:
            status = main.main(
                ["--blocks", "5", "--seconds", "0.002", "--workload", workload, *["--json"] * json],
                {name: fakes[name] for name in names},
            )
        finally:
            signal.signal(signal.SIGTERM, before)
        return status, *capsys.readouterr()

    return call


def test_json_is_a_list_with_the_agreed_keys_and_nothing_else(run):
    status, out, err = run("right", "many", "loud", json=True)
    assert status == 0, err
    rows = json.loads(out)
    assert [row["peer"] for row in rows] == ["right", "many", "loud"]
    for row in rows:
        assert row.keys() >= KEYS
        assert row["workload"] == "4-16-3"
        assert all(isinstance(row[key], float) and row[key] > 0 for key in KEYS - {"workload", "peer"})
        # 4 · 16 and 16 · 3 multiplications and additions, 32 examples: thrice, but no gradient of the first input
        assert row["gflops"] * row["us_per_step"] == pytest.approx(2 * 32 * (2 * 64 + 3 * 48) / 1e3)


def test_the_table_has_both_comparisons(run):
    status, out, err = run("right", "many")
    assert status == 0, err
    assert "4-16-3, batch 32, relu: 131 parameters" in out
    first, second = out.index("one call per step"), out.index("native loop")
    assert first < out.index("right") < second < out.index("many")


def test_peers_that_fail_get_no_time_and_the_others_go_on(run):
    status, out, err = run("wrong", "nan", "drifting", "crash", "error", "right", json=True)
    assert status == 1
    assert [row["peer"] for row in json.loads(out)] == ["right"]
    for message in (
        r"error: wrong on 4-16-3 trains something else: its loss is \d\.\d+ after 1 step \(expected \d\.\d+\), \d\.\d+ after 3",
        r"error: nan on 4-16-3 trains something else: its loss is nan after 0 steps",
        r"error: drifting on 4-16-3 trains something else",
        r"error: crash on 4-16-3 was ended by SIGABRT during block\n    first\n    the last line",
        r"error: error on 4-16-3 ended with status 1 during prepare\n(    .*\n)*    ValueError: nothing works",
    ):
        assert re.search(message, err), err


def test_a_peer_that_is_not_installed_is_named(run):
    status, out, err = run("absent", "right", json=True)
    assert status == 0
    assert [row["peer"] for row in json.loads(out)] == ["right"]
    assert err == "skipped absent: nosuch is not installed: pip install nosuch\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workload", "5-5"], "784-512-512-10"),
        (["--peer", "theano"], "torch-avx512"),
        (["--blocks", "3"], "fewer than 5"),
        (["--seconds", "0"], "--seconds"),
        (["--threads", "100000"], "may use"),
    ],
)
def test_what_is_unknown_ends_with_a_message(arguments, message):
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=300
    )
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as on Linux")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.usefixtures("default_signals")
def test_an_interrupted_comparison_leaves_no_process(fakes, tmp_path, number):
    pids = tmp_path / "pids"
    pids.mkdir()
    program = """
import sys
from benchmarks.__main__ import main
from benchmarks.peer import Entry
try:
    sys.exit(main(["--workload", "4-16-3"], {"right": Entry("fake_right"), "slow": Entry("fake_slow")}))
except KeyboardInterrupt:
    sys.exit(130)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "FAKE_PIDS": str(pids)}, stderr=subprocess.PIPE
    )
    wait_for(lambda: len(list(pids.iterdir())) == 2)
    time.sleep(0.3)  # the slow one is now in a block, the other one stopped
    parent.send_signal(number)
    parent.communicate(timeout=300)
    assert parent.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    wait_for(lambda: not any(running(int(path.name)) for path in pids.iterdir()))


def wait_for(condition, seconds=300.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def test_bprop_and_numpy_train_what_the_reference_trains(fakes, monkeypatch):
    process = importlib.import_module("benchmarks.process")
    workload = importlib.import_module("benchmarks.workload")
    small = workload.Workload((5, 4, 3), 6)
    for activation in workload.ACTIVATIONS:
        one = small._replace(activation=activation)
        known = workload.reference(one, 4)
        assert abs(known[3] - known[0]) > 2 * workload.TOLERANCE  # a peer that does not train is noticed
        for module in ("numpy", "bprop") if activation == "relu" else ("bprop",):
            worker = process.Worker(f"benchmarks.peer.{module}", one, 1)
            worker.prepare()
            for _ in range(2):  # from the start, again and again
                np.testing.assert_allclose(worker.losses()["losses"], [known[step] for step in (0, 1, 3)], atol=1e-5)
            assert worker.block(0.001)["calls"] > 0


def test_every_workload_trains_enough_to_notice_a_peer_that_does_not(fakes):
    workload = importlib.import_module("benchmarks.workload")
    for one in list(workload.WORKLOADS.values())[:4]:
        known = workload.reference(one, 2)
        assert abs(known[1] - known[0]) > 2 * workload.TOLERANCE, one.name


def test_the_peak_kernel_does_the_multiply_adds_it_counts(fakes):
    peak = importlib.import_module("benchmarks.peak")
    for vector in (16, None):
        kernel = peak.Kernel(vector)
        x = np.float32(0)
        for _ in range(peak.UNROLLED):  # the first lane of the sum of all chains
            x = np.float32(0.999) * x + np.float32(0.001)
        starts = 0.001 * np.arange(peak.CHAINS)
        expected = np.sum(0.999**peak.UNROLLED * starts) + peak.CHAINS * x
        assert kernel(1) == pytest.approx(expected, rel=1e-5)
        assert kernel.flops % (2 * peak.CHAINS * peak.UNROLLED) == 0
    assert ctypes.sizeof(ctypes.c_float) * kernel.flops // (2 * peak.CHAINS * peak.UNROLLED) in (16, 32, 64)


def test_the_stages_compared_by_the_benchmark_of_kernels_compute_the_same(fakes):
    kernel, bprop = importlib.import_module("benchmarks.kernel"), importlib.import_module("bprop")
    rng = np.random.default_rng(0)
    x, W, b, z_bar = (rng.standard_normal(shape).astype(np.float32) for shape in ((4, 5), (3, 5), (3,), (4, 3)))
    m, v = np.zeros_like(W), np.full_like(W, 1e-3)
    operands = {"forward": (x, W, b), "backward": (z_bar, W, x), "update": (z_bar, x, W, m, v)}
    for stage in kernel.STAGES:
        ours = kernel.formulas(bprop, stage)(*map(bprop.asarray, operands[stage]))
        theirs = kernel.by_blas(stage)(*(one.copy() for one in operands[stage]))
        for one, other in zip(*([r] if stage != "update" else r for r in (ours, theirs)), strict=True):
            np.testing.assert_allclose(np.asarray(one), other, rtol=2e-5, atol=1e-6)


def test_needed_memory_is_parameters_moments_and_outputs(fakes):
    memory = importlib.import_module("benchmarks.memory")
    workload = importlib.import_module("benchmarks.workload")
    assert memory.needed(workload.WORKLOADS["4-16-3"]) == 4 * (3 * 131 + 32 * (16 + 3))


def test_the_cost_of_gradients_is_measured_eager_and_compiled(fakes, capsys):
    cost = importlib.import_module("benchmarks.gradient_cost")
    cost.table([(3, 2)], 0.001)
    out = capsys.readouterr().out.splitlines()
    assert out[2].split()[:2] == ["8", "1"]
    assert len(out[2].split()) == 9
    assert out[3].split() == ["flat", "1.00", "1.00"]


def test_calls_in_turn_leave_out_a_library_that_fails_and_refuse_other_numbers(fakes, tmp_path, capfd):
    (tmp_path / "building.py").write_text(
        "import os\n"
        "import numpy as np\n"
        "def build(peer, task):\n"
        "    if peer == 'absent':\n"
        "        raise ImportError('No module named absent')\n"
        "    if peer == 'dead':\n"
        "        return lambda: os._exit(3)\n"
        "    parts = [np.ones(()), np.arange(3.0)] if peer != 'value' else [np.ones(())]\n"
        "    return lambda: [part + (peer == 'wrong') for part in parts]\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        building, in_turn = importlib.import_module("building"), importlib.import_module("benchmarks.in_turn")
        times = in_turn.measure(building.build, "task", ["value", "right", "absent", "dead"], 2, 0.0, 1)
        assert list(times) == ["value", "right"]
        assert all(0 < time.call < 60 and 0 < time.first < 60 for time in times.values())
        err = capfd.readouterr().err
        assert "task, absent: ImportError: No module named absent" in err
        assert "task, dead: the process ended with status 3" in err
        with pytest.raises(AssertionError, match="task, wrong"):
            in_turn.measure(building.build, "task", ["right", "wrong"], 1, 0.0, 1)
    finally:
        sys.path.remove(str(tmp_path))


def check_derivative(parts, f, x):
    """Compare value and gradient with NumPy's value and its slope along a direction."""
    np.testing.assert_allclose(parts[0], f(x), rtol=1e-9)
    direction, h = np.cos(np.arange(np.size(x))).reshape(np.shape(x)), 1e-6
    slope = (f(x + h * direction) - f(x - h * direction)) / (2 * h)
    np.testing.assert_allclose(np.sum(parts[1] * direction), slope, rtol=1e-4, atol=1e-6 * np.abs(parts[1]).max())


def test_pieces_of_scientific_code_have_numpys_values_and_derivatives(fakes):
    science, piece = importlib.import_module("benchmarks.science"), importlib.import_module("benchmarks.science_piece")
    special, linalg = importlib.import_module("scipy.special"), importlib.import_module("scipy.linalg")
    lib = SimpleNamespace(np=np, special=special, solve_triangular=linalg.solve_triangular)
    assert len(piece.PIECES) == 10
    for name, make in piece.PIECES.items():
        f, x = make(lib)
        np.testing.assert_allclose(science.build("NumPy, value", name)()[0], f(x))
        check_derivative(science.build("bprop", name)(), f, x)
        check_derivative(science.build("bprop compiled", name)(), f, x)


def test_the_reference_pieces_compile_to_the_eager_derivatives(fakes):
    compiled = importlib.import_module("benchmarks.compiled")
    for name, make in compiled.NAMES.items():
        if name not in ("pendulum", "determinant"):  # thousands of applications, which take a second to compile
            f, x = make(np)
            check_derivative(compiled.build("bprop", name)(), f, x)


def test_the_fields_tasks_have_the_derivatives_of_their_values(fakes):
    objective, peer = (
        importlib.import_module("benchmarks.objective"),
        importlib.import_module("benchmarks.objective_peer"),
    )
    assert set(objective.LONG) < set(objective.TASKS)
    for task in (
        objective.gaussian_mixture(2, 2, 20),
        objective.bundle_adjustment(2, 3, 8),
        objective.lstm(2, 3, 5),
        objective.k_means(2, 30, 3),
    ):
        value = lambda x, task=task: task.objective(np, x)
        for compiled in (False, True):
            parts = peer.bprop(task, compiled)()
            check_derivative(parts, value, task.x)
            if task.hessian:
                gradient = bprop.grad(value)
                ones, h = np.ones_like(task.x), 1e-5
                product = (np.asarray(gradient(task.x + h * ones)) - np.asarray(gradient(task.x - h * ones))) / (2 * h)
                np.testing.assert_allclose(parts[2], product, rtol=1e-4, atol=1e-6)
