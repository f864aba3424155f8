"""Small pictures for the UI, as PNG bytes: a model's quality, drift by feature, months and champions.

Drawn through matplotlib's objects on an Agg canvas: no pyplot, so nothing global and safe in threads. The
same numbers give the same bytes. Colours are Okabe and Ito's, told apart by the colour-blind, and never
carry the meaning alone. What is computed belongs in metrics/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.metrics.calibration import calibration_table
from pdx_assets.risk.metrics.discrimination import auc, roc_points
from pdx_assets.risk.plot_parts import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    RED,
    heights,
    label_axes,
    month_axis,
    new_figure,
    note,
    png_bytes,
    shortened,
    spoken,
)

if TYPE_CHECKING:
    pass

PALETTE = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", RED, "#8C7B00")
_LINES = ("-", "--", ":", "-.")
_MARKS = "os^Dv"
_ROC_POINTS = 400


def roc_and_calibration(
    label: ArrayLike, pd: ArrayLike, title: str, weight: ArrayLike | None = None, *, bands: int = 10
) -> bytes:
    """The ROC curve beside observed bad rates (with 95 % intervals) against mean PDs by score band.

    Args:
        label: (n,) 1 bad, 0 good.
        pd: (n,) in [0, 1].
        title: above both.
        weight: (n,) or None.
        bands: of about equal weight.

    Raises:
        PdxError: labels, PDs or weights that cannot be.
    """
    points, area = roc_points(label, pd, weight), auc(label, pd, weight)
    table = calibration_table(label, pd, weight, bands=bands)
    figure, axes = new_figure(6.4, 2.8, title, columns=2)
    roc, reliability = axes
    roc.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    label_axes(roc, "share of goods", "share of bads")
    if points is None:
        note(roc, "ROC undefined: one class only")
    else:
        # A curve of 100,000 corners looks the same at this size and takes seconds to draw.
        kept = np.unique(np.linspace(0, points.fpr.size - 1, min(points.fpr.size, _ROC_POINTS)).round().astype(int))
        roc.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle="--")
        roc.plot(points.fpr[kept], points.tpr[kept], color=BLUE, linewidth=1.6)
        roc.fill_between(points.fpr[kept], points.tpr[kept], color=BLUE, alpha=0.08, linewidth=0)
        roc.text(0.96, 0.06, f"AUC {area:.3f}", ha="right", fontsize=10, color=INK, transform=roc.transAxes)
    label_axes(reliability, "mean PD of the band, % (dashed: as predicted)", "bad rate, %")
    if not table:
        note(reliability, "no loans")
        return png_bytes(figure)
    expected, observed = (np.array([100 * getattr(b, name) for b in table]) for name in ("mean_pd", "bad_rate"))
    low, high = (np.array([100 * getattr(b, name) for b in table]) for name in ("bad_rate_low", "bad_rate_high"))
    # Wide intervals of a few loans may be cut off: they must not squeeze the points into a corner.
    largest = max(float(expected.max()), float(observed.max()))
    top = min(float(high.max()) * 1.05, largest * 2.5, 100.0) or 1.0
    reliability.plot([0, top], [0, top], color=FAINT, linewidth=1, linestyle="--")
    reliability.errorbar(
        expected, observed, [observed - low, high - observed], fmt="o", markersize=4, color=BLUE, ecolor=BLUE,
        elinewidth=1, capsize=2,
    )  # fmt: skip
    reliability.set(xlim=(0, max(float(expected.max()) * 1.08, top * 0.2)), ylim=(0, top))
    return png_bytes(figure)


def psi_bars(
    names: Sequence[str], values: Sequence[float | None], warning: float, alarm: float, top: int = 20
) -> bytes:
    """PSI by feature, largest first, with the warning and alarm thresholds.

    Args:
        names: of the features, (k,).
        values: their PSI, (k,); None is undefined and shown last.
        warning: threshold.
        alarm: threshold above it.
        top: how many features at most.

    Raises:
        PdxError: not one value a name.
    """
    if len(names) != len(values):
        raise PdxError(f"{len(names)} names for {len(values)} values.", expected="one value a name")
    ranked = sorted(zip(names, values, strict=True), key=lambda p: (p[1] is None, -(p[1] or 0.0), p[0]))
    shown = ranked[:top]
    title = "PSI against the development window"
    title += f", top {len(shown)} of {len(ranked)}" if len(shown) < len(ranked) else ""
    height = max(1.8, 0.75 + 0.165 * len(shown))
    figure, (axes,) = new_figure(6.4, height, title)
    largest = max([v for _, v in shown if v is not None], default=0.0)
    # One feature at 3 must not make the thresholds unreadable: its bar runs off, its number stays.
    limit = max(alarm * 1.25, min(largest * 1.15, alarm * 4))
    plain = {"facecolor": "white", "edgecolor": "none", "pad": 0.4}
    for row, (_, value) in enumerate(shown):
        if value is None:
            axes.text(limit * 0.01, row, "undefined", va="center", fontsize=7, color="#666666", bbox=plain)
            continue
        color, mark = (BLUE, "") if value < warning else (ORANGE, " warning") if value < alarm else (RED, " alarm")
        axes.barh(row, value, height=0.68, color=color)
        inside = value > 0.8 * limit
        axes.text(
            (min(value, limit) - 0.008 * limit) if inside else (value + 0.008 * limit), row, f"{value:.3f}{mark}",
            va="center", fontsize=7, ha="right" if inside else "left", color="white" if inside else INK, zorder=3,
            bbox=None if inside else plain,
        )  # fmt: skip
    for threshold, color, name, side in ((warning, ORANGE, "warning", "right"), (alarm, RED, "alarm", "left")):
        axes.axvline(threshold, color=color, linewidth=1, linestyle="--", zorder=2)
        axes.text(
            threshold, 1.01, f"{name} {threshold:g}", fontsize=7, color="#555555", ha=side, va="bottom",
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip
    axes.set_yticks(range(len(shown)), [shortened(name, 30) for name, _ in shown], fontsize=7.5)
    # Few bars stay slim and at the top, not swollen to the height of the picture.
    axes.set(xlim=(0, limit), ylim=(max(len(shown), 5) - 0.4, -0.6))
    axes.grid(False)
    axes.tick_params(axis="y", length=0)
    if not shown:
        note(axes, "no features")
    return png_bytes(figure)


def psi_by_month(
    months: Sequence[object], series: Mapping[str, Sequence[float | None]], warning: float, alarm: float, top: int = 12
) -> bytes:
    """PSI of the score and of the features that moved most, a row each, a column a month; numbers in the cells.

    Args:
        months: (m,) in order.
        series: name to PSI, (m,) each, None undefined; the first is always shown.
        warning: threshold.
        alarm: threshold above it.
        top: how many rows at most.

    Raises:
        PdxError: not one value a month.
    """
    for name, values in series.items():
        if len(values) != len(months):
            raise PdxError(f"{name} has {len(values)} values for {len(months)} months.", expected="one value a month")
    first, *rest = list(series)
    peak = {name: max([v for v in series[name] if v is not None], default=-1.0) for name in rest}
    rows = [first, *sorted(rest, key=lambda name: (-peak[name], name))[: top - 1]]
    figure, (axes,) = new_figure(6.4, max(1.6, 0.8 + 0.19 * len(rows)), "PSI against the champion's development window")
    for row, name in enumerate(rows):
        for column, value in enumerate(series[name]):
            color = "white" if value is None else BLUE if value < warning else ORANGE if value < alarm else RED
            depth = 0.0 if value is None else 0.15 + 0.6 * min(value / alarm, 1.0)
            axes.barh(row, 0.94, left=column - 0.47, height=0.86, color=color, alpha=depth)
            if len(months) <= 18:
                text = "" if value is None else f"{value:.2f}"
                axes.text(column, row, text, ha="center", va="center", fontsize=6, color=INK)
    axes.set_yticks(range(len(rows)), [shortened(name, 30) for name in rows], fontsize=7.5)
    axes.set(ylim=(max(len(rows), 1) - 0.4, -0.6))
    axes.grid(False)
    axes.tick_params(axis="y", length=0)
    month_axis(axes, months)
    if not len(months):
        note(axes, "no month has been measured yet")
    return png_bytes(figure)


def auc_by_month(
    months: Sequence[object],
    series: Mapping[str, Sequence[float | None]],
    champion: Sequence[float | None] | None = None,
    title: str = "AUC by production month",
) -> bytes:
    """AUC of each model by month, the champion's on top in black.

    Args:
        months: (m,) in order.
        series: name to values, each (m,); None is undefined and leaves a gap.
        champion: (m,) the AUC of whichever model was in charge.
        title: above it.

    Raises:
        PdxError: a series that does not have one value a month.
    """
    lines = dict(series) | ({"champion": champion} if champion is not None else {})
    for name, values in lines.items():
        if len(values) != len(months):
            raise PdxError(f"{name} has {len(values)} values for {len(months)} months.", expected="one value a month")
    figure, (axes,) = new_figure(6.4, 2.8, title)
    for i, (name, values) in enumerate(series.items()):
        axes.plot(
            heights(values), color=PALETTE[i % len(PALETTE)], linestyle=_LINES[(i // len(PALETTE)) % len(_LINES)],
            linewidth=1.1, marker=_MARKS[i % len(_MARKS)], markersize=2.8, label=shortened(spoken(name), 34),
        )  # fmt: skip
    if champion is not None:
        axes.plot(
            heights(champion), color="black", linewidth=2.2, marker="o", markersize=4.2, label="champion", zorder=5
        )
    month_axis(axes, months)
    label_axes(axes, "", "AUC")
    if not any(v is not None for values in lines.values() for v in values):
        axes.set_yticks([])
        note(axes, "no AUC is known yet")
    elif lines:
        figure.legend(loc="outside right upper", fontsize=7, frameon=False, handlelength=2.4)
    return png_bytes(figure)


def champion_timeline(months: Sequence[object], recipes: Sequence[str | None]) -> bytes:
    """Which recipe was in charge in each month.

    Args:
        months: (m,) in order.
        recipes: (m,) name of the champion's recipe; None where there is no decision.

    Raises:
        PdxError: not one recipe a month.
    """
    if len(months) != len(recipes):
        raise PdxError(f"{len(recipes)} recipes for {len(months)} months.", expected="one a month")
    rows = list(dict.fromkeys(recipe for recipe in recipes if recipe is not None))
    figure, (axes,) = new_figure(6.4, max(1.6, min(2.8, 0.95 + 0.3 * len(rows))), "Champion by production month")
    for start, end, recipe in _reigns(recipes):
        if recipe is None:
            axes.axvspan(start - 0.5, end + 0.5, facecolor="#EEEEEE", edgecolor="#CCCCCC", hatch="///", linewidth=0)
            axes.text(
                (start + end) / 2, 0.5, "no decision", rotation=90, ha="center", va="center", fontsize=6.5,
                color="#555555", transform=axes.get_xaxis_transform(),
            )  # fmt: skip
            continue
        row = rows.index(recipe)
        axes.barh(row, end - start + 0.9, left=start - 0.45, height=0.62, color=PALETTE[row % len(PALETTE)])
        if start > 0 and recipes[start - 1] is not None:
            before = rows.index(str(recipes[start - 1]))
            axes.plot([start - 0.5] * 2, [before, row], color=INK, linewidth=0.9, zorder=3)
    axes.set_yticks(range(len(rows)), [shortened(spoken(name), 40) for name in rows], fontsize=8)
    axes.set(ylim=(max(len(rows), 1) - 0.4, -0.6))
    axes.grid(False)
    axes.tick_params(axis="y", length=0)
    month_axis(axes, months)
    if not rows:
        note(axes, "no champion has been decided yet")
    return png_bytes(figure)


def production_drop(
    periods: Sequence[str],
    lines: Mapping[str, tuple[Sequence[float | None], ...]],
    title: str = "AUC in production, and what is lost of it",
    interval: float = 1.96,
) -> bytes:
    """The paper's Figure 4: AUC of models by production period, and the share each has lost since it was deployed.

    Args:
        periods: (p,) names in order.
        lines: name to (AUC, share lost, standard error of the AUC), (p,) each; None is not measured and leaves a gap.
        title: above both.
        interval: half-width of the band around an AUC, in standard errors.

    Raises:
        PdxError: not one value a period.
    """
    for name, line in lines.items():
        if {len(values) for values in line} != {len(periods)}:
            lengths = [len(values) for values in line]
            raise PdxError(f"{name} has {lengths} values for {len(periods)} periods.", expected="one a period")
    figure, (level, loss) = new_figure(6.4, 3.1, title, columns=2)
    styles = ((BLUE, "--", "s"), ("black", "-", "o"), (RED, ":", "^"), (GREEN, "-.", "D"))
    for (name, line), (color, stroke, mark) in zip(lines.items(), styles, strict=False):
        area, lost, error = (heights(values) for values in line)
        level.plot(area, stroke, color=color, linewidth=1.5, marker=mark, markersize=3.4, label=name)
        low, high = area - interval * error, area + interval * error
        level.fill_between(np.arange(len(periods)), low, high, color=color, alpha=0.10, linewidth=0)
        loss.plot(100 * lost, stroke, color=color, linewidth=1.5, marker=mark, markersize=3.4)
    loss.axhline(0, color=FAINT, linewidth=1)
    loss.invert_yaxis()
    for axes in (level, loss):
        month_axis(axes, periods, most=6)
    label_axes(level, "", "AUC (shaded: 95 % interval)")
    label_axes(loss, "", "lost of the OTV AUC, % (down: worse)")
    if all(v is None for line in lines.values() for v in line[0]):
        note(level, "no AUC is known yet")
    figure.legend(loc="outside lower center", ncols=4, fontsize=7.5, frameon=False, handlelength=2.6)
    return png_bytes(figure)


def _reigns(recipes: Sequence[str | None]) -> list[tuple[int, int, str | None]]:
    """Runs of equal recipes as (first place, last place, recipe)."""
    reigns: list[tuple[int, int, str | None]] = []
    for i, recipe in enumerate(recipes):
        if reigns and reigns[-1][2] == recipe:
            reigns[-1] = (reigns[-1][0], i, recipe)
        else:
            reigns.append((i, i, recipe))
    return reigns
