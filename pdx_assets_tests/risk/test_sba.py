"""The SBA portfolios as shipped, on the published files. What needs the data folder skips where it is absent."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from pydantic import ValidationError

from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.cleaning import clean_features
from pdx_assets.risk.errors import FirewallError
from pdx_assets.risk.experiment import origin
from pdx_assets.risk.outcomes import LABEL_SCHEMA, cohort_labels
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.spec_file import load_spec
from pdx_assets.risk.tape import StagedTape, locate_tape, stage_tape
from pdx_assets.risk.window_counts import CohortLabels, count_windows
from pdx_assets.risk.windows import Cohorts, build_manifest, development_months, otv_months
from pdx_assets.stages.tape import no_weights_told
from pdx_assets.stages.workspace import Workspace

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "sba"
BALANCED, FIRST = "SBAnational.sample30000_balanced.csv.gz", "SBAnational.first22427.csv.gz"
PAPERS_PLAN = {"frequency": "quarter", "development": 12, "otv": 1, "gap": 3, "first_production": "2002-01"}

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the SBA files are not in ../shared/data")


def defs(name: str) -> Path:
    return ROOT / "pdx_assets" / "defs" / name / "defs.yaml"


@pytest.fixture(scope="module")
def honest() -> PortfolioSpec:
    return load_spec(defs("sba"))


@pytest.fixture(scope="module")
def paper() -> PortfolioSpec:
    return load_spec(defs("sba_paper"))


def stage(portfolio: PortfolioSpec, name: str, folder: Path) -> StagedTape:
    source = locate_tape(portfolio, override=str(DATA / name), simulated_folder=folder / "none")
    return stage_tape(portfolio, source, folder)


@pytest.fixture(scope="module")
def balanced(honest: PortfolioSpec, tmp_path_factory: pytest.TempPathFactory) -> StagedTape:
    return stage(honest, BALANCED, tmp_path_factory.mktemp("balanced"))


def labels(portfolio: PortfolioSpec, tape: StagedTape) -> pl.DataFrame:
    return pl.concat(cohort_labels(portfolio, c, tape.cohort(c), tape.as_of) for c in tape.cohorts)


# The plans ----------------------------------------------------------------------------------------------------------


def test_the_honest_plan_waits_until_every_label_is_known(honest: PortfolioSpec) -> None:
    p0 = Month(2002, 1)
    assert honest.p0 == p0 and not honest.hindsight
    assert [str(m) for m in otv_months(honest, p0)] == ["1998-01", "1998-04", "1998-07", "1998-10"]
    development = development_months(honest, "fixed_window", p0)
    assert (str(development[0]), str(development[-1]), len(development)) == ("1995-01", "1997-10", 12)
    # 1998Q4 ends on 1998-12-31: thirty-six months later is the day before the decision.
    assert honest.known_on(Month(1998, 10)) == date(2001, 12, 31) < decision_date(p0)
    assert "Term" not in honest.feature_columns


def test_the_papers_plan_is_its_printed_one_and_marked(paper: PortfolioSpec) -> None:
    p0 = Month(2002, 1)
    assert paper.p0 == p0 and paper.hindsight and paper.label.horizon_months is None
    development = development_months(paper, "fixed_window", p0)
    assert (str(development[0]), str(development[-1]), len(development)) == ("1998-01", "2000-10", 12)
    assert [str(m) for m in otv_months(paper, p0)] == ["2001-01"]
    assert "Term" in paper.feature_columns


def test_the_papers_plan_with_the_honest_label_says_which_quarter_was_not_knowable_when() -> None:
    document = yaml.safe_load(defs("sba").read_text(encoding="utf-8"))
    document["attributes"]["windows"] = PAPERS_PLAN
    with pytest.raises(ValidationError) as refused:
        PortfolioSpec.model_validate(document["attributes"])
    known = "cohort 2001-01 (2001Q1) is known on 2004-03-31, after the decision date 2002-01-01 of 2002-01 (2002Q1)"
    assert known in str(refused.value)


def test_the_firewall_itself_refuses_the_papers_windows(honest: PortfolioSpec) -> None:
    """Past the check of the plan, the rows' own dates refuse it: quarter, count and day."""
    windows = honest.windows.model_copy(update={k: v for k, v in PAPERS_PLAN.items() if k != "frequency"})
    of = honest.model_copy(update={"windows": windows})
    months = [*development_months(of, "fixed_window", of.p0), *otv_months(of, of.p0)]
    rows: list[tuple[Any, ...]] = [(str(m), f"{m}-{i}", i, "x", of.known_on(m), None) for m in months for i in (0, 1)]
    known = pl.DataFrame(rows, schema=LABEL_SCHEMA, orient="row")
    cohorts = Cohorts({m: "content" for m in months}, known, known.select("cohort", "loan_id"), {})
    with pytest.raises(FirewallError) as refused:
        build_manifest(of, "fixed_window", of.p0, cohorts, seed=0)
    assert "decision date 2002-01-01: 1999-01: 2 rows, known from 2002-03-31" in str(refused.value)
    assert "1998-10" not in str(refused.value).split("Expected")[0], "1998Q4 was known the day before"


def test_nothing_written_after_the_decision_is_a_feature_of_the_honest_one(honest: PortfolioSpec) -> None:
    features = set(honest.number_features) | set(honest.category_features)
    assert not features & {
        "Term",
        "Bank",
        "BankState",
        "DisbursementGross",
        "ChgOffPrinGr",
        "BalanceGross",
        "MIS_Status",
    }
    assert {"GrAppv", "guaranteed_share", "NAICS", "State"} <= features


