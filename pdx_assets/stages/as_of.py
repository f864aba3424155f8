"""Models as of a month: what each recipe produced, or before p0 would have produced, from what was known then.

A recipe is judged by cohorts that came after its models. The first production months have none that are mature,
so that models are built as of months before p0 as well: content-addressed like every other, and no asset points
to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.errors import HomeError, TooEarlyError, TrainingError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.spec import AlgorithmName, PortfolioSpec, Strategy
from pdx_assets.risk.windows import earlier_cohorts
from pdx_assets.stages.blends import blend
from pdx_assets.stages.challengers import Trained, find_pointer, model_of, study_on
from pdx_assets.stages.windows import as_of_window
from pdx_assets.stages.workspace import Workspace

KIND = "as_of"


@dataclass(frozen=True)
class AsOf:
    """The models of one month.

    Attributes:
        month: at whose decision date they were built.
        models: pointers by recipe (``strategy algorithm``).
        failed: why a recipe has none.
        seconds: spent training by this call.
    """

    month: Month
    models: Mapping[str, Mapping[str, Any]]
    failed: Mapping[str, str]
    seconds: float = 0.0


def recipes(spec: PortfolioSpec) -> tuple[tuple[Strategy, AlgorithmName], ...]:
    """Those that have a record: the fixed window is never refitted, so nothing speaks for what it does next."""
    return tuple((s, a) for s in spec.strategies if s != "fixed_window" for a in spec.algorithms)


def evidence_months(spec: PortfolioSpec, production: Month) -> tuple[Month, ...]:
    """As-of months whose own labels are known on a decision date; before p0 every ``every``-th of them.

    Raises:
        HomeError: the portfolio declares no evidence.
    """
    rules = spec.decision.evidence
    if rules is None:
        raise HomeError(f"{spec.name} declares no evidence.", remedy="declare decision.evidence in its YAML")
    first = Month.parse(rules.first_month)
    # Counted back from p0, so that the newest of them is the one nearest to production.
    kept = {m for i, m in enumerate(reversed(spec.periods.span(first, spec.p0)[:-1])) if i % rules.every == 0} | {first}
    return tuple(
        m
        for m in spec.periods.span(first, spec.periods.shift(production, -1))
        if spec.known_on(m) <= decision_date(production) and (m >= spec.p0 or m in kept)
    )


def as_of_challenge(
    ws: Workspace, strategy: Strategy, algorithm: AlgorithmName, month: Month, *, first_month: Month
) -> Trained:
    """One recipe's model as of a month.

    From p0 on it is the month's challenger. Before, it is trained here; its study is of the last anchor before,
    counted from ``first_month``.

    Args:
        first_month: the first month a model is wanted as of.

    Raises:
        TrainingError: the model cannot be had.
        WindowError: the tape does not reach back far enough, or cohorts were not made.
        HomeError: a month from p0 on whose challenger was not materialized.
    """
    spec = ws.spec
    if month >= spec.p0:
        pointer = find_pointer(ws, strategy, algorithm, month)
        if pointer is None:
            raise HomeError(
                f"{month} has neither a model nor a tombstone for challenger_{strategy}_{algorithm}.",
                remedy=f"materialize the challengers of {month}",
            )
        return Trained(pointer, 0.0)
    if algorithm == "blend":
        members = [as_of_challenge(ws, strategy, a, month, first_month=first_month) for a in spec.tuned_algorithms]
        found, seconds = blend(ws, strategy, [m.pointer for m in members], month)
        return Trained({**found, "strategy": strategy, "status": "bundle"}, seconds + sum(m.seconds for m in members))
    passed = (month.ordinal - first_month.ordinal) // spec.periods.months
    anchor = spec.periods.shift(first_month, passed - passed % ws.profile.retune_every)
    study, tuned = study_on(ws, as_of_window(ws, strategy, anchor), algorithm)
    manifest = as_of_window(ws, strategy, month)
    found, seconds = model_of(ws, manifest, manifest["strategy"], algorithm, month, study)
    return Trained({**found, "strategy": strategy, "study": study["study"], "status": "bundle"}, tuned + seconds)


def models_as_of(ws: Workspace, month: Month) -> AsOf:
    """Every recipe's model as of a month, trained where nobody trained it.

    Raises:
        WindowError: cohorts that a window needs were not made.
        HomeError: a challenger of a month from p0 on was not materialized.
    """
    rules = ws.spec.decision.evidence
    assert rules is not None, "evidence_months refuses"
    key = _key(ws, month)
    kept = ws.lake.find_document(KIND, str(month)) if month < ws.spec.p0 else None
    if kept is not None and kept["key"] == key:
        return AsOf(month, kept["models"], kept["failed"])
    models: dict[str, Mapping[str, Any]] = {}
    failed: dict[str, str] = {}
    seconds = 0.0
    for strategy, algorithm in recipes(ws.spec):
        name = f"{strategy} {algorithm}"
        try:
            trained = as_of_challenge(ws, strategy, algorithm, month, first_month=Month.parse(rules.first_month))
        except (TrainingError, TooEarlyError) as error:
            failed[name] = str(error)
            continue
        seconds += trained.seconds
        if trained.is_tombstone:
            failed[name] = trained.pointer["reason"]
        else:
            models[name] = trained.pointer
    if month < ws.spec.p0:
        ws.lake.put_document(KIND, str(month), {"key": key, "models": models, "failed": failed})
    return AsOf(month, models, failed, seconds)


def _key(ws: Workspace, month: Month) -> str:
    """What models before p0 are made from: the tables of the cohorts before, the declarations, profile and seed."""
    earlier = earlier_cohorts(ws.spec, month)
    tables = {}
    for table in ("clean_features", "labels", "outcomes"):
        held = ws.lake.contents(table)
        tables[table] = [[str(c), held[c].sha256] for c in earlier if c in held]
    pinned = [ws.pinned.profile, ws.pinned.seed]
    return document_sha256([tables, ws.spec.model_dump(mode="json", exclude={"experiment", "decision"}), pinned])
