"""Networks: shapes, sizes as their sources have them, training steps, errors."""

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.compile.llvm.host import parallel_threshold
from bprop.networks import CATALOGUE, MLP, CharRNN, CharTransformer, LeNet, ResNet, ResNet18, flops, parameters

CELLS = ("lstm", "gru", "rnn")


def small(kind):
    """Return a small network, inputs and labels."""
    generator = bprop.Generator(3)
    if kind == "transformer":
        x = np.random.default_rng(0).integers(0, 7, (4, 6))
        return CharTransformer(7, 6, 8, 2, 2, generator=generator), x, np.roll(x, -1, 1)
    if kind in CELLS:
        x = np.random.default_rng(0).integers(0, 7, (4, 6))
        return CharRNN(7, 8, 5, cell=kind, num_layers=2, generator=generator), x, np.roll(x, -1, 1)
    x, t = np.asarray(generator.normal((4, 3, 8, 8), dtype="float32")), np.array([0, 1, 2, 1])
    if kind == "mlp":
        return MLP([192, 8, 3], generator=generator), x.reshape(4, 192), t
    if kind == "lenet":
        return LeNet((3, 8, 8), 3, (4, 6), 8, generator=generator), x, t
    return ResNet(8, 3, 3, (4, 6, 8), shortcut=kind[-1], generator=generator), x, t


KINDS = ("mlp", "lenet", "resnet A", "resnet B", *CELLS, "transformer")


@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_step_has_the_eager_numbers_for_any_number_of_threads(kind):
    def step(network, optimizer, x, t):
        E, gradients = bprop.value_and_grad(lambda m: nn.CrossEntropy()(m(x), t))(network)
        optimizer.update(network, gradients)
        return E

    def trained(function):
        network, x, t = small(kind)
        optimizer = optim.SGD(0.1)
        optimizer.init(network)
        losses = [float(function(network, optimizer, x, t)) for _ in range(3)]
        return losses, {path: np.asarray(cell.array) for path, cell in network.cells().items()}

    compiled, before = bprop.compile(step), bprop.get_threads()
    losses, cells = trained(step)
    try:
        with parallel_threshold(
            {"resnet A": 1000, "resnet B": 200}.get(kind, 20)
        ):  # threads share kernels, small as they are
            bprop.set_threads(1)
            compiled_losses, compiled_cells = trained(compiled)
            bprop.set_threads(2)
            shared_losses, shared_cells = trained(compiled)
    finally:
        bprop.set_threads(before)
    assert compiled.kernels._lowered.schedule.uses_threads or kind == "resnet A"  # whose kernels are mostly those of B
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(compiled_losses, losses, rtol=1e-4)
    assert shared_losses == compiled_losses
    for path, array in cells.items():
        np.testing.assert_allclose(compiled_cells[path], array, rtol=2e-3, atol=1e-4, err_msg=path)
        np.testing.assert_array_equal(shared_cells[path], compiled_cells[path], err_msg=path)


@pytest.mark.parametrize("kind", KINDS)
def test_layer_by_layer_is_reverse_mode(kind):
    network, x, t = small(kind)
    loss = nn.CrossEntropy()
    expected = bprop.grad(lambda m: loss(m(x), t))(network)
    network, x, t = small(kind)
    loss.fprop(network.fprop(x), t)
    network.bprop(loss.bprop())
    for path, gradient in expected.items():
        np.testing.assert_allclose(network.gradients()[path], gradient, rtol=1e-3, atol=1e-6, err_msg=path)


@pytest.mark.parametrize(
    ("network", "shape", "millions", "multiply_adds"),
    [  # He et al. (2016), tables 1 and 6: parameters in millions, multiply-adds
        (ResNet(20, seed=0), (1, 3, 32, 32), 0.27, 40.6e6),
        (ResNet(32, seed=0), (1, 3, 32, 32), 0.46, 68.9e6),
        (ResNet(56, seed=0), (1, 3, 32, 32), 0.85, 125.5e6),
        (ResNet18(seed=0), (1, 3, 224, 224), 11.69, 1.81e9),
    ],
)
def test_residual_networks_are_as_large_as_published(network, shape, millions, multiply_adds):
    assert round(parameters(network) / 1e6, 2) == millions
    assert flops(network, np.zeros(shape, np.float32)) / 2 == pytest.approx(multiply_adds, rel=3e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_flops_are_those_of_kernels(kind):
    network, x, _ = small(kind)
    network.eval()
    compiled = bprop.compile(lambda m, x: m(x))
    compiled(network, x)
    contracted = sum(
        kernel.flops * times
        for kernel, times in _kernels(compiled)
        if kernel.kind == "contract" and kernel.epilogue is None
    )
    counted = flops(network, x)
    assert contracted == counted
    assert counted <= compiled.kernels.flops


def _kernels(compiled):
    from bprop.compile.ir.lowered import walk

    return walk(compiled.kernels._lowered)


def test_flops_of_formulas():
    assert flops(LeNet(seed=0), np.zeros((2, 1, 28, 28), np.float32)) == 4 * (
        32 * 9 * 28**2 + 64 * 32 * 9 * 14**2 + 3136 * 128 + 128 * 10
    )
    network = CharRNN(7, 16, 5, seed=0)
    assert flops(network, np.zeros((3, 4), np.int64)) == 2 * 3 * 4 * (5 * 64 + 16 * 64 + 16 * 7)
    before = np.asarray(ResNet(8, seed=0).cells()["layers.bn1.running_mean"].array)
    network = ResNet(8, seed=0)
    flops(network, np.ones((2, 3, 8, 8), np.float32))
    assert (np.asarray(network.cells()["layers.bn1.running_mean"].array) == before).all()  # nothing is written


def test_every_network_of_the_catalogue_is_made():
    for entry in CATALOGUE:
        assert eval(
            entry.name,
            {name: globals()[name] for name in ("MLP", "LeNet", "ResNet", "ResNet18", "CharRNN", "CharTransformer")},
        )
    names = [entry.name for entry in CATALOGUE]
    assert len(set(names)) == len(names)


def test_a_text_is_read_on_from_a_state():
    network, x, _ = small("lstm")
    whole = network(x)
    y, state = network(x[:, :2], return_state=True)
    rest, _ = network(x[:, 2:], state)
    np.testing.assert_allclose(np.concatenate([y, rest], 1), whole, rtol=1e-5, atol=1e-6)


def test_a_slice_is_a_sequential():
    assert type(MLP([4, 3, 2], seed=0)[:2]) is nn.Sequential
    assert type(LeNet(seed=0)[:2]) is nn.Sequential


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: MLP([3]), "two numbers of units or more"),
        (lambda: MLP([3, 0]), "every size"),
        (lambda: LeNet((1, 3, 8)), "images of 3 × 8: each side is 4 or more"),
        (lambda: LeNet((8, 8)), r"\(channels, height, width\)"),
        (lambda: LeNet(channels=(3,)), "two numbers"),
        (lambda: ResNet(21), "6n \\+ 2, such as 20, 32 or 56, not 21"),
        (lambda: ResNet(20, shortcut="C"), "shortcut is 'A'"),
        (lambda: ResNet(20, widths=(8, 4, 2)), "three rising"),
        (lambda: CharTransformer(5, width=6), "heads"),
        (lambda: CharRNN(5, cell="tree"), "'lstm', 'gru', 'rnn', not 'tree'"),
    ],
)
def test_errors(make, text):
    with pytest.raises(bprop.ArgumentError, match=text):
        make()
