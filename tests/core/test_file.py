"""Files: nothing that someone planted is written to, waited for or followed, and all of them are made in one place."""

import ast
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.compile.runtime.object_cache import Entry, Store
from bprop.core import file
from bprop.train import StorageError, fit, load_weights, save_weights
from bprop.train.archive import Archive
from bprop.train.archive import write as write_archive
from bprop.train.curve import draw
from bprop.train.storage import LOCK, Lock, is_locked
from bprop.train.table.sensitivity import draw_influence
from support.training import LINE, fit_line

SOURCE = Path(bprop.__file__).parent
posix = pytest.mark.skipif(os.name == "nt", reason="links and pipes as POSIX has them")


# --- what was planted ---
PLANTED = ("link", "dangling", "second name", "pipe", "folder")


def plant(kind, path, secret):
    """Put something at ``path`` through which ``secret`` could be damaged, or a program made to wait."""
    if kind == "link":
        path.symlink_to(secret)
    elif kind == "dangling":
        path.symlink_to(secret.with_name("new"))
    elif kind == "second name":
        os.link(secret, path)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()


def store(path):
    store = Store(path.parent)
    store.put(path.stem, Entry((b"code",), (), {}, {}))


WRITERS = {
    "whole": lambda path: file.write_whole(path, b"new"),
    "new": lambda path: file.write_new(path, b"new"),
    "rewrite": lambda path: os.close(file.rewrite(path, b"new")),
    "create": lambda path: os.close(file.create(path)),
    "weights": lambda path: save_weights(nn.Linear(1, 1), path),
    "archive": lambda path: write_archive(path, {"a": np.zeros(2)}, {}),
    "curve": lambda path: draw([{"epoch": 1, "train_loss": 1.0}], path),
    "influence": lambda path: draw_influence({"a": 1.0}, path, "title"),
    "code": store,
}


@posix
@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("writer", WRITERS)
def test_no_writer_touches_what_a_planted_name_leads_to(writer, kind, tmp_path):
    secret, folder = tmp_path / "secret", tmp_path / "folder"
    secret.write_text("keep me")
    folder.mkdir(mode=0o700)
    path = folder / f"{'0' * 64}.code"
    plant(kind, path, secret)
    try:
        WRITERS[writer](path)
    except OSError:
        pass
    else:  # what was planted has been replaced, where it is not a folder
        assert writer == "code" or stat.S_ISREG(path.lstat().st_mode)
    assert secret.read_text() == "keep me"
    assert {one.name for one in tmp_path.iterdir()} == {"secret", "folder"}
    assert [one.name for one in folder.iterdir()] == [path.name]  # no temporary file


@posix
@pytest.mark.parametrize("kind", PLANTED)
def test_the_lock_is_not_written_through_what_was_planted(kind, tmp_path):
    secret, folder = tmp_path / "secret", tmp_path / "run"
    secret.write_text("keep me")
    folder.mkdir()
    plant(kind, folder / LOCK, secret)
    if kind == "second name":  # only the name goes
        fit_line(out=folder)
    else:
        with pytest.raises(StorageError, match="in the place of the folder's lock"):
            fit_line(out=folder)
        assert is_locked(folder) is None
    assert secret.read_text() == "keep me"
    assert not secret.with_name("new").exists()


@posix
@pytest.mark.parametrize("kind", ["link", "dangling", "second name", "pipe"])
def test_a_resumed_run_writes_no_planted_file(kind, tmp_path):
    folder, names = tmp_path / "run", ["run.json", "model.safetensors", "curves.png"]
    fit_line(out=folder)
    if kind in ("link", "second name"):  # which it reads first
        names += ["metrics.jsonl", "checkpoint.safetensors"]
    secrets = {name: (folder / name).read_bytes() for name in names}
    for name, content in secrets.items():
        (tmp_path / name).write_bytes(content)
        (folder / name).unlink()
        plant(kind, folder / name, tmp_path / name)
    fit_line(epochs=2, out=folder, resume=True)
    for name, content in secrets.items():
        assert stat.S_ISREG((folder / name).lstat().st_mode)
        assert (folder / name).stat().st_nlink == 1
        assert (tmp_path / name).read_bytes() == content
    assert {path.name for path in tmp_path.iterdir()} == {"run", *names}


@posix
def test_nothing_waits_for_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for read in (Archive, lambda path: load_weights(nn.Linear(1, 1), path), lambda path: file.read(path, 10)):
        with pytest.raises(OSError, match="is no file"):
            read(tmp_path / "pipe")


# --- names and permissions ---
@posix
def test_a_folder_of_the_callers_may_be_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    fit_line(out=tmp_path / "runs")
    assert (tmp_path / "disk" / "run.json").is_file()


