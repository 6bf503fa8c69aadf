"""A module's own equations: read as Python they give its numbers, and they are the lecture's."""

import math
import re

import numpy as np
import pytest

import bprop
from bprop import nn
from bprop.core.op import REGISTRY
from bprop.core.window import Window
from support.module_example import LOSSES, RECURRENT, cotangent, make, smooth

NAMES = {name: op for name, op in REGISTRY.items() if name.isidentifier()}
NAMES |= {name: getattr(bprop, name) for name in bprop.__all__}
NAMES |= {"astype": lambda x, dtype: bprop.astype(x, dtype), "float32": "float32", "float64": "float64"}
NAMES |= {"inf": math.inf, "nan": math.nan}


def read_convolution(labels, x1, x2, relations):
    """Apply a convolution as its text says it: 'ch,ock->oi' and 'h = 2*i + k - 1, i < 4'."""
    names = tuple(re.split(",|->", labels))
    sizes = {label: n for own, x in zip(names, (x1, x2), strict=False) for label, n in zip(own, x.shape, strict=True)}
    windows = []
    for relation in relations.split("; "):
        equation, bound = relation.split(", ")
        sizes[bound[0]] = int(bound[4:])
        position, output, tap = re.findall("[a-z]", equation)
        stride, dilation = (int(n or 1) for n in re.findall(r"(?:(\d+)\*)?[a-z]", equation)[1:])
        padding = -eval(equation.partition(" = ")[2], {output: 0, tap: 0})
        lengths = [sizes.get(label) for label in (position, output, tap)]
        windows.append(Window(position, output, tap, *lengths, stride, dilation, padding))
    return REGISTRY["convolution"](x1, x2, labels=names, windows=tuple(windows))


NAMES["convolution"] = read_convolution


def evaluated(group, known):
    """Evaluate equations in order, as Python reads their text."""
    for equation in group:
        name, _, right = equation.text.partition(" = ")
        if name not in known:  # random numbers that the module kept
            known[name] = eval(right, {"__builtins__": {}}, NAMES | known)
    return known


def checked(module, equations, path):
    """Compare what the equations of one module without modules inside give with what went through it."""
    frame = module._last_frame
    shown = equations.names[path].name if path in equations.names else str
    known = {"x": frame.x, "y_bar": frame.y_bar, **frame.saved, **parameters(module)}
    known = {shown(name): value for name, value in known.items()}
    for group, names in ((equations.fprop, ["y"]), (equations.bprop, ["x_bar"])):
        own = [one for one in group if one.path == path]
        evaluated(own, known)
        written = {one.name for one in own}
        bars = [f"{name}_bar" for name in parameters(module)]
        for name in names + [bar for bar in bars if shown(bar) in written]:
            expected = np.asarray(getattr(module, name))
            np.testing.assert_allclose(np.asarray(known[shown(name)]), expected, rtol=1e-12, atol=1e-13, err_msg=name)


def parameters(module):
    """Return the module's own cells by name."""
    return {name: cell.read() for name, cell in module.__dict__.get("_cells", {}).items()}


def test_the_text_evaluates_to_the_numbers(example):
    if example in RECURRENT:
        pytest.skip("a loop is written as one function, without its body")
    module, x = make(example), smooth(example)
    y = module.fprop(x)
    module.bprop(cotangent(y.shape))
    equations = module.equations(x)
    if "c0" in str(equations):
        return  # arrays of numbers are in the formula, and not in its text
    leaves = [(path, one) for path, one in module.modules() if not list(_inside(one))]
    assert leaves
    for path, one in leaves:
        checked(one, equations, path)


def _inside(module):
    return (child for _, child in module.children() if isinstance(child, nn.Module))


def test_equations_without_an_example(example):
    text = str(make(example).equations())
    assert "fprop" in text
    assert "x_bar = " in text
    assert "?" not in text
    assert "custom" not in text
    equations = make(example).equations()
    for shown in (equations.latex, equations._repr_latex_(), equations._repr_markdown_()):
        assert r"\bar{x} &= " in shown
        assert shown.count("{") == shown.count("}")


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name):
    text = str(LOSSES[name]().equations())
    assert "E = " in text
    assert text.count("_bar = ") == len(LOSSES[name].answers)
    assert " t_bar" not in text


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_the_text_of_losses_evaluates_to_the_numbers(name, reduction):
    loss = LOSSES[name](reduction)
    shown = loss.equations()
    rng = np.random.default_rng(4)
    known = {key: rng.uniform(0.2, 0.9, spec.shape).astype(spec.dtype) for key, spec in shown.inputs.items()}
    if name in ("Hinge", "SoftMargin", "CosineEmbedding"):
        known["t"] = np.sign(known["t"] - 0.5)
    E = loss.fprop(*known.values())
    bars = loss.bprop(np.ones(E.shape))
    known = {key: bprop.asarray(value) for key, value in known.items()}
    found = evaluated(shown.bprop, evaluated(shown.fprop, known))
    names = [f"{key}_bar" for place, key in enumerate(shown.inputs) if place in loss.answers]
    for key, expected in zip(["E", *names], [E, *(bars if isinstance(bars, tuple) else [bars])], strict=True):
        value = np.broadcast_to(np.asarray(found[key]), expected.shape)
        np.testing.assert_allclose(value, np.asarray(expected), rtol=1e-12, atol=1e-13, err_msg=key)


