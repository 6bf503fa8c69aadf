"""What `bprop.compile` makes of a training step: kernels, a report, a verification; many steps a call, any number of threads."""

import numpy as np

import bprop
from bprop import nn, optim

STEPS, BATCH = 40, 128
x = np.random.default_rng(0).normal(size=(STEPS, BATCH, 784)).astype(np.float32)
t = np.argmax(x[..., :10], axis=-1)  # the class is the largest of the first ten inputs
loss = nn.CrossEntropy()


# verify=True: the first call is evaluated op by op as well, and must differ by no more than rounding explains.
@bprop.compile(verify=True)
def step(model, optimizer, x, t):
    E, gradients = bprop.value_and_grad(lambda m: loss(m(x), t))(model)
    optimizer.update(model, gradients)
    return E


def trained(threads, many=True):
    bprop.set_threads(threads)
    g = bprop.Generator(0)
    linear = nn.Linear(784, 128, generator=g), nn.Linear(128, 10, generator=g)
    model, optimizer = nn.Sequential(linear[0], nn.ReLU(), nn.Dropout(0.1, g), linear[1]), optim.Adam(1e-3)
    optimizer.init(model)
    single = (step(model, optimizer, x[k], t[k]) for k in range(STEPS))
    losses = step.loop(model, optimizer, x, t) if many else list(single)  # in one native call, an axis of steps first
    return [np.array([float(E) for E in losses]), *(np.asarray(cell.read()) for cell in model.cells().values())]


# The bits do not depend on threads and calls: every sum is taken in an order that shapes alone decide.
numbers = trained(1, many=False)
for others in (trained(2, many=False), trained(1), trained(2)):
    assert all(np.array_equal(a, b) for a, b in zip(numbers, others, strict=True))
print(
    f"{STEPS} steps: loss {numbers[0][0]:.3f} -> {numbers[0][-1]:.3f}, the same bits on 1 and 2 threads, singly and in one call"
)
assert numbers[0][-1] < numbers[0][0]

worst = step.verification.worst
print(f"compiled and eager differ most in {worst.name}, by {worst.units:.1%} of what rounding explains")
assert worst.units <= 1

print(step.report)  # it ends with what is not native code: here nothing
assert not step.report.called
products = [line for line in str(step.kernels).splitlines() if " contract " in line]
print("\n".join(products))  # two forwards, three backwards: nobody asked for the derivative by x
assert len(products) == 5

try:
    step(*(nn.Linear(784, 10), optim.SGD(0.1)), x[0], np.full(BATCH, 10))
except bprop.IndexingError as error:
    print("IndexingError:", error.message)