def test_names_cannot_be_guessed_and_are_never_too_long(tmp_path, monkeypatch):
    made, open_file = [], os.open

    def noted(path, flags, *mode):
        if flags & os.O_CREAT:
            made.append(Path(path))
        return open_file(path, flags, *mode)

    monkeypatch.setattr(os, "open", noted)
    for name in ("a", "ü" * 120, "a"):
        file.write_whole(tmp_path / name, b"x")
    assert len({path.name for path in made}) == 3
    assert all(file.is_temporary(path.name) and path.parent == tmp_path for path in made)
    assert not file.is_temporary("a.part")


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_any_new_file_and_of_one_that_is_replaced(umask, tmp_path):
    before = os.umask(umask)
    try:
        for number, write in enumerate((file.write_whole, file.write_new)):
            path = tmp_path / str(number)
            write(path, b"x")
            assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
        path.chmod(0o640)
        file.write_whole(path, b"y")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o666)
        file.write_whole(path, b"y", mode=0o600)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_file_that_is_there_is_not_replaced_by_a_new_one(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    file.write_new(path, b"first")
    for _ in range(2):
        with pytest.raises(FileExistsError):
            file.write_new(path, b"second")

        def none(*names):
            raise OSError("no hard links here")

        monkeypatch.setattr(os, "link", none)
    assert path.read_bytes() == b"first"
    file.write_new(tmp_path / "other", b"third")
    assert {one.name for one in tmp_path.iterdir()} == {"table.csv", "other"}


def test_of_many_who_write_a_new_file_at_once_one_does(tmp_path):
    path, results = tmp_path / "file", []
    barrier = threading.Barrier(8)

    def write(number):
        barrier.wait()
        try:
            file.write_new(path, bytes([number]) * 100_000)
            results.append(number)
        except FileExistsError:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes()] == [bytes([number]) * 100_000 for number in results]
    assert len(list(tmp_path.iterdir())) == 1


@posix
def test_leftovers_of_the_dead_go_and_files_being_written_stay(tmp_path):
    dead, other = tmp_path / f".table.json.{'a' * 32}.part", tmp_path / ".photo.part"
    link = tmp_path / f".run.json.{'b' * 32}.part"
    dead.touch()
    other.touch()
    link.symlink_to(other)
    script = (
        "import os, sys, time\nfrom pathlib import Path\nfrom bprop.core import file\n"
        "def wait(*names):\n    print('there', flush=True)\n    sys.stdin.read()\n    os.rename(*names)\n"
        "os.replace = wait\nfile.write_whole(Path(sys.argv[1]), b'alive')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "alive"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"there\n"
    file.remove_leftovers(tmp_path)
    assert not dead.exists()
    assert other.exists()
    assert link.is_symlink()
    process.communicate()
    assert process.returncode == 0
    assert (tmp_path / "alive").read_bytes() == b"alive"


def test_the_lock_of_a_killed_process_is_taken_over_and_made_anew(tmp_path):
    (tmp_path / LOCK).write_text("process 1 on elsewhere")
    before = (tmp_path / LOCK).stat().st_ino
    with Lock() as lock, open(tmp_path / LOCK):  # open, so that its number is not given again
        lock.take(tmp_path)
        assert (tmp_path / LOCK).stat().st_ino != before
        assert (tmp_path / LOCK).read_text().startswith(f"process {os.getpid()} on ")
        assert is_locked(tmp_path)
    assert not (tmp_path / LOCK).exists()


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "", b"a", None, 5])
def test_what_names_no_file_is_refused_by_name(path, tmp_path):
    calls = {
        "the folder of a run": lambda: fit(
            nn.Linear(1, 1), nn.SquaredError(), optim.SGD(0.1), (LINE, LINE), out=path, progress=False
        ),
        "save_weights: the path": lambda: save_weights(nn.Linear(1, 1), path),
        "load_weights: the path": lambda: load_weights(nn.Linear(1, 1), path),
        "Checkpoint: the folder": lambda: bprop.train.Checkpoint(path),
        "TensorBoard: the folder": lambda: bprop.train.TensorBoard(path),
    }
    for what, call in calls.items():
        if path is None and "run" in what:
            continue
        if "TensorBoard" in what:
            pytest.importorskip("tensorboardX")
        with pytest.raises(bprop.ArgumentError, match=f"{what} is a path"):
            call()


