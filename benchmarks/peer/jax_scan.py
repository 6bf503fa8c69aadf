"""JAX with 16 steps inside ``lax.scan`` per call, jitted, parameters and moments donated."""

from typing import Any

from . import jax


class Peer(jax.Peer):
    steps = 16

    def repeated(self, step: Any) -> Any:
        def many(state: Any, x: Any, t: Any) -> Any:
            return self.jax.lax.scan(lambda state, _: step(state, x, t), state, None, length=self.steps)

        return many
