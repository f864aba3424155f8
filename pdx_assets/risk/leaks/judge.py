"""Every feature judged alone, and the verdict in words.

One family of tests: Holm's step over all tests of all features keeps the chance of any false flag, where no
feature truly is beyond a limit, at ``false_alarm_rate``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from pdx_assets.risk.checks.base import percent
from pdx_assets.risk.checks.chance import above, holm
from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.leaks.alone import Area, Power, power
from pdx_assets.risk.leaks.patterns import Trace, equal_columns, share_later, traces
from pdx_assets.risk.leaks.tally import ALL, ITV, OTHER_OTV, OTV, TRAIN, Kind, Loans, Tally
from pdx_assets.risk.spec.leaks import Leaks

# Raised whenever the same loans would be judged otherwise.
JUDGE_VERSION = 2

MOSTLY_LATER = 0.10
"""Share of cells after the application from which a date is held to the lower limit."""

PARTS = ("train", "itv", "otv")
STRONG = 0.65
"""AUC from which power that comes or goes counts: below it there was little to lose."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One test of one feature.

    Attributes:
        kind: ``auc``, ``power_lost``, ``power_gained``, or a trace's kind.
        words: what was seen, with the figures and the limit.
        strength: above 1 is beyond the limit.
        chance: p-value over all tests of all features, of being beyond the limit by chance.
        counts: whether it flags the feature.
    """

    kind: str
    words: str
    strength: float
    chance: float
    counts: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found of one feature.

    Attributes:
        reason: why it is flagged, or why not; never blank.
        suspicion: the strongest test's strength; above 1 is beyond a limit, if not always beyond chance.
        auc_oot, auc_oot_error: of the feature alone, out of time (in time where no later loans are there); None
            where there are too few bads or goods.
        auc_in_time: on the part of the development window it was not learned from.
        evidence: every test, the strongest first.
    """

    feature: str
    flagged: bool
    reason: str
    suspicion: float
    auc_oot: float | None
    auc_oot_error: float | None
    auc_in_time: float | None
    evidence: tuple[Evidence, ...]

    def document(self) -> dict[str, Any]:
        """As stored and as ``pdx leaks --format json`` prints it."""
        return {**asdict(self), "evidence": [asdict(e) for e in self.evidence]}


def judge(
    loans: pl.DataFrame,
    features: Mapping[str, Kind],
    limits: Leaks | None = None,
    *,
    label: str = "label",
    part: str = "part",
    cohort: str = "cohort",
    weight: str | None = None,
) -> list[Judgement]:
    """Whether each feature, looked at alone, knows the outcome.

    Pure, and for any book: neither a portfolio nor a home is needed.

    Args:
        loans: one row a loan, in a fixed order: the label (1 bad, 0 good; other rows are left out), the cohort (text
            that sorts by time), perhaps a weight and the part (``train``, ``itv`` or ``otv``; where there is no such
            column, by :func:`in_parts`), and the features: numbers of any numeric type, categories as text. A date
            is the days from it to the application, as in clean_features; below 0 is after it. Missing is null.
        features: columns to judge, and what they are.
        limits: of the portfolio, or the defaults.
        weight: column of sample weights, for a case-control sample.

    Returns:
        One judgement a feature, the most suspicious first. With fewer than ``min_bads`` bads or goods a test is
        not made, and the reason says so.

    Raises:
        PdxError: a column is not there, or a weight is not above 0.
    """
    limits = limits or Leaks()
    _require(loans, [label, cohort, *features, *([weight] if weight else [])])
    if part not in loans.columns:
        loans = loans.with_columns(in_parts(loans[cohort]).alias(part))
    loans = loans.filter(pl.col(label).is_in([0, 1]) & pl.col(part).is_in(PARTS))
    sample = _sample(loans, label, part, cohort, weight)
    columns = {n: loans[n].fill_nan(None) if loans[n].dtype.is_float() else loans[n] for n in features}
    equal = equal_columns({n: columns[n] for n, kind in features.items() if kind == "number"}, sample, limits)
    found = [_look(Tally.of(columns[n], kind, sample), equal.get(n, []), limits) for n, kind in features.items()]
    chances = iter(holm([test.chance for f in found for test in f.tests]))
    weighed = {f.name: [f.weigh(test, next(chances), limits) for test in f.tests] for f in found}
    alone = {n: max((_alone(e) for e in evidence), default=(False, 0.0)) for n, evidence in weighed.items()}
    judged = [f.judgement(_excused(weighed[f.name], f, alone)) for f in found]
    return sorted(judged, key=lambda j: (not j.flagged, -j.suspicion, j.feature))