# The published files --------------------------------------------------------------------------------------------------


@needs_data
def test_the_balanced_sample_is_read_whole(balanced: StagedTape) -> None:
    account = balanced.accounting
    assert account.rows_in == 30_000 and account.balances
    assert account.rejected == {"no origination date": 77, "charged off before origination": 2}
    assert balanced.as_of == date(2014, 8, 29)
    # Two digits: an approval of 1970 is not one of 2070.
    assert (str(balanced.cohorts[0]), str(balanced.cohorts[-1])) == ("1970-07", "2014-01")


@needs_data
def test_the_first_rows_need_no_other_spec_and_are_no_sample(honest: PortfolioSpec, tmp_path: Path) -> None:
    tape = stage(honest, FIRST, tmp_path)
    assert tape.accounting.rows_in == 22_427
    assert tape.accounting.rejected == {"no origination date": 34}
    assert tape.accounting.indeterminate == {"no final status": 107}
    features = clean_features(honest, tape.cohort(Month(1997, 4)).loans)
    assert features["weight"].unique().to_list() == [1.0]


@needs_data
def test_a_sample_by_another_name_is_told_that_it_is_not_weighted(
    honest: PortfolioSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The balanced sample as ``sba.csv.gz`` was read as the whole book, half of it bad, and nothing said so."""
    monkeypatch.setenv("PDX_HOME", str(tmp_path / "home"))
    shutil.copyfile(DATA / BALANCED, tmp_path / "sba.csv.gz")
    told = {}
    for path in (DATA / BALANCED, tmp_path / "sba.csv.gz"):
        ws = Workspace.of(honest)
        asked = ws.settings.settle("sba", profile=None, seed=None, tape=str(path))
        told[path.name] = no_weights_told(replace(ws, asked=asked))
    assert told[BALANCED] is None
    said = told["sba.csv.gz"]
    assert said is not None and "no file of the tape (sba.csv.gz)" in said and "'*balanced*'" in said
    assert "weighs 1" in origin.told(honest, origin.Source("sba.csv.gz", True, None, is_weighted=False), None)[1]


@needs_data
def test_honest_labels_agree_with_a_direct_computation(honest: PortfolioSpec, balanced: StagedTape) -> None:
    day = {n: pl.col(n).str.strptime(pl.Date, "%d-%b-%y", strict=False) for n in ("DisbursementDate", "ChgOffDate")}
    raw = pl.read_csv(DATA / BALANCED, infer_schema=False).with_columns(**day).drop_nulls("DisbursementDate")
    ends = pl.col("DisbursementDate").dt.month_end().dt.offset_by("36mo").dt.month_end()
    bad = (pl.col("MIS_Status").str.strip_chars() == "CHGOFF") & (pl.col("ChgOffDate") <= ends)
    sane = pl.col("ChgOffDate").is_null() | (pl.col("ChgOffDate") >= pl.col("DisbursementDate"))
    oracle = (
        raw.filter(sane)
        .group_by(pl.col("DisbursementDate").dt.truncate("3mo").dt.strftime("%Y-%m").alias("cohort"))
        .agg(bad.fill_null(False).sum().alias("bads"))
    )
    found = labels(honest, balanced)
    got = dict(found.group_by("cohort").agg((pl.col("label") == 1).sum()).iter_rows())
    # From 2011Q3 on the horizon has not passed on this file.
    known = {c: bads for c, bads in oracle.iter_rows() if c <= "2011-04"}
    assert {c: got[c] for c in known} == known
    assert (
        found.filter(pl.col("cohort") > "2011-04")["label"].null_count()
        == found.filter(pl.col("cohort") > "2011-04").height
    )
    undated = found.filter(pl.col("status") == "indeterminate")
    assert undated["cohort"].to_list() == ["1996-04", "1996-04", "1997-04"]


@needs_data
def test_weights_give_back_the_book(honest: PortfolioSpec, balanced: StagedTape) -> None:
    loans = pl.concat([balanced.cohort(c).loans for c in balanced.cohorts], how="diagonal")
    weighed = loans.join(clean_features(honest, loans).select("loan_id", "weight"), on="loan_id")
    by_status = dict(weighed.group_by("MIS_Status").agg(pl.col("weight").cast(pl.Float64).sum()).iter_rows())
    # Of 157,558 and 739,609, less the 79 sampled rows set aside.
    assert by_status["CHGOFF"] == pytest.approx(14_968 * 157_558 / 15_000, rel=1e-6)
    assert by_status["P I F"] == pytest.approx(14_953 * 739_609 / 15_000, rel=1e-6)


@needs_data
def test_windows_have_the_bads_their_yaml_says(honest: PortfolioSpec, balanced: StagedTape) -> None:
    rows = labels(honest, balanced).partition_by("cohort", as_dict=True)
    cohorts = {Month.parse(str(key)): CohortLabels(part) for (key,), part in rows.items()}
    counted = count_windows(honest, cohorts, honest.periods.span(honest.p0, Month(2004, 10)))
    assert [(w.window, w.counts.bads) for w in counted[:2]] == [("fixed_window", 46), ("otv", 37)]
    assert min(w.counts.bads for w in counted) == 37
    assert not any(w.missing for w in counted)


@needs_data
def test_ever_charged_off_takes_the_status_as_the_file_tells_it(
    paper: PortfolioSpec, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tape = stage(paper, BALANCED, tmp_path_factory.mktemp("ever"))
    found = labels(paper, tape)
    assert found["known_from"].unique().to_list() == [tape.as_of]
    assert found["label"].value_counts().sort("label").rows() == [(0, 14_953), (1, 14_968)]
