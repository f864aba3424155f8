"""The judge on a portfolio's loans: which of them, in which parts; and straight from a staged tape.

What stops for a flag, and where judgements are kept, is stages/leaks.py's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.cleaning import clean_features
from pdx_assets.risk.errors import HomeError
from pdx_assets.risk.leaks.judge import Judgement, in_parts, judge
from pdx_assets.risk.leaks.tally import Kind
from pdx_assets.risk.outcomes import cohort_labels, label_view
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.tape import StagedTape
from pdx_assets.risk.window_loans import in_time_validation
from pdx_assets.risk.windows import development_months, labels_day, otv_months

MOST_LOANS = 150_000
"""Loans that are judged at most, whole borrowers by hash: limits are of sizes, and more loans would not move them."""

_ALL = 1000


def kinds(spec: PortfolioSpec) -> dict[str, Kind]:
    """Every model feature and how it is judged, in declared order."""
    numbers: dict[str, Kind] = {}
    for name in spec.number_features:
        column = spec.columns.get(name)
        numbers[name] = "date" if column is not None and column.dtype == "date" else "number"
    return {**numbers, **dict.fromkeys(spec.category_features, "category")}


def judge_tape(spec: PortfolioSpec, tape: StagedTape, *, seed: int) -> dict[str, Any]:
    """Judge every feature, banned ones too, straight from the tape: nothing is trained, and no table is made.

    On *p0*'s months where the tape has them with known labels, else on every known cohort, the latest as out of time.

    Raises:
        HomeError: no cohort's labels are known on the tape.
    """
    spec = spec.model_copy(update={"leaks": spec.leaks.model_copy(update={"banned": {}})})
    development, otv = months_judged(spec)
    known = [c for c in tape.cohorts if spec.known_on(c) <= tape.as_of]
    planned = [c for c in (*development, *otv) if c in known]
    has_plan = len(planned) == len(development) + len(otv)
    months = planned if has_plan else [c for c in known if c >= spec.first_cohort]
    if not months:
        raise HomeError(
            f"No cohort of {spec.name} has known labels: the tape's as-of date is {tape.as_of}.",
            expected=f"an as-of date of {spec.known_on(spec.first_cohort)} or later",
            remedy="use a tape with later outcomes",
        )
    on = labels_day(spec, spec.p0) if has_plan else tape.as_of
    found = []
    for cohort in months:
        rows = tape.cohort(cohort)
        labels = cohort_labels(spec, cohort, rows, tape.as_of)
        features = clean_features(spec, rows.loans)
        found.append(labelled_on(features.lazy(), labels.lazy(), on).collect())
    loans = in_order(pl.concat(found))
    share = share_of(loans.height)
    loans = loans.filter(drawn(share))
    parts = in_windows(loans, otv, seed) if has_plan else in_parts(loans["cohort"])
    document = judged(spec, loans.with_columns(part=parts))
    return {"months": [str(months[0]), str(months[-1])], "as_planned": has_plan, **document}


def judged(spec: PortfolioSpec, loans: pl.DataFrame) -> dict[str, Any]:
    """Number of loans and bads, and every feature\'s judgement, as a document."""
    weight = "weight" if spec.is_weighted else None
    found: Sequence[Judgement] = judge(loans, kinds(spec), spec.leaks, weight=weight)
    bads = int((loans["label"] == 1).sum())
    return {"loans": loans.height, "bads": bads, "features": [j.document() for j in found]}


def labelled_on(features: pl.LazyFrame, labels: pl.LazyFrame, on: date) -> pl.LazyFrame:
    """Features of the loans whose label is known on a day, with the label."""
    view = label_view(labels.collect(), on).filter(pl.col("label").is_not_null()).select("cohort", "loan_id", "label")
    return features.join(view.lazy(), on=["cohort", "loan_id"], how="inner")


def in_order(loans: pl.DataFrame) -> pl.DataFrame:
    """The order in which loans are judged, whatever order they were stored in."""
    return loans.sort("cohort", "loan_id")


def share_of(loans: int) -> int:
    """Thousandths of the borrowers to judge."""
    return _ALL if loans <= MOST_LOANS else max(1, _ALL * MOST_LOANS // loans)


def drawn(share: int) -> pl.Expr:
    """Whether a loan's borrower is among so many thousandths of all."""
    # The hash is of a sha256: its last digits are even, and independent of the split, which stirs it.
    return pl.lit(True) if share == _ALL else pl.col("borrower_hash").mod(_ALL).abs() < share


def in_windows(loans: pl.DataFrame, otv: Sequence[Month], seed: int) -> pl.Series:
    """``part`` of each loan of the windows of *p0*: train, itv or otv."""
    is_otv = loans["cohort"].is_in([str(m) for m in otv]).to_numpy()
    is_itv = in_time_validation(loans["borrower_hash"].to_numpy(), seed)
    return pl.Series("part", np.select([is_otv, is_itv], ["otv", "itv"], "train"))


def months_judged(spec: PortfolioSpec) -> tuple[tuple[Month, ...], tuple[Month, ...]]:
    """Development and OTV months of *p0*."""
    return development_months(spec, "fixed_window", spec.p0), otv_months(spec, spec.p0)
