"""Settings of every module, loss and initialiser: the published default, the range to the last number."""

import inspect
import re

import numpy as np
import pytest

import bprop
from bprop import nn

inf = np.inf
MODULES = {
    name: kind for name, kind in vars(nn).items() if inspect.isclass(kind) and issubclass(kind, nn.Module)
}  # fmt: skip
BATCH = {"eps": 1e-5, "momentum": 0.1, "affine": True, "track_running_stats": True, "layout": None}
INSTANCE = {**BATCH, "affine": False, "track_running_stats": False}
CONVOLUTIONS = {"Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d"}
LAYERS = {
    "Linear", "Maxout", "PReLU", "BatchNorm1d", "BatchNorm2d", "InstanceNorm1d", "InstanceNorm2d", "GroupNorm", "LayerNorm",
    "RMSNorm", "Embedding", "LearnedPositions", "RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell", *CONVOLUTIONS,
    "MultiHeadAttention", "FeedForward", "TransformerEncoderBlock", "TransformerDecoderBlock",
}  # fmt: skip
RANDOM = {
    "Linear",
    "Maxout",
    "RReLU",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Embedding",
    "LearnedPositions",
} | CONVOLUTIONS
MADE = {name: getattr(nn.init, name) for name in nn.init.__all__ if inspect.isfunction(getattr(nn.init, name))}

CELL = {"bias": True, "init": None, "generator": None, "seed": None}
WINDOW = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True, "layout": None, "init": None}
CONV = WINDOW | {"padding_mode": "zeros"}
TRANSPOSE = WINDOW | {"output_padding": 0}
POOL = {"stride": None, "padding": 0, "ceil_mode": False, "layout": None}
RECURRENT = CELL | {"num_layers": 1, "batch_first": False, "dropout": 0, "bidirectional": False}
BLOCK = CELL | {
    "dim_feedforward": 2048, "dropout": 0.1, "activation": "relu", "layer_norm_eps": 1e-5, "batch_first": False,
    "norm_first": False, "causal": False,
}  # fmt: skip

# As published, and as PyTorch has them (but for the threshold of Softplus, which says so).
DEFAULTS = {
    "LogSoftmax": {"axis": -1}, "Softmax": {"axis": -1}, "Softmin": {"axis": -1},
    "Softplus": {"beta": 1, "threshold": inf},
    "CrossEntropy": {"weight": None, "ignore_index": None, "label_smoothing": 0, "axis": -1}, "Hinge": {"p": 1, "margin": 1},
    "MultiClassHinge": {"p": 1, "margin": 1, "weight": None},
    "NegativeLogLikelihood": {"weight": None, "ignore_index": None, "axis": -1}, "Parallel": {"axis": -1, "join": "concat"},
    "Residual": {"shortcut": None, "activation": None}, "CosineEmbedding": {"margin": 0}, "KLDivergence": {"log_target": False},
    "TripletMargin": {"margin": 1, "p": 2, "epsilon": 1e-6, "swap": False}, "Flatten": {"start": 1, "end": -1},
    "GELU": {"approximate": "none"}, "GLU": {"axis": -1}, "Maxout": {"pieces": 2},
    "Linear": {"init": None, "bias": True}, "HardShrink": {"lambd": 0.5}, "HardTanh": {"low": -1, "high": 1},
    "SoftShrink": {"lambd": 0.5}, "CELU": {"alpha": 1}, "ELU": {"alpha": 1}, "LeakyReLU": {"negative_slope": 0.01},
    "PReLU": {"num_parameters": 1, "init": 0.25, "axis": 1}, "RReLU": {"lower": 1 / 8, "upper": 1 / 3},
    "GaussianNLL": {"full": False, "epsilon": 1e-6}, "Huber": {"delta": 1},
    "PoissonNLL": {"log_input": True, "full": False, "epsilon": 1e-8}, "SmoothL1": {"beta": 1},
    "RNN": RECURRENT | {"nonlinearity": "tanh"}, "LSTM": RECURRENT, "GRU": RECURRENT,
    "MultiHeadAttention": CELL | {"dropout": 0, "kdim": None, "vdim": None, "batch_first": False},
    "FeedForward": CELL | {"dropout": 0, "activation": "relu"}, "TransformerEncoderBlock": BLOCK,
    "TransformerDecoderBlock": BLOCK | {"causal": True},
    "RNNCell": CELL | {"nonlinearity": "tanh"}, "LSTMCell": CELL, "GRUCell": CELL,
    "BatchNorm1d": BATCH, "BatchNorm2d": BATCH, "InstanceNorm1d": INSTANCE, "InstanceNorm2d": INSTANCE,
    "Conv1d": CONV, "Conv2d": CONV, "ConvTranspose1d": TRANSPOSE, "ConvTranspose2d": TRANSPOSE,
    "MaxPool1d": POOL | {"dilation": 1}, "MaxPool2d": POOL | {"dilation": 1},
    "AvgPool1d": POOL | {"count_include_pad": True}, "AvgPool2d": POOL | {"count_include_pad": True},
    "AdaptiveAvgPool1d": {"layout": None}, "AdaptiveAvgPool2d": {"layout": None},
    "AdaptiveMaxPool1d": {"layout": None}, "AdaptiveMaxPool2d": {"layout": None},
    "GroupNorm": {"eps": 1e-5, "affine": True, "channel_axis": 1}, "RMSNorm": {"eps": None, "elementwise_affine": True},
    "LayerNorm": {"eps": 1e-5, "elementwise_affine": True, "bias": True}, "Dropout1d": {"p": 0.5, "layout": None},
    "Dropout2d": {"p": 0.5, "layout": None}, "Embedding": {"padding_idx": None, "init": None},
    "LearnedPositions": {"init": None}, "RotaryPositions": {"base": 10000, "interleaved": True},
    "SinusoidalPositions": {"base": 10000},
    "Upsample": {"size": None, "scale_factor": None, "mode": "nearest", "align_corners": False, "layout": None},
    "gain": {"nonlinearity": "linear", "negative_slope": 0.01}, "glorot_uniform": {"gain": 1},
    "glorot_normal": {"gain": 1},
    "he_uniform": {"mode": "fan_in", "nonlinearity": "relu", "negative_slope": 0.01},
    "he_normal": {"mode": "fan_in", "nonlinearity": "relu", "negative_slope": 0.01}, "orthogonal": {"gain": 1},
    "uniform": {"low": 0, "high": 1}, "normal": {"mean": 0, "deviation": 1},
    "truncated_normal": {"mean": 0, "deviation": 1, "low": -2, "high": 2},
}  # fmt: skip


