"""A network learns to read handwritten digits: a model, a loss, an update rule, `fit`."""

import numpy as np

import bprop
from bprop import nn, optim
from bprop.data import digits
from bprop.train import accuracy, confusion_matrix, fit, stratified_split

images, labels = digits()
x, t = images.reshape(-1, 64).astype(np.float32) / 16, labels.astype(int)
learn, test = stratified_split(t, 0.2, seed=0)

generator = bprop.Generator(0)
model = nn.Sequential(
    nn.Linear(64, 64, generator=generator),
    nn.Tanh(),
    nn.Linear(64, 10, generator=generator),
)
print(model)

run = fit(
    model,
    nn.CrossEntropy(),  # takes logits: the model ends without softmax
    optim.Adam(3e-3),
    train=(x[learn], t[learn]),
    validation=(x[test], t[test]),
    epochs=8,
    out="digits",
)
print(run)

y = np.asarray(model(x[test]))
print(f"\ntest accuracy {accuracy(y, t[test]):.1%}; most often mistaken:")
counts = confusion_matrix(y, t[test])
np.fill_diagonal(counts, 0)
shown, read = np.unravel_index(counts.argmax(), counts.shape)
print(f"a {shown} for a {read}, {counts.max()} times. Curves, weights and metrics are in {run.folder}/")
assert accuracy(y, t[test]) > 0.93
assert (run.folder / "curves.png").exists()