# --- one place ---
READING = {"r", "rb", "rt", ""}
MAKING = {
    "write_text", "write_bytes", "touch", "savefig", "tofile", "mkstemp", "mkdtemp", "NamedTemporaryFile", "TemporaryFile",
    "mkfifo", "mknod", "symlink", "symlink_to", "link", "hardlink_to", "save", "savez", "savez_compressed", "savetxt",
    "copyfile", "copy2", "copytree", "FileIO", "memmap", "truncate", "ftruncate", "creat",
}  # fmt: skip
MODULES = {"os", "np", "numpy", "shutil", "tempfile", "io", "pathlib"}
ALLOWED = {
    ("cli/__init__.py", "os.open(os.devnull"): "a device",
    ("cli/view.py", "webbrowser.open(url"): "a page in a browser",
    ("train/curve.py", "figure.savefig(picture"): "into memory",
    ("view/plot.py", "figure.savefig(picture"): "into memory",
}


def makers(text):
    """Yield the source of every call that may make a file or write to one."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name):
            name, owner = function.id, ""
        elif isinstance(function, ast.Attribute):
            name, owner = function.attr, ast.unparse(function.value)
        else:
            continue
        if name == "open":
            modes = [one.value for one in node.keywords if one.arg == "mode"] + node.args[bool(owner in ("", "io")) :][
                :1
            ]
            reads = all(isinstance(mode, ast.Constant) and mode.value in READING for mode in modes)
            if owner == "os" or not reads:
                yield ast.unparse(node)
        elif (
            (name in MAKING and (owner in MODULES or name not in ("save", "link", "copy2", "truncate")))
            or (owner == "os" and name in ("replace", "rename", "renames", "fdopen"))
            or (name in ("rename", "replace") and len(node.args) == 1 and not node.keywords)  # of a path, not a text
        ):
            yield ast.unparse(node)


def test_every_file_is_made_in_one_place():
    rest = dict(ALLOWED)
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        for call in makers(path.read_text(encoding="utf-8")):
            if name == "core/file.py":
                continue
            known = [key for key in ALLOWED if key[0] == name and call.startswith(key[1])]
            assert known, f"{name}: {call}: make files with bprop.core.file, which follows no link"
            rest.pop(known[0], None)
    assert not rest, "stands in the list and not in the source"


@pytest.mark.parametrize(
    "call",
    [
        "open(p, 'w')", "open(p, mode='a')", "open(p, m)", "p.open('wb')", "io.open(p, 'x')", "p.write_text('')",
        "p.write_bytes(b)", "os.open(p, os.O_RDONLY)", "figure.savefig(p)", "np.save(p, x)", "numpy.savetxt(p, x)",
        "x.tofile(p)", "p.touch()", "os.replace(a, b)", "p.rename(q)", "shutil.copyfile(a, b)", "open(p, 'r+')",
        "tempfile.mkstemp()", "os.link(a, b)", "np.memmap(p)",
    ],
)  # fmt: skip
def test_the_search_finds(call):
    assert list(makers(call)) == [ast.unparse(ast.parse(call))]


def test_the_search_passes_over_what_only_reads():
    for call in (
        "open(p)",
        "open(p, 'rb')",
        "p.open()",
        "open(p, encoding='utf-8')",
        "text.replace('a', 'b')",
        "run.save(p)",
    ):
        assert list(makers(call)) == []


# --- a power failure ---
@posix
def test_what_is_written_is_on_disk_before_it_is_renamed(tmp_path, monkeypatch):
    """The bytes first, then the name, then the folder that holds the name; a line of a record before it counts."""
    calls = []

    def noted(name):
        call = getattr(os, name)

        def note(first, *rest):
            kind = ""
            if isinstance(first, int) and name == "fsync":
                kind = " folder" if stat.S_ISDIR(os.fstat(first).st_mode) else " file"
            calls.append(name + kind)
            return call(first, *rest)

        monkeypatch.setattr(os, name, note)

    for name in ("write", "fsync", "replace", "link"):
        noted(name)
    for write, rename in ((file.write_whole, "replace"), (file.rewrite, "replace"), (file.write_new, "link")):
        calls.clear()
        descriptor = write(tmp_path / write.__name__, b"new", b"", b"er")
        if descriptor is not None:
            os.close(descriptor)
        assert calls == ["write", "write", "fsync file", rename, "fsync folder"]
    calls.clear()
    file.write_whole(tmp_path / "passing", b"new", lasting=False)
    assert calls == ["write", "replace"]
    run = fit_line(out=tmp_path / "run")
    calls.clear()
    run._metrics = os.open(tmp_path / "run" / "metrics.jsonl", os.O_WRONLY | os.O_APPEND)
    run.log({"epoch": 2})
    assert calls == ["write", "fsync file"]
    os.close(run._metrics)
