"""The command line: ``bprop train``, ``predict``, ``runs``, ``show``, ``view``, ``doctor`` and ``cache``; one file per command."""

import os
import sys
import traceback
from io import TextIOWrapper

from .screen import complain


def main() -> None:
    """Run the command line; errors of the library are printed without a traceback."""
    for stream in (sys.stdout, sys.stderr):  # where the encoding has no ∂, a ? is better than the end of the run
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        from ..core.error import BpropError
        from ..core.printable import printable
        from .command import app

        try:
            app(prog_name="bprop")
        except BpropError as error:
            complain(f"bprop: {printable(error.message)}")
            sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `bprop … | head`: nobody reads any further
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:  # a full disk, say: nothing that a traceback explains better
        complain(f"bprop: {printable(str(error.strerror or error))}")
        sys.exit(1)
    except Exception:  # a fault of the library's, which may quote a file
        complain(traceback.format_exc())
        sys.exit(1)


__all__ = ["main"]
