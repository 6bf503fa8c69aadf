"""``bprop networks``: the networks that the library has."""

import sys

from .option import AsJson
from .screen import print_json, screen


def networks(as_json: AsJson = False) -> None:
    """List the networks in bprop.networks: parameters, and FLOPs of an application to one example (two per multiply-add)."""
    from ..networks import CATALOGUE

    if as_json:
        rows = []
        for entry in CATALOGUE:
            parameters, flops = entry.size()
            rows.append({"name": entry.name, "parameters": parameters, "flops": flops, "input": list(entry.shape)})
        print_json({"networks": rows})
        return
    _, tables, new_table = screen(sys.stdout)
    table = new_table()
    table.box, table.pad_edge = None, False
    table.add_column("network", no_wrap=True)
    for name in ("parameters", "FLOPs"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("input", no_wrap=True)
    for entry in CATALOGUE:
        table.add_row(entry.name, *(f"{count:,}" for count in entry.size()), entry.input)
    tables.print(table)
