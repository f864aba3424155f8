"""What every picture is drawn with: colours, a figure and its axes, months along them, and the PNG's bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
INK, FAINT = "#222222", "#B8B8B8"


def new_figure(width: float, height: float, title: str, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of that size in inches on an Agg canvas, with its axes side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(shortened(title, 90), fontsize=9.5, color=INK, x=0.012, ha="left")
    axes = [figure.add_subplot(1, columns, i + 1) for i in range(columns)]
    for one in axes:
        for side in ("top", "right"):
            one.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            one.spines[side].set_color(FAINT)
        one.tick_params(labelsize=8, color=FAINT, labelcolor=INK, length=3)
        one.grid(True, color="#ECECEC", linewidth=0.7)
        one.set_axisbelow(True)
    return figure, axes


def png_bytes(figure: Figure) -> bytes:
    """The figure as PNG: the same drawing is the same bytes."""
    from PIL import Image  # matplotlib's own dependency, which writes its PNGs too

    canvas: Any = figure.canvas
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3]
    # A palette takes a quarter of the bytes of full colour (12 lines: 96 kB) and looks the same. Maximum
    # coverage keeps a colour that few pixels have; median cut drew the alarm line in the warning's orange.
    # Pillow adds neither time nor version to the file, so equal figures are equal bytes.
    picture = Image.fromarray(np.ascontiguousarray(pixels)).quantize(
        96, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    stream = io.BytesIO()
    picture.save(stream, format="png", optimize=True)
    return stream.getvalue()


def label_axes(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=8, color=INK)
    axes.set_ylabel(y, fontsize=8, color=INK)


def note(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=8.5, color="#555555", transform=axes.transAxes)


def month_axis(axes: Axes, months: Sequence[object], most: int = 7) -> None:
    """Months along x, at most ``most`` of them named."""
    step = max(1, -(-len(months) // most))
    places = list(range(0, len(months), step))
    axes.set_xticks(places, [str(months[i]) for i in places], fontsize=7.5)
    if len(months):
        axes.set_xlim(-0.6, len(months) - 0.4)


def heights(values: Sequence[float | None]) -> Any:
    """(n,) float64; None leaves a gap."""
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def spoken(name: str) -> str:
    return name.replace("_", " ")


def shortened(text: str, length: int) -> str:
    # mathtext would swallow dollar signs, as in a column called amount_$.
    text = text if len(text) <= length else f"{text[: length - 9]}…{text[-8:]}"
    return text.replace("$", r"\$")
