"""A portfolio that weighs its loans by the amount lent: every number of a month counts money, not loans."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.metrics.stability import CategoryBins, NumberBins
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.stages.monitoring import champion_and_window
from pdx_assets.stages.record import find_decision
from pdx_assets.stages.scores import read_scores
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.orchestration.conftest import run_all
from pdx_assets_tests.small_portfolio import small_attributes

P0 = Month(2022, 7)


def weighted_spec() -> PortfolioSpec:
    attributes = small_attributes(algorithms=["logistic_regression"], ratios={})
    attributes["columns"]["amount"] |= {"role": "weight"}
    return PortfolioSpec.model_validate(attributes)


@pytest.fixture(scope="module")
def weighted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PDX_HOME", str(tmp_path_factory.mktemp("weighted")))
        patch.delenv("PDX_LAKE", raising=False)
        patch.setenv("DAGSTER_HOME", "restored by the patch: running sets it")
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
