"""Strategy -> manifest: which months a model learns from, exactly what they held, and the label firewall.

A manifest is a small document, not a copy of loans. It is the truth about a window: the graph's edges
may be a superset, the months here are computed from the plan and anything missing is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.errors import FirewallError, NotYetKnownError, TooEarlyError, WindowError
from pdx_assets.risk.hashing import content_sha256, document_sha256
from pdx_assets.risk.immature import describe
from pdx_assets.risk.metrics.weights import ClassWeights
from pdx_assets.risk.outcomes import label_view
from pdx_assets.risk.spec import PAPER_STRATEGIES, PortfolioSpec, Strategy
from pdx_assets.risk.window_loans import ITV_SHARE, Development, labelled, split_development

MANIFEST_VERSION = 1
LOAN = ["cohort", "loan_id"]
WEIGHTED = ("weighted_bad_rate", "effective_bads", "effective_goods")
"""What a manifest says beside its counts where loans are weighted; the sizes are Kish's, of each class."""


@dataclass(frozen=True)
class Cohorts:
    """What the tables hold for the months of a window.

    Attributes:
        features: content hash of clean_features by cohort; a missing cohort is simply absent.
        labels: label rows of those cohorts (outcomes.label_rows), all versions.
        loans: cohort and loan_id of every loan in clean_features, and its weight where the portfolio declares one.
        refused: cohorts whose blocking check failed, with the reason.
        events: outcome events of those cohorts (outcomes.outcome_events), where immature ones teach.
        undecided: cohort and loan_id of the loans that never get a label (outcomes.never_labelled), likewise.
        waived: cohorts used although one failed, with who waived which check, when and why.
    """

    features: Mapping[Month, str]
    labels: pl.DataFrame
    loans: pl.DataFrame
    refused: Mapping[Month, str]
    events: pl.DataFrame | None = None
    undecided: pl.DataFrame | None = None
    waived: Mapping[Month, Sequence[Mapping[str, str]]] = field(default_factory=dict)


def otv_months(spec: PortfolioSpec, production: Month) -> tuple[Month, ...]:
    """OTV(p) = p-G-O .. p-G-1."""
    plan, shift = spec.windows, spec.periods.shift
    return spec.periods.span(shift(production, -(plan.gap + plan.otv)), shift(production, -(plan.gap + 1)))


def development_months(spec: PortfolioSpec, strategy: Strategy, production: Month) -> tuple[Month, ...]:
    """The development window of a strategy, every bound inclusive (design, section 2)."""
    plan, shift = spec.windows, spec.periods.shift
    if strategy == "immature_cohorts":
        return earlier_cohorts(spec, production)
    if strategy == "all_known":
        return known_cohorts(spec, production)
    first = shift(spec.p0, -(plan.gap + plan.otv + plan.development))
    last = shift(production, -(plan.gap + plan.otv + 1))
    if strategy == "rolling_window":
        first = shift(production, -(plan.gap + plan.otv + plan.development))
    if strategy == "fixed_window":
        last = shift(spec.p0, -(plan.gap + plan.otv + 1))
    return spec.periods.span(first, last)


def earlier_cohorts(spec: PortfolioSpec, production: Month) -> tuple[Month, ...]:
    """Every cohort from the tape's first to the one before a production month."""
    return spec.periods.span(spec.first_cohort, spec.periods.shift(production, -1))


def known_cohorts(spec: PortfolioSpec, production: Month) -> tuple[Month, ...]:
    """Those earlier cohorts whose labels are known on the decision date."""
    return tuple(c for c in earlier_cohorts(spec, production) if spec.known_on(c) <= decision_date(production))


