"""Weights by PyTorch's names, by those of torchvision's ResNet and GPT-2, and by paths: into modules, and into files."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import bprop
from bprop import nn
from bprop.train import StorageError, load_weights, save_weights
from support.module_example import EXAMPLES

CASES = json.loads(Path(__file__).with_name("pytorch_weight.json").read_text(encoding="utf-8"))["cases"]
IDS = np.array([[0, 3, 1], [4, 2, 2]])
F64 = np.float64


def wave(shape, phase):
    return np.sin(1.7 * np.arange(int(np.prod(shape))) + phase).reshape(shape)


def arrays_of(name):
    """Return the state dict of PyTorch's module, as record_weight.py makes it."""
    arrays = {}
    for phase, (key, shape) in enumerate(CASES[name]["shapes"].items()):
        half = wave(shape, phase) / 2
        arrays[key] = 1 + half if key.endswith("running_var") else half
        if key.endswith("num_batches_tracked"):
            arrays[key] = np.array(phase)
    return arrays


# --- the same networks, of bprop's layers ---
def convolutional(dtype=F64):
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2, dtype=dtype),
        nn.BatchNorm2d(4, dtype=dtype),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 3, 2, stride=2, dtype=dtype),
        nn.GroupNorm(3, 3, dtype=dtype),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(108, 4, dtype),
        nn.LayerNorm(4, dtype=dtype),
        nn.Dropout(0.5, seed=3),
        nn.Linear(4, 2, dtype, bias=False),
    )


class Text(nn.Module):
    def __init__(self):
        self.embedding = nn.Embedding(5, 3, dtype=F64)
        self.lstm = nn.LSTM(3, 2, 2, bidirectional=True, dtype=F64)
        self.head = nn.Sequential(nn.Linear(4, 3, F64), nn.PReLU(dtype=F64), nn.Linear(3, 2, F64))

    def fprop(self, ids):
        return self.head(self.lstm(self.embedding(ids)))


