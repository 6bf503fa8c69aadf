"""``--view``: while it trains the page is there, under its token alone, and shows what the epochs gave so far."""

import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

COMMAND = [sys.executable, "-c", "from bprop.cli import main; main()"]


def opened(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("model", ["mlp"])
def test_a_training_is_watched(tmp_path, model):
    command = [*COMMAND, "train", "digits", "--view", "--epochs", "40", "--model", model, "--json"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        lines, url = [], None
        deadline = time.monotonic() + 60
        while url is None and time.monotonic() < deadline:
            line = process.stderr.readline()
            lines.append(line)
            match = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", line)
            url = match and match[0]
        assert url, lines
        page = opened(url)
        assert page.startswith("<!doctype html>")
        assert "connect-src 'self'" in page
        assert "live.js" in page
        with pytest.raises(urllib.error.HTTPError, match="403"):
            opened(url.replace("token=", "token=x"))
        seen = ""
        while "by layer" not in seen and time.monotonic() < deadline:
            seen = opened(url + "&part=content")
            time.sleep(0.05)
        assert "‖∂E/∂W‖ by layer" in seen
        assert "<!doctype" not in seen
    finally:
        process.terminate()
        process.communicate(timeout=60)
    (folder,) = (tmp_path / "runs").iterdir()
    done = subprocess.run(
        [*COMMAND, "view", str(folder), "--save", "run.html"],
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert "wrote run.html" in done.stdout
    assert "by layer" in (tmp_path / "run.html").read_text(encoding="utf-8")


def test_a_run_is_a_page_only(tmp_path):
    subprocess.run(
        [*COMMAND, "train", "digits", "--epochs", "1", "--out", "run"],
        cwd=tmp_path, capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    done = subprocess.run(
        [*COMMAND, "view", "run", "--save", "run.png"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "has to be .html" in done.stderr


def test_explain(tmp_path):
    (tmp_path / "model.py").write_text(
        "import numpy as np\n\ndef example():\n    return lambda w, x: np.tanh(w[0] * x + w[1]), (np.array([0.5, 0.1]), 2.0)\n"
    )
    command = [*COMMAND, "explain", "model.py:example", "--parameter"]
    done = subprocess.run([*command, "w[1]"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    assert "∂E/∂w[1] = 0.359201: the sum over 1 path from w[1] to E" in done.stdout
    done = subprocess.run([*command, "v"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0
    assert "there is no parameter 'v': there are w, x" in done.stderr
