"""``bprop cache``: what is kept on disk, and how it is removed."""

import json
import os

import pytest

from bprop.compile.runtime.object_cache import Entry, Store


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("BPROP_CACHE", "1")
    monkeypatch.setenv("BPROP_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("BPROP_CACHE_SIZE", "2")
    return Store(tmp_path / "cache")


def fill(kept):
    for number, name in enumerate(("train_step", "\x1b[2J[bold]", "")):
        about = {"name": name, "ops": 1234, "kernels": 5, "cpu": "znver4"}
        kept.put(f"{number:064x}", Entry((b"x" * 1500,), (), {}, about))
        os.utime(kept.folder / f"{number:064x}.code", (number, number))
    (kept.folder / f"{3:064x}.code").write_bytes(b"")


def test_an_empty_cache(bprop, kept):
    code, out, _ = bprop("cache")
    assert code == 0
    assert "0 programs, 0 B of at most 2.0 MB" in out
    assert str(kept.folder) in out
    assert bprop("cache", "clear")[1].startswith("removed 0 programs")


def test_the_list(bprop, kept):
    fill(kept)
    code, out, _ = bprop("cache")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["program", "ops", "kernels", "size", "used", "processor", "key"]
    assert "damaged" in lines[1]
    assert [word in lines[4] for word in ("train_step", "1,234", "1.7 kB", "days ago", "znver4")] == [True] * 5
    assert "a graph" in lines[2]
    assert "\x1b" not in out
    assert "[bold]" in out
    assert "4 programs" in out
    assert max(map(len, lines[:5])) <= 80


def test_the_list_as_json(bprop, kept):
    fill(kept)
    code, out, _ = bprop("cache", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["enabled"]
    assert found["folder"] == str(kept.folder)
    assert found["limit"] == 2_000_000
    assert found["bytes"] == sum(one["bytes"] for one in found["programs"])
    assert [one["status"] for one in found["programs"]] == ["damaged", "kept", "kept", "kept"]
    assert found["programs"][-1]["name"] == "train_step"
    assert found["programs"][-1]["key"] == "0" * 64


def test_clear(bprop, kept):
    fill(kept)
    (kept.folder / "mine.txt").write_text("not the cache's")
    code, out, _ = bprop("cache", "clear")
    assert code == 0
    assert out.startswith("removed 4 programs (5.")
    assert [path.name for path in kept.folder.iterdir()] == ["mine.txt"]
    fill(kept)
    assert json.loads(bprop("cache", "clear", "--json")[1])["removed"] == 4


def test_switched_off(bprop, kept, monkeypatch):
    monkeypatch.setenv("BPROP_CACHE", "0")
    code, out, _ = bprop("cache")
    assert code == 0
    assert "not kept" in out
    assert not json.loads(bprop("cache", "--json")[1])["enabled"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners and modes are POSIX's")
def test_a_folder_that_is_not_used(bprop, kept):
    fill(kept)
    kept.folder.chmod(0o770)
    said = f"compiled programs are not kept: {kept.folder} can be written by others (chmod go-w makes it usable)"
    code, out, _ = bprop("cache")
    assert code == 0
    assert said in out
    assert not json.loads(bprop("cache", "--json")[1])["enabled"]
    assert said in bprop("doctor")[1]
    assert bprop("cache", "clear")[1].startswith("removed 4 programs")


def test_an_unknown_command(bprop, kept):
    code, _, err = bprop("cache", "empty")
    assert code == 2
    assert "Traceback" not in err
