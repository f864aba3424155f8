"""The books of the paper's vehicle loans and of the retail bank, from tape to champion, at a small size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

import pdx_assets
from pdx_assets.orchestration.runner import months_to_run, plan, run_tasks
from pdx_assets.risk import synthetic_two_wheeler
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.spec import PortfolioSpec, TwoWheelerTwin
from pdx_assets.stages.challengers import learned_from, load_bundle
from pdx_assets.stages.record import find_decision
from pdx_assets.stages.windows import window
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.orchestration.conftest import home_at

DEFS = Path(pdx_assets.__file__).parent / "defs"
TRIALS = {"quick": {"trials": 2, "retune_every": 12}}


def declared(name: str, **changes: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = yaml.safe_load((DEFS / name / "defs.yaml").read_text(encoding="utf-8"))["attributes"]
    attributes["algorithms"] = ["logistic_regression"]
    attributes["tuning"] = {**attributes.get("tuning", {}), "profiles": TRIALS}
    return attributes | changes


def run(spec: PortfolioSpec, tape: Path | None, last: str) -> Workspace:
    ws = Workspace.of(spec)
    ws.settings.pin(spec.name, profile="quick", seed=0, tape=None if tape is None else str(tape))
    ws = Workspace.of(spec)
    outcomes = run_tasks(ws, plan(ws, months_to_run(ws, None, last)), workers=1, report=lambda _: None)
    assert [o.error for o in outcomes if o.error] == []
    return ws


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("books")
    with home_at(home / "home"):
        yield home


@pytest.mark.slow
def test_the_competitions_two_files_go_from_tape_to_scores(own_home: Path) -> None:
    stretch = {"months": 4, "loans": 2400, "bad_rate": 0.2}
    twin = TwoWheelerTwin.model_validate(
        {"kind": "two_wheeler_twin", "seed": 2, "first_month": "2018-08", "stretches": [stretch]}
    )
    months = [loans.drop("true_pd") for _, loans in synthetic_two_wheeler.cohorts(twin)]
    tape = own_home / "ltfs"
    tape.mkdir()
    pl.concat(months[:3]).write_csv(tape / "train.csv")
    # As published: the later file has no label and writes its years in full.
    longer = pl.col("DisbursalDate").str.replace("-18$", "-2018")
    months[3].drop("loan_default").with_columns(longer).write_csv(tape / "test.csv")

    ws = run(PortfolioSpec.model_validate(declared("two_wheeler")), tape, "2018-11")
    decision = find_decision(ws, Month(2018, 11))
    assert decision is not None and decision["decision"] == "first"
    bundle = load_bundle(ws, decision["champion"]["bundle_sha256"])
    inputs = {*bundle.number_names, *bundle.category_names}
    assert {"AVERAGE.ACCT.AGE", "Date.of.Birth", "branch_id"} <= inputs
    assert not {"supplier_id", "Employee_code_ID", "Current_pincode_ID", "UniqueID", "loan_default"} & inputs
    scores = ws.lake.scan_months("production_scores", [Month(2018, 11)]).collect()
    assert scores.height == months[3].height and scores["pd"].is_between(0, 1).all()
    # The label of the later file is not known, and never "good".
    labels = ws.lake.scan_months("labels", [Month(2018, 11)]).collect()
    assert labels.height == months[3].height and labels["label"].null_count() == labels.height


@pytest.mark.slow
def test_the_bank_holds_outliers_where_train_says(own_home: Path) -> None:
    attributes = declared("retail_bank", windows={"development": 4, "otv": 2, "gap": 12, "first_production": "2021-07"})
    attributes["tape"] |= {"as_of": "2022-07-31"}
    attributes["tape"]["simulated"] |= {"months": 19, "loans": 3800, "typing_errors": 0.01}
    ws = run(PortfolioSpec.model_validate(attributes), None, "2021-07")
    p0 = Month(2021, 7)
    decision = find_decision(ws, p0)
    assert decision is not None
    bundle = load_bundle(ws, decision["champion"]["bundle_sha256"])
    inputs = set(bundle.number_names)
    assert {"fico_score_diff", "normalized_fico_score", "debt_to_income_ratio", "credit_to_income_ratio"} <= inputs
    assert "customer_id" not in inputs and "default" not in inputs

    train = learned_from(ws, window(ws, "fixed_window", p0)).train.matrix
    bounds = bundle.manifest["preprocessing"]["bounds"]
    assert set(bounds) == set(ws.spec.outliers)
    for name, rule in ws.spec.outliers.items():
        values = train.numbers[:, train.number_names.index(name)].astype(np.float64)
        first, third = np.percentile(values, [25, 75])
        assert rule.iqr is not None and rule.z_score is not None
        highest = min(third + rule.iqr * (third - first), values.mean() + rule.z_score * values.std())
        lowest = max(first - rule.iqr * (third - first), values.mean() - rule.z_score * values.std())
        assert bounds[name] == {"lowest": pytest.approx(lowest, rel=1e-6), "highest": pytest.approx(highest, rel=1e-6)}
    study = ws.lake.get_document("tuning_logistic_regression", str(p0))["studies"]["fixed_window"]
    assert study["objective"] == "composite" and set(study["depends_on"]["outliers"]) == set(ws.spec.outliers)
    # The tables keep what came: the bound is the model's.
    features = ws.lake.scan_months("clean_features", [p0 - 18]).collect()
    assert features["income"].max() > bounds["income"]["highest"]
