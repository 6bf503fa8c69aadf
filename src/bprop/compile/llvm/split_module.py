"""A module in parts that are compiled side by side: functions call each other by name, and are linked when they are loaded."""

import re
from collections.abc import Mapping, Set
from typing import Any

from llvmlite import ir

MIN_WEIGHT = 1000
"""The least weight of a part: smaller ones cost more in starting LLVM than they gain."""
FUNCTION_WEIGHT = 80
"""What a function weighs beside its lines: LLVM's passes take so much longer for one, however short it is."""
_REFERENCE = re.compile(r'@"([^"]+)"')


def split_module(module: Any, most: int) -> tuple[str, ...]:
    """Return a module as the text of at most so many modules, of about equal weight.

    What LLVM would inline stays together, or is in every part that calls it. No number depends on how a module is split: floating-point
    operations are what the text says, whichever function they are in.
    """
    texts = {name: str(value) for name, value in module.globals.items()}
    functions = {f.name: f for f in module.functions if f.blocks}
    inlined = {name for name, f in functions.items() if "alwaysinline" in f.attributes}
    references = {name: set(_REFERENCE.findall(texts[name])) - {name} for name in functions}
    weights = {name: texts[name].count("\n") + FUNCTION_WEIGHT for name in functions if name not in inlined}
    count = min(most, sum(weights.values()) // MIN_WEIGHT)
    if count <= 1:
        return (str(module),)
    callees = {
        name: {x for x in references[name] & weights.keys() if "noinline" not in functions[x].attributes}
        for name in weights
    }
    parts: list[list[str]] = [[] for _ in range(count)]
    loads = [0] * count
    groups = [(sum(weights[name] for name in group), group) for group in _components(callees)]
    for weight, group in sorted(groups, key=lambda pair: -pair[0]):
        lightest = loads.index(min(loads))
        loads[lightest] += weight
        parts[lightest] += group
    part_of = {name: number for number, part in enumerate(parts) for name in part}
    exported = {
        name for caller, part in part_of.items() for name in references[caller] if part_of.get(name, part) != part
    }
    for name in exported:
        texts[name] = texts[name].replace("define internal", "define", 1)
    return tuple(
        _text(module, texts, [name for name in weights if part_of[name] == number], references, inlined, number == 0)
        for number in range(count)
    )


def _components(callees: Mapping[str, Set[str]]) -> list[list[str]]:
    """Return the functions in groups, each with those that it calls."""
    group_of = {name: [name] for name in callees}
    for caller, called in callees.items():
        for name in called:
            ours, theirs = group_of[caller], group_of[name]
            if ours is not theirs:
                ours += theirs
                group_of.update(dict.fromkeys(theirs, ours))
    return list({id(group): group for group in group_of.values()}.values())


def _text(
    module: Any, texts: Mapping[str, str], names: list[str], references: Mapping[str, Set[str]], inlined: Set[str],
    has_variables: bool,
) -> str:  # fmt: skip
    """Return a module of some functions: with what is inlined into them, and declarations of all else that they name."""
    needed = set(names)
    reached = list(names)
    while reached:
        new = references.get(reached.pop(), set()) - needed
        needed |= new
        reached += new & inlined
    lines = []
    for name, value in module.globals.items():
        if isinstance(value, ir.GlobalVariable):
            if has_variables:
                lines.append(texts[name])
            elif name in needed:
                lines.append(f'@"{name}" = external global {value.value_type}')
        elif name not in needed:
            continue
        elif value.blocks and name not in names and name not in inlined:
            arguments = ", ".join(str(argument.type) for argument in value.args)
            lines.append(f'declare {value.ftype.return_type} @"{name}"({arguments})')
        else:
            lines.append(texts[name])
    header = [f'target triple = "{module.triple}"', f'target datalayout = "{module.data_layout}"']
    return "\n".join([*header, *lines, *map(str, module.metadata)])
