"""Networks of the literature in `fit`: Ctrl-C and resume. Threads: tests/networks/test_networks.py."""

import numpy as np
import pytest

from bprop import nn, optim
from bprop.networks import CharTransformer, ResNet
from bprop.train import Checkpoint
from support.training import At, fit_with_dropout, interrupt

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(40, 3, 8, 8)).astype(np.float32), RNG.integers(0, 3, 40)
TEXTS = RNG.integers(0, 7, (40, 16)), RNG.integers(0, 7, (40, 16))
NETWORKS = {
    "resnet": (lambda: ResNet(8, 3, 3, (8, 16, 32), shortcut="B", seed=1), IMAGES),
    "transformer": (lambda: CharTransformer(7, 16, 32, 2, 2, dropout=0.2, seed=1), TEXTS),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.usefixtures("default_signals", "no_picture")
def test_interrupted_and_resumed_it_ends_with_the_bits_of_a_whole_run(tmp_path, name):
    """Running statistics of normalisations and generators of dropout included."""
    make, data = NETWORKS[name]

    def trained(folder=None, **options):
        settings = {"epochs": 2, "batch_size": 8, **options}
        return fit_with_dropout(folder, make(), optim.Adam(1e-3), nn.CrossEntropy(), data, **settings)

    cells, history, _ = trained()
    with pytest.raises(KeyboardInterrupt, match="interrupted in epoch 2, after batch 2"):
        trained(tmp_path / "run", callbacks=[At(7, interrupt)])
    with Checkpoint(tmp_path / "run") as checkpoint:
        assert checkpoint.record["updates"] == 7
    assert trained(tmp_path / "run", seed=5, resume=True)[:2] == (cells, history)
    assert history[-1]["train_loss"] != history[0]["train_loss"]