def convolution(inputs, outputs, taps=3, stride=1):
    return nn.Conv2d(inputs, outputs, taps, stride, taps // 2, bias=False, dtype=F64)


def basic_block(inputs, width, stride):
    inner = nn.Sequential(
        conv1=convolution(inputs, width, 3, stride),
        bn1=nn.BatchNorm2d(width, dtype=F64),
        relu=nn.ReLU(),
        conv2=convolution(width, width),
        bn2=nn.BatchNorm2d(width, dtype=F64),
    )
    straight = None
    if stride != 1 or inputs != width:
        straight = nn.Sequential(convolution(inputs, width, 1, stride), nn.BatchNorm2d(width, dtype=F64))
    return nn.Residual(inner, straight, nn.ReLU())


def resnet():
    return nn.Sequential(
        conv1=convolution(3, 4),
        bn1=nn.BatchNorm2d(4, dtype=F64),
        relu=nn.ReLU(),
        layer1=nn.Sequential(basic_block(4, 4, 1), basic_block(4, 4, 1)),
        layer2=nn.Sequential(basic_block(4, 6, 2)),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(6, 3, F64),
    )


class Attention(nn.Module):
    """Causal self-attention with packed weights, named as in PyTorch."""

    pytorch_names = {  # noqa: RUF012
        "W_in": "in_proj_weight", "b_in": "in_proj_bias", "W_out": "out_proj.weight", "b_out": "out_proj.bias",
    }  # fmt: skip

    def __init__(self, width, heads):
        self.heads = heads
        self.W_in, self.b_in = nn.parameter(np.ones((3 * width, width))), nn.parameter(np.zeros(3 * width))
        self.W_out, self.b_out = nn.parameter(np.ones((width, width))), nn.parameter(np.zeros(width))

    def fprop(self, x):
        count, length, width = x.shape
        packed = (x @ self.W_in.T + self.b_in).reshape(count, length, 3, self.heads, -1)
        q, k, v = (packed[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
        scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(width / self.heads)
        p = nn.Softmax()(bprop.where(np.tri(length, dtype=bool), scores, -np.inf))
        return (p @ v).transpose(0, 2, 1, 3).reshape(x.shape) @ self.W_out.T + self.b_out


class Block(nn.Module):
    def __init__(self, width, heads):
        self.norm1, self.attention = nn.LayerNorm(width, dtype=F64), Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, dtype=F64)
        self.linear1, self.linear2 = nn.Linear(width, 4 * width, F64), nn.Linear(4 * width, width, F64)

    def fprop(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.linear2(nn.GELU("tanh")(self.linear1(self.norm2(x))))


class Transformer(nn.Module):
    """GPT-2 with names of its own, and a head that shares the weights of the embedding."""

    def __init__(self):
        self.tokens, self.positions = nn.Embedding(5, 4, dtype=F64), nn.LearnedPositions(6, 4, dtype=F64)
        self.blocks = [Block(4, 2), Block(4, 2)]
        self.norm, self.lm_head = nn.LayerNorm(4, dtype=F64), nn.Linear(4, 5, F64, bias=False)
        nn.tie(self, "lm_head.W", "tokens.W")

    def fprop(self, ids):
        x = self.positions(self.tokens(ids))
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.norm(x))


PARTS = {
    "wte": "tokens", "wpe": "positions", "h": "blocks", "ln_1": "norm1", "ln_2": "norm2", "attn": "attention",
    "mlp.c_fc": "linear1", "mlp.c_proj": "linear2", "ln_f": "norm",
}  # fmt: skip
MODELS = {
    "Sequential": (convolutional, wave((2, 2, 8, 8), 0.5), lambda model: None),
    "Text": (Text, IDS, lambda model: None),
    "ResNet": (resnet, wave((2, 3, 8, 8), 0.5), lambda model: None),
    "GPT2": (Transformer, IDS, lambda model: nn.names.gpt2(model, PARTS)),
}
every_model = pytest.mark.parametrize("name", MODELS)


# --- PyTorch's numbers ---
@every_model
def test_weights_of_pytorch_give_its_outputs(name, tmp_path):
    make, x, names = MODELS[name]
    save_file(arrays_of(name), tmp_path / "w.safetensors")
    from_file, from_mapping = make(), make()
    load_weights(from_file, tmp_path / "w.safetensors", names(from_file))
    from_mapping.load_state_dict(arrays_of(name), names=names(from_mapping))
    for model in (from_file, from_mapping):
        y = np.asarray(model.eval()(x))
        np.testing.assert_allclose(y, np.array(CASES[name]["y"]), rtol=1e-12, atol=1e-12)


@every_model
def test_pytorch_would_load_what_is_saved(name, tmp_path):
    """Names, shapes and numbers are those of its state dict."""
    make, _, names = MODELS[name]
    model, arrays = make(), arrays_of(name)
    model.load_state_dict(arrays, names=names(model))
    saved = "pytorch" if names(model) is None else names(model)
    save_weights(model, tmp_path / "w.safetensors", saved)
    loaded = load_file(tmp_path / "w.safetensors")
    assert {key for key in arrays if not key.endswith(".attn.bias")} == set(loaded)
    for key, array in loaded.items():
        np.testing.assert_array_equal(array, arrays[key])
        assert array.dtype == arrays[key].dtype


@every_model
def test_all_names_are_understood(name, tmp_path):
    """By path, by PyTorch's names, and by those of the mapping."""
    make, _, names = MODELS[name]
    model = make()
    model.load_state_dict(arrays_of(name), names=names(model))
    for saved in (None, "pytorch", names(model)):
        twin = make()
        save_weights(model, tmp_path / "w.safetensors", saved)
        load_weights(twin, tmp_path / "w.safetensors", saved if isinstance(saved, dict) else None)
        for path, array in model.state_dict().items():
            if "generator" not in path:
                np.testing.assert_array_equal(twin.state_dict()[path], array)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_module_goes_by_pytorchs_names(example):
    first, second = EXAMPLES[example](F64), EXAMPLES[example](F64)
    second.load_state_dict(first.state_dict("pytorch"), names="pytorch")
    names = nn.names.pytorch(first)
    assert all(path in names for path in first.parameters())
    for path in names:
        np.testing.assert_array_equal(first.state_dict()[path], second.state_dict()[path])


@pytest.mark.parametrize("name", [name for name, kind in vars(nn).items() if hasattr(kind, "pytorch_names")])
def test_layers_that_pytorch_has_name_their_weights_as_it_does(name):
    examples = [key for key in EXAMPLES if key.partition(",")[0] == name]
    ours = {"Maxout", "Sequential", "Parallel", "Residual"}  # not in PyTorch, or with parts of any name
    for example in examples:
        names = set(nn.names.pytorch(EXAMPLES[example](F64)).values())
        own = {re.sub(r"_l\d+(_reverse)?$", "", key) for key in names}
        allowed = {"weight", "bias", "weight_ih", "weight_hh", "bias_ih", "bias_hh"}
        allowed |= {"running_mean", "running_var", "num_batches_tracked"}
        of_attention = {f"{part}_{kind}" for part in ("in_proj",) for kind in ("weight", "bias")}
        own = {re.sub(r"^((self_attn|multihead_attn|out_proj|linear\d|norm\d)\.)+", "", key) for key in own}
        assert name in ours or own <= allowed | of_attention


def test_older_files_of_pytorch_count_no_batches():
    arrays = {name: array for name, array in arrays_of("ResNet").items() if "num_batches" not in name}
    model = resnet()
    model.load_state_dict(arrays)
    np.testing.assert_allclose(
        np.asarray(model.eval()(MODELS["ResNet"][1])), CASES["ResNet"]["y"], rtol=1e-12, atol=1e-12
    )
    del arrays["bn1.running_mean"]
    with pytest.raises(bprop.ArgumentError, match=r"no 'layers\.bn1\.running_mean' \(bn1\.running_mean\)"):
        model.load_state_dict(arrays)


# --- names ---
def test_shared_weights_have_all_their_names():
    model = Transformer()
    arrays = model.state_dict("pytorch")
    np.testing.assert_array_equal(arrays["lm_head.weight"], arrays["tokens.weight"])
    del arrays["tokens.weight"]
    Transformer().load_state_dict(arrays)  # under one of them
    arrays["tokens.weight"] = arrays["lm_head.weight"] + 1
    with pytest.raises(bprop.ArgumentError, match=r"'tokens.weight' .* is given twice, with other numbers"):
        Transformer().load_state_dict(arrays)


def test_gpt2_with_its_own_parts():
    attention = nn.Sequential(c_attn=nn.Linear(4, 12), c_proj=nn.Linear(4, 4))
    block = nn.Sequential(ln_1=nn.LayerNorm(4), attn=attention, mlp=nn.Sequential(c_fc=nn.Linear(4, 8)))
    model = nn.Sequential(wte=nn.Embedding(5, 4), h=nn.Sequential(block))
    names = nn.names.gpt2(model)
    for key in ("h.0.attn.c_attn.weight", "h.0.attn.c_proj.weight", "h.0.mlp.c_fc.weight"):
        assert names[key] == names[f"transformer.{key}"] == nn.names.Transposed(key)
    assert names["h.0.attn.c_attn.bias"] == "h.0.attn.c_attn.bias"
    assert names["h.0.attn.bias"] is None
    assert names["h.0.ln_1.weight"] == "h.0.ln_1.weight"
    assert names["lm_head.weight"] == "wte.weight"
    with pytest.raises(bprop.ArgumentError, match=r"'wte\.weight' and 'h\..*' would both be 'wte\.weight'"):
        nn.names.gpt2(model, {"wte.weight": "h.0.ln_1.weight"})
    with pytest.raises(bprop.ArgumentError, match=r"names\.gpt2: PyTorch's names are those of a Module"):
        nn.names.gpt2(nn.Linear)


def test_gpt2_with_a_head_before_the_embedding():
    class Headed(nn.Module):
        def __init__(self):
            self.lm_head, self.tokens = nn.Linear(4, 5, bias=False), nn.Embedding(5, 4)
            nn.tie(self, "tokens.W", "lm_head.W")

    model = Headed()
    names = nn.names.gpt2(model, {"wte": "tokens"})
    assert list(model.state_dict(names)) == ["wte.weight"]
    for name in ("wte.weight", "lm_head.weight", "transformer.wte.weight"):
        model.load_state_dict({name: np.ones((5, 4), np.float32)}, names=names)


def test_a_function_or_a_dict_gives_names():
    arrays = {"net.a.kernel": np.ones((3, 2)), "net.a.offset": np.zeros(2), "step": np.array(7)}

    def names(name):
        words = {"kernel": nn.names.Transposed("layers.1.W"), "offset": "1.bias"}
        return words.get(name.rpartition(".")[2])

    for given in (names, {name: names(name) for name in arrays}):
        model = nn.Sequential(nn.Tanh(), nn.Linear(3, 2, F64))
        model.load_state_dict(arrays, names=given)
        assert np.asarray(model[1].W).tolist() == np.ones((2, 3)).tolist()
    saved = model.state_dict({name: names(name) for name in arrays})
    assert {name: array.shape for name, array in saved.items()} == {"net.a.kernel": (3, 2), "net.a.offset": (2,)}
    with pytest.raises(bprop.ArgumentError, match=r"state_dict: names is 'pytorch', or a mapping .* function"):
        model.state_dict(names)
    with pytest.raises(bprop.ArgumentError, match=r"names gives '1\.bias' to two weights, one of them 'layers\.1\.b'"):
        model.state_dict({"1.bias": "1.weight"})
    with pytest.raises(bprop.ArgumentError, match=r"names gives '9\.weight' for 'a', which Sequential has not"):
        model.state_dict({"a": "9.weight"})


@pytest.mark.parametrize("names", ["torch", 3, {"weight": 3}, lambda name: b"W"])
def test_what_is_no_mapping_of_names_is_refused(names):
    with pytest.raises(bprop.ArgumentError, match=r"^load_state_dict: names"):
        nn.Linear(1, 1).load_state_dict({"weight": np.ones((1, 1), "f4"), "bias": np.ones(1, "f4")}, names=names)


def test_two_weights_of_one_name_are_refused():
    class Doubled(nn.Module):
        pytorch_names = {"W": "weight", "V": "weight"}  # noqa: RUF012

        def __init__(self):
            self.W, self.V = nn.parameter(1.0), nn.parameter(2.0)

    model = nn.Sequential(Doubled())
    with pytest.raises(bprop.ArgumentError, match=r"'layers\.0\.W' and 'layers\.0\.V' would both be '0\.weight'"):
        model.state_dict("pytorch")
    model.load_state_dict(model.state_dict())


def test_optimizers_have_no_names_in_pytorch(tmp_path):
    optimizer = bprop.optim.SGD(0.1)
    with pytest.raises(bprop.ArgumentError, match="PyTorch's names are those of a Module"):
        save_weights(optimizer, tmp_path / "w.safetensors", "pytorch")


# --- what does not fit ---
def test_an_error_names_all_by_both_names():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    arrays = model.state_dict("pytorch")
    del arrays["2.bias"]
    arrays |= {"2.weight": np.ones((3, 1), "f4"), "0.bias": np.zeros(3), "4.weight": np.ones(1, "f4")}
    before = model.state_dict()
    with pytest.raises(bprop.ArgumentError) as caught:
        model.load_state_dict(arrays)
    text = str(caught.value)
    for part in (
        "the mapping has no 'layers.2.b' (2.bias), which Sequential needs",
        "'2.weight' (layers.2.W) has shape (3, 1) in the mapping and (1, 3) in Sequential: stored transposed, it takes",
        "'0.bias' (layers.0.b) is float64 in the mapping and float32 in Sequential",
        "the mapping has '4.weight', which Sequential does not have",
    ):
        assert part in text
    for path, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[path])
    del arrays["2.weight"], arrays["0.bias"]
    model.load_state_dict(arrays, strict=False)


def test_a_mapping_is_named_in_errors():
    with pytest.raises(bprop.ArgumentError, match=r"has 'kernel' \(0\.weights\), which Linear does not have"):
        nn.Linear(1, 1).load_state_dict({"kernel": np.ones((1, 1), "f4")}, names={"kernel": "0.weights"})
    with pytest.raises(bprop.ShapeError, match=r"'weight' \(W\) has shape \(2, 3\) .* it is not stored transposed"):
        nn.Linear(3, 2).load_state_dict(
            {"weight": np.ones((2, 3), "f4"), "bias": np.ones(2, "f4")}, names={"weight": nn.names.Transposed("W")}
        )


@pytest.mark.parametrize(
    "start", [b"PK\x03\x04" + bytes(40), b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", b"\x80\x04."]
)
def test_pickles_are_refused_with_what_to_do(start, tmp_path):
    file = tmp_path / "model.pt"
    file.write_bytes(start)
    with pytest.raises(StorageError, match=r"torch\.save .*safetensors\.torch\.save_file\(.*\"model\.safetensors\"\)"):
        load_weights(nn.Linear(1, 1), file)


def test_a_header_that_begins_as_pickles_do_is_read(tmp_path):
    """Of 0x280 bytes: the file begins with 80 02."""
    file = tmp_path / "w.pt"
    save_weights(nn.Linear(1, 1), file)
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    file.write_bytes((0x280).to_bytes(8, "little") + content[8 : 8 + length].ljust(0x280) + content[8 + length :])
    load_weights(nn.Linear(1, 1), file)
