"""Texts: reading and splitting, the n-gram model, training with a carried state, writing."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import bprop
from bprop import nn
from bprop.networks import CharRNN, CharTransformer
from bprop.train import StorageError
from bprop.train.text import (
    DEFAULTS,
    Corpus,
    NGram,
    TextError,
    TextSettings,
    load_text_model,
    read_text,
    text_settings,
    train_text,
)
from bprop.train.text.carried import CarriedState, bits_per_character
from bprop.train.text.sampling import drawn
from bprop.train.text.windowed import Windowed

LINE = "the quick brown fox jumps over the lazy dog, and the dog sleeps on.\n"
SMALL = TextSettings(hidden=12, embedding=6, window=8, batch_size=4, epochs=2)


def test_streams_go_on_where_they_ended():
    corpus = Corpus(LINE * 10, "lines")
    x, t = corpus.streams(8, 4)
    length = (corpus.learned - 1) // 32 * 8
    assert x.shape == t.shape == (length // 2, 8)
    for stream in range(4):
        np.testing.assert_array_equal(np.concatenate([*x[stream::4]]), corpus.ids[stream * length :][:length])
        np.testing.assert_array_equal(np.concatenate([*t[stream::4]]), corpus.ids[stream * length + 1 :][:length])
    assert corpus.learned == len(corpus) - len(LINE)
    x, t = corpus.held_out_windows(8)
    np.testing.assert_array_equal(np.concatenate([*t]), corpus.ids[corpus.learned :][: t.size])
    assert corpus.ids[corpus.learned - 1] == x[0, 0]


def test_a_short_text_has_fewer_streams():
    corpus = Corpus("abcdefgh" * 3, "letters")
    assert corpus.streams(8, 32)[0].shape == (2, 8)


@pytest.mark.parametrize("count", [2, 9, 10, 11, 19, 20, 75])
def test_the_least_length_is_what_the_message_says(count):
    corpus = Corpus("ab" * count, "letters")
    window = corpus.learned
    with pytest.raises(
        TextError, match=rf"has {2 * count} characters; with windows of {window} it has (\d+) or more"
    ) as e:
        corpus.check_length(window)
    least = int(str(e.value).split(" it has ")[1].split(" ")[0])
    Corpus("a" * least, "enough").check_length(window)
    with pytest.raises(TextError):
        Corpus("a" * (least - 1), "too short").check_length(window)


def test_files_that_are_no_text(tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(TextError, match="is empty"):
        read_text(tmp_path / "empty")
    (tmp_path / "latin").write_bytes("first\nein Käfer".encode("latin-1"))
    with pytest.raises(TextError, match=r"byte 11 of 15, counted from 0 \(line 2\), is 0xe4"):
        read_text(tmp_path / "latin")
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbfab\xff")
    with pytest.raises(TextError, match="byte 5 of 6"):
        read_text(tmp_path / "marked")
    with pytest.raises(StorageError, match="missing"):
        read_text(tmp_path / "missing")
    (tmp_path / "good").write_bytes("\ufeffzß\U0001f600z".encode())
    corpus = read_text(tmp_path / "good")
    assert corpus.vocabulary == "zß\U0001f600"
    assert corpus.ids.tolist() == [0, 1, 2, 0]


def witten_bell(ids, context, letter, vocabulary):
    """Return the probability by the recursion as it is written."""
    if context is None:
        return 1 / vocabulary
    starts = [i for i in range(len(ids) - len(context)) if list(ids[i : i + len(context)]) == list(context)]
    following = [ids[i + len(context)] for i in starts]
    lower = witten_bell(ids, context[1:] if len(context) else None, letter, vocabulary)
    if not following:
        return lower
    d = len(set(following))
    return (following.count(letter) + d * lower) / (len(following) + d)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_of_the_ngram_model(order):
    draw = np.random.default_rng(order)
    ids, unseen = draw.integers(0, 4, 60), draw.integers(0, 5, 20)
    model = NGram(ids, 5, order)
    expected = [witten_bell(ids, unseen[max(i - order + 1, 0) : i], unseen[i], 5) for i in range(2, len(unseen))]
    np.testing.assert_allclose(model.probabilities(unseen, 2), expected, rtol=1e-12)
    context = unseen[: order - 1]
    total = sum(model.probabilities(np.array([*context, letter]), order - 1)[0] for letter in range(5))
    assert total == pytest.approx(1, rel=1e-12)


def test_the_ngram_model_at_the_ends():
    assert NGram(np.array([0]), 1, 3).bits(np.array([0, 0]), 1) == 0
    assert NGram(np.array([1]), 4, 3).probabilities(np.array([0]), 0) == pytest.approx(1 / 8)
    with pytest.raises(bprop.ArgumentError, match="too many"):
        NGram(np.array([0]), 2**21, 3)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_the_state_is_carried_and_derivatives_are_not(cell):
    network = CharRNN(5, 6, 4, cell=cell, num_layers=2, dtype=np.float64, seed=0)
    ids = np.random.default_rng(0).integers(0, 5, (3, 9))
    module = CarriedState(network, 3)
    parts = [module(ids[:, i : i + 3]) for i in (0, 3, 6)]
    np.testing.assert_allclose(np.concatenate(parts, 1), network(ids), rtol=1e-12, atol=1e-13)
    module.reset()
    np.testing.assert_array_equal(module(ids[:, :3]), parts[0])

    _, state = network(ids[:, :3], return_state=True)
    loss = nn.CrossEntropy()
    gradients = bprop.grad(lambda m: loss(m(ids[:, 3:6]), ids[:, 4:7]))(module)
    expected = bprop.grad(lambda m: loss(m(ids[:, 3:6], state)[0], ids[:, 4:7]))(network)
    for path, gradient in expected.items():
        np.testing.assert_allclose(gradients[f"network.{path}"], gradient, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(module(ids[:, 6:]), parts[2], rtol=1e-12)  # differentiation carried the state on, too
    module.eval()
    np.testing.assert_array_equal(module(ids[:, :3]), network(ids[:, :3]))


def test_bits_are_those_of_the_whole_text_at_once():
    network = CharRNN(5, 6, 4, dtype=np.float64, seed=0)
    ids = np.random.default_rng(0).integers(0, 5, 1200)
    y = np.asarray(network(ids[None, :-1]))[0]
    log_p = y - np.log(np.sum(np.exp(y), -1, keepdims=True))
    expected = -np.mean(log_p[np.arange(1199), ids[1:]][699:]) / np.log(2)
    assert bits_per_character(network, ids, 700) == pytest.approx(expected, rel=1e-12)


def test_bits_of_windows():
    network = CharTransformer(5, 6, 8, 2, 2, dtype=np.float64, seed=0)
    ids = np.random.default_rng(0).integers(0, 5, 40)
    expected = []
    for position in range(10, 40):
        windows = [start for start in range(6, 39, 3) if start < position <= start + 6]  # the first one that it is in
        y = np.asarray(network(ids[None, windows[0] : position]))[0, -1]
        expected.append(np.log(np.sum(np.exp(y))) - y[ids[position]])
    assert Windowed(network).bits(ids, 10) == pytest.approx(np.mean(expected) / np.log(2), rel=1e-9)


@pytest.mark.parametrize(("prompt", "temperature"), [(2, 0.0), (6, 1.0), (9, 1.0)])
def test_keys_and_values_that_are_kept_change_no_character(prompt, temperature):
    """Against the whole window for every character; a full one goes on with its second half."""
    network = CharTransformer(5, 6, 8, 2, 2, dtype=np.float64, seed=0)
    text = np.random.default_rng(prompt).integers(0, 5, prompt)
    written = list(Windowed(network).written(text, 12, temperature, bprop.Generator(3)))
    window, generator = text.tolist()[-6:], bprop.Generator(3)
    for letter in written:
        logits = np.asarray(network(np.array([window])))[0, -1]
        assert letter == drawn(logits, temperature, float(generator.uniform()))
        window = [*window, letter] if len(window) < 6 else [*window[-2:], letter]
    assert len(written) == 12


def test_steps_through_a_cache_are_the_whole_text():
    network = CharTransformer(5, 8, 8, 2, 2, dtype=np.float64, seed=1)
    x = np.random.default_rng(0).integers(0, 5, (3, 8))
    step, state, parts = bprop.compile(CharTransformer.step), network.start(3), []
    for start, stop in ((0, 4), (4, 5), (5, 6), (6, 8)):
        run = step if stop - start == 1 else CharTransformer.step
        y, state = run(network, x[:, start:stop], state)
        parts.append(np.asarray(y))
    np.testing.assert_allclose(np.concatenate(parts, axis=1), np.asarray(network(x)), rtol=1e-12, atol=1e-13)
    for run in (step, CharTransformer.step):
        with pytest.raises(bprop.IndexingError, match="8"):
            run(network, x[:, :1], state)
    with pytest.raises(bprop.ArgumentError, match="CharTransformer: count is a positive integer, not 0"):
        network.start(0)


def test_a_run_goes_on_with_the_same_bits(tmp_path):
    corpus = Corpus(LINE * 12, "lines")
    whole = train_text(corpus, TextSettings(**{**vars(SMALL), "epochs": 4}), out=tmp_path / "whole", progress=False)
    train_text(corpus, SMALL, out=tmp_path / "run", progress=False)
    assert text_settings(tmp_path / "run") == vars(SMALL)
    settings = TextSettings(**{**text_settings(tmp_path / "run"), "epochs": 4})
    result = train_text(corpus, settings, out=tmp_path / "run", resume=True, progress=False)
    assert (result.bits, result.ngram_bits) == (whole.bits, whole.ngram_bits)
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "run"))
    assert first == second
    assert load_text_model(tmp_path / "run").generate("the", 30) == whole.model.generate("the", 30)
    with pytest.raises(StorageError, match="is another text or was changed"):
        train_text(Corpus(LINE * 13, "more lines"), settings, out=tmp_path / "run", resume=True, progress=False)


def test_a_transformer_learns_english_and_is_loaded_again(tmp_path):
    """Better than whatever sees one character alone; with derivatives of a wrong sign in attention it stays above 4 bits."""
    corpus = read_text(Path(__file__).parents[3] / "LICENSE")
    settings = TextSettings(
        "transformer", hidden=48, layers=1, heads=2, window=32, batch_size=4, epochs=9, learning_rate=7e-3
    )
    result = train_text(corpus, settings, out=tmp_path / "run", progress=False)
    ids = corpus.ids[: corpus.learned]
    pairs, counts = np.unique(ids[:-1] * len(corpus.vocabulary) + ids[1:], return_counts=True)
    before = np.bincount(ids[:-1])[pairs // len(corpus.vocabulary)]
    least = -np.sum(
        counts / counts.sum() * np.log2(counts / before)
    )  # the entropy of a character, given the one before it
    assert result.run.history[-1]["train_loss"] / np.log(2) < least < 3.3
    written = load_text_model(tmp_path / "run").generate("the qui", 20, temperature=0)
    assert written == result.model.generate("the qui", 20, temperature=0)
    assert result.run.notes == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("model", ["rnn", "transformer"])
def test_on_the_pages_of_the_library_networks_need_fewer_bits_than_the_ngram_model(model):
    pages = sorted((Path(__file__).parents[3] / "docs").rglob("*.md"))
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    result = train_text(Corpus(text, "docs"), TextSettings(model, **DEFAULTS[model], epochs=15), progress=False)
    assert result.bits < result.ngram_bits


def test_a_network_learns_more_than_the_ngram_model():
    numbers = "".join(f"{n} and {n + 1}, " for n in itertools.chain(range(10, 99), range(10, 99)))
    settings = TextSettings(hidden=48, embedding=16, window=32, batch_size=4, epochs=25, learning_rate=1e-2)
    result = train_text(Corpus(numbers, "numbers"), settings, progress=False)
    assert result.bits < result.ngram_bits
    assert "fewer bits" in result.verdict
    losses = [entry["train_loss"] for entry in result.run.history]
    assert losses[-1] < losses[0] / 2
    assert result.run.history[0]["validation_bits_per_character"] > 0


def test_writing():
    logits = np.array([0.0, 2.0, 1.0])
    assert drawn(logits, 0, 0.99) == 1
    p = np.exp(logits / 0.5) / np.exp(logits / 0.5).sum()
    counts = np.bincount([drawn(logits, 0.5, u) for u in np.linspace(0, 1, 5000, endpoint=False)])
    np.testing.assert_allclose(counts / 5000, p, atol=1e-3)
    assert drawn(logits * 1e300, 1e-300, 0.5) == 1
    model = train_text(Corpus(LINE * 12, "lines"), SMALL, progress=False).model
    assert model.generate("the", 20, seed=3) == model.generate("the", 20, seed=3)
    assert model.generate("the", 20, seed=3) != model.generate("the", 20, seed=4)
    assert model.generate("the", 20, temperature=0) == model.generate("the", 20, temperature=0, seed=9)
    assert model.generate("the", 1)[0] in model.vocabulary
    for arguments, text in [
        (("",), "the prompt is empty"),
        (("the é",), r"character 4 is 'é' \(U\+00E9\).*its 30 characters are"),
        (("the", 0), "length"),
        (("the", 10**9), "1 … 1,000,000"),
    ]:
        with pytest.raises(bprop.ArgumentError, match=text):
            model.generate(*arguments)
    for temperature in (-1.0, np.inf, np.nan):
        with pytest.raises(bprop.ArgumentError, match="temperature"):
            model.generate("the", temperature=temperature)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"cell": "tree"}, "cell is one of 'lstm', 'gru', 'rnn'"),
        ({"model": "tree"}, "model is one of"),
        ({"window": 0}, "window"),
        ({"dropout": 1.0}, "dropout"),
        ({"learning_rate": 0}, "learning_rate"),
    ],
)
def test_settings(setting, text):
    with pytest.raises(bprop.ArgumentError, match=text):
        TextSettings(**setting)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"vocabulary": "aab"}, "vocabulary"),
        ({"vocabulary": "ab"}, "do not belong together"),
        ({"streams": 0}, "streams"),
        ({"settings": {"hidden": 60000}}, "other sizes"),
        ({"settings": {"cell": "tree"}}, "cell"),
        ({"version": 2}, "version"),
    ],
)
def test_records_that_were_changed(tmp_path, change, text):
    train_text(
        Corpus(LINE * 12, "lines"), TextSettings(**{**vars(SMALL), "epochs": 1}), out=tmp_path / "run", progress=False
    )
    path = tmp_path / "run" / "text.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    settings = record["settings"] | change.get("settings", {})
    path.write_text(json.dumps(record | change | {"settings": settings}), encoding="utf-8")
    with pytest.raises(StorageError, match=text):
        load_text_model(tmp_path / "run")


def test_bits_for_any_number_of_threads(tmp_path):
    settings = TextSettings(hidden=64, embedding=32, window=8, batch_size=16, epochs=1, dropout=0.2)
    threads, weights = bprop.get_threads(), []
    try:
        for count in (1, 2):
            bprop.set_threads(count)
            train_text(Corpus(LINE * 20, "lines"), settings, out=tmp_path / str(count), progress=False)
            weights.append((tmp_path / str(count) / "model.safetensors").read_bytes())
    finally:
        bprop.set_threads(threads)
    assert weights[0] == weights[1]