def test_broadcasting_is_left_to_the_ops():
    """No shapes of the example where NumPy's broadcasting needs none; labels are compared with the classes."""
    for name in LOSSES:
        text = str(LOSSES[name]().equations())
        assert "broadcast_to" not in text, text
        assert "reshape" not in text, text
        assert "full(" not in text, text
    assert lines(nn.NegativeLogLikelihood("sum"))[1::2] == [
        "E = sum(-sum(where(t[:, None] == arange(4), y, 0), axis=1))",
        "y_bar = where(t[:, None] == arange(4), -1, 0)",
    ]


def test_the_text_of_a_convolution_holds_its_settings():
    layer = nn.Conv1d(4, 6, 3, stride=2, padding=(1,), dilation=3, groups=2, dtype=np.float64, seed=0)
    transposed = nn.ConvTranspose1d(4, 6, 2, 3, padding=2, output_padding=1, groups=2, dtype=np.float64, seed=0)
    x = np.random.default_rng(2).normal(size=(2, 4, 9))
    for module, relation in ((layer, "'h = 2*i + 3*k - 1, i < 3'"), (transposed, "'h = 3*i + k - 2, h < 23'")):
        module.bprop(cotangent(module.fprop(x).shape))
        equations = module.equations(x)
        assert relation in equations.fprop[-1].text
        checked(module, equations, "")
    assert r"x \underset{g < 2,\ h = 2 \, i + 3 \, k - 1}{\star} W" in layer.equations(x).latex
    assert r"x \star W" in nn.Conv2d(2, 3, 3).equations().latex
    step = bprop.view(
        lambda x, W: bprop.sum(bprop.conv(x, W, stride=2, padding=2, layout="NCL")), x, np.ones((6, 4, 3))
    )
    assert "convolution('Ach,ock->Aoi', x, W, 'h = 2*i + k - 2, i < 6')" in [row.formula for row in step.rows]


def test_a_module_applied_several_times_stands_in_its_order():
    class Repeated(nn.Module):
        def __init__(self):
            self.layers, self.squash = [nn.Linear(3, 3), nn.Linear(3, 3)], nn.Tanh()

        def fprop(self, x):
            for layer in self.layers:
                x = self.squash(layer(x))
            return x

    shown = [" ".join(line.split()) for line in lines(Repeated())]
    assert "Repeated y = squash(layers.1(squash(layers.0(x))))" in shown
    assert shown[-1] == "Repeated x_bar = layers.0.bprop(squash.bprop(layers.1.bprop(squash.bprop(y_bar))))"


def lines(module, *inputs):
    return [line.strip() for line in str(module.equations(*inputs)).splitlines()[1:]]


def test_the_equations_of_the_lecture():
    assert lines(nn.Linear(3, 2)) == [
        "fprop",
        "y = x @ W.T + b",
        "bprop",
        "x_bar = y_bar @ W",
        "W_bar = y_bar.T @ x",
        "b_bar = sum(y_bar, axis=0)",
    ]
    assert lines(nn.Tanh())[1::2] == ["y = tanh(x)", "x_bar = y_bar * (1 - tanh(x) ** 2)"]
    assert lines(nn.Sigmoid())[1::2] == ["y = sigmoid(x)", "x_bar = y_bar * y * sigmoid(-x)"]
    assert lines(nn.ReLU())[1::2] == ["y = where(x <= 0, 0, x)", "x_bar = where(x <= 0, 0, y_bar)"]
    assert lines(nn.Softmax())[4:] == [
        "v = y_bar - sum(where(y > 0.5, y_bar, 0), axis=1, keepdims=True)",
        "x_bar = y * (v - sum(y * v, axis=1, keepdims=True))",
    ]
    assert lines(nn.SquaredError("sum"))[1::2] == ["E = 0.5 * sum((t - y) ** 2)", "y_bar = y - t"]


def test_a_sequence_goes_back_in_reverse():
    model = nn.Sequential(hidden=nn.Linear(3, 4), squash=nn.Tanh(), out=nn.Linear(4, 2))
    equations = model.equations()
    assert list(dict.fromkeys(one.path for one in equations.fprop)) == [
        "layers.hidden",
        "layers.squash",
        "layers.out",
    ]
    assert list(dict.fromkeys(one.path for one in equations.bprop)) == [
        "layers.out",
        "layers.squash",
        "layers.hidden",
    ]
    assert r"\text{layers.hidden}" in equations.latex


