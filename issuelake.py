"""The face of issuelake for Python users."""

from importlib.metadata import version

__version__ = version("issuelake")
