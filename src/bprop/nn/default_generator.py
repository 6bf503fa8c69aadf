"""The default generator of random numbers, from which modules draw: one for the process, restarted by `seed`."""

from ..core.error import ArgumentError
from ..core.interpreter import EVALUATE, using
from ..ops import Generator

_DEFAULT = Generator(0)


def seed(number: int) -> None:
    """Restart the stream of random numbers from which modules without a generator of their own draw.

    - ``number``: the seed, an integer from 0 to 2**64 - 1. Raises `ArgumentError` for anything else.

    The stream starts at seed 0 with every Python process: the same script makes the same model on every run. Two layers
    never get the same numbers, since each draws where the last one stopped. To make one model twice in a process, call
    this before each, or give both a fresh `bprop.Generator` of one seed.

    **Source:** Salmon, Moraes, Dror & Shaw (2011), Philox4x32-10: the stream is a `bprop.Generator`.

    >>> from bprop import nn
    >>> nn.seed(7); first = nn.Linear(2, 2)
    >>> nn.seed(7); second = nn.Linear(2, 2)
    >>> (first.W == second.W).tolist()
    [[True, True], [True, True]]
    """
    _DEFAULT.state = Generator(number).state


def generator_for(module: str, generator: Generator | None, number: int | None) -> Generator:
    """Return the generator ``module`` draws from: ``generator``, a new one with the seed ``number``, or the default."""
    if generator is not None and number is not None:
        raise ArgumentError(f"{module}: give a generator or a seed, not both")
    if generator is not None and not isinstance(generator, Generator):
        raise ArgumentError(f"{module}: generator is a bprop.Generator, not {generator!r:.60} (or write seed=…)")
    if number is not None:
        return Generator(number)
    return _DEFAULT if generator is None else generator


def own_generator(module: str, generator: Generator | None, number: int | None) -> Generator:
    """Return the generator that ``module`` keeps: as `generator_for`, but of the default stream one split off."""
    with using(EVALUATE):  # not traced, even if the module is made under a transform
        source = generator_for(module, generator, number)
        return split(source) if generator is None and number is None else source


def split(generator: Generator) -> Generator:
    """Return a new generator whose seed is drawn from ``generator``."""
    return Generator(int(generator.uniform().item() * 2**53))


__all__ = ["generator_for", "own_generator", "seed", "split"]
