"""The estimates of AUC or bad rate by month, and what came of them, as PNG bytes."""

from __future__ import annotations

from collections.abc import Sequence

from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.plot_parts import BLUE, heights, label_axes, month_axis, new_figure, note, png_bytes

Interval = tuple[float, float, float]


def estimates_by_month(
    months: Sequence[object], estimated: Sequence[Interval | None], realized: Sequence[float | None], what: str
) -> bytes:
    """Estimates with their 90 % intervals, and the realized figures as they became known.

    Args:
        months: (m,) in order.
        estimated: (m,) value, low and high; None where there is none.
        realized: (m,) None where not known yet.
        what: the figure's name, such as ``AUC``.

    Raises:
        PdxError: not one value a month.
    """
    if not len(months) == len(estimated) == len(realized):
        raise PdxError(
            f"{len(estimated)} estimates and {len(realized)} realized figures for {len(months)} months.",
            expected="one a month",
        )
    figure, (axes,) = new_figure(6.4, 2.6, f"{what}: estimated when the month ended (90 %), and realized")
    there = [(i, e) for i, e in enumerate(estimated) if e is not None]
    axes.errorbar(
        [i for i, _ in there], [e[0] for _, e in there],
        [[e[0] - e[1] for _, e in there], [e[2] - e[0] for _, e in there]],
        fmt="o", markersize=4, color=BLUE, ecolor=BLUE, elinewidth=1, capsize=2, label="estimated",
    )  # fmt: skip
    axes.plot(heights(realized), color="black", marker="x", linewidth=0, markersize=6, label="realized", zorder=5)
    month_axis(axes, months)
    label_axes(axes, "", what)
    if there:
        figure.legend(loc="outside right upper", fontsize=7, frameon=False)
    else:
        note(axes, "nothing has been estimated yet")
    return png_bytes(figure)
