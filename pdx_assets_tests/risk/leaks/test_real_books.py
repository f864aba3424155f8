"""The sentinel on real loans: SBA's Term and LendingClub's outcome columns give themselves away, honest columns do not.

Skips where the data folder is absent.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from pdx_assets.risk.cleaning import clean_features
from pdx_assets.risk.leaks import Judgement, in_parts, judge
from pdx_assets.risk.leaks.on_tape import kinds
from pdx_assets.risk.leaks.tally import Kind
from pdx_assets.risk.outcomes import label_rows, label_view, outcome_events
from pdx_assets.risk.spec_file import load_spec
from pdx_assets.risk.tape import locate_tape, stage_tape

ROOT = Path(__file__).parents[3]
DATA = ROOT.parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the loan files are not in ../shared/data")

SBA_NUMBERS = ("Term", "NoEmp", "CreateJob", "RetainedJob", "FranchiseCode", "Zip", "NAICS")
SBA_AMOUNTS = ("DisbursementGross", "ChgOffPrinGr", "GrAppv", "SBA_Appv")
SBA_CATEGORIES = ("State", "City", "Bank", "BankState", "NewExist", "UrbanRural", "RevLineCr", "LowDoc")


def sba(name: str, dates: str) -> pl.DataFrame:
    rows = pl.read_csv(DATA / "sba" / name, infer_schema=False)
    status = pl.col("MIS_Status").str.strip_chars()

    def day(column: str) -> pl.Expr:
        found = pl.col(column).str.to_date(dates, strict=False)
        # Two-digit years: 1970 is not 2070.
        return pl.when(found.dt.year() > 2030).then(found.dt.offset_by("-100y")).otherwise(found)

    def number(column: str) -> pl.Expr:
        return pl.col(column).str.replace_all("[$, ]", "").cast(pl.Float32, strict=False)

    rows = rows.filter(status.is_in(["CHGOFF", "P I F"])).with_columns(
        label=(status == "CHGOFF").cast(pl.Int8),
        approved=day("ApprovalDate"),
        weight=pl.when(status == "CHGOFF").then(157_558 / 15_000).otherwise(739_609 / 15_000),
    )
    rows = rows.filter(pl.col("approved").is_not_null()).sort("approved", "LoanNr_ChkDgt")
    rows = rows.with_columns(
        (number(c) for c in (*SBA_NUMBERS, *SBA_AMOUNTS)),
        cohort=pl.col("approved").dt.strftime("%Y-%m"),
        DisbursementDate=(pl.col("approved") - day("DisbursementDate")).dt.total_days(),
    )
    return rows.with_columns(part=in_parts(rows["cohort"]))


@pytest.mark.parametrize(
    ("name", "dates", "weight"),
    [
        ("SBAnational.sample30000_balanced.csv.gz", "%d-%b-%y", "weight"),
        ("SBAnational.first22427.csv.gz", "%m/%d/%Y", None),
    ],
)
def test_the_term_of_sba_loans_gives_itself_away_and_no_honest_column_does(
    name: str, dates: str, weight: str | None
) -> None:
    features: dict[str, Kind] = dict.fromkeys((*SBA_NUMBERS, *SBA_AMOUNTS), "number")
    features |= {**dict.fromkeys(SBA_CATEGORIES, "category"), "DisbursementDate": "date"}
    found = {j.feature: j for j in judge(sba(name, dates), features, weight=weight)}
    assert {n for n, j in found.items() if j.flagged} == {"Term", "ChgOffPrinGr"}
    assert "a multiple of 12 for" in found["Term"].reason


@pytest.fixture(scope="module")
def lendingclub(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Judgement]:
    """Every column of the real file judged as if it were a feature, on all 42,535 loans."""
    spec = load_spec(ROOT / "pdx_assets" / "defs" / "lendingclub" / "defs.yaml")
    folder = tmp_path_factory.mktemp("leaks")
    file = str(DATA / "lendingclub" / "accepted_2007_to_2011.csv.gz")
    tape = stage_tape(spec, locate_tape(spec, override=file, simulated_folder=folder / "none"), folder)
    told = {
        name: column.model_copy(update={"role": "feature"})
        for name, column in spec.columns.items()
        if column.role in ("outcome", "price") and name != "loan_status"
    }
    # Not validated: a portfolio that declares these as features is refused.
    loose = spec.model_copy(update={"columns": {**spec.columns, **told}})
    parts = []
    for cohort in tape.cohorts:
        loans = tape.cohort(cohort).loans
        labels = label_rows(spec, cohort, loans, outcome_events(spec, loans, None, tape.as_of), tape.as_of)
        labelled = label_view(labels, tape.as_of).select("loan_id", "label")
        parts.append(clean_features(loose, loans).join(labelled, on="loan_id"))
    loans = pl.concat(parts).sort("cohort", "loan_id")
    return {j.feature: j for j in judge(loans.with_columns(part=in_parts(loans["cohort"])), kinds(loose))}


def test_lendingclubs_outcome_columns_are_flagged(lendingclub: dict[str, Judgement]) -> None:
    rewritten = {"total_pymnt", "total_pymnt_inv", "total_rec_prncp", "total_rec_int", "total_rec_late_fee"}
    rewritten |= {"recoveries", "collection_recovery_fee", "last_pymnt_d", "last_pymnt_amnt", "last_credit_pull_d"}
    assert {name for name in rewritten if not lendingclub[name].flagged} == set()
    # Ended long before this file was drawn, or not in it: nothing can be said.
    for name in ("out_prncp", "last_fico_range_low", "next_pymnt_d", "hardship_amount"):
        assert lendingclub[name].reason == "nothing to judge: the same on every loan"


def test_no_application_time_column_of_lendingclub_is_flagged(lendingclub: dict[str, Judgement]) -> None:
    spec = load_spec(ROOT / "pdx_assets" / "defs" / "lendingclub" / "defs.yaml")
    honest = [*kinds(spec), *spec.named("price")]
    assert len(honest) > 100
    assert [name for name in honest if lendingclub[name].flagged] == []