def test_a_module_of_modules_is_written_with_theirs():
    class Network(nn.Module):
        def __init__(self):
            self.hidden, self.out = nn.Linear(3, 4), nn.Linear(4, 2)
            self.scale = nn.parameter(np.ones(2, np.float32))

        def fprop(self, x):
            return self.out(bprop.tanh(self.hidden(x))) * self.scale

    shown = [" ".join(line.split()) for line in lines(Network())]
    assert shown[1:4] == ["Network u = hidden(x)", "v = out(tanh(u))", "y = v * scale"]
    assert shown[-2:] == [
        "Network x_bar = hidden.bprop(out.bprop(y_bar * scale) * (1 - tanh(u) ** 2))",
        "scale_bar = sum(y_bar * v, axis=0)",
    ]
    residual = [" ".join(line.split()) for line in lines(nn.Residual(nn.Linear(3, 3)))]
    assert residual[1] == "Residual y = x + module(x)"
    assert residual[-1] == "Residual x_bar = y_bar + module.bprop(y_bar)"


def test_transposes_belong_to_the_product():
    class Derived(nn.Module):
        def __init__(self):
            self.W = nn.parameter(np.ones((2, 3)))

        def fprop(self, x):
            return bprop.matmul(x, self.W.T)

    assert lines(Derived()) == ["fprop", "y = x @ W.T", "bprop", "x_bar = y_bar @ W", "W_bar = y_bar.T @ x"]


def test_a_wrong_bprop_shows_itself():
    class Wrong(nn.Module):
        def fprop(self, x):
            return x**2

        def bprop(self, y_bar):
            return 3 * self.x * y_bar

    assert lines(Wrong())[-1] == "x_bar = 3 * x * y_bar"


def test_examples_are_arrays_or_shapes_and_change_nothing():
    model = nn.Sequential(nn.Linear(3, 2, seed=0), nn.Dropout(0.5, seed=1))
    before = {path: value.tolist() for path, value in model.state_dict().items()}
    assert "float32[7,3]" in str(model.equations((7, 3)))
    assert "float32[5,3]" in str(model.equations(np.ones((5, 3), np.float32)))
    assert {path: value.tolist() for path, value in model.state_dict().items()} == before
    assert not model.hooks
    assert not any(inner.hooks for _, inner in model.modules())
    with pytest.raises(bprop.StateError):
        model.bprop(np.ones((5, 2)))


def test_errors_say_what_to_do():
    class Picky(nn.Module):
        def fprop(self, x):
            raise bprop.ShapeError("never right")

    with pytest.raises(
        bprop.ArgumentError, match=r"Picky\.equations: none of the shapes.*equations\(\(2, 3\)\).*never"
    ):
        Picky().equations()
    with pytest.raises(bprop.ShapeError, match="last axis should be 3"):
        nn.Linear(3, 2).equations((2, 4))


class WithState(nn.Module):
    """It gives a module inside more inputs than that needs."""

    def __init__(self):
        self.recurrent = nn.GRU(3, 4, dtype=np.float64, seed=0)
        self.out = nn.Linear(4, 2, dtype=np.float64, seed=0)

    def fprop(self, x, state):
        return self.out(self.recurrent(x, state, None, True)[0])


def test_optional_inputs_of_a_module_inside_are_inputs_of_their_own():
    text = str(WithState().equations((2, 1, 3), (1, 1, 4)))
    assert "y = out(recurrent(x, state)[0])" in text
    assert "state_bar" in text


def test_modules_one_after_the_other_are_one_text():
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Sequential(nn.Flatten(), nn.Linear(3, 1)))
    assert str(model.equations()).splitlines()[1:] == [
        "fprop",
        "  layers.0           z1 = x @ W1.T + b1",
        "  layers.1           h1 = tanh(z1)",
        "  layers.2.layers.0  h2 = h1",
        "  layers.2.layers.1  y = h2 @ W2.T + b2",
        "bprop",
        "  layers.2.layers.1  h2_bar = y_bar @ W2",
        "                     W2_bar = y_bar.T @ h2",
        "                     b2_bar = sum(y_bar, axis=0)",
        "  layers.2.layers.0  h1_bar = h2_bar",
        "  layers.1           delta1 = h1_bar * (1 - tanh(z1) ** 2)",
        "  layers.0           x_bar = delta1 @ W1",
        "                     W1_bar = delta1.T @ x",
        "                     b1_bar = sum(delta1, axis=0)",
    ]
    assert r"\delta_{1} &= \bar{h_{1}}" in model.equations().latex
    assert model.equations().names["layers.2.layers.1"].name("W_bar") == "W2_bar"


def test_a_chain_in_a_residual_block_has_names_of_its_own():
    model = nn.Sequential(nn.Linear(4, 4), nn.Residual(nn.Sequential(nn.Linear(4, 4), nn.ReLU())), nn.Linear(4, 1))
    shown = str(model.equations())
    assert "h2 = h1 + module(h1)" in shown
    assert "layers.1.module.layers.0  z1 = x @ W1.T + b1" in shown