def in_parts(cohort: pl.Series, otv_share: float = 0.2, itv_share: float = 0.25) -> pl.Series:
    """Parts for loans without a window plan: the latest cohorts are OTV, every fourth of the others ITV.

    Args:
        cohort: text or dates that sort by time, one a loan; rows in a fixed order.
        otv_share: about this share of the loans, whole cohorts only; none where there is a single cohort.
        itv_share: of the loans before.
    """
    cohort = cohort.alias("cohort")
    counts = cohort.value_counts(name="loans").sort("cohort")
    before = counts["loans"].cum_sum() - counts["loans"]
    late = counts.filter((before >= (1 - otv_share) * cohort.len()) & (before > 0))
    if late.height == 0 and counts.height > 1:
        late = counts.tail(1)
    row = np.arange(cohort.len())
    is_itv = (row % round(1 / itv_share)) == 0
    is_otv = cohort.is_in(late["cohort"].implode()).to_numpy()
    return pl.Series("part", np.select([is_otv, is_itv], ["otv", "itv"], "train"))


def _require(loans: pl.DataFrame, wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in loans.columns]
    if missing:
        raise PdxError(f"The loans to judge lack {', '.join(missing)}.", expected="every feature, label and part")


def _sample(loans: pl.DataFrame, label: str, part: str, cohort: str, weight: str | None) -> Loans:
    codes = loans[part].replace_strict(dict(zip(PARTS, (TRAIN, ITV, OTV), strict=True)), return_dtype=pl.Int64)
    parts = codes.to_numpy().copy()
    late = np.flatnonzero(parts == OTV)
    parts[late[1::2]] = OTHER_OTV
    weights = None
    if weight is not None:
        weights = loans[weight].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        wrong = int((~(weights > 0) | ~np.isfinite(weights)).sum())
        if wrong:
            raise PdxError(f"{wrong} weights in {weight} are missing or not above 0.", expected="a weight a loan")
    cohorts = (loans[cohort].rank("dense").fill_null(0).cast(pl.Int64)).to_numpy()
    return Loans.of(parts, loans[label].cast(pl.Int64).to_numpy(), cohorts, weights)


@dataclass(frozen=True)
class _Test:
    kind: str
    words: str
    strength: float
    chance: float
    twin: str | None = None


@dataclass(frozen=True)
class _Looked:
    """What was found of one feature, before chance over all features is known.

    Attributes:
        silent: why nothing is to be judged, or blank.
    """

    name: str
    power: Power
    tests: list[_Test]
    silent: str

    def weigh(self, test: _Test, chance: float, limits: Leaks) -> Evidence:
        counts = test.strength > 1 and chance <= limits.false_alarm_rate
        return Evidence(test.kind, test.words, round(test.strength, 4), chance, counts)

    def judgement(self, evidence: Sequence[Evidence]) -> Judgement:
        ranked = sorted(evidence, key=lambda e: (not e.counts, -e.strength, e.words))
        guilty = [e.words for e in ranked if e.counts]
        shown = self.power.out_of_time or self.power.in_time
        innocent = self.silent or "no test applies: too few bads or goods in every part"
        if ranked and not self.silent:
            innocent = f"no test is beyond its limit and chance; nearest: {ranked[0].words}"
        return Judgement(
            self.name,
            bool(guilty),
            "; ".join(guilty[:3]) if guilty else innocent,
            max((e.strength for e in ranked), default=0.0),
            None if shown is None else shown.value,
            None if shown is None else shown.error,
            None if self.power.in_time is None else self.power.in_time.value,
            tuple(ranked),
        )


