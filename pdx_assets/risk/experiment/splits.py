"""Table 2: columns and splits of the first production period, and in words where they differ from the paper's."""

from __future__ import annotations

from collections.abc import Iterator

from pdx_assets.risk.experiment.paper import PaperSplit
from pdx_assets.risk.experiment.stored import SPLITS, Split, Stored, slips
from pdx_assets.risk.experiment.table import Cell, Table, count, share, words


def table_2(stored: Stored) -> Table:
    """Loans, bads and bad rate of train, ITV, OTV and production at p0; beside the paper's where it has the dataset."""
    theirs = stored.paper.table_2 if stored.paper else None
    ours = stored.portfolio
    columns = ["split", f"{ours}: {stored.periods.frequency}s", f"{ours}: number", f"{ours}: bads", f"{ours}: bad rate"]
    rows: list[list[Cell]] = [
        [words("Columns declared"), words(None), count(stored.columns), count(None), share(None)],
        [words("Features a model may use"), words(None), count(stored.features), count(None), share(None)],
    ]
    for name, called in SPLITS.items():
        split = stored.splits.get(name)
        months = split.months if split else None
        figures = (split.loans, split.bads, split.bad_rate) if split else (None, None, None)
        rows.append([words(called), words(months), count(figures[0]), count(figures[1]), share(figures[2])])
    if theirs:
        columns += ["paper: number", "paper: bad rate"]
        rows[0] += [count(theirs.features), share(None)]
        rows[1] += [count(None), share(None)]
        for row, name in zip(rows[2:], SPLITS, strict=True):
            printed: PaperSplit = getattr(theirs, name)
            row += [count(printed.loans), share(printed.bad_rate)]
    notes = (*stored.told, *_differences(stored), *slips(stored, "table_2"))
    return Table("table_2", "Table 2: columns and splits", tuple(columns), tuple(tuple(r) for r in rows), notes)


def _differences(stored: Stored) -> Iterator[str]:
    if stored.paper is None:
        return
    found = False
    for name, called in SPLITS.items():
        split = stored.splits.get(name)
        printed: PaperSplit = getattr(stored.paper.table_2, name)
        if split is None:
            yield f"{called} is not measured yet."
            found = True
        elif said := difference(called, split, printed):
            yield said
            found = True
    if not found:
        yield "Every split has the paper's number of loans, and its bad rate to a tenth of a percent."


def difference(called: str, ours: Split, printed: PaperSplit) -> str | None:
    """In one sentence how a split differs from the paper's; None where loans agree, and bad rates to 0.1 %.

    The paper prints no bads: theirs are the product of what it prints.
    """
    if ours.bad_rate is None:
        return f"{called} has no loan with a label; the paper's has {printed.loans:,}."
    same_loans, same_rate = ours.loans == printed.loans, round(ours.bad_rate, 3) == round(printed.bad_rate, 3)
    if same_loans and same_rate:
        return None
    size = "as many as the paper's" if same_loans else _size(ours.loans, printed.loans)
    bads = f"{ours.bads:,} bads, the paper's about {round(printed.loans * printed.bad_rate):,}"
    apart = 100 * (ours.bad_rate - printed.bad_rate)
    rate = (
        f"the bad rate is the paper's, {100 * printed.bad_rate:.1f} %"
        if same_rate
        else f"a bad rate of {100 * ours.bad_rate:.1f} %, {abs(apart):.1f} points {'above' if apart > 0 else 'below'} "
        f"the paper's {100 * printed.bad_rate:.1f} %"
    )
    return f"{called} differs: {ours.loans:,} loans ({size}); {bads}; {rate}."


def _size(ours: int, theirs: int) -> str:
    ratio = ours / theirs
    if abs(ratio - 1) < 0.01:
        return f"{abs(ours - theirs):,} {'more' if ours > theirs else 'fewer'} than the paper's {theirs:,}"
    of = f"{100 * ratio:.1f} % of" if ratio < 1 else f"{ratio:.2f} times"
    return f"the paper's has {theirs:,}, so this is {of} its size"
