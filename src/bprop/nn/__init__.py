"""Modules and losses."""

from .module import Frame, Module, parameter, state

__all__ = ["Frame", "Module", "parameter", "state"]
