"""Attributes of a package that load the module where they are on first use (PEP 562).

Several threads may be the first at once. There is no lock here: Python has one for each module, and takes that of ``p.x`` before
that of ``p``. So a thread that asks for ``p.x`` while another one loads ``p``, which imports ``p.x``, would hold what the other
waits for. It asks for ``p`` first instead: a room that imports ``p.x`` of another room imports ``p`` as a whole before.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

EVERYTHING = ("*",)
"""Of a module's exports: all that are in its ``__all__``, which is read when they are needed."""


def lazy_attributes(
    package: str, exports: Mapping[str, Sequence[str]], namespaces: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package that loads what it exports on first use.

    ``exports``: module below the package -> the names that are taken from it, or `EVERYTHING`. A name that is not listed is
    looked for in the modules that export everything, in their order: the lower first, since the higher import them anyway.
    ``namespaces``: modules that are exports themselves. The others are attributes, too, but no part of ``__all__``.

    A module that has an export of its own name (`bprop.compile`) is loaded here, and should not load others: Python puts a module
    into its package when it is loaded, in the place of the export.

    Type checkers do not see these; the package repeats them as imports under ``if TYPE_CHECKING``.
    """
    namespace = sys.modules[package].__dict__
    modules = {*namespaces, *(module for module in exports if "." not in module)}
    sources = {name: module for module, names in exports.items() if names is not EVERYTHING for name in names}
    starred = [module for module, names in exports.items() if names is EVERYTHING]
    for module, names in exports.items():
        if module in names:
            import_module(f"{package}.{module}")
            namespace.pop(module, None)

    def load_all(module: str) -> Sequence[str]:
        source = import_module(f"{package}.{module}")
        public: Sequence[str] = source.__all__
        namespace.update((name, getattr(source, name)) for name in public if name not in namespace)
        return public

    def public() -> list[str]:
        return [*namespaces, *sources, *(name for module in starred for name in load_all(module))]

    def __getattr__(name: str) -> Any:  # noqa: N807 - as Python calls it
        if name == "__all__":
            value: Any = [name for name in public() if name[0] != "_"]
        elif name in sources:
            value = getattr(import_module(f"{package}.{sources[name]}"), name)
        elif name in modules:
            return import_module(f"{package}.{name}")
        elif name[0] != "_" and any(name in load_all(module) for module in starred):
            return namespace[name]
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        namespace[name] = value  # found without this function from now on
        return value

    def __dir__() -> list[str]:  # noqa: N807
        return sorted({*public(), *modules, *filter(_of_python, namespace)})

    return __getattr__, __dir__


def exported(module: str) -> Callable[[], list[str]]:
    """Return ``__dir__`` of a namespace: what it exports, without what it imports to compute that."""
    namespace = sys.modules[module].__dict__
    return lambda: sorted({*namespace["__all__"], *filter(_of_python, namespace)})


def _of_python(name: str) -> bool:
    return name.startswith("__")


__all__ = ["EVERYTHING", "exported", "lazy_attributes"]