def as_of_months(spec: PortfolioSpec, strategy: Strategy, month: Month) -> tuple[Month, ...]:
    """The development window of a model as of a month before p0: what its recipe would have learned from then.

    Of the paper's strategies it is the window of a first production month, as far back as the tape reaches: there
    they coincide. The others are defined at any month.

    Raises:
        TooEarlyError: no cohort is left.
    """
    plan, shift = spec.windows, spec.periods.shift
    found = development_months(spec, strategy, month)
    if strategy in PAPER_STRATEGIES:
        first = max(spec.first_cohort, shift(month, -(plan.gap + plan.otv + plan.development)))
        found = spec.periods.span(first, shift(month, -(plan.gap + plan.otv + 1)))
    if not found:
        raise TooEarlyError(
            f"As of {month} the strategy {strategy} has no cohort to learn from: the tape begins with "
            f"{spec.first_cohort}.",
            remedy="choose a later decision.evidence.first_month",
        )
    return found


def trained_for(spec: PortfolioSpec, strategy: Strategy, production: Month) -> Month:
    """The production month whose model a recipe uses: p0 for the fixed window, which is trained once."""
    return spec.p0 if strategy == "fixed_window" else production


def labels_day(spec: PortfolioSpec, decided: Month) -> date:
    """The day whose view of the labels a window decided in a month uses: its decision date.

    With labels accepted in hindsight (``PortfolioSpec.hindsight``), the last day there is: the newest versions, which
    are those of the tape's as-of date.
    """
    return date.max if spec.hindsight else decision_date(decided)


def canonical_strategy(spec: PortfolioSpec, strategy: Strategy, production: Month) -> Strategy:
    """At p0 the paper's strategies coincide: they share the fixed window's name, and so its seed and bundle.

    So they do before p0, where there is no fixed window yet: there it is the rolling one's name.
    """
    if strategy not in PAPER_STRATEGIES or production > spec.p0:
        return strategy
    return "fixed_window" if production == spec.p0 else "rolling_window"


def build_manifest(
    spec: PortfolioSpec,
    strategy: Strategy,
    production: Month,
    cohorts: Cohorts,
    *,
    seed: int,
    development: tuple[Month, ...] | None = None,
) -> dict[str, Any]:
    """The manifest of one strategy's window at one production month.

    A strategy that learns up to the decision date has no OTV: its ``otv`` is null. Nor has a model as of a month
    before p0.

    Args:
        development: other months than :func:`development_months`: those of :func:`as_of_months`.

    Raises:
        WindowError: months are missing, or refused by a blocking check; all are named.
        NotYetKnownError: the tape's as-of date comes before a label's.
        FirewallError: a label was known only after the decision date; not raised in hindsight, which the manifest's
            ``label`` then says.
    """
    otv = otv_months(spec, production) if development is None and strategy in PAPER_STRATEGIES else ()
    development = development_months(spec, strategy, production) if development is None else development
    wanted = sorted({*development, *otv})
    _require(wanted, cohorts, f"window_{strategy} of {production}")
    # A fixed window stays what it was at p0: a label revised since then must not seep into it.
    learned_on = labels_day(spec, trained_for(spec, strategy, production))
    part = immature_part if strategy == "immature_cohorts" else _part
    parts = {
        "development": part(spec, development, cohorts, on=learned_on),
        "otv": _part(spec, otv, cohorts, on=labels_day(spec, production)) if otv else None,
    }
    return {
        "format_version": MANIFEST_VERSION,
        "portfolio": spec.name,
        "strategy": strategy,
        "production_month": str(production),
        "decision_date": decision_date(production).isoformat(),
        "label": label_rule(spec),
        "split": {"by": "borrower_hash", "itv_share": ITV_SHARE, "seed": seed},
        "waived": [{"cohort": str(m), **waiver} for m in wanted for waiver in cohorts.waived.get(m, ())],
        **parts,
    }


def known_part(
    spec: PortfolioSpec, months: Sequence[Month], cohorts: Cohorts, *, on: date, what: str
) -> dict[str, Any]:
    """What a manifest says of a window, for months that no strategy names; every label known on a day.

    Args:
        months: at least one, ascending.
        what: for whom, as errors name it.

    Raises:
        WindowError, NotYetKnownError, FirewallError: as of :func:`build_manifest`.
    """
    if not months:
        raise WindowError(f"{what} is to learn from no cohort.", expected="at least one")
    _require(list(months), cohorts, what)
    return _part(spec, tuple(months), cohorts, on=on)


