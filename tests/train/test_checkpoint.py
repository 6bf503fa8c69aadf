"""Checkpoints that are damaged, foreign or of another training are refused, naming what is wrong."""

import json
import os
import random
import shutil
import tracemalloc
from hashlib import sha256

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import bprop
from bprop import nn, optim
from bprop.train import Checkpoint, EarlyStopping, StorageError, save_weights
from bprop.train.archive import KINDS, Archive, write
from bprop.train.checkpoint import CHECKPOINT, FIELDS
from support.training import fit_eagerly

pytestmark = pytest.mark.usefixtures("no_picture")

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
T = (X[:, 0] > 0).astype(int)


def with_dropout(width=4):
    generator = bprop.Generator(0)
    layers = [
        nn.Linear(3, width, generator=generator),
        nn.Dropout(0.2, seed=1),
        nn.Linear(width, 2, generator=generator),
    ]
    return nn.Sequential(*layers)


def fit_stopping(folder, model=None, optimizer=None, data=(X, T), **options):
    settings = {"validation": (X, T), "epochs": 2, "batch_size": 8, "early_stopping": EarlyStopping(), **options}
    return fit_eagerly(model or with_dropout(), data, optimizer=optimizer or optim.Adam(0.01), out=folder, **settings)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fit_stopping(tmp_path_factory.mktemp("run") / "run").folder


