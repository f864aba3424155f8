"""Traces that a rewritten or late column leaves: gaps, zeros, rounding, single values and equal columns by outcome.

Each test gives a :class:`Trace`; judge.py decides over all of them together, and words them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pdx_assets.risk.leaks.odds import Odds, odds_beyond, within_strata
from pdx_assets.risk.leaks.tally import Floats, Loans, Tally
from pdx_assets.risk.spec.leaks import Leaks

TraceKind = Literal["missing", "zero", "value", "after_application", "rounding", "equal"]

DIVISORS = (5, 10, 12, 50, 100, 1000, 5000, 10_000)
UNITS = (1000.0, 100.0, 10.0, 1.0, 0.1, 0.01)
MANY_VALUES = 50
"""Distinct values from which last digits and equal cells mean something."""

ROUNDED_VALUES = 3
"""Distinct values that must be rounded: one of them alone is a value (`value`), such as 5 credit lines of 0 to 5."""

SHOWN = 0.01
"""Share of a class that must show a trace: below it, it teaches a model next to nothing."""

RARELY = 5.0
"""Loans that must show a trace, and that must not: on fewer, chance makes any ratio."""

EQUAL_SHOWN = 0.25
"""Share of a class whose cells must be equal to another column's: small products (a loan guaranteed in full, say) may
have two amounts in one, and differ in risk."""

STRATA = 5
LEVELS = 40
"""Single values tried, the most frequent."""

PAIRED_ON = 1000
"""Loans of a class on which pairs of columns are compared first."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Something that holds more often for one class than for the other.

    Attributes:
        what: in words, as what follows "the cell is".
        limit: of the odds ratio.
        twin: the other column, of ``equal``.
        is_explained: by the loans' cohorts or sizes: the odds ratio is the one within these.
    """

    kind: TraceKind
    what: str
    odds: Odds
    limit: float
    twin: str | None = None
    is_explained: bool = False

    @property
    def strength(self) -> float:
        """How far the log odds ratio is beyond its limit: above 1 is beyond."""
        return float(np.log(self.odds.distance) / np.log(self.limit))


def traces(tally: Tally, limits: Leaks) -> list[Trace]:
    """Every trace test that applies to a feature."""
    counts = tally.effective()
    if counts.sum(axis=1).min() < limits.min_bads:
        return []
    is_missing = np.zeros(counts.shape[1], dtype=bool)
    is_missing[-1] = True
    everything = np.ones_like(is_missing)
    asked = [_Question("missing", "missing", is_missing, everything, limits.max_odds_ratio)]
    asked += _single_values(tally, counts, ~is_missing, limits)
    if tally.kind == "date":
        later = np.append(tally.numbers < 0, False)
        asked.append(_Question("after_application", "after the application", later, ~is_missing, limits.max_odds_ratio))
    if tally.kind == "number":
        asked += _rounding(tally, counts, limits)
    answers = (_answer(tally, counts, question, limits) for question in asked)
    return [answer for answer in answers if answer is not None]


@dataclass(frozen=True)
class _Question:
    """Does something hold oftener for one class?

    Attributes:
        holds, among: (m + 1,) values for which it holds, and among which it is asked.
        strata: (m + 1,) values to compare among each other only, or None.
    """

    kind: TraceKind
    what: str
    holds: NDArray[np.bool_]
    among: NDArray[np.bool_]
    limit: float
    strata: NDArray[np.int64] | None = None


def _answer(tally: Tally, counts: Floats, asked: _Question, limits: Leaks) -> Trace | None:
    sizes, hits = counts[:, asked.among].sum(axis=1), counts[:, asked.holds & asked.among].sum(axis=1)
    if sizes.min() < limits.min_bads or not _is_shown(hits, sizes, SHOWN):
        return None
    odds = odds_beyond(hits, sizes, asked.limit)
    if odds.distance > asked.limit:
        misses = asked.among & ~asked.holds
        loans = tally.loans
        hit = asked.holds & asked.among
        compared = [(loans.by_cohort(hit[tally.code]), loans.by_cohort(misses[tally.code]))]
        if asked.strata is not None:
            compared.append((_by(asked.strata, counts * asked.holds), _by(asked.strata, counts * misses)))
        inside = _confirmed(odds, compared, asked.limit)
        return Trace(asked.kind, asked.what, inside, asked.limit, is_explained=inside is not odds)
    return Trace(asked.kind, asked.what, odds, asked.limit)


def _confirmed(odds: Odds, compared: Sequence[tuple[Floats, ...]], limit: float) -> Odds:
    """The odds, or the weakest of those within strata: what only the strata explain is no trace.

    A code that was written otherwise in years when more loans went bad differs by outcome, and says nothing; products
    of 6 and of 12 months may differ in risk, and only rounding among terms of one length is odd.
    """
    for hits, misses in compared:
        inside = within_strata(hits, misses)
        # On the observed side, and as far: of no stratum that can be compared, nothing is known.
        if inside is None or (inside if odds.ratio > 1 else 1 / max(inside, 1e-12)) <= limit:
            weaker = 1.0 if inside is None else inside
            return Odds(odds.bads, odds.goods, min(max(weaker, 1 / limit), limit), 1.0)
    return odds


def _single_values(tally: Tally, counts: Floats, filled: NDArray[np.bool_], limits: Leaks) -> list[_Question]:
    present = counts[:, filled].sum(axis=1)
    shares = (counts[:, filled] / np.maximum(present, np.finfo(float).tiny)[:, None]).max(axis=0)
    asked = []
    for at in np.argsort(-shares, kind="stable")[:LEVELS]:
        if shares[at] < SHOWN:
            break
        holds = np.zeros(len(filled), dtype=bool)
        holds[at] = True
        if tally.kind == "category":
            asked.append(_Question("value", repr(str(tally.values[at])), holds, filled, limits.pure_odds_ratio))
        elif tally.kind == "number" and tally.numbers[at] == 0:
            asked.append(_Question("zero", "exactly 0", holds, filled, limits.max_odds_ratio))
        else:
            asked.append(_Question("value", f"{tally.numbers[at]:g}", holds, filled, limits.pure_odds_ratio))
    return asked


def _rounding(tally: Tally, counts: Floats, limits: Leaks) -> list[_Question]:
    # Of zero nothing can be said: it is a multiple of everything.
    values, among = tally.numbers, np.append(tally.numbers != 0, False)
    weight = counts[:, :-1].sum(axis=0)
    strata = _strata(np.where(among, np.append(weight, 0.0), 0.0))
    unit = next((u for u in UNITS if weight[_is_multiple(values, u)].sum() >= 0.99 * weight.sum()), None)
    asked: list[tuple[str, NDArray[np.bool_]]] = [(f"a multiple of {d}", _is_multiple(values, d)) for d in DIVISORS]
    asked += [("a whole number", _is_multiple(values, 1.0)), ("of one decimal at most", _is_multiple(values, 0.1))]
    if unit is not None and len(values) >= MANY_VALUES:
        digits = np.mod(np.rint(np.abs(values) / unit), 10)
        asked += [(f"a number whose last digit ({unit:g}s) is {d}", digits == d) for d in range(1, 10)]
    limit = limits.max_odds_ratio_rounding
    return [
        _Question("rounding", what, np.append(holds, False) & among, among, limit, strata)
        for what, holds in asked
        if (holds & among[:-1]).sum() >= ROUNDED_VALUES
    ]


def _strata(weight: Floats) -> NDArray[np.int64]:
    """(m + 1,) fifth of the loans by size, of each distinct value."""
    reached = (np.cumsum(weight) - weight / 2) / max(weight.sum(), np.finfo(float).tiny)
    found: NDArray[np.int64] = np.minimum((STRATA * reached).astype(np.int64), STRATA - 1)
    return found


def _by(strata: NDArray[np.int64], counts: Floats) -> Floats:
    return np.array([np.bincount(strata, row, minlength=STRATA) for row in counts])


def _is_multiple(values: Floats, unit: float) -> NDArray[np.bool_]:
    nearest = np.rint(values / unit) * unit
    # Features are float32: 12.3 is stored as 12.30000019.
    slack = 0.0 if unit >= 1 else 0.51 * np.spacing(np.abs(values).astype(np.float32)).astype(np.float64)
    found: NDArray[np.bool_] = np.abs(values - nearest) <= slack
    return found


def _is_shown(hits: Floats, sizes: Floats, least: float) -> bool:
    shares, seen = hits / sizes, min(hits.sum(), (sizes - hits).sum())
    return bool(shares.max() >= least and shares.min() <= 1 - SHOWN and seen >= RARELY)


def equal_columns(columns: Mapping[str, pl.Series], loans: Loans, limits: Leaks) -> dict[str, list[Trace]]:
    """Pairs of number columns whose cells are equal for one class more often than for the other.

    Only amounts: columns of many values, zeros left out. Pairs are looked for on a few loans of each class, spread
    evenly, and counted on all.
    """
    some = np.concatenate([_spread(np.flatnonzero(loans.bad == of)) for of in (0, 1)])
    bad = loans.bad[some] == 1
    few = {name: _cells(column.gather(some)) for name, column in columns.items()}
    amounts = [name for name, cells in few.items() if len(np.unique(cells[np.isfinite(cells)])) >= MANY_VALUES]
    found: dict[str, list[Trace]] = {name: [] for name in columns}
    if bad.all() or not bad.any():
        return found
    for one, other in combinations(amounts, 2):
        alike = _equal(few[one], few[other])
        if max(alike[bad].mean(), alike[~bad].mean()) < EQUAL_SHOWN / 2:
            continue
        cells, others = _cells(columns[one]), _cells(columns[other])
        both = np.isfinite(cells) & np.isfinite(others) & ((cells != 0) | (others != 0))
        same = _equal(cells, others)
        hits, misses = loans.by_cohort(same), loans.by_cohort(both & ~same)
        held, sizes = hits.sum(axis=1), (hits + misses).sum(axis=1)
        if sizes.min() < limits.min_bads or not _is_shown(held, sizes, EQUAL_SHOWN):
            continue
        odds = odds_beyond(held, sizes, limits.max_odds_ratio)
        inside = odds
        if odds.distance > limits.max_odds_ratio:
            inside = _confirmed(odds, [(hits, misses)], limits.max_odds_ratio)
        for name, twin in ((one, other), (other, one)):
            trace = Trace("equal", f"equal to {twin}", inside, limits.max_odds_ratio, twin, inside is not odds)
            found[name].append(trace)
    return found


def _spread(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    at = np.linspace(0, max(len(rows) - 1, 0), min(PAIRED_ON, len(rows))).astype(np.int64)
    return rows[at]


def _cells(column: pl.Series) -> Floats:
    return column.cast(pl.Float32).fill_null(float("nan")).to_numpy().astype(np.float64)


def _equal(cells: Floats, others: Floats) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (cells == others) & (cells != 0)
    return found


def share_later(tally: Tally) -> float:
    """Share of filled cells of a date column that lie after the application."""
    counts: Floats = tally.effective().sum(axis=0)[:-1]
    return float(counts[tally.numbers < 0].sum() / max(counts.sum(), np.finfo(float).tiny))