@pytest.mark.parametrize("name", [*MODULES, *MADE])
def test_defaults_are_those_that_were_published(name):
    made = MODULES.get(name) or MADE[name]
    found = {
        one.name: one.default
        for one in inspect.signature(made).parameters.values()
        if one.default is not inspect.Parameter.empty
    }
    expected = dict(DEFAULTS.get(name, {}))
    if name in LAYERS:
        expected["dtype"] = np.float32
    if name in RANDOM:
        expected |= {"generator": None, "seed": None}
    if name in MODULES and issubclass(MODULES[name], nn.Loss):
        expected["reduction"] = "mean"
    assert found == expected


# another value than the default of every setting of a layer; those left out change nothing that is computed
OTHER = {
    "activation": "gelu", "affine": False, "align_corners": True, "approximate": "tanh", "axis": 0, "base": 100, "batch_first": True,
    "beta": 2, "bias": False, "bidirectional": True, "causal": True, "ceil_mode": True, "channel_axis": -1,
    "count_include_pad": False, "dilation": 2, "dim_feedforward": 8, "dropout": 0.25, "dtype": np.float64,
    "elementwise_affine": False, "eps": 0.5, "groups": 2, "high": 3, "interleaved": False, "kdim": 6, "lambd": 2,
    "layer_norm_eps": 0.5, "low": -3, "lower": 0.2, "mode": "bilinear", "momentum": 0.5, "alpha": 2, "negative_slope": 0.5,
    "nonlinearity": "relu", "norm_first": True, "num_layers": 2, "num_parameters": 2, "output_padding": 1, "p": 0.25,
    "padding": 1, "padding_idx": 1, "padding_mode": "circular", "pieces": 3, "start": 2, "end": 2, "stride": 3,
    "threshold": 2.0, "track_running_stats": False, "upper": 0.5, "vdim": 6,
}  # fmt: skip
WITH = {
    ("AdaptiveAvgPool1d", "layout"): "NLC", ("AdaptiveMaxPool1d", "layout"): "NLC", ("AvgPool1d", "layout"): "NLC",
    ("MaxPool1d", "layout"): "NLC", ("Conv1d", "layout"): "NLC", ("ConvTranspose1d", "layout"): "NLC",
    ("Dropout1d", "layout"): "NLC", ("BatchNorm1d", "layout"): "NLC", ("InstanceNorm1d", "layout"): "NLC",
    ("TransformerDecoderBlock", "causal"): False, ("InstanceNorm1d", "affine"): True, ("InstanceNorm2d", "affine"): True,
    ("InstanceNorm1d", "track_running_stats"): True, ("InstanceNorm2d", "track_running_stats"): True,
}  # fmt: skip
NEEDED = {
    "inputs": 4, "outputs": 4, "channels": 4, "groups": 2, "hidden": 4, "kernel_size": 4, "width": 4, "heads": 2, "length": 4,
    "embeddings": 4, "shape": 4, "threshold": 1.0, "value": 0.0,
}  # fmt: skip
UNSHOWN = {
    ("InstanceNorm1d", "momentum"), ("InstanceNorm2d", "momentum"),  # without running statistics
    ("Parallel", "join"), ("Parallel", "axis"), ("Residual", "shortcut"), ("Residual", "activation"),  # hold modules
    ("Upsample", "size"), ("Upsample", "scale_factor"),  # one of them has to be given
}  # fmt: skip


