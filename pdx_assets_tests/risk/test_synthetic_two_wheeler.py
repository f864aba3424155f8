"""The two-wheeler twin: the paper's sizes, the published schema, and a truth that rests on what is exported."""

from __future__ import annotations

import csv
import io
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

import pdx_assets
from pdx_assets.risk import synthetic_two_wheeler
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.cleaning import clean_features
from pdx_assets.risk.spec import PortfolioSpec, TwoWheelerTwin
from pdx_assets.risk.spec_file import load_spec
from pdx_assets.risk.synthetic_applicants import expected_auc
from pdx_assets.risk.windows import development_months, otv_months

DEFS = Path(pdx_assets.__file__).parent / "defs"

# The header of the competition's train.csv.
PUBLISHED = (
    "UniqueID,disbursed_amount,asset_cost,ltv,branch_id,supplier_id,manufacturer_id,Current_pincode_ID,Date.of.Birth,"
    "Employment.Type,DisbursalDate,State_ID,Employee_code_ID,MobileNo_Avl_Flag,Aadhar_flag,PAN_flag,VoterID_flag,"
    "Driving_flag,Passport_flag,PERFORM_CNS.SCORE,PERFORM_CNS.SCORE.DESCRIPTION,PRI.NO.OF.ACCTS,PRI.ACTIVE.ACCTS,"
    "PRI.OVERDUE.ACCTS,PRI.CURRENT.BALANCE,PRI.SANCTIONED.AMOUNT,PRI.DISBURSED.AMOUNT,SEC.NO.OF.ACCTS,"
    "SEC.ACTIVE.ACCTS,SEC.OVERDUE.ACCTS,SEC.CURRENT.BALANCE,SEC.SANCTIONED.AMOUNT,SEC.DISBURSED.AMOUNT,"
    "PRIMARY.INSTAL.AMT,SEC.INSTAL.AMT,NEW.ACCTS.IN.LAST.SIX.MONTHS,DELINQUENT.ACCTS.IN.LAST.SIX.MONTHS,"
    "AVERAGE.ACCT.AGE,CREDIT.HISTORY.LENGTH,NO.OF_INQUIRIES,loan_default"
)


def twin(**changes: object) -> TwoWheelerTwin:
    small = {"kind": "two_wheeler_twin", "seed": 3, "stretches": [{"months": 4, "loans": 1201, "bad_rate": 0.2}]}
    return TwoWheelerTwin.model_validate(small | changes)


def declared(name: str) -> PortfolioSpec:
    return load_spec(DEFS / name / "defs.yaml")


def test_the_export_has_the_published_header_and_its_formats() -> None:
    text = dict(synthetic_two_wheeler.files(twin()))["loans/2017-02.csv"]
    assert text.splitlines()[0] == PUBLISHED
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {len(row["DisbursalDate"]) for row in rows} == {8}
    assert {row["Employment.Type"] for row in rows} == {"Salaried", "Self employed", ""}
    assert [row["DisbursalDate"] for row in rows] == sorted(row["DisbursalDate"] for row in rows)
    for row in rows:
        history = row["PERFORM_CNS.SCORE.DESCRIPTION"] != "No Bureau History Available"
        assert history == (int(row["PRI.NO.OF.ACCTS"]) > 0) == (row["CREDIT.HISTORY.LENGTH"] != "0yrs 0mon")
        assert int(row["PRI.OVERDUE.ACCTS"]) <= int(row["PRI.ACTIVE.ACCTS"]) <= int(row["PRI.NO.OF.ACCTS"])


def test_equal_parameters_equal_bytes_and_a_month_does_not_depend_on_later_ones() -> None:
    once, again = (dict(synthetic_two_wheeler.files(twin())) for _ in range(2))
    assert once == again
    longer = twin(stretches=[*twin().model_dump()["stretches"], {"months": 2, "loans": 500, "bad_rate": 0.1}])
    prefix = dict(synthetic_two_wheeler.files(longer))
    assert {name: prefix[name] for name in once} == once
    assert dict(synthetic_two_wheeler.files(twin(seed=4)))["loans/2017-01.csv"] != once["loans/2017-01.csv"]


def test_months_keep_to_their_stretch() -> None:
    stretches = [{"months": 3, "loans": 2001, "bad_rate": 0.25}, {"months": 2, "loans": 901, "bad_rate": 0.1}]
    who = twin(stretches=stretches, auc=0.72, auc_loss=0.06, covariate=0.3)
    months = list(synthetic_two_wheeler.cohorts(who))
    assert [str(m) for m, _ in months] == ["2017-01", "2017-02", "2017-03", "2017-04", "2017-05"]
    assert sum(loans.height for _, loans in months[:3]) == 2001 and sum(loans.height for _, loans in months[3:]) == 901
    for i, (_, loans) in enumerate(months):
        rate = 0.25 if i < 3 else 0.1
        assert abs(loans["loan_default"].sum() - rate * loans.height) <= 1
        assert expected_auc(loans["true_pd"].to_numpy()) == pytest.approx(0.72 - 0.06 * i / 12, abs=1e-6)
    ids = pl.concat([loans["UniqueID"] for _, loans in months])
    assert ids.n_unique() == 2902
    assert synthetic_two_wheeler.as_of(who) == date(2017, 8, 31)


