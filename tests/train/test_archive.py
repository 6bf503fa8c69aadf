"""Every check of an archive and of a checkpoint has a file that only it refuses: all digests are right again."""

import json
import os
import re
from hashlib import sha256

import numpy as np
import pytest

import bprop
from bprop.train import Checkpoint, StorageError, archive
from bprop.train.archive import Archive, write
from bprop.train.checkpoint import CHECKPOINT, FIELDS, ORDER, save
from bprop.train.record import Field, RecordError

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.zeros(0, np.int64),
    "c": np.float64(2) + np.zeros(()),
}
RECORD = {"epoch": 3, "notes": ["fine"]}


@pytest.fixture
def file(tmp_path):
    write(tmp_path / "file", ARRAYS, RECORD)
    return tmp_path / "file"


@pytest.fixture(autouse=True)
def nothing_stays_open():
    def count():
        return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    before = count()
    yield
    assert count() == before


def parts(raw):
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def sealed(header, data):
    """The file with the digest of this header."""
    metadata = header.get("__metadata__")
    if isinstance(metadata, dict) and "sha256" in metadata:
        metadata["sha256"] = "0" * 64
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    length = len(text).to_bytes(8, "little")
    return length + text.replace(b"0" * 64, sha256(length + text).hexdigest().encode(), 1) + data


def refused(file, raw, field, text=""):
    file.write_bytes(raw)
    with pytest.raises(StorageError) as caught, Archive(file) as archive:
        archive.verify()
    assert caught.value.message.startswith(f"{file}: {field}: "), caught.value.message
    assert text in caught.value.message


def accepted(file, raw):
    file.write_bytes(raw)
    with Archive(file) as archive:
        archive.verify()
        return {name: archive.read(name) for name in archive.entries}


def test_sealing_is_what_writing_does(file):
    raw = file.read_bytes()
    header, data = parts(raw)
    accepted(file, sealed(header, data))
    arrays = accepted(file, raw)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
        assert arrays[name].flags.writeable
    length = int.from_bytes(raw[:8], "little")
    assert length % 8 == 0
    assert len(raw) == 8 + length + 24 + 8


def test_lengths_of_the_header(file, monkeypatch):
    raw = file.read_bytes()
    length, size = int.from_bytes(raw[:8], "little"), len(raw)
    for count in range(8):
        refused(file, raw[:count], "header length", f"the file has {count} bytes")
    for wrong in (0, 1, size - 7, 2**64 - 1):
        refused(file, wrong.to_bytes(8, "little") + raw[8:], "header length", f"{wrong} bytes in a file of {size}")
    refused(file, (2).to_bytes(8, "little") + b"{}", "__metadata__.format")
    header, _ = parts(raw)
    empty = {"__metadata__": header["__metadata__"]}
    empty["__metadata__"]["digests"] = json.dumps({**json.loads(empty["__metadata__"]["digests"]), "arrays": {}})
    assert accepted(file, sealed(empty, b"")) == {}  # a header and no more
    monkeypatch.setattr(archive, "_MAX_HEADER_BYTES", length)
    accepted(file, raw)
    monkeypatch.setattr(archive, "_MAX_HEADER_BYTES", length - 1)
    refused(file, raw, "header length", f"{length} bytes")


