"""The version of this package, which checkpoints carry too."""

__version__ = "0.1.0"
