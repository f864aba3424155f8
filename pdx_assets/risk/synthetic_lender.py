"""The simulated lender's export: its files, one after the other, and the rows it spoils.

Who applies, what is true of them and what they repay is in synthetic_book.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import numpy as np
import polars as pl

from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec import SimulatedLender
from pdx_assets.risk.synthetic_book import SimulatedBook, cohort_truth, simulate


def as_of(lender: SimulatedLender) -> date:
    """The day of the export."""
    return SimulatedBook(lender, ()).as_of


def files(lender: SimulatedLender) -> Iterator[tuple[str, str]]:
    """Name and text of every file, as listed in ``write_simulated_tape``."""
    book = simulate(lender)
    for cohort in book.cohorts:
        seed = seed_from(lender.seed, "simulated lender", "dirt", cohort.month)
        text = book.exported_loans(cohort).write_csv()
        yield f"loans/{cohort.month}.csv", malformed(text, lender.faults.dirty_share, np.random.default_rng(seed))
        yield f"truth/{cohort.month}.csv", cohort_truth(cohort).select("loan_id", "true_pd").write_csv()
    for month, rows in book.reports():
        text = rows.with_columns(pl.col("month").dt.strftime("%Y-%m")).write_csv()
        yield f"performance/{month}.csv", text


def malformed(text: str, share: float, rng: np.random.Generator) -> str:
    """The CSV text of one month with a share of its rows spoilt, in turn in each of the ways of ``_SPOILT``.

    A spoilt row replaces the good one, but a repeated row (a duplicate id) is added.
    """
    lines = text.splitlines()
    header, rows = lines[0].split(","), lines[1:]
    count = int(np.floor(share * len(rows) + rng.random())) if share else 0
    turn = int(rng.integers(len(_SPOILT)))
    for k, row in enumerate(rng.permutation(len(rows))[:count].tolist()):
        cells = dict(zip(header, rows[row].split(","), strict=True))
        rows[row] = _SPOILT[(turn + k) % len(_SPOILT)](cells)
    return "\n".join([lines[0], *rows]) + "\n"


def _line(cells: dict[str, str], **changed: str) -> str:
    return ",".join((cells | changed).values())


_SPOILT: tuple[Callable[[dict[str, str]], str], ...] = (
    lambda c: _line(c, annual_income=c["annual_income"].replace("0", "O")),
    lambda c: _line(c, application_date=c["application_date"][:8] + "32"),
    lambda c: _line(c, loan_id=""),
    lambda c: _line(c) + "\n" + _line(c),
    lambda c: _line(c).rsplit(",", 3)[0],
    lambda c: _line(c) + ",,",
    lambda c: _line(c, application_date="1900-01-01"),
    lambda c: _line(c, bureau_score="NO HIT"),
)