@pytest.fixture
def copy(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    return tmp_path / "copy"


def contents(folder):
    with Checkpoint(folder) as checkpoint:
        return checkpoint.read(), dict(checkpoint.record)


def header_of(raw):
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def with_header(header, data):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_any_reader_of_safetensors_opens_it(run):
    arrays, record = contents(run)
    loaded = load_file(run / CHECKPOINT)
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (array.dtype, array.shape) == (loaded[name].dtype, loaded[name].shape)
        assert array.tobytes() == loaded[name].tobytes()
    assert {"model/layers.0.W", "model/layers.1.generator.state", "optimizer/layers.0.W.m", "best/layers.0.W"} <= set(
        arrays
    )
    assert (record["epoch"], record["batch"], record["updates"]) == (3, 0, 6)
    assert record.keys() == FIELDS.keys()


def test_arrays_of_every_kind_come_back(tmp_path):
    arrays = {code: np.arange(6).reshape(2, 3).astype(kind) for code, kind in KINDS.items()}
    arrays |= {
        "scalar": np.float64(np.pi) + np.zeros(()),
        "none": np.zeros((0, 3), np.float32),
        "turned": np.eye(3)[:, ::-1].T,
    }
    write(tmp_path / "a", arrays, {"text": "ü\ud800", "number": 0.1})
    with Archive(tmp_path / "a") as archive:
        archive.verify()
        assert archive.record == {"text": "ü\ud800", "number": 0.1}
        for name, array in arrays.items():
            again = archive.read(name)
            assert (again.dtype, again.shape) == (array.dtype, array.shape)
            assert again.tobytes() == np.ascontiguousarray(array).tobytes()
    with pytest.raises(bprop.DTypeError, match="z is complex128"):
        write(tmp_path / "a", {"z": np.zeros(1, complex)}, {})


def mutated(raw, rng):
    """One change of any kind."""
    kind = rng.randrange(9)
    place = rng.randrange(len(raw))
    length = int.from_bytes(raw[:8], "little")
    if kind == 0:
        return raw[:place]
    if kind == 1:
        return raw[:place] + rng.randbytes(rng.randrange(1, 20)) + raw[place:]
    if kind == 2:
        return raw[:place] + raw[place + rng.randrange(1, 20) :]
    if kind == 3:
        return (
            rng.choice([length + 1, length - 1, 0, 1, 2**63, 2**64 - 1, rng.randrange(2**64)]).to_bytes(8, "little")
            + raw[8:]
        )
    if kind in (4, 5):
        place = rng.randrange(8 + length) if kind == 4 else place
        return raw[:place] + bytes([raw[place] ^ 1 << rng.randrange(8)]) + raw[place + 1 :]
    header, data = header_of(raw)
    if kind == 6:
        record = json.loads(header["__metadata__"]["record"])
        record[rng.choice(list(record))] = rng.choice([None, -1, 2.5, 10**400, "x", [], {}, True, 7])
        header["__metadata__"]["record"] = json.dumps(record)
        return with_header(header, data)
    name = rng.choice([name for name in header if name != "__metadata__"])
    if kind == 7:
        header[name][rng.choice(list(header[name]))] = rng.choice(
            [None, "F64", "I8", [], [2**62, 4], [-1, 3], [0, 2**53], [3, 3], [1e9], 5, [True], [[]], [0, 4], [2**600]]
        )
    else:
        other = rng.choice([name for name in header if name != "__metadata__"])
        header[name], header[other] = header[other], header[name]
    return with_header(header, data)


def refuse_mutations(run, copy, count, seed):
    raw, rng = (run / CHECKPOINT).read_bytes(), random.Random(seed)
    file, refused, said = copy / CHECKPOINT, 0, set()
    while refused < count:
        mutant = mutated(raw, rng)
        if mutant == raw:
            continue
        file.write_bytes(mutant)
        with pytest.raises(StorageError) as caught, Checkpoint(copy):
            pass
        assert caught.value.message.startswith(f"{file}: ")
        said.add(caught.value.message.split(": ")[1])
        refused += 1
    return said


def test_mutations_are_refused(run, copy):
    said = refuse_mutations(run, copy, 1000, 0)
    assert {"header length", "header", "record.epoch"} <= said
    assert any(name.startswith("'model/layers.") and name.endswith("'") for name in said)


@pytest.mark.exhaustive
def test_many_mutations_are_refused(run, copy):
    refuse_mutations(run, copy, 100_000, 1)


def test_every_single_bit_counts(run, copy):
    """All bits of the header's first bytes and of every 37th byte."""
    raw = (run / CHECKPOINT).read_bytes()
    for place in [*range(40), *range(40, len(raw), 37)]:
        (copy / CHECKPOINT).write_bytes(raw[:place] + bytes([raw[place] ^ 1 << place % 8]) + raw[place + 1 :])
        with pytest.raises(StorageError), Checkpoint(copy):
            pass


def test_a_lying_header_allocates_nothing(run, copy):
    raw = (run / CHECKPOINT).read_bytes()
    header, data = header_of(raw)
    name = "model/layers.0.W"
    lies = [(2**40).to_bytes(8, "little") + raw[8:], raw[:-1]]
    for shape, offsets in (([2**40, 2**10], [0, 2**52]), ([2**53], header[name]["data_offsets"])):
        lies.append(with_header({**header, name: {"dtype": "F32", "shape": shape, "data_offsets": offsets}}, data))
    for lie in lies:
        (copy / CHECKPOINT).write_bytes(lie)
        tracemalloc.start()
        with pytest.raises(StorageError, match=r"header length|does not fit the file"), Checkpoint(copy):
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2_000_000


WRONG = {
    "format": "another", "version": 2, "epoch": 0, "batch": -1, "updates": 1.5, "loss": None, "examples": "3",
    "epoch_seconds": -1.0, "seconds": True, "native": 1, "schedule": 0.1, "started": 5, "notes": [1], "log": {"lines": 1}, "drawn": {"taken": 1},
    "stopping": {"best": None, "epoch": 3, "stale": 0}, "stopped": 1, "callbacks": {}, "epochs": 0, "config": [],
    "versions": None,
}  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_a_record_with_a_wrong_field_is_refused(copy, field):
    """By someone who knows to compute the digests anew."""
    arrays, record = contents(copy)
    for value in (WRONG[field], "missing"):
        changed = {**record, field: value}
        if value == "missing":
            del changed[field]
        write(copy / CHECKPOINT, arrays, changed)
        with pytest.raises(StorageError, match=rf"record\.{field}: "), Checkpoint(copy):
            pass
    write(copy / CHECKPOINT, arrays, {**record, "more": 1})
    with pytest.raises(StorageError, match=r"record\.more: unknown"), Checkpoint(copy):
        pass


def test_a_hand_edited_field_is_named(copy):
    header, data = header_of((copy / CHECKPOINT).read_bytes())
    for field, value in (("epoch", 2), ("loss", 0.5), ("notes", ["better"])):
        edited = json.loads(json.dumps(header))
        record = json.loads(edited["__metadata__"]["record"])
        edited["__metadata__"]["record"] = json.dumps({**record, field: value})
        (copy / CHECKPOINT).write_bytes(with_header(edited, data))
        with pytest.raises(StorageError, match=rf"record\.{field}: was changed after"), Checkpoint(copy):
            pass
    begin = header["model/layers.2.b"]["data_offsets"][0]
    (copy / CHECKPOINT).write_bytes(with_header(header, data[:begin] + b"\1" + data[begin + 1 :]))
    with (
        pytest.raises(StorageError, match=r"'model/layers\.2\.b': was changed after|header was changed"),
        Checkpoint(copy),
    ):
        pass


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (b'{"__metadata__":{"format":"bprop","format":"x"}}', "the key 'format' occurs twice"),
        (b'{"a":NaN}', "NaN is no number"),
        (b'{"a":-1e999}', "-1e999 is too large a number"),
        (b'{"a":' + b"[" * 120 + b"]" * 120 + b"}", "nested more than 100 deep"),
        (b'{"' + b"a" * 10000 + b'":1}', "written by another program"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "no valid JSON"),
        (b'{"a":' + b"9" * 5000 + b"}", "no valid JSON"),
        (b"[1]", "a JSON object, not list"),
        (b'{"\xff":1}', "no valid JSON"),
        (b'{"a":1}', "written by another program"),
        (b'{"__metadata__":{"format":"bprop"}}', "__metadata__.sha256: missing"),
    ],
)
def test_foreign_headers(tmp_path, header, text):
    (tmp_path / CHECKPOINT).write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(StorageError, match=text), Checkpoint(tmp_path):
        pass


