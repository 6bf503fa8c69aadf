"""``bprop view``: what it serves and saves, and what it says where it cannot."""

import os
import signal
import subprocess
import sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from bprop.cli.example import read_example
from bprop.core.error import BpropError

COMMAND = [sys.executable, "-c", "from bprop_command import main; main()", "view"]
ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")} | {
    "NO_COLOR": "1", "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"
}  # fmt: skip
SOURCE = """
import numpy as np
import beside

def energy(w, x, t):
    return (t - np.tanh(w * x)) ** 2

def example():
    return energy, (0.7, beside.X, 0.5)

pair = (np.sin, 1.0)
number = 3

def fails():
    return 1 / 0
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "model.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "beside.py").write_text("X = 1.0\n", encoding="utf-8")
    (tmp_path / "broken.py").write_text("x = (\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


def test_a_name_is_a_pair_or_a_function_that_returns_it(folder):
    f, args = read_example("model.py:example")
    assert f.__name__ == "energy"
    assert args == (0.7, 1.0, 0.5)
    assert read_example(str(folder / "model.py") + ":pair").args == (1.0,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model.py", "is not FILE.py:NAME"),
        ("model.txt:example", "is not FILE.py:NAME"),
        ("none.py:example", "there is no such file"),
        ("model.py:nothing", "has no name nothing; it has energy, example, fails"),
        ("model.py:number", r"is int, not a pair \(f, args\)"),
        ("model.py:fails", r"model.py, line 15: fails\(\) raised ZeroDivisionError"),
        ("model.py:energy", r"energy\(\) raised TypeError: .*missing 3 required"),
        ("broken.py:x", r"broken.py, line 1: importing it raised SyntaxError"),
    ],
)
def test_what_is_no_example_is_said(text, message, folder):
    with pytest.raises(BpropError, match=message):
        read_example(text)


def test_serving_wants_the_token_and_ends_with_an_interrupt(folder):
    process = subprocess.Popen(
        [*COMMAND, "model.py:example"], cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        first = process.stdout.readline()
        assert first.startswith("energy: http://127.0.0.1:")
        url = first.split()[1]
        assert process.stdout.readline() == "Ctrl-C ends it.\n"
        with urlopen(url) as answer:
            assert b"<title>energy</title>" in answer.read()
        for wrong in (url.split("?")[0], url[:-1], url + "x"):
            with pytest.raises(HTTPError, match="403"):
                urlopen(wrong)
        with pytest.raises(HTTPError, match="403"):
            urlopen(Request(url, headers={"Host": "elsewhere.example"}))
        with pytest.raises(HTTPError, match="404"):
            urlopen(url.replace("/?", "/other?"))
        port = url.split(":")[2].split("/")[0]
        second = subprocess.run(
            [*COMMAND, "model.py:example", "--port", port],
            cwd=folder,
            env=ENVIRONMENT,
            capture_output=True,
            encoding="utf-8",
        )
        assert second.returncode == 1
        assert f"port {port} on 127.0.0.1 is taken: choose another with --port" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out.endswith("ended\n")
    assert "there is no browser here" in err
    assert "Traceback" not in err


def test_saving(folder):
    result = subprocess.run(
        [*COMMAND, "model.py:example", "--save", "graph.svg"],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        encoding="utf-8",
    )
    assert result.stdout == "wrote graph.svg\n"
    assert (folder / "graph.svg").read_text(encoding="utf-8").startswith("<svg")
    result = subprocess.run(
        [*COMMAND, "model.py:example", "--save", "graph.xyz"],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 1
    assert "names no format" in result.stderr
