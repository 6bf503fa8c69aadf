"""PyTorch's gradients of functions of eigenvalues and eigenvectors that a phase does not change, into eig_pytorch.json.

python tests/ops/record_eig.py
"""

import json
from pathlib import Path

import numpy as np
import torch


def energies(w, v, c, xp):
    """Return three real functions of eigenvalues, of the sizes of eigenvectors, and of the projectors on them."""
    products = v[:, None, :] * xp.conj(v)[None, :, :]
    return (
        xp.sum(xp.abs(w) * xp.real(w * w)),
        xp.sum(xp.abs(v) ** 3 * c),
        xp.sum(xp.real(products * w) * c[:, :, None]),
    )


def _parts(z):
    return [np.real(z).tolist(), np.imag(z).tolist()]


def record():
    generator = np.random.default_rng(5)
    c, real, *parts = generator.normal(size=(4, 4, 4))
    matrices = {"real": real, "complex": parts[0] + 1j * parts[1]}
    gradients = {}
    for name, matrix in matrices.items():
        for number in range(3):
            x = torch.tensor(matrix, requires_grad=True)
            energies(*torch.linalg.eig(x), torch.tensor(c), torch)[number].backward()
            gradients[f"{name}-{number}"] = _parts(x.grad.numpy())
    return {
        "torch": torch.__version__, "weights": c.tolist(), "gradients": gradients,
        "matrices": {name: _parts(matrix) for name, matrix in matrices.items()},
    }  # fmt: skip


if __name__ == "__main__":
    Path(__file__).with_name("eig_pytorch.json").write_text(json.dumps(record()) + "\n", encoding="utf-8")
