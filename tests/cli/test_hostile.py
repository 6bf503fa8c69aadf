"""Folders of runs that were damaged or made to do harm: one line each in the listing, and nothing reaches the terminal raw."""

import json
import os
import random
import shutil
import tracemalloc
import unicodedata

import pytest

from bprop.train import Table, fit_table

CONTROL = "\x1b[2J\x1b]0;title\x07\x9b31m\x7f\u202e\u2066\u200b\r\b\x00"
RECORDS = ["run.json", "table.json", "metrics.jsonl"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run of a table, to be copied and damaged."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    rows = range(60)
    table = Table.from_columns(
        {"a": [n % 7 for n in rows], "b": ["xyz"[n % 3] for n in rows], "y": ["no" if n % 2 else "yes" for n in rows]}
    )
    fit_table(table, "y", epochs=2, hidden=[3], out=folder, progress=False)
    return folder


@pytest.fixture
def runs(whole, tmp_path):
    """A folder with a sound run and one that is to be damaged, whose path is returned."""
    for name in ("sound", "victim"):
        shutil.copytree(whole, tmp_path / "runs" / name)
    return tmp_path / "runs" / "victim"


def harmless(*texts):
    """Whether no text has a letter that controls a terminal; rich's own lines are ended by line feeds."""
    return all(c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp", "Cs") for c in "".join(texts))


def asked(bprop, victim, table):
    """Ask for the victim in every way; returns what ``bprop runs`` says of it."""
    code, listing, stderr = bprop("runs", victim.parent)
    assert code == 0, stderr
    assert sum(line.startswith("sound") and "finished" in line for line in listing.splitlines()) == 1, listing
    said = [listing, stderr]
    for arguments in (
        ["runs", victim.parent, "--json"],
        ["show", victim],
        ["show", victim, "--json"],
        ["predict", victim, table],
    ):
        code, stdout, stderr = bprop(*arguments)
        assert code in (0, 1), stderr
        assert "Traceback" not in stderr, stderr
        said += [stderr] if arguments[0] == "predict" else [stdout, stderr]
    assert harmless(*said), said
    return next(line for line in listing.splitlines() if line.startswith("victim"))


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("a,b\n1,x\n")
    return path


HOSTILE = [
    b"", b"\xff\xfe", b"[]", b"{}", b"null", b"5", b'{"epoch": NaN}', b'{"epoch": 1e999}', b'{"epoch": "1"}', b'{"epoch": -1}',
    b"[" * 100_000, b"[" * 150 + b"]" * 150, b'{"a":' * 500 + b"1" + b"}" * 500, b'{"epoch": 1, "epoch": 1}',
    b'{"epoch": ' + b"9" * 400 + b"}", b'{"epoch": ' + b"9" * 5000 + b"}", b"[" + b"[]," * 5_000_000 + b"[]]",
    json.dumps({"epoch": 1, CONTROL: CONTROL}).encode(), b'{"epoch": "\\ud800"}', b'{"\\ud800": "\\ud800"}',
]  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_records_that_are_none(bprop, runs, table, name):
    for content in HOSTILE:
        (runs / name).write_bytes(content)
        assert "broken" in asked(bprop, runs, table), content[:50]


def every_place(value, path=()):
    """Yield the path of every value inside."""
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in pairs:
        yield from every_place(one, (*path, key))


VALUES = [
    None,
    True,
    -1,
    0,
    1.5,
    10**30,
    2**63,
    1e300,
    "",
    CONTROL,
    "\ud800",
    [],
    {},
    [[]],
    {CONTROL: CONTROL},
    [CONTROL] * 3,
]


def damaged(bprop, runs, table, name, choices):
    text = (runs / name).read_text()
    record = json.loads(text.splitlines()[-1] if name.endswith("l") else text)
    for path, value in choices(list(every_place(record))[1:]):
        changed = inside = json.loads(json.dumps(record))
        for key in path[:-1]:
            inside = inside[key]
        inside[path[-1]] = value
        lines = text.splitlines()[:-1] if name.endswith("l") else []
        (runs / name).write_text("\n".join([*lines, json.dumps(changed)]) + "\n")
        asked(bprop, runs, table)


@pytest.mark.parametrize("name", RECORDS)
def test_records_with_another_value_somewhere(bprop, runs, table, name):
    draw = random.Random(name)
    damaged(bprop, runs, table, name, lambda paths: [(draw.choice(paths), draw.choice(VALUES)) for _ in range(15)])


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", RECORDS)
def test_records_with_every_other_value_everywhere(bprop, runs, table, name):
    damaged(bprop, runs, table, name, lambda paths: [(path, value) for path in paths for value in VALUES])


def test_names_that_would_control_the_terminal(bprop, tmp_path):
    rows = range(60)
    name, value = f"a{CONTROL[:-1]}", f"v{CONTROL[:-1]}"
    table = Table.from_columns(
        {
            name: [n % 7 for n in rows],
            "b": [value if n % 3 else "x" for n in rows],
            f"y{name}": [value if n % 2 else "n" for n in rows],
        }
    )
    folder = tmp_path / "runs" / "one"
    fit_table(table, f"y{name}", epochs=1, hidden=[3], out=folder, progress=False)
    new = tmp_path / "new.csv"
    new.write_text(f'"{name}",b\n1,x\n2,other{CONTROL[:-1]}\n', newline="")
    for arguments in (
        ["runs", folder.parent], ["runs", folder.parent, "--json"], ["show", folder], ["show", folder, "--json"],
        ["predict", folder, new, "--json"], ["train", new], ["train", new, "--target", CONTROL[:-1]],
        ["train", new, "--resume", folder], ["show", f"a{CONTROL[:-1]}"], [f"x{CONTROL[:-1]}"], ["train", "digits", f"--{CONTROL[:-1]}"],
        ["predict", folder, tmp_path / f"n{CONTROL[:-1]}.csv"],
    ):  # fmt: skip
        code, stdout, stderr = bprop(*arguments)
        assert harmless(stdout, stderr), (arguments, stdout, stderr)
        assert "Traceback" not in stderr
        if "--json" in arguments and code == 0:
            assert json.dumps(CONTROL[:3])[1:-1] in stdout
            json.loads(stdout)


def test_a_record_takes_no_more_memory_than_its_weights(bprop, runs, table):
    """Ten thousand units in each of a hundred layers are 80 GB."""
    record = json.loads((runs / "table.json").read_text())
    (runs / "table.json").write_text(json.dumps({**record, "hidden": [10_000] * 100}))
    tracemalloc.start()
    try:
        code, _, stderr = bprop("predict", runs, table)
        assert (code, "do not belong together: 9,901" in stderr) == (1, True), stderr
        asked(bprop, runs, table)
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()
    (runs / "table.json").write_text(json.dumps(record))
    os.truncate(runs / "model.safetensors", 10**12)  # a hole
    code, _, stderr = bprop("predict", runs, table)
    assert (code, "more than the" in stderr) == (1, True), stderr


def test_files_that_are_none(bprop, runs, table):
    for name in (*RECORDS, "model.safetensors"):
        content = (runs / name).read_bytes()
        (runs / name).unlink()
        os.mkfifo(runs / name)
        line = asked(bprop, runs, table)
        assert "broken" in line or name == "model.safetensors", name
        (runs / name).unlink()
        (runs / name).write_bytes(content)
    os.utime(runs / "checkpoint.safetensors", (2**40, 2**40))  # the year 36,000
    (runs / "run.json").unlink()
    assert "killed" in asked(bprop, runs, table)