def _settings_of_layers():
    for name, kind in MODULES.items():
        if not issubclass(kind, nn.Loss):
            dtype = ["dtype"] if name in LAYERS else []
            yield from ((name, setting) for setting in [*DEFAULTS.get(name, {}), *dtype])


@pytest.mark.parametrize(
    ("name", "setting"),
    [one for one in _settings_of_layers() if one not in UNSHOWN and one[1] not in ("generator", "seed", "init")],
)
def test_a_module_shows_its_settings(name, setting):
    kind = MODULES[name]
    required = {
        one.name: NEEDED[one.name]
        for one in inspect.signature(kind).parameters.values()
        if one.default is inspect.Parameter.empty and one.kind == one.POSITIONAL_OR_KEYWORD
    }
    value = WITH.get((name, setting), OTHER.get(setting, "NHWC"))
    required |= {"scale_factor": 2, "mode": "bilinear"} if name == "Upsample" and setting == "align_corners" else {}
    required |= {"scale_factor": 2} if name == "Upsample" else {}
    required |= {"num_layers": 2} if name in ("RNN", "LSTM", "GRU") and setting == "dropout" else {}
    required |= {"stride": 2} if setting == "output_padding" else {}
    required.pop(setting, None)
    assert repr(kind(**required)) != repr(kind(**required, **{setting: value})), value


# least number, whether it is allowed itself, the largest, whether that is
RANGES = {
    ("Softplus", "beta"): (0, False, inf, True), ("HardShrink", "lambd"): (0, True, inf, True),
    ("SoftShrink", "lambd"): (0, True, inf, True), ("CELU", "alpha"): (0, False, inf, True),
    ("Huber", "delta"): (0, False, inf, False), ("SmoothL1", "beta"): (0, True, inf, False),
    ("GaussianNLL", "epsilon"): (0, False, inf, False), ("PoissonNLL", "epsilon"): (0, False, inf, False),
    ("CosineEmbedding", "margin"): (-1, True, 1, True), ("TripletMargin", "margin"): (0, False, inf, False),
    ("TripletMargin", "p"): (1, True, inf, False), ("TripletMargin", "epsilon"): (0, False, inf, False),
    ("CrossEntropy", "label_smoothing"): (0, True, 1, True), ("Dropout", "p"): (0, True, 1, False),
    ("Dropout1d", "p"): (0, True, 1, False), ("Dropout2d", "p"): (0, True, 1, False),
    ("Hinge", "margin"): (-inf, False, inf, False), ("MultiClassHinge", "margin"): (-inf, False, inf, False),
    ("HardTanh", "low"): (-inf, True, 1, False), ("HardTanh", "high"): (-1, False, inf, True),
    ("RReLU", "lower"): (-inf, True, 1 / 3, True), ("RReLU", "upper"): (1 / 8, True, inf, True),
}  # fmt: skip


