"""Policies simulated: the recorded months decided again under other policies, from stored models and scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import HomeError, PdxError, SpecError
from pdx_assets.risk.policy import POLICIES
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.simulation import Compared, Followed, MonthOfPolicy, compare
from pdx_assets.risk.spec import PolicyName, PortfolioSpec
from pdx_assets.stages.challengers import find_pointer
from pdx_assets.stages.decision import propose
from pdx_assets.stages.production import is_measurable, realized
from pdx_assets.stages.record import decisions
from pdx_assets.stages.scores import ensure_scores, pds_of
from pdx_assets.stages.workspace import Workspace

REFERENCE: PolicyName = "paper"
DRAWS = 1000


def usable_policies(spec: PortfolioSpec) -> tuple[PolicyName, ...]:
    """The policies whose settings the portfolio declares: those the asset compares."""
    return tuple(name for name in POLICIES if _declared(spec, name) is not None)


def simulate(
    ws: Workspace,
    policies: Sequence[PolicyName],
    *,
    approval_rate: float | None = None,
    reference: PolicyName | None = None,
    score_missing: bool = False,
    draws: int = DRAWS,
) -> list[Compared]:
    """Follow each policy through the months decided on main, and measure what its champions were worth.

    Nothing is trained, and nothing of main is written. Orders by people (rollbacks, approvals) are not obeyed: the
    policies alone decide.

    Args:
        approval_rate: default the portfolio's ``decision.cut_off.approval_rate``, else 0.8.
        reference: whom the others' differences are taken from; default the paper's policy where it is among them.
        score_missing: score, and store, what some policy needs and nobody scored.

    Raises:
        HomeError: nothing is decided yet.
        SpecError: a policy whose settings the portfolio does not declare, or none of that name.
        ScoreError: a score that was never stored; says which.
    """
    ws = replace(ws, may_score=score_missing)
    months = [Month.parse(d["production_month"]) for d in decisions(ws)]
    if not months:
        raise HomeError(
            f"{ws.settings.home} holds no decision of {ws.spec.name}.",
            remedy=f"pdx run {ws.spec.name}, or point PDX_HOME to the home that holds it",
        )
    decided = {name: _decided(_under(ws, name), months) for name in dict.fromkeys(policies)}
    of_recipes = _of_recipes(ws, months)
    outcomes = _Outcomes(ws, [m for m in months if is_measurable(ws, m)])
    outcomes.read([*decided.values(), *of_recipes.values()])
    rate = approval_rate or ws.spec.decision.cut_off.approval_rate or 0.8
    return compare(
        [outcomes.follow(name, who) for name, who in decided.items()],
        {name: outcomes.follow(name, who) for name, who in of_recipes.items()},
        reference=reference or (REFERENCE if REFERENCE in decided else next(iter(decided))),
        approval_rate=rate,
        seed=seed_from(ws.spec.name, ws.pinned.seed, "policies"),
        economics=ws.spec.decision.economics,
        draws=draws,
    )


def comparison_document(ws: Workspace, found: Sequence[Compared]) -> dict[str, Any]:
    """What the asset's data version is taken of."""
    return {"portfolio": ws.spec.name, "policies": [c.document() for c in found]}


def picture(ws: Workspace, found: Sequence[Compared]) -> bytes:
    """AUC by production month under each policy, PNG."""
    from pdx_assets.risk.plots import auc_by_month

    months = list(found[0].realized.auc_by_month)
    title = "AUC by production month under each policy" + ("; labels not knowable in time" if ws.spec.hindsight else "")
    series = {c.realized.policy: list(c.realized.auc_by_month.values()) for c in found}
    return auc_by_month(months, series, title=title)


def _decided(ws: Workspace, months: Sequence[Month]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for month in months:
        made.append(propose(ws, month, made, ()))
    return made


def _under(ws: Workspace, policy: PolicyName) -> Workspace:
    spec = _declared(ws.spec, policy)
    if spec is None:
        known = ", ".join(usable_policies(ws.spec))
        raise SpecError(
            f"{ws.spec.name} cannot be simulated under the policy {policy!r}.",
            expected=f"one of: {known}",
            remedy=f"declare what {policy} needs under decision in the portfolio's YAML (docs/portfolio.md)",
        )
    return replace(ws, spec=spec)


def _declared(spec: PortfolioSpec, policy: PolicyName) -> PortfolioSpec | None:
    """The same portfolio under another policy; None where it lacks the settings."""
    if policy not in POLICIES:
        return None
    declared = spec.model_dump(mode="json")
    declared["decision"]["policy"] = policy
    # What the policy chooses, without waiting for people.
    declared["decision"].pop("approval", None)
    try:
        return PortfolioSpec.model_validate(declared)
    except (PdxError, ValueError):
        return None


def _of_recipes(ws: Workspace, months: Sequence[Month]) -> dict[str, list[dict[str, Any]]]:
    """Each recipe's own model of every month, as if it had always been in charge."""
    found: dict[str, list[dict[str, Any]]] = {}
    for strategy in ws.spec.strategies:
        for algorithm in ws.spec.algorithms:
            own = []
            for month in months:
                pointer = find_pointer(ws, strategy, algorithm, month)
                champion = None
                if pointer is not None and pointer["status"] == "bundle":
                    champion = {**pointer, "strategy": strategy, "algorithm": algorithm}
                own.append({"production_month": str(month), "decision": "always", "champion": champion})
            found[f"{strategy} {algorithm}"] = own
    return found


class _Outcomes:
    """Labels and stored PDs of the months whose labels are known, read once for all policies."""

    def __init__(self, ws: Workspace, measured: Iterable[Month]) -> None:
        self.ws = ws
        held = ws.lake.contents("clean_features")
        self.cohorts = {str(m): {m: held[m].sha256} for m in measured}
        self.loans: dict[str, pl.DataFrame] = {}
        self.pds: dict[tuple[str, str], Any] = {}

    def read(self, followed: Iterable[Sequence[Mapping[str, Any]]]) -> None:
        wanted: dict[str, dict[str, None]] = {}
        for documents in followed:
            for d in documents:
                if d["champion"] is not None and d["production_month"] in self.cohorts:
                    wanted.setdefault(d["production_month"], {})[d["champion"]["bundle_sha256"]] = None
        for key, digests in sorted(wanted.items()):
            # A damaged model's months count as not measured: the other policies still have theirs.
            damaged = ensure_scores(self.ws, digests, self.cohorts[key]).failed
            self.loans[key] = realized(self.ws, Month.parse(key), "borrower_hash")
            sound = [d for d in digests if d not in damaged]
            of = pds_of(self.ws, sound, self.cohorts[key], self.loans[key])
            self.pds |= {(key, digest): pd for digest, pd in of.items()}

    def follow(self, name: str, documents: Sequence[Mapping[str, Any]]) -> Followed:
        return Followed(name, tuple(self._month(d) for d in documents))

    def _month(self, document: Mapping[str, Any]) -> MonthOfPolicy:
        key, champion = document["production_month"], document["champion"]
        digest = champion["bundle_sha256"] if champion else None
        recipe = f"{champion['strategy']} {champion['algorithm']}" if champion else None
        loans, pd = self.loans.get(key), self.pds.get((key, digest or ""))
        if loans is None or pd is None:
            return MonthOfPolicy(key, digest, recipe, document["decision"])
        weight = loans["weight"].to_numpy() if "weight" in loans.columns else None
        columns = (loans["label"].to_numpy(), pd, weight, loans["borrower_hash"].to_numpy())
        return MonthOfPolicy(key, digest, recipe, document["decision"], *columns)
