"""The page people read about drift: Evidently's comparison of two samples, as one self-contained HTML file.

It shows; it gates nothing. Limits and alarms are on PDx's own PSI (metrics/stability.py), which knows weights and
does not change with a library's version.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.seeds import seed_from

if TYPE_CHECKING:
    from evidently import Dataset

SCORE = "PD of the champion"
# Evidently took 16 s and 9 MB for 100,000 loans of 80 columns (0.7.23); what a page can show is there at a fifth.
MAX_LOANS = 20_000


def drift_report(
    reference: pl.DataFrame,
    current: pl.DataFrame,
    *,
    numbers: Sequence[str],
    categories: Sequence[str],
    title: str,
    weight: str | None = None,
) -> str:
    """Evidently's drift report of some columns, by PSI: HTML with its scripts inside, to be opened without a network.

    Args:
        reference: loans of the development window, one row a loan.
        current: loans of the production cohort.
        numbers: numeric columns of both.
        categories: text columns of both.
        title: the page's title, in plain text.
        weight: the column with the loans' weights, if they have any.

    Samples of more than :data:`MAX_LOANS` are thinned evenly in the order given. Evidently knows no weights: weighted
    samples are drawn from, a loan in proportion to its weight (:func:`thinned`).

    Raises:
        PdxError: a sample is empty, or lacks a column.
    """
    columns = [*numbers, *categories, *([weight] if weight else [])]
    for name, frame in (("reference", reference), ("current", current)):
        missing = [c for c in columns if c not in frame.columns]
        if missing or not frame.height:
            raise PdxError(
                f"The {name} sample has {frame.height} loans and lacks {missing}.",
                expected="loans, and every column that is compared",
            )
    # A column without a single value in one of them has no distribution to draw, and Evidently stops on it.
    drawn = [n for n in numbers if reference[n].count() and current[n].count()]
    # Evidently reports its use to a server unless this is set when it is imported.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from evidently import Report
    from evidently.presets import DataDriftPreset

    report = Report([DataDriftPreset(method="psi")])
    samples = (_dataset(thinned(frame, weight), drawn, categories) for frame in (current, reference))
    made = report.run(*samples)
    return _titled(made.get_html_str(as_iframe=False), title)


def thinned(frame: pl.DataFrame, weight: str | None = None) -> pl.DataFrame:
    """At most :data:`MAX_LOANS` rows, in the order given; by weight a loan may be there several times or not at all.

    By weight: one draw from each of so many equal parts of the running weight, the same for the same number of loans.
    Not at even steps, which a pattern in the order of loans can hit or miss throughout. Source: stratified resampling,
    Douc and Cappé 2005, arXiv:cs/0507025.
    """
    if weight is None:
        return frame.gather_every(-(-frame.height // MAX_LOANS))
    running = np.cumsum(frame[weight].to_numpy().astype(np.float64))
    n = min(frame.height, MAX_LOANS)
    within = np.random.default_rng(seed_from("drift report", frame.height)).random(n)
    return frame[np.searchsorted(running, (np.arange(n) + within) / n * running[-1], side="right")]


def _dataset(frame: pl.DataFrame, numbers: Sequence[str], categories: Sequence[str]) -> Dataset:
    from evidently import DataDefinition, Dataset

    chosen = frame.select(*numbers, *categories)
    filled = chosen.with_columns(pl.col(categories).fill_null("(missing)")) if categories else chosen
    definition = DataDefinition(numerical_columns=list(numbers), categorical_columns=list(categories))
    return Dataset.from_pandas(filled.to_pandas(), data_definition=definition)


def _titled(html: str, title: str) -> str:
    from html import escape

    head = f"<title>{escape(title)}</title>"
    shown = f'<h1 style="font:600 20px sans-serif;margin:16px 24px">{escape(title)}</h1>'
    html = html.replace("<head>", f"<head>{head}", 1)
    return html.replace("<body>", f"<body>{shown}", 1)
