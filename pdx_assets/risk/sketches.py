"""Pictures of a few hundred characters, as SVG: what a web page can hold inside a line of text.

For a look in passing; the same numbers at full size are in plots.py. Equal numbers give equal text.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import ArrayLike

from pdx_assets.risk.metrics.calibration import calibration_table
from pdx_assets.risk.metrics.discrimination import auc, roc_points

_SIDE = 130  # of a plot, pixels


def roc_and_calibration_sketch(label: ArrayLike, pd: ArrayLike, weight: ArrayLike | None = None) -> str:
    """The ROC curve, and the bad rate against the mean PD in six score bands with 95 % intervals.

    Args:
        label: (n,) 1 bad, 0 good.
        pd: (n,) in [0, 1].
        weight: (n,) or None.

    Raises:
        PdxError: labels, PDs or weights that cannot be.
    """
    points = roc_points(label, pd, weight)
    bands = calibration_table(label, pd, weight, bands=6)
    top = max([max(b.mean_pd, b.bad_rate) for b in bands], default=1.0) * 1.15 or 1.0
    curve = ""
    if points is not None:
        across = np.linspace(0, 1, 18)
        up = np.interp(across, points.fpr, points.tpr)
        curve = "M" + " ".join(f"{_SIDE * x:.0f} {_SIDE * (1 - y):.0f}" for x, y in zip(across, up, strict=True))

    def place(share: float) -> int:
        return round(_SIDE * min(share / top, 1.0))

    dots = "".join(f"M{190 + place(b.mean_pd)} {_SIDE - place(b.bad_rate)}h0" for b in bands)
    bars = "".join(
        f"M{190 + place(b.mean_pd)} {_SIDE - place(b.bad_rate_low)}V{_SIDE - place(b.bad_rate_high)}" for b in bands
    )
    area = auc(label, pd, weight)
    return (
        _svg(370, 152)
        + "<path stroke='silver' d='M0 130L130 0M190 130L320 0M0 0V130H130M190 0V130H320'/>"
        + f"<path stroke='teal' d='{curve}{bars}'/>"
        + f"<path stroke='teal' stroke-width='5' stroke-linecap='round' d='{dots}'/>"
        + "<g fill='gray'>"
        + _text(58, 122, "AUC undefined" if area is None else f"AUC {area:.3f}")
        + _text(0, 146, "share of bads ↑, goods →")
        + _text(190, 146, f"bad rate ↑, mean PD →, to {100 * top:.0f} %")
        + "</g></svg>"
    )


def timeline_sketch(months: Sequence[object], recipes: Sequence[str | None]) -> str:
    """Which recipe was in charge in each month, one row a recipe, first come first.

    Args:
        months: (m,) in order.
        recipes: (m,) name of the champion's recipe; None where nobody was.
    """
    rows = list(dict.fromkeys(r for r in recipes if r is not None))
    width = min(40, 480 // max(len(months), 1))
    bars = "".join(f"M{190 + width * k} {18 * rows.index(r) + 9}h{width - 1}" for k, r in enumerate(recipes) if r)
    names = [_text(0, 18 * i + 13, escape(row.replace("_", " "))) for i, row in enumerate(rows)]
    ends = {k: months[k] for k in (0, len(months) - 1) if months and (k == 0 or len(months) > 2)}
    dates = [_text(190 + width * k, 18 * len(rows) + 14, str(month)) for k, month in ends.items()]
    return (
        _svg(220 + width * len(months), 18 * len(rows) + 20)
        + f"<path stroke='teal' stroke-width='11' d='{bars}'/><g fill='gray'>"
        + "".join([*names, *dates])
        + "</g></svg>"
    )


def _svg(width: int, height: int) -> str:
    size = f"width='{width}' height='{height}'"
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size} fill='none' font-family='sans-serif' font-size='11'>"


def _text(x: int, y: int, words: str) -> str:
    return f"<text x='{x}' y='{y}'>{words}</text>"
