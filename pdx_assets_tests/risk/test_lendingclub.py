"""LendingClub's published files, read by the portfolio as shipped. Skips where the data folder is absent."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.cleaning import clean_features
from pdx_assets.risk.outcomes import cohort_labels
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.spec_file import load_spec
from pdx_assets.risk.tape import StagedTape, locate_tape, stage_tape

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "lendingclub"
POPULATION, SAMPLE = "accepted_2007_to_2011.csv.gz", "accepted_2007_to_2018Q4.sample2000.csv"

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the LendingClub files are not in ../shared/data")


@pytest.fixture(scope="module")
def portfolio() -> PortfolioSpec:
    return load_spec(ROOT / "pdx_assets" / "defs" / "lendingclub" / "defs.yaml")


def stage(portfolio: PortfolioSpec, name: str, folder: Path) -> StagedTape:
    source = locate_tape(portfolio, override=str(DATA / name), simulated_folder=folder / "none")
    return stage_tape(portfolio, source, folder)


@pytest.fixture(scope="module")
def population(portfolio: PortfolioSpec, tmp_path_factory: pytest.TempPathFactory) -> StagedTape:
    return stage(portfolio, POPULATION, tmp_path_factory.mktemp("population"))


@pytest.fixture(scope="module")
def sample(portfolio: PortfolioSpec, tmp_path_factory: pytest.TempPathFactory) -> StagedTape:
    return stage(portfolio, SAMPLE, tmp_path_factory.mktemp("sample"))


def labels(portfolio: PortfolioSpec, tape: StagedTape) -> pl.DataFrame:
    return pl.concat(cohort_labels(portfolio, c, tape.cohort(c), tape.as_of) for c in tape.cohorts)


def test_what_is_known_only_after_the_decision_is_no_feature(portfolio: PortfolioSpec) -> None:
    features = set(portfolio.number_features) | set(portfolio.category_features)
    leaks = ("last_", "total_pymnt", "total_rec_", "out_prncp", "recover", "collection_recovery", "hardship", "next_")
    leaks += ("settlement", "debt_settlement", "funded", "pymnt_plan", "loan_status", "deferral", "payment_plan")
    assert [name for name in features if name.startswith(leaks)] == []
    assert not features & {"int_rate", "grade", "sub_grade", "installment"}, "another model's output"
    assert not features & {"emp_title", "title", "desc", "url", "zip_code"}
    assert {"loan_amnt", "annual_inc", "fico_range_low", "addr_state", "loan_to_income"} <= features


@needs_data
def test_every_column_of_both_schemas_is_declared(
    portfolio: PortfolioSpec, population: StagedTape, sample: StagedTape
) -> None:
    own = {"cohort", "loan_id", "source_file", "source_row"}
    old, new = (set(t.cohort(t.cohorts[0]).loans.columns) - own for t in (population, sample))
    assert (len(old), len(new)) == (145, 151)
    assert new == set(portfolio.columns)
    assert all(portfolio.columns[name].description for name in portfolio.columns)
    assert all(portfolio.columns[name].optional for name in new - old)


@needs_data
def test_the_population_of_2007_to_2011_stays_in_whole(population: StagedTape) -> None:
    assert population.accounting.rows_in == population.accounting.rows_out == 42_535
    assert len(population.cohorts) == 55
    assert (str(population.cohorts[0]), str(population.cohorts[-1])) == ("2007-06", "2011-12")
    assert population.as_of == date(2017, 11, 30)
    policy = 0
    for cohort in population.cohorts:
        loans = population.cohort(cohort).loans
        policy += int(loans["loan_status"].str.starts_with("Does not meet the credit policy").sum())
        assert loans["loan_id"].n_unique() == loans.height
    assert policy == 2_749


@needs_data
def test_bad_rates_by_year_are_those_known(portfolio: PortfolioSpec, population: StagedTape) -> None:
    rows = labels(portfolio, population).with_columns(pl.col("cohort").str.slice(0, 4).alias("year"))
    assert rows["label"].null_count() == 0
    by_year = rows.group_by("year").agg(pl.len(), (pl.col("label").mean() * 100).round(1).alias("bad")).sort("year")
    assert by_year["len"].to_list() == [603, 2_393, 5_281, 12_537, 21_721]
    assert by_year["bad"].to_list() == [4.6, 5.6, 4.2, 3.0, 3.1]


@needs_data
def test_labels_agree_with_the_reference_computation(portfolio: PortfolioSpec, population: StagedTape) -> None:
    raw = pl.read_csv(DATA / POPULATION, columns=["issue_d", "last_pymnt_d", "loan_status"], infer_schema=False)

    def month(name: str) -> pl.Expr:
        names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        number = pl.col(name).str.slice(0, 3).replace_strict(names, list(range(12)), return_dtype=pl.Int32)
        return pl.col(name).str.slice(4).cast(pl.Int32) * 12 + number

    late = pl.col("loan_status").str.contains("Charged Off|Default|Late")
    on_book = (month("last_pymnt_d") - month("issue_d")).fill_null(0).clip(lower_bound=0)
    oracle = (
        raw.select(month("issue_d").alias("m"), (late & (on_book <= 8)).alias("bad"))
        .group_by("m")
        .agg(pl.col("bad").sum())
    )
    expected = {str(Month.from_ordinal(m)): bad for m, bad in oracle.iter_rows()}
    got = labels(portfolio, population).group_by("cohort").agg(pl.col("label").sum())
    assert dict(got.iter_rows()) == expected


@needs_data
def test_the_sample_in_the_later_schema_needs_no_other_spec(portfolio: PortfolioSpec, sample: StagedTape) -> None:
    assert sample.accounting.rows_in == sample.accounting.rows_out == 2_000
    assert sample.as_of == date(2019, 3, 31)
    rows = labels(portfolio, sample)
    immature = rows.filter(pl.col("cohort") >= "2018-04")
    assert immature.height == 340
    assert immature["label"].null_count() == immature.height
    assert (immature["status"] == "unknown").all()
    assert rows.filter(pl.col("cohort") < "2018-04")["label"].null_count() == 0
    march = sample.cohort(Month(2018, 3)).loans
    assert march["loan_id"].equals(march["id"].alias("loan_id"))


@needs_data
def test_features_of_both_files_have_one_schema_and_the_right_values(
    portfolio: PortfolioSpec, population: StagedTape, sample: StagedTape
) -> None:
    month = Month(2011, 12)
    old, new = (clean_features(portfolio, tape.cohort(month).loans) for tape in (population, sample))
    assert old.schema == new.schema
    assert old["fico_range_low"].null_count() == old.height and new["fico_range_low"].null_count() == 0
    raw = population.cohort(month).loans
    row = old.filter(pl.col("loan_id") == raw["loan_id"][0]).row(0, named=True)
    assert row["loan_amnt"] == float(raw["loan_amnt"][0])
    assert row["term"] == float(raw["term"][0].split()[0])
    assert row["emp_length"] in {float(y) for y in range(11)} | {None}
    assert row["loan_to_income"] == pytest.approx(float(raw["loan_amnt"][0]) / float(raw["annual_inc"][0]), rel=1e-6)
    assert old["emp_length"].drop_nulls().is_between(0, 10).all()
    assert 10_000 > old["earliest_cr_line"].mean() / 1 > 3_000, "days of credit history"


@needs_data
def test_reading_the_population_takes_seconds(portfolio: PortfolioSpec, tmp_path: Path) -> None:
    start = time.process_time()
    stage(portfolio, POPULATION, tmp_path)
    assert time.process_time() - start < 20, "about 4 CPU seconds when written"