def identity(manifest: Mapping[str, Any], part: str) -> dict[str, Any]:
    """What makes two windows the same to a model: content, label, split, forgetting; not the strategy's name or p."""
    months = [{k: m[k] for k in ("cohort", "features_sha256", "labels_sha256")} for m in manifest[part]["months"]]
    half_life = manifest[part].get("half_life_months")
    return {
        "portfolio": manifest["portfolio"],
        "label": manifest["label"],
        "split": manifest["split"],
        "months": months,
        **({"half_life_months": half_life} if half_life else {}),
    }


def check_firewall(loans: pl.DataFrame, view: pl.DataFrame, *, on: date, rule: str) -> None:
    """Every loan has a label that was known on the decision date; compares events, not calendars.

    Args:
        loans: cohort, loan_id of every loan the window would use.
        view: cohort, loan_id, known_from of the label versions about to be learned from; a null known_from
            is a label nobody knows. Rows of other loans are passed over.

    Raises:
        FirewallError: naming month, count and rule.
    """
    dates = view.select(*LOAN, "known_from").filter(pl.col("known_from").is_not_null())
    leaks = loans.select(LOAN).join(dates, on=LOAN, how="left").filter(~(pl.col("known_from") <= on).fill_null(False))
    if leaks.height == 0:
        return
    found = leaks.group_by("cohort").agg(pl.len().alias("rows"), pl.col("known_from").max()).sort("cohort")
    listed = "; ".join(
        f"{cohort}: {rows} rows" + (f", known from {known}" if known else ", no label version valid then")
        for cohort, rows, known in found.iter_rows()
    )
    raise FirewallError(
        f"Labels not known on the decision date {on}: {listed}.",
        expected=f"every row known on or before {on} under the rule {rule}",
        remedy="widen windows.gap (or label.horizon_months / reporting_delay_days if they are wrong), or correct the "
        "known-from dates on the tape",
    )


def assemble_development(
    spec: PortfolioSpec,
    manifest: Mapping[str, Any],
    features: pl.DataFrame,
    labels: pl.DataFrame,
    *,
    most: int | None = None,
) -> Development:
    """Train and ITV of a manifest's development window.

    Args:
        features: clean_features of the development months.
        labels: label rows of the same months, all versions.
        most: take a sample of at most this many labelled loans, both sides together; None takes all.
    """
    on = labels_day(spec, trained_for(spec, manifest["strategy"], Month.parse(manifest["production_month"])))
    return split_development(spec, manifest, labelled(features, labels, on=on), most=most)


def immature_part(spec: PortfolioSpec, months: tuple[Month, ...], cohorts: Cohorts, *, on: date) -> dict[str, Any]:
    """The development part of a window of partly observed cohorts, as its manifest says it (immature.py)."""
    assert cohorts.events is not None and cohorts.undecided is not None
    return describe(spec, months, cohorts.loans, cohorts.events, cohorts.undecided, cohorts.features, on=on)


def _require(wanted: list[Month], cohorts: Cohorts, what: str) -> None:
    # A month stopped by its own check has no tables yet: why it was stopped is what helps.
    missing = [str(m) for m in wanted if m not in cohorts.features and m not in cohorts.refused]
    if missing:
        raise WindowError(
            f"{what} needs {len(wanted)} months of clean_features and labels; missing: {', '.join(missing)}.",
            expected=f"{wanted[0]}..{wanted[-1]}",
            remedy="materialize the cohort job for the months named",
        )
    refused = [f"{m} ({cohorts.refused[m]})" for m in wanted if m in cohorts.refused]
    if refused:
        raise WindowError(
            f"{what} would use months whose blocking check failed: {', '.join(refused)}.",
            expected="months that passed their blocking checks",
            remedy="correct the tape and materialize the cohort job again for those months, or let one pass with "
            "`pdx waive` (docs/runbook.md)",
        )