def forged(raw, record):
    """What someone writes who knows how the digests are computed."""
    header, data = header_of(raw)
    metadata = header["__metadata__"]
    digests = json.loads(metadata["digests"])
    digests["fields"] = {
        key: sha256(json.dumps(value).encode()).hexdigest() for key, value in json.loads(record).items()
    }
    metadata |= {"record": record, "digests": json.dumps(digests), "sha256": "0" * 64}
    metadata["sha256"] = sha256(with_header(header, b"")).hexdigest()
    return with_header(header, data)


@pytest.mark.parametrize("text", ["1e999", "-1e999", "NaN", "[" * 150 + "]" * 150, "[" * 400 + "]" * 400])
@pytest.mark.parametrize("field", ["config", "callbacks", "versions"])
def test_numbers_and_depths_that_json_allows_and_nobody_writes(copy, field, text):
    raw, (_, record) = (copy / CHECKPOINT).read_bytes(), contents(copy)
    inside = f"[{text}]" if field == "callbacks" else f'{{"a": {text}}}'
    record = json.dumps({**record, field: "@"}).replace('"@"', inside)
    (copy / CHECKPOINT).write_bytes(forged(raw, record))
    with pytest.raises(StorageError, match=r"__metadata__\.record: "), Checkpoint(copy):
        pass


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"loss": 1.0}, "loss"), ({"examples": 3}, "examples"), ({"epoch_seconds": 0.5}, "epoch_seconds"),
        ({"batch": 2}, "examples"), ({"epoch": 2}, "log"), ({"epoch": 2**62}, "log"), ({"updates": 1}, "updates"),
        ({"stopping": {"best": 0.5, "epoch": 9, "stale": 0}}, "stopping"),
    ],
)  # fmt: skip
def test_fields_that_contradict_each_other(copy, changes, field):
    arrays, record = contents(copy)
    write(copy / CHECKPOINT, arrays, {**record, **changes})
    with pytest.raises(StorageError, match=rf"record\.{field}: "), Checkpoint(copy):
        pass


def refuse_cut(run, copy, step):
    raw = (run / CHECKPOINT).read_bytes()
    for length in range(0, len(raw), step):
        (copy / CHECKPOINT).write_bytes(raw[:length])
        with pytest.raises(StorageError), Checkpoint(copy):
            pass


def test_cut_off_anywhere(run, copy):
    refuse_cut(run, copy, 11)


@pytest.mark.exhaustive
def test_cut_off_everywhere(run, copy):
    refuse_cut(run, copy, 1)


def test_a_pipe_is_no_checkpoint(copy):
    """Opening one would wait for whoever writes to it."""
    (copy / CHECKPOINT).unlink()
    os.mkfifo(copy / CHECKPOINT)
    with pytest.raises(StorageError, match="is no file"):
        fit_stopping(copy, resume=True)
    (copy / CHECKPOINT).unlink()
    (copy / CHECKPOINT).symlink_to("/dev/zero")
    with pytest.raises(StorageError, match="is no file"):
        fit_stopping(copy, resume=True)