DROP = object()
CHANGES = {
    "metadata is text": (("__metadata__",), "bprop", "__metadata__.format"),
    "format is missing": (("__metadata__", "format"), DROP, "__metadata__.format"),
    "format is another": (("__metadata__", "format"), "pt", "__metadata__.format"),
    "record is missing": (("__metadata__", "record"), DROP, "__metadata__.record"),
    "record is no text": (("__metadata__", "record"), {}, "__metadata__.record"),
    "record is no object": (("__metadata__", "record"), "[]", "__metadata__.record"),
    "digests are missing": (("__metadata__", "digests"), DROP, "__metadata__.digests"),
    "digests are no text": (("__metadata__", "digests"), 1, "__metadata__.digests"),
    "digests are no object": (("__metadata__", "digests"), "1", "__metadata__.digests"),
    "digests are empty": (("__metadata__", "digests"), "{}", "__metadata__.digests"),
    "digests of fields are a list": (
        ("__metadata__", "digests"), lambda old: json.dumps({**json.loads(old), "fields": []}), "__metadata__.digests",
    ),
    "digests of arrays are a list": (
        ("__metadata__", "digests"), lambda old: json.dumps({**json.loads(old), "arrays": []}), "__metadata__.digests",
    ),
    "an array without a digest": (
        ("__metadata__", "digests"),
        lambda old: json.dumps({**json.loads(old), "arrays": {"a": "", "b": ""}}),
        "__metadata__.digests",
    ),
    "a digest without an array": (
        ("__metadata__", "digests"),
        lambda old: json.dumps({**json.loads(old), "arrays": {**json.loads(old)["arrays"], "d": ""}}),
        "__metadata__.digests",
    ),
    "a field without a digest": (("__metadata__", "record"), json.dumps({**RECORD, "more": 1}), "record.more"),
    "a digest without a field": (("__metadata__", "record"), json.dumps({"epoch": 3}), "record.notes"),
    "another field": (("__metadata__", "record"), json.dumps({**RECORD, "epoch": 4}), "record.epoch"),
    "an entry is a list": (("a",), ["F32", [2, 3], [0, 24]], "'a'"),
    "an entry says more": (("a", "more"), 1, "'a'"),
    "an entry says less": (("a", "dtype"), DROP, "header"),
    "a dtype that there is not": (("a", "dtype"), "F8", "header"),
    "a dtype that NumPy lacks": (("c", "dtype"), "C64", "'c'.dtype"),
    "a dtype that is a mapping": (("a", "dtype"), {"F32": None}, "'a'.dtype"),
    "a dtype that is no text": (("a", "dtype"), ["F32"], "header"),
    "a shape that is a number": (("a", "shape"), 6, "header"),
    "a size that is a bool": (("a", "shape"), [6, True], "header"),
    "a size that is a float": (("a", "shape"), [2.0, 3], "header"),
    "sizes below zero": (("a", "shape"), [-2, -3], "header"),
    "a size that is too large": (("b", "shape"), [2**53 + 1, 0], "'b'.shape"),
    "65 axes": (("a", "shape"), [2, 3] + [1] * 63, "'a'.shape"),
    "places that are a number": (("a", "data_offsets"), 24, "header"),
    "one place": (("a", "data_offsets"), [24], "header"),
    "three places": (("a", "data_offsets"), [0, 24, 24], "header"),
    "a place that is a bool": (("a", "data_offsets"), [False, 24], "header"),
    "a place below zero": (("a", "data_offsets"), [-8, 16], "header"),
    "fewer bytes than the shape needs": (("a", "shape"), [2, 2], "header"),
    "more bytes than the shape needs": (("a", "shape"), [2, 4], "header"),
    "beyond the end": (("c", "data_offsets"), [25, 33], "header"),
    "overlapping": (("c", "data_offsets"), [16, 24], "header"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_header_that_only_one_check_refuses(file, name):
    path, new, field = CHANGES[name]
    header, data = parts(file.read_bytes())
    owner = header
    for key in path[:-1]:
        owner = owner[key]
    if new is DROP:
        del owner[path[-1]]
    else:
        owner[path[-1]] = new(owner[path[-1]]) if callable(new) else new
    refused(file, sealed(header, data), field)


def test_what_lies_between_and_behind_the_arrays(file):
    header, data = parts(file.read_bytes())
    refused(file, sealed(header, data + b"\0"), "header", "something was added")
    refused(file, sealed(header, data[:-1]), "header", "it was cut off")
    header["c"]["data_offsets"] = [32, 40]
    refused(file, sealed(header, data[:24] + bytes(8) + data[24:]), "header", "does not fit the file")
    header["c"]["data_offsets"] = [16, 24]
    refused(file, sealed(header, data), "header", "does not fit the file")


def test_sizes_up_to_the_largest(file):
    header, data = parts(file.read_bytes())
    header["a"]["shape"], header["b"]["shape"] = [2, 3] + [1] * 62, [0, 2**53]
    file.write_bytes(sealed(header, data))
    with Archive(file) as archive:
        archive.verify()
        assert len(archive.entries["a"].shape) == 64
        assert archive.entries["b"].shape == (0, 2**53)


def test_digests_that_are_none(file):
    raw = file.read_bytes()
    header, data = parts(raw)
    right = header["__metadata__"]["sha256"]
    said = "no SHA-256 in hexadecimal digits"
    for wrong in (right[:-1], right + "0", "ü" * 64, ""):
        header["__metadata__"]["sha256"] = wrong
        text = json.dumps(header).encode()
        refused(file, len(text).to_bytes(8, "little") + text + data, "__metadata__.sha256", said)
    header["__metadata__"] |= {"sha256": right, "again": right}  # which of both would be blanked?
    text = json.dumps(header).encode()
    refused(file, len(text).to_bytes(8, "little") + text + data, "__metadata__.sha256", said)
    refused(file, raw[:8] + raw[8:].replace(b"F64", b"I64", 1), "__metadata__.sha256", "the header was changed")
    for place, name in ((-32, "'a'"), (-9, "'a'"), (-8, "'c'"), (-1, "'c'")):
        changed = bytearray(raw)
        changed[place] ^= 1
        refused(file, bytes(changed), name, "was changed after the file was written")


@pytest.mark.parametrize("chunk", [1, 5, 8, 24, 32])
def test_numbers_are_verified_in_pieces(file, chunk, monkeypatch):
    monkeypatch.setattr(archive, "_CHUNK_BYTES", chunk)
    raw = bytearray(file.read_bytes())
    accepted(file, bytes(raw))
    raw[-9] ^= 128
    refused(file, bytes(raw), "'a'")


def test_a_file_that_is_cut_off_while_it_is_read(tmp_path):
    file = tmp_path / "file"
    write(file, {"a": np.arange(3.0), "c": np.zeros(300_000)}, RECORD)
    raw = file.read_bytes()
    with Archive(file) as opened:
        file.write_bytes(raw[:-1])
        for look in (opened.verify, lambda: opened.read("c")):
            with pytest.raises(StorageError, match="'c': the file was cut off while it was read"):
                look()
        assert opened.read("a").tolist() == [0, 1, 2]
    assert opened._file.closed


def test_what_is_written_is_contiguous(tmp_path):
    write(tmp_path / "file", {"turned": np.arange(6.0).reshape(2, 3).T}, {})
    assert parts((tmp_path / "file").read_bytes())[1] == np.arange(6.0).reshape(2, 3).T.tobytes()
    for kind in (complex, ">i4", "U1", object):
        with pytest.raises(bprop.DTypeError, match=r"z is .*, which a safetensors file cannot hold"):
            write(tmp_path / "file", {"z": np.zeros(1, kind)}, {})


# --- the record of a checkpoint ---
COUNT = ([0, 1, 2**63 - 1], [-1, 2**63, 1.0, True, "1", None])
FROM_ONE = ([1, 2**63 - 1], [0, *COUNT[1]])
NUMBER = ([0, -1, 0.5, -0.5, 2**63 - 1], [np.inf, -np.inf, np.nan, 2**63, -(2**63), True, "1"])
WEIGHT = ([0, 0.0, 0.5, 3], [-1, -0.5, np.inf, np.nan, True, "1", None])
TEXT, OBJECT, NOTHING = (["", "x"], [1, b"x", ["x"]]), ([{}, {"a": 1}], [[], None, "x"]), ([None], [])
STOPPING = {"best": 0.5, "epoch": 1, "stale": 2}
LOG = {"lines": 0, "bytes": 0, "sha256": ""}


def without(given):
    return [{key: value for key, value in given.items() if key != name} for name in given] + [{**given, "more": 1}]


def varied(given, name, values):
    return [{**given, name: value} for value in values]


VALUES = {
    "format": (["bprop checkpoint"], ["bprop", None]),
    "version": ([1], [0, 2, True, 1.0, "1"]),
    "epoch": FROM_ONE,
    "batch": COUNT,
    "updates": COUNT,
    "loss": (NUMBER[0], [*NUMBER[1], None]),
    "examples": WEIGHT,
    "native": ([True, False], [0, 1, None]),
    "schedule": ([*TEXT[0], None], TEXT[1]),
    "epoch_seconds": WEIGHT,
    "seconds": WEIGHT,
    "started": (TEXT[0], [*TEXT[1], None]),
    "notes": ([[], ["a", "b"]], [["a", 1], [None], "ab", None, {}]),
    "log": (
        [LOG, {"lines": 3, "bytes": 2**40, "sha256": "a"}],
        [*without(LOG), *varied(LOG, "lines", COUNT[1]), *varied(LOG, "bytes", COUNT[1]),
         *varied(LOG, "sha256", [1, None]), [], None],
    ),
    "drawn": (
        [{}, {"taken": 0, "last": None}, {"taken": 2, "last": "x"}],
        [{"taken": 0}, {"last": None}, {"taken": -1, "last": None}, {"taken": 0, "last": 1}, [], None,
         {"taken": 0, "last": None, "more": 1}],
    ),
    "stopping": (
        [None, STOPPING, {"best": None, "epoch": 0, "stale": 2}, *varied(STOPPING, "best", NUMBER[0])],
        [*without(STOPPING), *varied(STOPPING, "best", NUMBER[1]), *varied(STOPPING, "epoch", COUNT[1]),
         *varied(STOPPING, "stale", COUNT[1]), {"best": None, "epoch": 1, "stale": 0},
         {"best": 0.5, "epoch": 0, "stale": 0}, [], 1],
    ),
    "stopped": ([*TEXT[0], None], TEXT[1]),
    "callbacks": ([[], [None, {}]], [{}, None, "x"]),
    "epochs": FROM_ONE,
    "config": OBJECT,
    "versions": OBJECT,
}  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_has_its_range_to_the_last_value(field):
    good, bad = VALUES[field]
    _, check = FIELDS[field]
    for value in good:
        check(Field(value, "file", field))
    for value in bad:
        with pytest.raises(RecordError):
            check(Field(value, "file", field))


CHECKPOINT_ARRAYS = {
    ORDER: np.zeros(2, np.uint64), "model/w": np.zeros((2, 3), np.float32), "optimizer/count": np.zeros((), np.int64),
}  # fmt: skip
WHOLE = {
    "epoch": 3, "batch": 0, "updates": 6, "loss": 0.0, "examples": 0, "native": True, "schedule": None,
    "epoch_seconds": 0.0, "seconds": 1.0, "started": "today", "notes": [], "log": {**LOG, "lines": 2}, "drawn": {},
    "stopping": None, "stopped": None, "callbacks": [], "epochs": 2, "config": {"seed": 0}, "versions": {},
}  # fmt: skip


def checkpoint(folder, record=None, arrays=None):
    save(folder / CHECKPOINT, CHECKPOINT_ARRAYS if arrays is None else arrays, {**WHOLE, **(record or {})})
    return Checkpoint(folder)


TOGETHER = [
    ({}, None),
    ({"updates": 2}, None),
    ({"updates": 1}, "updates: 1 in 2 epochs"),
    ({"loss": 0.5}, "loss: 0.5 before the first batch"),
    ({"examples": 1}, "examples: 1 before the first batch"),
    ({"epoch_seconds": 0.5}, "epoch_seconds: 0.5 before the first batch"),
    ({"batch": 1, "examples": 8, "loss": 0.5, "epoch_seconds": 0.5}, None),
    ({"batch": 1, "examples": 0.5}, None),
    ({"batch": 2}, "examples: none in 2 batches"),
    ({"log": {**LOG, "lines": 1}}, "log: 1 lines after 2 epochs"),
    ({"log": {**LOG, "lines": 3}}, "log: 3 lines after 2 epochs"),
    ({"epoch": 1, "log": LOG, "updates": 0}, None),
    ({"stopping": {"best": 0.5, "epoch": 1, "stale": 1}}, None),
    ({"stopping": {"best": None, "epoch": 0, "stale": 2}}, None),
    ({"stopping": {"best": 0.5, "epoch": 2, "stale": 1}}, "stopping: epoch 2 and 1 more are not 2"),
    ({"stopping": {"best": 0.5, "epoch": 1, "stale": 0}}, "stopping: epoch 1 and 0 more are not 2"),
]


@pytest.mark.parametrize(("changes", "text"), TOGETHER)
def test_fields_together(tmp_path, changes, text):
    if text is None:
        with checkpoint(tmp_path, changes) as opened:
            assert opened.record == {"format": "bprop checkpoint", "version": 1, **WHOLE, **changes}
            assert opened.read().keys() == CHECKPOINT_ARRAYS.keys()
        assert opened.archive._file.closed
    else:
        with pytest.raises(StorageError, match=rf"record\.{re.escape(text)}"):
            checkpoint(tmp_path, changes)


BEST = {**CHECKPOINT_ARRAYS, "best/w": np.zeros((2, 3), np.float32)}
STOPS = {"seed": 0, "early_stopping": {"restore_best": True}}
KEEPS_NONE = {"seed": 0, "early_stopping": {"restore_best": False}}
WATCHED = {"best": 0.5, "epoch": 1, "stale": 1}
UNWATCHED = {"best": None, "epoch": 0, "stale": 2}
FITTING = [
    ({}, CHECKPOINT_ARRAYS, WHOLE["config"], 0, None),
    ({"callbacks": [None]}, CHECKPOINT_ARRAYS, WHOLE["config"], 1, None),
    ({"callbacks": [None]}, CHECKPOINT_ARRAYS, WHOLE["config"], 0, "callbacks: states of 1 callbacks, here 0"),
    ({}, CHECKPOINT_ARRAYS, WHOLE["config"], 1, "callbacks: states of 0 callbacks, here 1"),
    ({"config": STOPS, "stopping": WATCHED}, BEST, STOPS, 0, None),
    ({"config": STOPS, "stopping": UNWATCHED}, CHECKPOINT_ARRAYS, STOPS, 0, None),
    ({"config": KEEPS_NONE, "stopping": WATCHED}, CHECKPOINT_ARRAYS, KEEPS_NONE, 0, None),
    ({"config": STOPS}, CHECKPOINT_ARRAYS, STOPS, 0, "stopping: does not fit the early stopping"),
    ({"stopping": WATCHED}, CHECKPOINT_ARRAYS, WHOLE["config"], 0, "stopping: does not fit the early stopping"),
    ({"config": STOPS, "stopping": WATCHED}, CHECKPOINT_ARRAYS, STOPS, 0, "stopping: no best model is in the file"),
    ({"config": STOPS, "stopping": UNWATCHED}, BEST, STOPS, 0, "stopping: a best model is in the file"),
    ({"config": KEEPS_NONE, "stopping": WATCHED}, BEST, KEEPS_NONE, 0, "stopping: a best model is in the file"),
    ({}, BEST, WHOLE["config"], 0, "stopping: a best model is in the file"),
    ({}, CHECKPOINT_ARRAYS, {"seed": 1}, 0, "config.seed: .*seed was 0, here it is 1"),
    ({}, CHECKPOINT_ARRAYS, {}, 0, "config.seed: .*seed was 0, here it is None"),
    ({}, CHECKPOINT_ARRAYS, {"more": 1, "seed": 0}, 0, "config.more: .*more was None, here it is 1"),
]


@pytest.mark.parametrize(("changes", "arrays", "config", "callbacks", "text"), FITTING)
def test_a_checkpoint_fits_a_training(tmp_path, changes, arrays, config, callbacks, text):
    wanted = {name: array for name, array in CHECKPOINT_ARRAYS.items() if name != ORDER}
    with checkpoint(tmp_path, changes, arrays) as opened:
        if text is None:
            opened.fits(wanted, config, callbacks)
        else:
            with pytest.raises(StorageError, match=rf"record\.{text}"):
                opened.fits(wanted, config, callbacks)


def test_arrays_that_are_others(tmp_path):
    wanted = {name: array for name, array in CHECKPOINT_ARRAYS.items() if name != ORDER}
    w = np.zeros((2, 3), np.float32)
    for arrays, text in (
        ({**CHECKPOINT_ARRAYS, "model/w": w.astype(np.float64)}, r"model/w is float64\[2, 3\], here float32\[2, 3\]"),
        ({**CHECKPOINT_ARRAYS, "model/w": w.T}, r"model/w is float32\[3, 2\], here float32\[2, 3\]"),
        ({**CHECKPOINT_ARRAYS, ORDER: np.zeros(3, np.uint64)}, r"order/state is uint64\[3\], here uint64\[2\]"),
        ({**CHECKPOINT_ARRAYS, ORDER: np.zeros(2, np.int64)}, r"order/state is int64\[2\], here uint64\[2\]"),
        ({**CHECKPOINT_ARRAYS, "model/v": w}, "model/v is unknown here"),
        ({ORDER: CHECKPOINT_ARRAYS[ORDER], "model/w": w}, "optimizer/count is missing"),
        ({**CHECKPOINT_ARRAYS, "best/v": w}, r"best/w is missing; best/v is unknown here"),
        ({**BEST, "best/w": w.T}, r"best/w is float32\[3, 2\], here float32\[2, 3\]"),
    ):
        with checkpoint(tmp_path, None, arrays) as opened, pytest.raises(StorageError, match=text):
            opened.fits(wanted, WHOLE["config"], 0)
    for count in (20, 21):  # no more than so many are named
        many = {**CHECKPOINT_ARRAYS, **{f"model/x{n:02}": w for n in range(count)}}
        with checkpoint(tmp_path, None, many) as opened:
            with pytest.raises(StorageError, match=r"model/x19 is unknown here") as caught:
                opened.fits(wanted, WHOLE["config"], 0)
            assert ("and 1 more" in caught.value.message) is (count == 21)
            assert "model/x20" not in caught.value.message


def test_the_numbers_are_aligned(tmp_path):
    """However long the record is, they begin at a multiple of 8 bytes: readers map them into memory as they lie."""
    for length in range(17):
        write(tmp_path / "file", ARRAYS, {"note": "x" * length})
        assert int.from_bytes((tmp_path / "file").read_bytes()[:8], "little") % 8 == 0
