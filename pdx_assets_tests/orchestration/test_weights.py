"""A portfolio that weighs its loans by the amount lent: every number of a month counts money, not loans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from pdx_assets.orchestration.assets.tape import _label_metadata
from pdx_assets.orchestration.assets.windows import _window_metadata
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.metrics.auc_error import expected_error
from pdx_assets.risk.metrics.stability import CategoryBins, NumberBins
from pdx_assets.risk.metrics.weights import effective_sizes
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.stages import experiment, reports
from pdx_assets.stages.cohort_checks import stored_weight
from pdx_assets.stages.decision import propose
from pdx_assets.stages.monitoring import champion_and_window
from pdx_assets.stages.production import mean_pd, production_scores
from pdx_assets.stages.record import find_decision
from pdx_assets.stages.scores import read_scores
from pdx_assets.stages.windows import otv_loans
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.orchestration.conftest import home_at, run_all
from pdx_assets_tests.small_portfolio import small_attributes

P0 = Month(2022, 7)


def weighted_spec() -> PortfolioSpec:
    attributes = small_attributes(algorithms=["logistic_regression"], ratios={})
    attributes["columns"]["amount"] |= {"role": "weight"}
    return PortfolioSpec.model_validate(attributes)


@pytest.fixture(scope="module")
def weighted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with home_at(tmp_path_factory.mktemp("weighted")):
        assert [o.error for o in run_all(weighted_spec(), str(P0)) if o.error] == []
        yield Workspace.of(weighted_spec())


def features(ws: Workspace, months: list[Month]) -> pl.DataFrame:
    return ws.lake.scan_months("clean_features", months).collect()


def repeated(loans: pl.DataFrame) -> pl.DataFrame:
    """A loan of 12,350 as 247 loans: counting these is weighing by the amount."""
    times = loans["weight"].to_numpy() / 50
    assert (times == times.round()).all(), "amounts are whole fifties"
    return loans[np.repeat(np.arange(loans.height), times.astype(int))]


def test_drift_counts_every_loan_by_its_amount(weighted: Workspace) -> None:
    digest, manifest = champion_and_window(weighted, P0)
    months = [Month.parse(row["cohort"]) for row in manifest["development"]["months"]]
    before, now = features(weighted, months), features(weighted, [P0])
    drift = weighted.lake.get_document("drift", str(P0))
    many_before, many_now = repeated(before), repeated(now)
    differ = 0
    for bins, names in ((NumberBins, weighted.spec.number_features), (CategoryBins, weighted.spec.category_features)):
        for name in names:
            expected = bins.of(many_before[name].to_numpy()).psi(many_now[name].to_numpy())
            assert drift["psi"][name] == pytest.approx(expected, abs=1e-9), name
            by_count = bins.of(before[name].to_numpy()).psi(now[name].to_numpy())
            differ += abs(by_count - drift["psi"][name]) > 1e-3
    assert differ > 5, "the weights matter here"

    cohorts = {m: content.sha256 for m, content in weighted.lake.contents("clean_features").items()}
    keys = ["cohort", "loan_id"]
    pds = []
    for part, loans in ((months, before), ([P0], now)):
        scores = read_scores(weighted, [digest], {m: cohorts[m] for m in part})
        pds.append(repeated(scores.join(loans.select(*keys, "weight"), on=keys)))
    expected = NumberBins.of(pds[0]["pd"].to_numpy()).psi(pds[1]["pd"].to_numpy())
    assert drift["score_psi"] == pytest.approx(expected, abs=1e-9)


def test_the_contest_and_the_cut_off_count_every_loan_by_its_amount(weighted: Workspace) -> None:
    decision = find_decision(weighted, P0)
    assert decision is not None
    digest = decision["champion"]["bundle_sha256"]
    measured = weighted.lake.get_document("otv_scores", str(P0))
    cohorts = {Month.parse(c): sha for c, sha in measured["features_sha256"].items()}
    labels = weighted.lake.scan_months("labels", list(cohorts)).select("cohort", "loan_id", "label").collect()
    loans = (
        read_scores(weighted, [digest], cohorts)
        .join(features(weighted, list(cohorts)).select("cohort", "loan_id", "weight"), ["cohort", "loan_id"])
        .join(labels, ["cohort", "loan_id"])
    )
    known = loans.filter(pl.col("label").is_not_null())
    label, pd, weight = (known[name].to_numpy().astype(float) for name in ("label", "pd", "weight"))
    metrics = measured["metrics"][digest]
    assert metrics["auc"] == pytest.approx(roc_auc_score(label, pd, sample_weight=weight), abs=1e-12)
    assert metrics["auc"] != pytest.approx(roc_auc_score(label, pd), abs=1e-6)
    assert metrics["bad_rate"] == pytest.approx(np.average(label, weights=weight), abs=1e-12)
    assert metrics["mean_pd"] == pytest.approx(np.average(pd, weights=weight), abs=1e-12)

    money, pds = (loans[name].to_numpy().astype(float) for name in ("weight", "pd"))
    share = money[pds <= decision["at_cut_off"]["cut_off"]].sum() / money.sum()
    assert decision["at_cut_off"]["after"]["approval_rate"] == pytest.approx(share, abs=1e-9)
    rate = weighted.spec.decision.cut_off.approval_rate
    assert rate is not None
    # The lowest PD at which that share of the money is lent: the last loan approved crosses it.
    assert rate <= share < rate + money.max() / money.sum()


def test_windows_and_decisions_tell_effective_sizes(weighted: Workspace) -> None:
    manifest = weighted.lake.get_document("window_fixed_window", str(P0))
    loans = otv_loans(weighted, manifest)
    sizes = effective_sizes(loans["label"].to_numpy(), loans["weight"].to_numpy())
    decision = find_decision(weighted, P0)
    assert decision is not None
    for said in (manifest["otv"], weighted.lake.get_document("otv_scores", str(P0))["otv"], decision["contest"]):
        assert said["effective_bads"] == pytest.approx(sizes.bads)
        assert said["effective_goods"] == pytest.approx(sizes.goods)
    assert sizes.bads < 0.9 * decision["contest"]["bads"], "the weights matter here"
    rate = np.average(loans["label"].to_numpy(), weights=loans["weight"].to_numpy())
    assert manifest["otv"]["weighted_bad_rate"] == pytest.approx(rate)
    checks = weighted.lake.get_document("checks/champion", str(P0))["verdicts"]
    (floor,) = (v for v in checks if v["code"] == "otv_discrimination")
    error = expected_error(decision["champion"]["score"], sizes.bads, sizes.goods)
    assert floor["numbers"]["standard error of the AUC on OTV"] == pytest.approx(error)


def test_a_contest_needs_effective_bads(weighted: Workspace) -> None:
    decision = find_decision(weighted, P0)
    assert decision is not None
    between = int(decision["contest"]["effective_bads"]) + 1
    assert between <= decision["contest"]["bads"], "enough by count, too few by weight"
    rules = weighted.spec.decision.model_copy(update={"min_bads": between})
    ws = replace(weighted, spec=weighted.spec.model_copy(update={"decision": rules}))
    proposed = propose(ws, P0, [], [])
    assert proposed["decision"] == "vacant" and "by weight as good as" in proposed["reason"]


def test_the_bad_rate_check_and_what_is_shown_count_by_weight(weighted: Workspace) -> None:
    cohort = Month(2021, 6)
    labels = weighted.lake.scan_months("labels", [cohort]).filter(pl.col("superseded_from").is_null()).collect()
    loans = labels.filter(pl.col("label").is_not_null()).join(features(weighted, [cohort]), on="loan_id")
    rate = np.average(loans["label"].to_numpy(), weights=loans["weight"].to_numpy())
    (verdict,) = weighted.lake.get_document("checks/labels", str(cohort))["verdicts"]
    assert verdict["numbers"]["bad rate"] == pytest.approx(rate)
    assert _label_metadata(labels, stored_weight(weighted, cohort))["bad_rate"] == round(rate, 4)

    scores, _, _ = production_scores(weighted, P0)
    joined = scores.join(features(weighted, [P0]).select("loan_id", "weight"), on="loan_id")
    pd, weight = (joined[name].to_numpy().astype(float) for name in ("pd", "weight"))
    assert mean_pd(weighted, P0, scores) == pytest.approx(np.average(pd, weights=weight), abs=1e-12)
    assert mean_pd(weighted, P0, scores) != pytest.approx(pd.mean(), abs=1e-5)


def test_window_metadata_shows_the_weighted_rate(weighted: Workspace) -> None:
    manifest = weighted.lake.get_document("window_fixed_window", str(P0))
    shown = _window_metadata(manifest)
    part = manifest["otv"]
    assert shown["otv_bad_rate"] == round(part["weighted_bad_rate"], 4)
    assert f"{100 * part['weighted_bad_rate']:.1f} % by weight" in shown["OTV"]
    record = shown["OTV by cohort"].records[0].data
    assert record["effective bads"] == f"{part['months'][0]['effective_bads']:,.1f}"


def test_the_drift_report_draws_by_weight(weighted: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}
    monkeypatch.setattr(reports, "drift_report", lambda *frames, **how: seen.update(how, frames=frames) or "page")
    reports.write_drift_report(weighted, P0)
    assert seen["weight"] == "weight" and all("weight" in frame.columns for frame in seen["frames"])


def test_the_estimate_counts_every_loan_by_its_amount(weighted: Workspace) -> None:
    document = weighted.lake.get_document("performance_estimate", str(P0))
    digest = document["bundle_sha256"]
    metrics = weighted.lake.get_document("production_performance", str(P0))["metrics"][digest]
    assert document["realized"] == pytest.approx({"auc": metrics["auc"], "bad_rate": metrics["bad_rate"]})
    assert document["mean_pd"] == pytest.approx(metrics["mean_pd"])
    assert document["reference"]["effective_loans"] <= document["reference"]["loans"]
    assert len(document["estimates"]) == 4
    errors = [e["combined"]["bad_rate"]["standard_error"] for e in document["estimates"]]
    assert errors[-1] < errors[0]


def test_loans_that_all_weigh_one_have_their_errors_from_counts(
    weighted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a book whose files no sample's pattern covers the metrics carry no sizes: Figure 4 had no errors."""
    assert experiment.read_stored(weighted).is_weighted
    monkeypatch.setattr(experiment, "_has_weights", lambda *_: False)
    stored = experiment.read_stored(weighted)
    assert not stored.is_weighted and any("Every loan weighs 1" in sentence for sentence in stored.told)