def _require_labels(loans: pl.DataFrame, view: pl.DataFrame) -> None:
    """What is left of the firewall in hindsight: every loan has a label at all."""
    without = loans.select(LOAN).join(view, on=LOAN, how="anti")
    if without.height:
        raise WindowError(
            f"{without.height} loans have no label, in {', '.join(without['cohort'].unique().sort())}.",
            expected="a label version, known or indeterminate, for every loan",
            remedy="materialize the cohort job for the months named",
        )


def label_rule(spec: PortfolioSpec) -> dict[str, Any]:
    """What a label is, as manifests say it."""
    rule = {
        "name": spec.label.name,
        "horizon_months": spec.label.horizon_months,
        "reporting_delay_days": spec.label.reporting_delay_days,
        "definition": spec.label.definition.model_dump(mode="json"),
    }
    # Only where it is so: the windows of everybody else keep their hashes.
    return rule | ({"hindsight": True} if spec.hindsight else {})


def _part(spec: PortfolioSpec, months: tuple[Month, ...], cohorts: Cohorts, *, on: date) -> dict[str, Any]:
    keys = [str(m) for m in months]
    labels = cohorts.labels.filter(pl.col("cohort").is_in(keys))
    unknown = labels.filter(pl.col("status") == "unknown")["cohort"].unique().sort().to_list()
    if unknown:
        raise NotYetKnownError(
            f"Labels of {', '.join(unknown)} are not known yet on the tape.",
            expected=f"an as-of date of {spec.known_on(Month.parse(unknown[-1]))} or later",
            remedy="wait for the tape to cover it, then materialize the labels again",
        )
    # label_view also gives the loans without a version valid on that day: to the firewall those are unlabelled.
    view = label_view(labels, on).filter(pl.col("known_from").is_not_null())
    coming = labels.filter(pl.col("known_from") > on).join(view, on=LOAN, how="anti")
    shown = pl.concat([view.select(*LOAN, "known_from"), coming.group_by(LOAN).agg(pl.col("known_from").min())])
    loans = cohorts.loans.filter(pl.col("cohort").is_in(keys))
    if spec.hindsight:
        _require_labels(loans, view)
    else:
        check_firewall(loans, shown, on=on, rule=f"{spec.label.name} ({spec.label.horizon})")
    # A loan excluded from the features (rejected, say) must not count in the window either.
    kept = loans.select(*LOAN, *(["weight"] if "weight" in loans.columns else []))
    view = view.join(kept, on=LOAN, how="inner").sort(LOAN)
    by_month = {k[0]: part for k, part in view.partition_by("cohort", as_dict=True).items()}
    empty = view.clear()
    rows = []
    for month in months:
        part = by_month.get(str(month), empty)
        counts = _counts(part)
        rows.append(
            {
                "cohort": str(month),
                **counts,
                "features_sha256": cohorts.features[month],
                "labels_sha256": content_sha256(part.select("loan_id", "label")),
            }
        )
    last_event = view["known_from"].max()
    total: dict[str, Any] = {"first": keys[0], "last": keys[-1], **_counts(view)}
    total |= {"last_event": str(last_event) if last_event else None, "months": rows}
    hashed = [[r["cohort"], r["features_sha256"], r["labels_sha256"]] for r in rows]
    return {"sha256": document_sha256(hashed), **total}


def _counts(view: pl.DataFrame) -> dict[str, Any]:
    bads, goods = int((view["label"] == 1).sum()), int((view["label"] == 0).sum())
    counts: dict[str, Any] = {
        "loans": view.height,
        "bads": bads,
        "goods": goods,
        "indeterminate": view.height - bads - goods,
        "bad_rate": bads / (bads + goods) if bads + goods else None,
    }
    if "weight" in view.columns:
        known = view.filter(pl.col("label").is_not_null())
        weights = ClassWeights.of(known["label"].to_numpy(), known["weight"].to_numpy())
        figures = (weights.bad_rate, weights.sizes.bads, weights.sizes.goods)
        counts |= dict(zip(WEIGHTED, figures, strict=True))
    return counts
