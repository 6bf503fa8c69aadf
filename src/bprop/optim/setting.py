"""Checks of the settings of optimizers: decay rates, and values for all parameters or by patterns of paths."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from ..core.error import ArgumentError
from ..core.number import label, real


def pair(owner: Any, name: str, value: Any) -> tuple[float, float]:
    """Return two decay rates, numbers in [0, 1); raise `ArgumentError` naming owner and argument."""
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    if not is_pair or not all((rate := real(entry)) is not None and 0 <= rate < 1 for entry in value):
        raise ArgumentError(f"{label(owner)}: {name} are two numbers in [0, 1), not {value!r}")
    return float(value[0]), float(value[1])


def setting_for(setting: Any, path: str, default: Any) -> Any:
    """Return the value of ``setting`` for the parameter at ``path``: itself, or that of the first pattern that matches.

    >>> from bprop.optim.setting import setting_for
    >>> setting_for({"*.b": 0.0, "layers.*": 0.01}, "layers.0.b", 1.0), setting_for(0.5, "W", 1.0)
    (0.0, 0.5)
    """
    if not isinstance(setting, Mapping):
        return setting
    return next((value for pattern, value in setting.items() if fnmatchcase(path, pattern)), default)


def check_patterns(owner: Any, name: str, setting: Any, paths: Iterable[str]) -> None:
    """Raise `ArgumentError` for a pattern of ``setting`` that matches no path: most likely it is misspelt."""
    if not isinstance(setting, Mapping):
        return
    paths = list(paths)
    for pattern in setting:
        if not any(fnmatchcase(path, pattern) for path in paths):
            listed = ", ".join(paths[:6]) + (", …" if len(paths) > 6 else "")
            raise ArgumentError(f"{label(owner)}: {name} has {pattern!r}, which fits no parameter of {listed}")
