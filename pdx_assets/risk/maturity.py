"""What should exist on a day, against what is there: the ordered list of what is wanted, and why.

Pure: a tape's content, what every asset was made from, and a day go in. Who launches what is wanted, how
many at once and how often again, is in orchestration/launching.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.lineage import COHORT_ASSETS, Lineage, Method, Part, made_from, sources
from pdx_assets.risk.radar.ages import reached
from pdx_assets.risk.spec import PAPER_STRATEGIES, PortfolioSpec
from pdx_assets.risk.tape_contents import CohortContent
from pdx_assets.risk.windows import development_months, earlier_cohorts, otv_months

Job = Literal["cohort", "decide", "measure", "report", "overview"]
Run = tuple[Job, Month]


@dataclass(frozen=True)
class Made:
    """What is materialized.

    Attributes:
        notes: by asset and month, the hash of what it was made from (lineage.py).
        labelled: cohorts whose labels are known in the table.
        decided: production months with a recorded decision.
        vacant: those among them with nobody in charge: nothing to score with.
    """

    notes: Mapping[Part, str] = field(default_factory=dict)
    labelled: frozenset[Month] = frozenset()
    decided: frozenset[Month] = frozenset()
    vacant: frozenset[Month] = frozenset()


@dataclass(frozen=True)
class Wanted:
    """One run of one partition that is wanted (of none, for the overview, which goes by the last decided month).

    Attributes:
        assets: those to materialize, in graph order.
        is_whole: none of the job's assets was made before.
        reasons: why, in words.
        key: differs whenever what it would be made from, or what is there, differs.
        after: runs to be done before, where they are wanted as well.
        is_new: a production month without a decision.
    """

    job: Job
    month: Month
    assets: tuple[str, ...]
    is_whole: bool
    reasons: tuple[str, ...]
    key: str
    after: frozenset[Run] = frozenset()
    is_new: bool = False

    @property
    def run(self) -> Run:
        return (self.job, self.month)


def decidable_months(spec: PortfolioSpec, cohorts: tuple[Month, ...], as_of: date, today: date) -> tuple[Month, ...]:
    """Production months that can be decided: they have begun, their OTV labels are known, their cohorts are there.

    Args:
        cohorts: those on the tape, in order.
        as_of: the tape's as-of date.
    """
    if not cohorts:
        return ()
    beyond = [s for s in spec.strategies if s not in PAPER_STRATEGIES]
    return tuple(
        p
        for p in spec.periods.span(spec.p0, spec.periods.shift(cohorts[-1], spec.windows.gap + 1))
        if spec.known_on(otv_months(spec, p)[-1]) <= as_of
        and decision_date(p) <= today
        # Who learns up to the decision date needs cohorts later than OTV's.
        and all(development_months(spec, s, p)[-1] <= cohorts[-1] for s in beyond)
    )


def is_measurable(spec: PortfolioSpec, production: Month, cohorts: tuple[Month, ...], as_of: date) -> bool:
    """Whether a production month's own labels are known."""
    return production in cohorts and spec.known_on(production) <= as_of


def wanted(
    method: Method, tape: Mapping[Month, CohortContent], made: Made, *, as_of: date, today: date
) -> list[Wanted]:
    """Everything that should exist on a day and is not made from what the tape says, in the order to do it.

    Cohorts first, then production months, their measurements, and the pages for people; each by month. Months
    without a decision are wanted whole; of others exactly the assets that rest on what changed. Recorded
    decisions stay: a champion made again shows the decision that stands.

    Args:
        tape: content of the cohorts on the tape, as known on its as-of date.
        as_of: the tape's as-of date, never after ``today``.
    """
    spec = method.spec
    cohorts = tuple(sorted(c for c in tape if c >= spec.first_cohort))
    known = {c: tape[c].known_by(as_of) for c in cohorts}
    lineage = Lineage(method, known, stands=lambda part: _standing(method, made, part), as_of=as_of)
    decidable = decidable_months(spec, cohorts, as_of, today)
    found = [*_cohorts(method, known, lineage, made), *_months(method, decidable, lineage, made)]
    for p in decidable:
        found += _measurements(method, p, cohorts, lineage, made, as_of)
    found += _reports(decidable, lineage, made)
    found += _overview(method, decidable, cohorts, lineage, made, as_of)
    pending = frozenset(w.run for w in found)
    return [replace(w, after=w.after & pending) for w in found]


def _standing(method: Method, made: Made, part: Part) -> str | None:
    asset, month = part
    # Trained once at p0: after its decision a revised tape makes no other baseline.
    is_baseline = asset.startswith("challenger_fixed_window_")
    return made.notes.get((asset, month)) if is_baseline and method.spec.p0 in made.decided else None


def _stale(assets: tuple[str, ...], month: Month, lineage: Lineage, made: Made) -> tuple[str, ...]:
    return tuple(a for a in assets if made.notes.get((a, month)) != lineage.of(a, month))


def _key(job: Job, month: Month, assets: tuple[str, ...], lineage: Lineage, made: Made) -> str:
    change: list[object] = [[a, made.notes.get((a, month)), lineage.of(a, month)] for a in assets]
    if job == "decide" and lineage.method.settled:
        # A month given up for an open leak is tried again once a person has accepted it.
        change.append(list(lineage.method.settled))
    return f"{job}/{month}/{document_sha256(change)[:16]}"


