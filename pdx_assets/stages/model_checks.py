"""Checks of the champion: at its decision, against the month's loans, and once their labels are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks.base import Verdict, judged, not_applicable
from pdx_assets.risk.checks.catalogue import (
    AUC_DECAY,
    CALIBRATION,
    CHAMPION_AGAINST_BASELINE,
    EXPECTED_PERFORMANCE,
    SOMEONE_IN_CHARGE,
)
from pdx_assets.risk.checks.cut_off import cut_off_shift
from pdx_assets.risk.checks.drift import Moved, feature_psi, score_psi
from pdx_assets.risk.checks.outlook import Expected, expected_performance
from pdx_assets.risk.checks.performance import (
    ON_OTV,
    ON_RECORD,
    auc_decay,
    calibration,
    champion_against_baseline,
    otv_discrimination,
)
from pdx_assets.risk.metrics.auc_error import AucEstimate, auc_estimate, expected_error
from pdx_assets.risk.policy import in_charge_problem
from pdx_assets.risk.radar.forecast import KINDS
from pdx_assets.stages import verdicts
from pdx_assets.stages.production import realized
from pdx_assets.stages.record import find_decision
from pdx_assets.stages.scores import read_scores
from pdx_assets.stages.workspace import Workspace


def check_decision(ws: Workspace, production: Month, decision: Mapping[str, Any]) -> Sequence[Verdict]:
    """Whether somebody sound is in charge, how well the champion ranks OTV, and what changes at the cut-off, stored."""
    problem = in_charge_problem(decision)
    found = [
        judged(SOMEONE_IN_CHARGE, problem is not None, problem or decision["reason"]),
        otv_discrimination(ws.spec.checks, *_promised(decision)),
        cut_off_shift(ws.spec.decision, decision["at_cut_off"]),
    ]
    return verdicts.keep(ws, "champion", production, found)


def check_drift(ws: Workspace, production: Month, document: Mapping[str, Any]) -> Sequence[Verdict]:
    """Whether features or the score moved, from the stored ``drift`` document, stored."""
    month = [Moved(**moved) for moved in document["moved"]]
    found = [feature_psi(ws.spec.checks, month), score_psi(ws.spec.checks, month)]
    return verdicts.keep(ws, "drift", production, found)


def check_estimate(ws: Workspace, production: Month, document: Mapping[str, Any]) -> Sequence[Verdict]:
    """Whether the champion is expected to fail, by the newest estimate of a ``performance_estimate``, stored."""
    if not document["estimates"]:
        found = not_applicable(EXPECTED_PERFORMANCE, document["reason"])
        return verdicts.keep(ws, "performance_estimate", production, [found])
    newest = document["estimates"][-1]
    kinds: dict[str, tuple[Expected | None, Expected | None]] = {
        kind: (_expected(newest[kind], "auc"), _expected(newest[kind], "bad_rate")) for kind in KINDS if kind in newest
    }
    area, rate = kinds["combined"]
    assert rate is not None
    promised, _ = _promised(find_decision(ws, production) or {"champion": None, "contest": None})
    verdict = expected_performance(
        ws.spec.checks,
        promised_auc=promised.value if promised else None,
        mean_pd=document["mean_pd"],
        bads=newest["bads_expected"],
        auc=area,
        bad_rate=rate,
        kinds=kinds,
    )
    return verdicts.keep(ws, "performance_estimate", production, [verdict])


def _expected(told: Mapping[str, Any], figure: str) -> Expected | None:
    one = told.get(figure)
    return None if one is None else Expected(one["value"], one["low"], one["high"])


def check_performance(ws: Workspace, production: Month) -> Sequence[Verdict]:
    """Decay, calibration and champion against baseline on the month's own labels, stored.

    To be called after ``measure_production``, which has every model's PDs stored.
    """
    limits = ws.spec.checks
    decision, first = find_decision(ws, production), find_decision(ws, ws.spec.p0)
    champion, baseline = (str(d["champion"]["bundle_sha256"]) if d and d["champion"] else "" for d in (decision, first))
    document = ws.lake.get_document("production_performance", str(production))
    measured = set(document["metrics"])
    if decision is None or champion not in measured:
        why = document["unscored"].get(champion, "nobody is in charge")
        found = [not_applicable(check, why) for check in (AUC_DECAY, CALIBRATION, CHAMPION_AGAINST_BASELINE)]
        return verdicts.keep(ws, "production_performance", production, found)
    loans = realized(ws, production).sort("cohort", "loan_id")
    label = loans["label"].to_numpy()
    weight = loans["weight"].to_numpy() if "weight" in loans.columns else None
    cohort = {production: ws.lake.contents("clean_features")[production].sha256}
    digests = [d for d in (champion, baseline) if d in measured]
    scores = read_scores(ws, digests, cohort)
    pds = {
        d: loans.join(scores.filter(bundle_sha256=d), on=["cohort", "loan_id"], how="left")["pd"].to_numpy()
        for d in digests
    }
    promised, where = _promised(decision)
    difference = None
    if baseline in pds and baseline != champion:
        difference = auc_estimate(label, pds[champion], pds[baseline], weight)
    found = [
        auc_decay(limits, promised, auc_estimate(label, pds[champion], None, weight), where),
        calibration(limits, label, pds[champion], weight),
        champion_against_baseline(limits, difference, same=baseline == champion),
    ]
    return verdicts.keep(ws, "production_performance", production, found)


def _promised(decision: Mapping[str, Any]) -> tuple[AucEstimate | None, str]:
    """The AUC a champion was put in charge with, and where it was measured.

    Models that learn up to the decision date have seen OTV. For them it is their recipe's record of that day: without
    it a fall from 0.67 to 0.56 was no news, for no limit but the floor was asked.
    """
    on_otv = _on_otv(decision)
    champion = decision["champion"]
    if on_otv is not None or champion is None:
        return on_otv, ON_OTV
    records = (decision.get("evidence") or {}).get("records", {})
    level = records.get(f"{champion['strategy']} {champion['algorithm']}")
    if level is None or "goods" not in level:
        return None, ON_OTV
    return AucEstimate(level["auc"], level["standard_error"], level["bads"], level["goods"]), ON_RECORD


def _on_otv(decision: Mapping[str, Any]) -> AucEstimate | None:
    """The champion's recorded AUC on OTV, with the error of an AUC of that size among so many loans.

    From the record and not from the loans: a tape revised since must not change what was promised.
    """
    champion, contest = decision["champion"], decision["contest"]
    if champion is None or champion["score"] is None:
        return None
    bads, goods = (float(contest.get(f"effective_{of_class}", contest[of_class])) for of_class in ("bads", "goods"))
    if min(bads, goods) < 1:
        return None
    return AucEstimate(champion["score"], expected_error(champion["score"], bads, goods), bads, goods)
