"""What a figure of the report is."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from trigger_ml.report.style import Palette

__all__ = ["Spec"]


@dataclass(frozen=True)
class Spec:
    """A figure that can be drawn.

    Parameters
    ----------
    name : str
        Stem of its files.
    section : str
        Section of the page that shows it.
    title, caption : str
    make : callable
        Draws with a palette.
    """

    name: str
    section: str
    title: str
    caption: str
    make: Callable[[Palette], Figure]
