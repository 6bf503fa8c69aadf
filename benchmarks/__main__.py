"""``python -m benchmarks``: training steps beside other libraries, every peer in a process of its own, in turn."""

import argparse
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from .measurement import Row, Session
from .peer import PEERS, Entry
from .process import PeerError, usable
from .table import text
from .workload import ACTIVATIONS, WORKLOADS


def say(message: str) -> None:
    """Tell the person in front of the terminal; standard output is for results."""
    print(message, file=sys.stderr, flush=True)


def positive(kind: type) -> Any:
    """Return a reader of numbers above zero."""

    def read(given: str) -> Any:
        number = kind(given)
        if not number > 0:
            raise ValueError
        return number

    read.__name__ = f"positive {kind.__name__}"  # argparse puts it into its message
    return read


def arguments(given: Sequence[str] | None, peers: Mapping[str, Entry]) -> argparse.Namespace:
    """Read the command line; what is unknown ends the program with a list of what is known."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--workload", action="append", choices=WORKLOADS, metavar="W", help=", ".join(WORKLOADS))
    parser.add_argument("--peer", action="append", choices=peers, metavar="P", help=", ".join(peers))
    parser.add_argument("--activation", choices=ACTIVATIONS, default="relu", help="between the layers (default relu)")
    parser.add_argument("--threads", type=positive(int), default=usable(), metavar="N", help="of every peer (all CPUs)")
    parser.add_argument("--blocks", type=positive(int), default=11, metavar="N", help="per peer, at least 5 (11)")
    parser.add_argument("--seconds", type=positive(float), default=0.2, metavar="S", help="of a block (0.2)")
    parser.add_argument("--cached", action="store_true", help="also the first step of a second process, from caches")
    parser.add_argument("--json", action="store_true", help="print a list of objects, and nothing else")
    read = parser.parse_args(given)
    if read.blocks < 5:
        parser.error(f"--blocks {read.blocks}: a median of fewer than 5 blocks says little")
    if read.threads > usable():
        parser.error(f"--threads {read.threads}: this process may use {usable()} CPUs")
    return read


def main(given: Sequence[str] | None = None, peers: Mapping[str, Entry] = PEERS) -> int:
    """Measure what is asked for. Return 1 if a peer failed, or one that was asked for was not there."""
    chosen = arguments(given, peers)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that processes are ended on the way out
    # dict.fromkeys: in the order asked for, each once
    workloads = [WORKLOADS[name] for name in dict.fromkeys(chosen.workload or WORKLOADS)]
    wanted = {name: peers[name] for name in dict.fromkeys(chosen.peer or peers)}
    rows: list[Row] = []
    complete = True
    for number, workload in enumerate(workloads, start=1):
        workload = workload._replace(activation=chosen.activation)
        session = Session(workload, wanted, chosen.threads, say, chosen.cached)
        if sys.stderr.isatty():
            say(f"{workload.name} ({number} of {len(workloads)}) …")
        try:
            measured = session.run(chosen.blocks, chosen.seconds)
        except PeerError as reason:  # peers that fail are left out: this is what measures the peak
            say(f"error: the measurement of the machine's peak {reason}")
            return 1
        rows += measured.rows
        complete = complete and not session.failed and not (chosen.peer and session.skipped)
        wanted = {name: entry for name, entry in wanted.items() if name not in session.skipped}  # said once
        if not chosen.json:
            print(text(measured, chosen.threads), end="\n\n", flush=True)
    if chosen.json:
        print(json.dumps([row.record() for row in rows], indent=1))
    return 0 if complete else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
