"""One look for all figures: colours that the colour-blind can tell apart, light and dark, crisp in print."""

import base64
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
from matplotlib.figure import Figure

from trigger_ml.core.files import write_bytes

__all__ = ["DARK", "LIGHT", "Drawn", "Palette", "figure", "save"]


@dataclass(frozen=True)
class Palette:
    """Colours by meaning (Okabe and Ito's set); line style and marker repeat what colour says.

    Parameters
    ----------
    ink, muted, grid, paper : str
        Text and axes, secondary text, grid lines, background.
    float_model, compressed : str
    gamma, hadron : str
    reference : str
        Published curves laid over.
    series : tuple of str
        For any number of runs.
    colormap : str
    """

    ink: str
    muted: str
    grid: str
    paper: str
    float_model: str
    compressed: str
    gamma: str
    hadron: str
    reference: str
    series: tuple[str, ...]
    colormap: str


LIGHT = Palette(
    ink="#1b1f24",
    muted="#57606a",
    grid="#dfe3e8",
    paper="#ffffff",
    float_model="#0072B2",
    compressed="#D55E00",
    gamma="#009E73",
    hadron="#AA4499",
    reference="#57606a",
    series=("#0072B2", "#D55E00", "#009E73", "#AA4499", "#B8860B", "#56B4E9", "#1b1f24"),
    colormap="cividis",
)
DARK = Palette(
    ink="#e6e9ed",
    muted="#a3acb6",
    grid="#343b44",
    paper="#161b22",
    float_model="#56B4E9",
    compressed="#F0913A",
    gamma="#2CC99A",
    hadron="#DD8FCB",
    reference="#a3acb6",
    series=("#56B4E9", "#F0913A", "#2CC99A", "#DD8FCB", "#E6C84F", "#9AB6FF", "#e6e9ed"),
    colormap="cividis",
)


@contextmanager
def _look(palette: Palette) -> Iterator[None]:
    settings: dict[str, Any] = {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 10.5,
        "axes.titlesize": 11,
        "axes.labelsize": 10.5,
        "legend.fontsize": 9.5,
        "xtick.labelsize": 9.5,
        "ytick.labelsize": 9.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.6,
        "lines.markersize": 4.5,
        "legend.frameon": False,
        "figure.facecolor": palette.paper,
        "axes.facecolor": palette.paper,
        "savefig.facecolor": palette.paper,
        "text.color": palette.ink,
        "axes.labelcolor": palette.ink,
        "axes.edgecolor": palette.muted,
        "xtick.color": palette.muted,
        "ytick.color": palette.muted,
        "xtick.labelcolor": palette.ink,
        "ytick.labelcolor": palette.ink,
        "grid.color": palette.grid,
        # equal input gives equal files
        "svg.hashsalt": "trigger-ml",
        "pdf.fonttype": 42,
        "axes.formatter.use_mathtext": True,
    }
    with mpl.rc_context(cast("Any", settings)):
        yield


def figure(width: float = 5.4, height: float = 3.7) -> Figure:
    """An empty figure (inches) that lays itself out."""
    return Figure(figsize=(width, height), layout="constrained")


@dataclass(frozen=True)
class Drawn:
    """A figure ready for the page.

    Parameters
    ----------
    name : str
        Stem of the files in ``figures/``.
    title, caption : str
    light, dark : str
        Data URIs of SVG images.
    width, height : int
        Pixels, for the page to reserve room.
    """

    name: str
    title: str
    caption: str
    light: str
    dark: str
    width: int
    height: int


def _bytes(content: Figure, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    # no date in the file: the same run gives the same bytes
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
    content.savefig(stream, format=kind, metadata=metadata, **options)
    return stream.getvalue()


def _darken(svg: bytes) -> bytes:
    """The same drawing in the dark palette: colours are replaced by their meaning's dark ones."""
    dark: dict[str, str] = {}
    for item in fields(Palette):
        light_value, dark_value = getattr(LIGHT, item.name), getattr(DARK, item.name)
        pairs = (
            zip(light_value, dark_value, strict=True)
            if isinstance(light_value, tuple)
            else [(light_value, dark_value)]
        )
        dark |= {a.lower(): b.lower() for a, b in pairs}
    text = svg.decode()
    return re.sub(r"#[0-9a-f]{6}\b", lambda match: dark.get(match[0], match[0]), text).encode()


def save(name: str, title: str, caption: str, make: Callable[[Palette], Figure], folder: Path) -> Drawn:
    """Draw a figure, leave it as PNG and PDF in a folder, and give it as SVG for the page.

    Parameters
    ----------
    name, title, caption : str
    make : callable
        Draws with a palette; every colour that is to change in the dark comes from it.
    folder : Path

    Returns
    -------
    Drawn
    """
    with _look(LIGHT):
        content = make(LIGHT)
        size = content.get_size_inches() * 96
        # lay out once: each writer would do it again
        content.draw_without_rendering()
        content.set_layout_engine("none")
        for kind, options in (("pdf", {}), ("png", {"dpi": 200})):
            write_bytes(folder / f"{name}.{kind}", _bytes(content, kind, **options))
        light = _bytes(content, "svg", dpi=150)
    images = [
        "data:image/svg+xml;base64," + base64.b64encode(image).decode("ascii")
        for image in (light, _darken(light))
    ]
    return Drawn(name, title, caption, images[0], images[1], round(size[0]), round(size[1]))