def test_the_truth_is_a_function_of_what_is_exported() -> None:
    _, loans = next(synthetic_two_wheeler.cohorts(twin()))
    shuffled = loans.sample(fraction=1.0, shuffle=True, seed=1)
    spec = declared("two_wheeler_twin")
    raw = shuffled.select(pl.all().cast(pl.String)).with_columns(
        pl.col("UniqueID").alias("loan_id"), pl.lit("2017-01").alias("cohort")
    )
    age = clean_features(spec, raw).join(raw.select("loan_id"), on="loan_id", maintain_order="right")["Date.of.Birth"]
    axes = synthetic_two_wheeler._raw_axes(shuffled.with_columns(age=age.cast(pl.Float64) / 365.25))
    index = synthetic_two_wheeler._axes().index(*axes, 0.0)
    log_odds = np.log(shuffled["true_pd"].to_numpy() / (1 - shuffled["true_pd"].to_numpy()))
    # The log-odds are a line in the index.
    slope, intercept = np.polyfit(index, log_odds, 1)
    np.testing.assert_allclose(log_odds, intercept + slope * index, atol=1e-5)


def test_turning_the_weights_changes_who_is_risky_and_shifting_quality_who_applies() -> None:
    year = [{"months": 24, "loans": 24 * 250, "bad_rate": 0.2}]
    turned = [loans for _, loans in synthetic_two_wheeler.cohorts(twin(stretches=year, concept=0.7))]
    still = [loans for _, loans in synthetic_two_wheeler.cohorts(twin(stretches=year))]
    assert turned[0]["true_pd"].equals(still[0]["true_pd"])
    assert np.corrcoef(turned[23]["true_pd"], still[23]["true_pd"])[0, 1] < 0.6
    assert turned[23].drop("true_pd", "loan_default").equals(still[23].drop("true_pd", "loan_default"))
    shifted = [loans for _, loans in synthetic_two_wheeler.cohorts(twin(stretches=year, covariate=0.5))]
    scored = pl.col("PERFORM_CNS.SCORE") >= 300
    before, after = (b[23].filter(scored)["PERFORM_CNS.SCORE"].mean() for b in (still, shifted))
    assert isinstance(before, float) and isinstance(after, float) and after < before - 50


def test_the_shipped_twin_has_the_papers_table_2() -> None:
    spec = declared("two_wheeler_twin")
    simulated = spec.tape.simulated
    assert isinstance(simulated, TwoWheelerTwin)
    assert str(synthetic_two_wheeler.as_of(simulated)) == str(spec.tape.as_of)
    plan = synthetic_two_wheeler._plan(simulated)
    by_month = {Month.parse(simulated.first_month) + i: counts for i, counts in enumerate(plan)}
    development = [by_month[m] for m in development_months(spec, "fixed_window", spec.p0)]
    otv = [by_month[m] for m in otv_months(spec, spec.p0)]
    assert (sum(n for n, _ in development), {rate for _, rate in development}) == (37_954 + 12_651, {0.177})
    assert (sum(n for n, _ in otv), {rate for _, rate in otv}) == (12_573, {0.173})
    assert by_month[spec.p0] == (4_188, 0.171)
    assert len([m for m in by_month if m >= spec.p0]) == 12
    assert all(abs(n - 4_188) < 500 for m, (n, _) in by_month.items())


def test_one_declaration_of_columns_reads_the_public_file_and_the_twin() -> None:
    public, simulated = declared("two_wheeler"), declared("two_wheeler_twin")
    said = {"description", "optional"}
    assert {n: c.model_dump(exclude=said) for n, c in public.columns.items()} == {
        n: c.model_dump(exclude=said) for n, c in simulated.columns.items()
    }
    assert set(public.columns) == set(PUBLISHED.split(","))


def test_the_published_formats_are_read_unchanged() -> None:
    spec = declared("two_wheeler")
    cells = dict.fromkeys(PUBLISHED.split(","), "0")
    rows = [
        cells
        | {"UniqueID": "1", "DisbursalDate": "03-08-18", "Date.of.Birth": "01-01-84", "PERFORM_CNS.SCORE": "0"}
        | {"AVERAGE.ACCT.AGE": "0yrs 0mon", "CREDIT.HISTORY.LENGTH": "0yrs 0mon", "Employment.Type": ""},
        cells
        | {"UniqueID": "2", "DisbursalDate": "26-09-18", "Date.of.Birth": "31-07-65", "PERFORM_CNS.SCORE": "598"}
        | {"AVERAGE.ACCT.AGE": "1yrs 11mon", "CREDIT.HISTORY.LENGTH": "12yrs 1mon", "Employment.Type": "Salaried"},
        cells
        | {"UniqueID": "3", "DisbursalDate": "03-11-2018", "Date.of.Birth": "01-01-00", "PERFORM_CNS.SCORE": "17"}
        | {"AVERAGE.ACCT.AGE": "0yrs 3mon", "CREDIT.HISTORY.LENGTH": "2yrs 0mon", "Employment.Type": "Self employed"},
    ]
    raw = pl.DataFrame(rows).with_columns(pl.col("UniqueID").alias("loan_id"), pl.lit("2018-08").alias("cohort"))
    found = clean_features(spec, raw)
    assert found["application_date"].to_list() == [date(2018, 8, 3), date(2018, 9, 26), date(2018, 11, 3)]
    days = [(date(2018, 8, 3) - date(1984, 1, 1)).days, (date(2018, 9, 26) - date(1965, 7, 31)).days, None]
    assert found["Date.of.Birth"].to_list() == days
    assert found["PERFORM_CNS.SCORE"].to_list() == [None, 598, None]
    assert found["AVERAGE.ACCT.AGE"].to_list() == [0, 23, 3]
    assert found["CREDIT.HISTORY.LENGTH"].to_list() == [0, 145, 24]
    assert found["Employment.Type"].to_list() == [None, "Salaried", "Self employed"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"stretches": []}, "at least 1 item"),
        ({"stretches": [{"months": 3, "loans": 2, "bad_rate": 0.1}]}, "at least one a month"),
        ({"auc": 0.55, "auc_loss": 0.2}, "is below 0.5 after"),
    ],
)
def test_impossible_parameters_are_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        twin(**wrong)