@pytest.mark.parametrize(("name", "setting"), RANGES)
def test_a_number_has_its_range_to_the_last(name, setting):
    kind = MODULES[name]
    low, closed_low, high, closed_high = RANGES[name, setting]
    above, below = np.nextafter(low, inf), np.nextafter(high, -inf)
    good = [above if np.isfinite(low) else -1e300, below if np.isfinite(high) else 1e300]
    good += [low] * closed_low + [high] * closed_high
    bad = [one for one, fine in ((low, closed_low), (high, closed_high)) if not fine]
    bad += [np.nextafter(low, -inf)] * bool(np.isfinite(low)) + [np.nextafter(high, inf)] * bool(np.isfinite(high))
    for value in good:
        kind(**{setting: value})
    for value in [*bad, "1", None, [1.0], 1j]:
        with pytest.raises(bprop.ArgumentError, match=rf"^{name}: "):
            kind(**{setting: value})


@pytest.mark.parametrize(
    "name", [name for name, kind in MODULES.items() if issubclass(kind, nn.Loss) and name != "Loss"]
)
def test_choices_of_losses(name):
    kind = MODULES[name]
    for wrong in ("average", None, "", True):
        with pytest.raises(bprop.ArgumentError, match=rf"^{name}: reduction is 'mean', 'sum' or 'none'"):
            kind(wrong)
    for setting, parameter in inspect.signature(kind).parameters.items():
        if isinstance(parameter.default, bool):
            assert getattr(kind(**{setting: np.bool_(not parameter.default)}), setting) is (not parameter.default)
            for wrong in (0, 1, "yes", None):
                with pytest.raises(bprop.ArgumentError, match=rf"^{name}: {setting} is True or False"):
                    kind(**{setting: wrong})


HUGE = {
    "Linear: W of shape (1000000000, 1000000000) and float32 takes 3,725,290,298.5 GiB": lambda: nn.Linear(
        10**9, 10**9
    ),
    "Linear: W of shape (10000000, 10000000) and float64 takes 745,058.1 GiB": lambda: nn.Linear(
        10**7, 10**7, np.float64
    ),
    "Linear: W of shape (1000000000, 1000000) and": lambda: nn.Linear(10**6, 10**9, init=nn.init.zeros()),
    "Linear: W of shape (4611686018427387904, 4) and": lambda: nn.Linear(4, 2**62),
    "Maxout: W of shape (3000000000, 1000000000) and": lambda: nn.Maxout(10**9, 10**9, 3),
    "PReLU: a of shape (1000000000000000,) and": lambda: nn.PReLU(10**15),
    "orthogonal: an array of shape (1000000000, 1000000) and": lambda: nn.init.orthogonal()((10**9, 10**6)),
    "full(): Unable to allocate": lambda: bprop.zeros((10**9, 10**9)),
    "uniform(uint64[2]): Unable to allocate": lambda: bprop.Generator(0).uniform((10**9, 10**8)),
}


@pytest.mark.parametrize("message", HUGE)
def test_what_has_no_room_is_named(message):
    with pytest.raises(bprop.AllocationError, match=f"^{re.escape(message)}") as caught:
        HUGE[message]()
    assert isinstance(caught.value, MemoryError)


@pytest.mark.parametrize("size", [0, -1, 1.0, True, "3", None, 2**63])
def test_sizes_are_positive_integers(size):
    for name, setting, make in (
        ("Linear", "inputs", lambda n: nn.Linear(n, 2)), ("Linear", "outputs", lambda n: nn.Linear(2, n)),
        ("Maxout", "inputs", lambda n: nn.Maxout(n, 2)), ("Maxout", "outputs", lambda n: nn.Maxout(2, n)),
        ("Maxout", "pieces", lambda n: nn.Maxout(2, 2, n)), ("PReLU", "num_parameters", nn.PReLU),
    ):  # fmt: skip
        with pytest.raises(bprop.ArgumentError, match=rf"^{name}: {setting} is a positive integer"):
            make(size)
        make(np.int16(1))
    for wrong in (np.int64, bool):
        with pytest.raises(bprop.DTypeError, match=r"^Linear: dtype is a floating dtype"):
            nn.Linear(2, 2, wrong)


def test_an_axis_of_channels_that_is_not_there_is_refused():
    for axis in (2, -3):
        with pytest.raises(
            bprop.AxisError, match=rf"^PReLU: axis {axis} is out of range for an array of shape \(2, 3\)"
        ):
            nn.PReLU(3, axis=axis)(bprop.ones((2, 3), dtype="float32"))
    assert repr(nn.PReLU(3, axis=-1)) == "PReLU(a: float32[3], axis=-1)"
