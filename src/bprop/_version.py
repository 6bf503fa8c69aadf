"""The version of this library. It stands alone, so that every file can import it."""

__version__ = "0.5.0"
