"""What an op is. No op's mathematics: interpreters, arrays, graphs, families, shapes, dtypes, trees, errors."""

import time

LOADED = time.time()
"""When the library was loaded: files that changed later say something else than what runs."""

__all__: list[str] = []
