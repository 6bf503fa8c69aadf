"""What an op is. No op's mathematics: interpreters, arrays, graphs, families, shapes, dtypes, trees, errors."""

__all__: list[str] = []