def test_a_link_to_a_checkpoint_is_followed(copy, tmp_path):
    (copy / CHECKPOINT).rename(tmp_path / "elsewhere")
    (copy / CHECKPOINT).symlink_to(tmp_path / "elsewhere")
    assert len(fit_stopping(copy, resume=True, epochs=3).history) == 3


def test_foreign_files(copy):
    file = copy / CHECKPOINT
    save_weights(with_dropout(), file)
    with pytest.raises(StorageError, match="written by another program"):
        fit_stopping(copy, resume=True)
    save_file({"W": np.zeros(3)}, file, {"format": "pt"})
    with pytest.raises(StorageError, match="written by another program"):
        fit_stopping(copy, resume=True)
    for content in (b"", b"PK\3\4", b'{"epoch": 1}', b"\x80\x04\x95" + bytes(100)):
        file.write_bytes(content)
        with pytest.raises(StorageError, match="header length"):
            fit_stopping(copy, resume=True)
    file.unlink()
    file.mkdir()
    with pytest.raises(StorageError, match=f"{CHECKPOINT}: "):
        fit_stopping(copy, resume=True)


def test_another_training_is_refused_naming_the_difference(copy):
    other = X.copy()
    other[3, 1] += 1
    cases = [
        ({"batch_size": 4}, "batch_size was 8, here it is 4"),
        ({"seed": 1}, "seed was 0, here it is 1"),
        ({"accumulate": 2}, "accumulate was 1"),
        ({"compiled": True}, "compiled was False"),
        ({"class_weights": "balanced"}, "class_weights was None"),
        ({"optimizer": optim.Adam(0.02)}, "optimizer was .*0.01.*0.02"),
        ({"optimizer": optim.SGD(0.01)}, r"optimizer/layers\.0\.W\.m is unknown here"),
        ({"optimizer": optim.SGD(0.01, momentum=0.9)}, r"optimizer/layers\.0\.W\.velocity is missing"),
        ({"model": with_dropout(5)}, r"model/layers\.0\.W is float32\[4, 3\], here float32\[5, 3\].*best/layers\.2\.W"),
        ({"model": nn.Sequential(nn.Linear(3, 2))}, r"model/layers\.2\.W is unknown here"),
        ({"data": (other, T)}, r"record\.config\.train: .*train was"),
        ({"data": (X[:19], T[:19])}, r"train was .*\[20, 3\].*\[19, 3\]"),
        ({"early_stopping": None}, "early_stopping was"),
        ({"early_stopping": EarlyStopping(patience=2)}, "'patience': 5.*'patience': 2"),
        ({"metrics": ["f1"]}, "metrics was"),
    ]
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    for options, text in cases:
        with pytest.raises(StorageError, match=text):
            fit_stopping(copy, resume=True, **options)
    assert before == {path.name: path.read_bytes() for path in copy.iterdir()}


def test_a_refused_checkpoint_changes_nothing(copy):
    model, optimizer = with_dropout(), optim.Adam(0.01)
    model.layers[0].W = np.full((4, 3), 0.25, np.float32)
    raw = bytearray((copy / CHECKPOINT).read_bytes())
    raw[-1] ^= 1
    (copy / CHECKPOINT).write_bytes(raw)
    with pytest.raises(StorageError, match="was changed after"):
        fit_stopping(copy, model, optimizer, resume=True)
    assert np.asarray(model.layers[0].W).tolist() == np.full((4, 3), 0.25).tolist()
    assert int(optimizer.count) == 0


def test_metrics_that_are_not_those_of_the_checkpoint(copy):
    metrics = copy / "metrics.jsonl"
    whole = metrics.read_bytes()
    for content in (b"", whole[:-3], whole.replace(b"1", b"2", 1)):
        metrics.write_bytes(content)
        with pytest.raises(StorageError, match=r"metrics\.jsonl: its first 2 lines"):
            fit_stopping(copy, resume=True)
    metrics.write_bytes(whole + b'{"epoch": 3, "train_l')  # a line of an epoch that the checkpoint does not have
    fit_stopping(copy, resume=True)
    assert metrics.read_bytes() == whole
    assert len(fit_stopping(copy, resume=True, epochs=3).history) == 3
    assert [json.loads(text)["epoch"] for text in metrics.read_text().splitlines()] == [1, 2, 3]
