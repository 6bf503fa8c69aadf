"""A training that is interrupted goes on as if nothing had happened: the resumed run ends with the same bits."""

import signal

import numpy as np

from bprop import nn, optim
from bprop.train import Callback, Checkpoint, fit

generator = np.random.default_rng(0)
x = generator.normal(size=(200, 8)).astype(np.float32)
t = (x[:, 0] * x[:, 1] > 0).astype(int)


class CtrlC(Callback):
    """Presses Ctrl-C in the middle of an epoch: the run saves after the step at hand. (After kill -9 it would go on from the
    last checkpoint before: there is one after every epoch, and after so many updates with ``checkpoint_every``.)"""

    def on_step(self, run, step, loss):
        if step == 17:
            signal.raise_signal(signal.SIGINT)


def train(folder, resume=False, callbacks=()):
    """Build everything anew, as a new process would, and train for four epochs of seven steps."""
    model = nn.Sequential(nn.Linear(8, 16, seed=0), nn.Tanh(), nn.Dropout(0.2, seed=1), nn.Linear(16, 2, seed=2))
    optimizer = optim.Adam(optim.schedule.Cosine(0.02, steps=28))
    return fit(
        model, nn.CrossEntropy(), optimizer, (x, t), epochs=4, batch_size=32, out=folder, resume=resume,
        callbacks=callbacks, progress=False,
    )  # fmt: skip


whole = train("whole")

try:
    train("broken", callbacks=[CtrlC()])
except KeyboardInterrupt:
    with Checkpoint("broken") as checkpoint:
        record = checkpoint.record
        print(
            f"interrupted; on disk: epoch {record['epoch']}, {record['batch']} of 7 batches, {record['updates']} updates"
        )
resumed = train("broken", resume=True)

for one, other in zip(whole.history, resumed.history, strict=True):
    print(f"epoch {one['epoch']}: loss {one['train_loss']:.17g} and {other['train_loss']:.17g}")
    assert one["train_loss"] == other["train_loss"]
names = whole.model.cells()
for name in names:
    assert np.array_equal(np.asarray(names[name].read()), np.asarray(resumed.model.cells()[name].read())), name
print(f"All {len(names)} arrays of the models (weights, biases, the generator of the dropout) are equal, bit for bit.")
assert (whole.folder / "model.safetensors").read_bytes() == (resumed.folder / "model.safetensors").read_bytes()
