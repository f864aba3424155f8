"""The simulated retail bank: as many loans as asked, dated defaults, outliers that are typing errors."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

import pdx_assets
from pdx_assets.risk import synthetic_retail_bank
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.spec import RetailBank
from pdx_assets.risk.spec_file import load_spec
from pdx_assets.risk.synthetic import write_simulated_tape
from pdx_assets.risk.synthetic_applicants import expected_auc

DEFS = Path(pdx_assets.__file__).parent / "defs"
COLUMNS = [
    *("customer_id", "origination_date", "credit_lines_outstanding", "loan_amt_outstanding", "total_debt_outstanding"),
    *("income", "years_employed", "fico_score", "default", "default_date"),
]


def bank(**changes: object) -> RetailBank:
    return RetailBank.model_validate({"kind": "retail_bank", "seed": 3, "months": 6, "loans": 1501} | changes)


def test_as_many_loans_as_asked_with_the_rate_and_auc_asked_for() -> None:
    months = list(synthetic_retail_bank.cohorts(bank(bad_rate=0.2, auc=0.8)))
    assert [str(m) for m, _ in months] == [f"2020-0{k}" for k in range(1, 7)]
    loans = pl.concat([frame for _, frame in months])
    assert loans.columns == [*COLUMNS, "true_pd"]
    assert loans.height == 1501 and loans["customer_id"].n_unique() == 1501
    for _, frame in months:
        assert abs(frame["default"].sum() - 0.2 * frame.height) <= 1
        assert expected_auc(frame["true_pd"].to_numpy()) == pytest.approx(0.8, abs=1e-6)
    assert synthetic_retail_bank.as_of(bank()) == date(2021, 6, 30)


def test_defaults_are_dated_within_twelve_months_on_book() -> None:
    for month, loans in synthetic_retail_bank.cohorts(bank()):
        bad = loans["default"] == 1
        assert loans["default_date"].is_not_null().equals(bad)
        days = loans.filter(bad)["default_date"].to_list()
        assert min(days) > (month + 3).last_day and max(days) <= (month + 12).last_day
        assert loans["origination_date"].is_sorted()
        assert {Month.of(d) for d in loans["origination_date"]} == {month}


def test_columns_stay_in_their_ranges_and_debts_include_the_loan() -> None:
    loans = pl.concat([frame for _, frame in synthetic_retail_bank.cohorts(bank(loans=5000))])
    assert loans["fico_score"].is_between(300, 850).all() and loans["credit_lines_outstanding"].is_between(0, 8).all()
    assert (loans["total_debt_outstanding"] >= loans["loan_amt_outstanding"]).all()
    assert (loans["income"] > 0).all()


def test_typing_errors_are_ten_times_too_large_and_no_part_of_the_truth() -> None:
    right = pl.concat([frame for _, frame in synthetic_retail_bank.cohorts(bank(loans=9000))])
    wrong = pl.concat([frame for _, frame in synthetic_retail_bank.cohorts(bank(loans=9000, typing_errors=0.01))])
    assert wrong["true_pd"].equals(right["true_pd"]) and wrong["default"].equals(right["default"])
    for name in ("income", "total_debt_outstanding"):
        times = (wrong[name] / right[name]).round(6)
        assert set(times.unique()) == {1.0, 10.0}
        # Five standard errors of 1 % of 9,000.
        assert (times == 10).mean() == pytest.approx(0.01, abs=5 * (0.01 / 9000) ** 0.5)


def test_equal_parameters_equal_bytes_in_the_folder(tmp_path: Path) -> None:
    for name in ("once", "again"):
        write_simulated_tape(bank(), tmp_path / name)
    found = {p.relative_to(tmp_path / "once"): p.read_bytes() for p in (tmp_path / "once").rglob("*") if p.is_file()}
    assert {str(p.parent) for p in found} == {".", "loans", "truth"} and len(found) == 13
    assert all((tmp_path / "again" / p).read_bytes() == content for p, content in found.items())


def test_the_shipped_bank() -> None:
    spec = load_spec(DEFS / "retail_bank" / "defs.yaml")
    simulated = spec.tape.simulated
    assert isinstance(simulated, RetailBank) and simulated.loans == 10_000
    assert synthetic_retail_bank.as_of(simulated) == spec.tape.as_of
    # Every production month of the year has its labels by then.
    last = Month.parse(simulated.first_month) + (simulated.months - 1)
    assert last == spec.p0 + 11 and spec.tape.as_of is not None and spec.known_on(last) <= spec.tape.as_of
    assert spec.number_features == [
        *("credit_lines_outstanding", "loan_amt_outstanding", "total_debt_outstanding", "income", "years_employed"),
        *("fico_score", "debt_to_income_ratio", "credit_to_income_ratio", "fico_score_diff", "normalized_fico_score"),
    ]
    assert spec.category_features == [] and spec.columns["customer_id"].role == "id"
    assert spec.tuning.objective == "composite"


def test_fewer_loans_than_months_are_refused() -> None:
    with pytest.raises(ValidationError, match="at least one a month"):
        bank(loans=5)
