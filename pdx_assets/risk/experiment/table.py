"""A table as data: cells that know what they are, so that every form of it shows the same figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pdx_assets.risk.errors import PdxError

Kind = Literal["text", "count", "metric", "share", "points"]


@dataclass(frozen=True)
class Cell:
    """One figure or word; None is blank: not measured, or never made.

    Attributes:
        kind: ``metric`` in [0, 1] to three decimals; ``share`` as a percentage; ``points``, a difference of two
            metrics or shares, in percentage points.
        chosen: whether it is the champion's, shown bold.
    """

    value: str | int | float | None
    kind: Kind = "text"
    chosen: bool = False


@dataclass(frozen=True)
class Table:
    """A table with its notes; ``key`` is its file's name.

    Raises:
        PdxError: a row has not one cell a column.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise PdxError(f"{self.key} has a row of {len(row)} cells for {len(self.columns)} columns.")


def words(value: str | None, *, chosen: bool = False) -> Cell:
    return Cell(value or None, "text", chosen)


def count(value: int | None) -> Cell:
    return Cell(value, "count")


def metric(value: float | None, *, chosen: bool = False) -> Cell:
    return Cell(value, "metric", chosen and value is not None)


def share(value: float | None) -> Cell:
    return Cell(value, "share")


def points(ours: float | None, theirs: float | None) -> Cell:
    """The difference of two metrics or shares; blank where one is."""
    return Cell(None if ours is None or theirs is None else ours - theirs, "points")


def shown(cell: Cell) -> str:
    """A cell as a person reads it, without its mark."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if cell.kind == "metric":
        return f"{value:.3f}"
    if cell.kind == "share":
        return f"{100 * value:.1f} %"
    if cell.kind == "points":
        text = f"{100 * value:+.1f}"
        # A difference too small to show has no sign.
        return "0.0" if text in ("+0.0", "-0.0") else text
    return f"{value:,}"
