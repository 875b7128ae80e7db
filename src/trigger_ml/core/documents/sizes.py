"""``model/sizes.json``: bytes of a run's model files."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trigger_ml.core.documents.base import Kind

__all__ = ["SIZES", "FileSize", "Sizes"]


@dataclass(frozen=True)
class FileSize:
    """A model file.

    Parameters
    ----------
    what : str
        In words.
    bytes, gzip : int
        As it lies there, and after gzip (level 9), which finds the zeros that pruning makes.
    """

    what: str
    bytes: int
    gzip: int


@dataclass(frozen=True)
class Sizes:
    """The model files by their path in the run."""

    files: Mapping[str, FileSize] = field(default_factory=dict)


SIZES = Kind(Sizes, "list of file sizes", 1, "evaluate", explicit=True)