def _look(tally: Tally, equal: Sequence[Trace], limits: Leaks) -> _Looked:
    found, tests = _power_tests(tally, limits)
    tests += [_Test(t.kind, _in_words(t), t.strength, t.odds.chance, t.twin) for t in (*traces(tally, limits), *equal)]
    goods, bads = tally.loans.sizes(ALL)
    silent = ""
    if min(goods, bads) < limits.min_bads:
        silent = f"not judged: {bads:.0f} bads and {goods:.0f} goods, {limits.min_bads} of each are needed"
    elif len(tally.values) + int(tally.weight[:, :, -1].sum() > 0) < 2:
        silent = "nothing to judge: the same on every loan"
    return _Looked(tally.name, found, tests, silent)


def _alone(evidence: Evidence) -> tuple[bool, float]:
    """How suspect a test makes a feature, whatever other columns hold."""
    return (False, 0.0) if evidence.kind == "equal" else (evidence.counts, evidence.strength)


def _excused(evidence: Sequence[Evidence], looked: _Looked, alone: Mapping[str, tuple[bool, float]]) -> list[Evidence]:
    """Of two equal columns only the one that is more suspect by itself stays accused."""
    found = []
    for e, test in zip(evidence, looked.tests, strict=True):
        if test.twin is not None and e.strength > 1 and alone[test.twin] > alone[looked.name]:
            e = replace(e, words=f"{e.words}: {test.twin} is the suspect", strength=1.0, counts=False)
        found.append(e)
    return found


def _power_tests(tally: Tally, limits: Leaks) -> tuple[Power, list[_Test]]:
    found = power(tally, limits.min_bads)
    tests: list[_Test] = []
    later = share_later(tally) if tally.kind == "date" else 0.0
    limit = limits.max_auc_later_date if later >= MOSTLY_LATER else limits.max_auc
    shown, when = (found.out_of_time, "out of time") if found.out_of_time else (found.in_time, "in time")
    if shown is not None:
        about = f", {percent(later)} of its dates after the application" if later >= MOSTLY_LATER else ""
        words = f"AUC {when} alone {_area(shown)} (limit {limit:g}{about})"
        strength = (shown.value - 0.5) / (limit - 0.5)
        tests.append(_Test("auc", words, strength, above(shown.value - limit, shown.error)))
    if found.in_time is not None and found.out_of_time is not None:
        tests.append(_change("power_lost", found.in_time, found.out_of_time, limits.max_power_change))
    if found.in_time is not None and found.own is not None:
        tests.append(_change("power_gained", found.own, found.in_time, limits.max_power_change))
    return found, tests


def _change(kind: str, strong: Area, weak: Area, limit: float) -> _Test:
    fall = strong.value - max(weak.value, 0.5) if strong.value >= STRONG else 0.0
    error = float(np.hypot(strong.error, weak.error))
    where = {
        "power_lost": f"AUC alone falls from {_area(strong)} in time to {_area(weak)} out of time",
        "power_gained": f"AUC alone {_area(strong)} within the later loans, {_area(weak)} within development",
    }[kind]
    return _Test(kind, f"{where} (limit of a change {limit:g})", max(fall, 0.0) / limit, above(fall - limit, error))


def _area(area: Area) -> str:
    return f"{area.value:.3f} ± {area.error:.3f}"


def _in_words(trace: Trace) -> str:
    odds = trace.odds
    ratio = f"{odds.distance:.3g}" if odds.distance < 1e6 else "over a million"
    return (
        f"{trace.what} for {percent(odds.bads)} of bads and {percent(odds.goods)} of goods "
        f"(odds ratio {'among like loans ' if trace.is_explained else ''}{ratio}, limit {trace.limit:g})"
    )
