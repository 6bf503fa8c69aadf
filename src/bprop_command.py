"""Starts the command ``bprop``: stands outside the package so that Ctrl-C while that loads ends without a traceback."""

import sys


def main() -> None:
    """Load the library and run its command line."""
    try:
        from bprop.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()