def _cohorts(method: Method, tape: Mapping[Month, CohortContent], lineage: Lineage, made: Made) -> Iterator[Wanted]:
    for cohort, content in tape.items():
        stale = _stale(COHORT_ASSETS, cohort, lineage, made)
        if not stale:
            continue
        if "raw_loans" in stale:
            # Everything of a cohort rests on its loans.
            stale = COHORT_ASSETS
        reasons = tuple(_why_cohort(method.spec, cohort, content, stale, made))
        is_whole = stale == COHORT_ASSETS
        yield Wanted("cohort", cohort, stale, is_whole, reasons, _key("cohort", cohort, stale, lineage, made))


def _why_cohort(
    spec: PortfolioSpec, cohort: Month, content: CohortContent, stale: tuple[str, ...], made: Made
) -> Iterator[str]:
    if ("raw_loans", cohort) not in made.notes:
        yield f"cohort {cohort} is on the tape"
    elif "raw_loans" in stale:
        yield f"the tape's loans of {cohort} changed"
    elif "clean_features" in stale:
        yield "features or labels are declared otherwise, or were not made yet"
    elif content.labels and cohort not in made.labelled:
        yield f"labels of {cohort} are known since {spec.known_on(cohort)}"
    else:
        yield f"outcomes of {cohort} came late or were revised"


def _months(method: Method, decidable: tuple[Month, ...], lineage: Lineage, made: Made) -> Iterator[Wanted]:
    spec = method.spec
    for p in decidable:
        assets = method.month_assets()
        if p not in lineage.tape or p in made.vacant:
            assets = tuple(a for a in assets if a != "production_scores")
        is_new = p not in made.decided
        stale = _stale(assets, p, lineage, made)
        if is_new and "champion" not in stale:
            # A decision that was lost with its note kept: the record counts.
            stale = (*stale, "champion")
        if not stale:
            continue
        cohorts = {*otv_months(spec, p), p}
        if spec.decision.evidence is not None:
            cohorts |= set(earlier_cohorts(spec, p))
        for strategy in spec.strategies:
            cohorts |= {*development_months(spec, strategy, p), *development_months(spec, strategy, method.anchor(p))}
        if is_new:
            why = f"{p} can be decided: its OTV labels are known since {spec.known_on(otv_months(spec, p)[-1])}"
        elif stale == ("production_scores",):
            why = f"the loans of {p} are on the tape, or changed"
        else:
            why = f"{p} rests on cohorts that changed on the tape, or was not finished; its recorded decision stays"
        after = frozenset[Run](("cohort", c) for c in cohorts)
        is_whole = is_new and not any((a, p) in made.notes for a in assets)
        yield Wanted("decide", p, stale, is_whole, (why,), _key("decide", p, stale, lineage, made), after, is_new)


def _measurements(
    method: Method, p: Month, cohorts: tuple[Month, ...], lineage: Lineage, made: Made, as_of: date
) -> Iterator[Wanted]:
    assets: list[str] = []
    if is_measurable(method.spec, p, cohorts, as_of):
        assets.append("production_performance")
    if p in cohorts and p not in made.vacant:
        assets.append("drift")
        if reached(method.spec, p, as_of):
            assets.append("performance_estimate")
    stale = _stale(tuple(assets), p, lineage, made)
    if not stale:
        return
    reasons = []
    if "production_performance" in stale:
        again = ("production_performance", p) in made.notes
        known = f"{p}'s own labels are known since {method.spec.known_on(p)}"
        reasons.append(f"{p}'s loans, labels or challengers changed" if again else known)
    if "drift" in stale:
        again = ("drift", p) in made.notes
        reasons.append(f"the loans of {p} {'changed' if again else 'are on the tape'}")
    if "performance_estimate" in stale:
        again = ("performance_estimate", p) in made.notes
        reasons.append(f"{p} has grown older, or its loans or champion changed" if again else f"{p} has ended")
    after = frozenset[Run]({("decide", p), ("cohort", p)})
    yield Wanted("measure", p, stale, False, tuple(reasons), _key("measure", p, stale, lineage, made), after)


def _reports(decidable: tuple[Month, ...], lineage: Lineage, made: Made) -> Iterator[Wanted]:
    for p in decidable:
        if p not in lineage.tape or p in made.vacant or not _stale(("drift_report",), p, lineage, made):
            continue
        after = frozenset[Run]({("decide", p), ("measure", p)})
        key = _key("report", p, ("drift_report",), lineage, made)
        yield Wanted("report", p, ("drift_report",), True, (f"the drift of {p} is, or will be, measured",), key, after)


def _overview(
    method: Method,
    decidable: tuple[Month, ...],
    cohorts: tuple[Month, ...],
    lineage: Lineage,
    made: Made,
    as_of: date,
) -> Iterator[Wanted]:
    # With a clock set back the page shows more than the day knows: it is left alone.
    if not decidable or max(made.decided, default=decidable[0]) > decidable[-1]:
        return
    last = decidable[-1]
    parts = {
        (asset, m): lineage.of(asset, m)
        for asset, m in sources(method, "overview", last)
        if asset == "champion" or is_measurable(method.spec, m, cohorts, as_of)
    }
    digest, note = made_from("overview", parts), made.notes.get(("overview", last))
    if note != digest:
        after = frozenset[Run]((job, m) for m in decidable for job in ("decide", "measure"))
        key = f"overview/{last}/{document_sha256([note, digest])[:16]}"
        yield Wanted("overview", last, ("overview",), True, ("champions or their performance changed",), key, after)
