"""Checks of a cohort's features against the cohorts before it: emptied columns, missing shares, new categories.

They ask whether the export changed. Whether applicants changed since the champion learned is drift.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from pdx_assets.risk.checks.base import Verdict, judged, not_applicable, percent
from pdx_assets.risk.checks.catalogue import CATEGORY_NOVELTY, MISSING_RATE, SCHEMA
from pdx_assets.risk.checks.chance import holm, same_share
from pdx_assets.risk.spec import Checks, PortfolioSpec

KEPT_LEVELS = 300
"""Categories counted per column and cohort, the most frequent: one that holds 1 % is always among them."""

USUALLY_FILLED = 0.5
"""A column that earlier cohorts filled on half of their rows, and this one on none, has been emptied."""

MIN_LOANS = 20
"""Below this, an empty column may be chance."""


@dataclass(frozen=True, slots=True)
class FeatureCounts:
    """What the checks need to know of one cohort's features.

    Attributes:
        loans: rows.
        missing: rows without a value, by feature.
        categories: rows by category, of the ``KEPT_LEVELS`` most frequent ones, by category feature.
    """

    loans: int
    missing: Mapping[str, int]
    categories: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, spec: PortfolioSpec, features: pl.DataFrame) -> FeatureCounts:
        """Counts of clean_features of one cohort."""
        names = [*spec.number_features, *spec.category_features]
        categories = {}
        for name in spec.category_features:
            counts = features[name].drop_nulls().value_counts().sort(["count", name], descending=[True, False])
            categories[name] = {str(level): int(n) for level, n in counts.head(KEPT_LEVELS).iter_rows()}
        return cls(features.height, {name: features[name].null_count() for name in names}, categories)


def schema(
    limits: Checks,
    found: Mapping[str, str],
    declared: Mapping[str, str],
    counts: FeatureCounts,
    earlier: Sequence[FeatureCounts],
    optional: Collection[str] = (),
) -> Verdict:
    """Whether a cohort has the declared columns with the declared types, none of them emptied.

    Args:
        found: type by column of clean_features.
        declared: type by column as the portfolio's YAML wants them.
        counts: of the cohort.
        earlier: of the cohorts before it, in order; without enough of them nothing can be said to be emptied.
        optional: features that a file may lack.
    """
    rows = [(name, kind, found.get(name, "absent")) for name, kind in declared.items() if found.get(name) != kind]
    wrong = [f"{name} is {got}, expected {kind}" for name, kind, got in rows]
    trailing = earlier[-limits.reference_cohorts :]
    before = sum(c.loans for c in trailing)
    if len(trailing) >= limits.min_reference_cohorts and before and counts.loans >= MIN_LOANS:
        for name, missing in counts.missing.items():
            filled = 1 - sum(c.missing.get(name, c.loans) for c in trailing) / before
            if missing == counts.loans and filled >= USUALLY_FILLED and name not in optional:
                wrong.append(f"{name} has no value, and had one on {percent(filled)} of the rows before")
                rows.append((name, f"filled on {percent(filled)}", "empty"))
    return judged(
        SCHEMA,
        bool(wrong),
        "; ".join(wrong) or f"{len(declared)} columns as declared, none emptied",
        numbers={"columns at fault": len(wrong)},
        columns=("column", "expected", "found"),
        rows=rows,
    )


def missing_rate(limits: Checks, counts: FeatureCounts, earlier: Sequence[FeatureCounts]) -> Verdict:
    """Whether a feature's missing share moved by ``missing_shift`` or more, and beyond chance.

    Chance is Fisher's exact test of each feature against the trailing cohorts together, Holm's step over features at
    ``false_alarm_rate``: so a cohort of 40 loans does not alarm, and one of 40,000 does not for a tenth of a percent.

    Args:
        counts: of the cohort.
        earlier: of the cohorts before it, in order.
    """
    trailing = earlier[-limits.reference_cohorts :]
    reason = _too_few(limits, counts, trailing)
    if reason:
        return not_applicable(MISSING_RATE, reason)
    before = sum(c.loans for c in trailing)
    names = list(counts.missing)
    past = {name: sum(c.missing.get(name, c.loans) for c in trailing) for name in names}
    chances = holm([same_share(counts.missing[n], counts.loans, past[n], before) for n in names])
    moved = {name: counts.missing[name] / counts.loans - past[name] / before for name in names}
    called = [
        name
        for name, p in zip(names, chances, strict=True)
        if p <= limits.false_alarm_rate and abs(moved[name]) >= limits.missing_shift
    ]
    ranked = sorted(zip(names, chances, strict=True), key=lambda kv: (-abs(moved[kv[0]]), kv[0]))
    told = (f"{n} {percent(past[n] / before)} before, {percent(counts.missing[n] / counts.loans)} now" for n in called)
    return judged(
        MISSING_RATE,
        bool(called),
        f"missing share moved: {'; '.join(told)}" if called else "no missing share moved beyond chance and the limit",
        numbers={"largest move of a missing share": max((abs(m) for m in moved.values()), default=0.0)},
        columns=("feature", "missing before", "missing now", "p over all features"),
        rows=[
            (n, percent(past[n] / before), percent(counts.missing[n] / counts.loans), round(p, 4))
            for n, p in ranked[:15]
            if moved[n]
        ],
    )


def category_novelty(limits: Checks, counts: FeatureCounts, earlier: Sequence[FeatureCounts]) -> Verdict:
    """Whether a category never seen in the trailing cohorts holds ``novelty_share`` or more of the cohort.

    Models put it among ``Others``. Beyond chance: were the cohort like those before it, all *c* rows of a category
    would fall into the cohort, *n* rows of *n* + *N*, with probability of about (n / (n + N))^c; Holm's step over
    all categories of the cohort, so that a column with thousands of them (an employer's name) does not alarm for
    having new ones every month.

    Args:
        counts: of the cohort.
        earlier: of the cohorts before it, in order.
    """
    if not counts.categories:
        return not_applicable(CATEGORY_NOVELTY, "the portfolio has no category feature")
    trailing = earlier[-limits.reference_cohorts :]
    reason = _too_few(limits, counts, trailing)
    if reason:
        return not_applicable(CATEGORY_NOVELTY, reason)
    fraction = counts.loans / (counts.loans + sum(c.loans for c in trailing))
    levels: list[tuple[str, str, int]] = []
    chances: list[float] = []
    for name, now in counts.categories.items():
        seen: Counter[str] = Counter()
        for cohort in trailing:
            seen.update(cohort.categories.get(name, {}))
        for level, n in now.items():
            levels.append((name, level, n))
            chances.append(1.0 if seen[level] else fraction**n)
    adjusted = holm(chances)
    called = [
        (name, level, n)
        for (name, level, n), p in zip(levels, adjusted, strict=True)
        if p <= limits.false_alarm_rate and n / counts.loans >= limits.novelty_share
    ]
    new = [entry for entry, p in zip(levels, chances, strict=True) if p < 1]
    told = ", ".join(f"{name} {level!r} ({percent(n / counts.loans)})" for name, level, n in called)
    return judged(
        CATEGORY_NOVELTY,
        bool(called),
        f"never seen before: {told}" if called else "no new category holds a share that matters",
        numbers={"largest share of a new category": max((n / counts.loans for _, _, n in new), default=0.0)},
        columns=("feature", "new category", "loans", "share"),
        rows=[(f, v, n, percent(n / counts.loans)) for f, v, n in sorted(new, key=lambda e: (-e[2], e[0], e[1]))[:15]],
    )


def _too_few(limits: Checks, counts: FeatureCounts, trailing: Sequence[FeatureCounts]) -> str:
    if not counts.loans:
        return "the cohort has no loans"
    if len(trailing) < limits.min_reference_cohorts or not sum(c.loans for c in trailing):
        return f"{len(trailing)} cohorts before it, fewer than the {limits.min_reference_cohorts} needed"
    return ""
