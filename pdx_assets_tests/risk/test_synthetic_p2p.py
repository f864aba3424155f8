"""The peer-to-peer twin: LendingClub's schema and volumes, and does the truth do what it says?"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError
from scipy.stats import binomtest

import pdx_assets
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.cleaning import clean_features
from pdx_assets.risk.models.preprocessing import Preprocessing
from pdx_assets.risk.models.training import train
from pdx_assets.risk.outcomes import label_rows, outcome_events
from pdx_assets.risk.spec import Drift, PeerToPeerTwin, Tape
from pdx_assets.risk.spec_file import load_spec
from pdx_assets.risk.synthetic import expected_auc, write_simulated_tape
from pdx_assets.risk.synthetic_p2p import SCHEMA, as_of, draw_month
from pdx_assets.risk.synthetic_p2p_truth import bad_rate
from pdx_assets.risk.tape import locate_tape, performance_panel, stage_tape
from pdx_assets.risk.window_loans import to_sample
from pdx_assets.risk.windows import development_months, otv_months

DEFS = Path(pdx_assets.__file__).parent / "defs" / "p2p_twin" / "defs.yaml"
SPEC = load_spec(DEFS)
SMALL = 1 / 200
JANUARY = Month(2016, 1)


def twin(**changes: object) -> PeerToPeerTwin:
    assert isinstance(SPEC.tape.simulated, PeerToPeerTwin)
    return PeerToPeerTwin.model_validate(SPEC.tape.simulated.model_dump() | {"scale": SMALL} | changes)


def labelled(month: Month, parameters: PeerToPeerTwin) -> pl.DataFrame:
    """clean_features of a month with ``label`` and ``true_pd``, read as the pipeline reads an export."""
    loans, truth = draw_month(parameters, month)
    raw = loans.with_columns(pl.all().cast(pl.String)).with_columns(cohort=pl.lit(str(month)), loan_id=pl.col("id"))
    raw = raw.with_columns(pl.col("loan_id").cast(pl.String))
    day = as_of(parameters)
    labels = label_rows(SPEC, month, raw, outcome_events(SPEC, raw, None, day), day)
    rows = clean_features(SPEC, raw).join(labels.select("loan_id", "label"), on="loan_id", validate="1:1")
    return rows.join(truth, on="loan_id", validate="1:1")


@cache
def month_at(key: str, scale: float) -> pl.DataFrame:
    return labelled(Month.parse(key), twin(scale=scale))


# --- what is declared -----------------------------------------------------------------------------


def test_the_plan_has_exactly_the_papers_loans() -> None:
    volumes = twin().loans_per_month

    def loans(months: tuple[Month, ...]) -> int:
        return sum(volumes[str(m)] for m in months)

    assert loans(development_months(SPEC, "fixed_window", SPEC.p0)) == 472_734 == 354_551 + 118_183
    assert loans(otv_months(SPEC, SPEC.p0)) == 99_120
    assert volumes["2018-01"] == 36_347


def test_a_simulated_tape_without_a_kind_is_the_lender() -> None:
    tape = Tape.model_validate({"first_cohort": "2021-01", "simulated": {"seed": 3}})
    assert tape.simulated is not None
    assert tape.simulated.kind == "lender"
    with pytest.raises(ValidationError, match=r"'other'.*expected tags.*'p2p_twin'"):
        Tape.model_validate({"first_cohort": "2021-01", "simulated": {"kind": "other"}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loans_per_month": {"2016-01": 5, "2016-03": 5}}, "skips months between 2016-01 and 2016-03"),
        ({"loans_per_month": {"2016-01": 0}}, "month without loans"),
        ({"loans_per_month": {}}, "at least one month"),
        ({"loans_per_month": {"January": 5}}, "expected a month YYYY-MM"),
        ({"bad_rates": {"2016-01": 1.2}}, "between 0 and 1"),
        ({"snapshot": "2018-01"}, "before the last month of issue 2018-12"),
    ],
)
def test_parameters_that_make_no_book_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        twin(**changes)


def test_the_twin_writes_no_performance_panel() -> None:
    assert performance_panel(SPEC) is None


# --- the file -------------------------------------------------------------------------------------


def test_the_file_has_the_published_schema_and_habits() -> None:
    loans, _ = draw_month(twin(scale=0.02), JANUARY)
    assert tuple(loans.columns) == SCHEMA
    assert len(SCHEMA) == 151
    assert loans.height == round(0.02 * 32366)
    assert set(loans["term"]) == {" 36 months", " 60 months"}
    assert set(loans["issue_d"]) == {"Jan-2016"}
    assert set(loans["grade"]) <= set("ABCDEFG")
    assert loans["id"].n_unique() == loans.height
    assert (loans["fico_range_high"] - loans["fico_range_low"] == 4).all()
    assert loans["member_id"].null_count() == loans.height
    joint = loans["application_type"] == "Joint App"
    assert (loans["annual_inc_joint"].is_not_null() == joint).all()
    assert 0.4 < loans["mths_since_last_delinq"].is_null().mean() < 0.6


def test_bureau_columns_and_second_applicants_begin_when_they_did() -> None:
    before, after = (draw_month(twin(scale=0.02), m)[0] for m in (Month(2015, 9), JANUARY))
    assert before["open_acc_6m"].null_count() == before.height
    assert after["open_acc_6m"].null_count() == 0
    assert set(before["application_type"]) == {"Individual"}


def test_months_are_the_same_whatever_other_months_there_are() -> None:
    first = twin().months[0]
    others = twin(loans_per_month={str(first + k): 32366 if first + k == JANUARY else 9 for k in range(7)})
    assert draw_month(others, JANUARY)[0].equals(draw_month(twin(), JANUARY)[0])
    assert not draw_month(twin(seed=1), JANUARY)[0].equals(draw_month(twin(), JANUARY)[0])


def test_the_export_is_written_whole_and_staged_without_a_rejected_row(tmp_path: Path) -> None:
    volumes = {k: n for k, n in twin().loans_per_month.items() if k < "2015-10"}
    parameters = twin(loans_per_month=volumes)
    for name in ("a", "b"):
        write_simulated_tape(parameters, tmp_path / name)
    written = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.csv"))
    assert [str(p) for p in written] == [f"{kind}/2015-0{m}.csv" for kind in ("loans", "truth") for m in (7, 8, 9)]
    assert all((tmp_path / "a" / p).read_bytes() == (tmp_path / "b" / p).read_bytes() for p in written)
    tape = stage_tape(SPEC, locate_tape(SPEC, override=None, simulated_folder=tmp_path / "a"), tmp_path / "staged")
    assert tape.accounting.rejected == {}
    assert {str(c): n for c, n in tape.loan_counts().items()} == {k: round(n * SMALL) for k, n in volumes.items()}
    assert tape.as_of == as_of(parameters)


# --- the truth ------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["2015-07", "2016-08", "2018-01", "2018-12"])
def test_labels_follow_the_declared_bad_rate(key: str) -> None:
    rows, rate = month_at(key, 0.1), bad_rate(twin(), Month.parse(key))
    assert rows["label"].null_count() == 0
    assert rows["true_pd"].mean() == pytest.approx(rate, abs=1e-9)
    assert binomtest(int(rows["label"].sum()), rows.height, rate).pvalue > 0.001


def test_bad_rates_run_straight_between_the_months_given() -> None:
    parameters = twin(bad_rates={"2016-01": 0.10, "2016-11": 0.20})
    assert bad_rate(parameters, Month(2016, 6)) == pytest.approx(0.15)
    assert bad_rate(parameters, Month(2015, 7)) == pytest.approx(0.10)
    assert bad_rate(parameters, Month(2018, 1)) == pytest.approx(0.20)


def test_labels_are_drawn_from_the_true_pd() -> None:
    rows = month_at("2016-03", 0.4).sort("true_pd")
    for part in np.array_split(np.arange(rows.height), 10):
        tenth = rows[part]
        assert binomtest(int(tenth["label"].sum()), tenth.height, float(tenth["true_pd"].mean())).pvalue > 1e-4


@pytest.mark.parametrize("key", ["2016-03", "2018-12"])
def test_the_true_pd_tells_loans_apart_as_declared_however_far_it_turned(key: str) -> None:
    assert expected_auc(month_at(key, 0.4)["true_pd"].to_numpy()) == pytest.approx(twin().auc, abs=0.01)


def test_a_shock_comes_in_its_month_and_stays() -> None:
    shocked = twin(drift=Drift(shock_month="2016-01", shock_log_odds=1.0))
    calm = twin(drift=Drift())
    assert draw_month(shocked, Month(2015, 12))[1].equals(draw_month(calm, Month(2015, 12))[1])
    for month in (JANUARY, Month(2016, 2)):
        after, before = (draw_month(p, month)[1]["true_pd"].to_numpy() for p in (shocked, calm))
        assert np.allclose(np.log(after / (1 - after)) - np.log(before / (1 - before)), 1.0)


def test_covariate_drift_makes_later_applicants_worse() -> None:
    last = twin().months[-1]
    still, drifting = (draw_month(twin(scale=0.05, drift=Drift(covariate=c)), last)[0] for c in (0.0, 0.3))
    assert drifting["fico_range_low"].mean() < still["fico_range_low"].mean() - 5
    assert drifting["pct_tl_nvr_dlq"].mean() < still["pct_tl_nvr_dlq"].mean()


# --- at full size ---------------------------------------------------------------------------------


@cache
def full(key: str) -> pl.DataFrame:
    return month_at(key, 1.0)


@pytest.mark.slow
def test_at_full_size_about_220_inputs_and_a_fixed_model_that_ages() -> None:
    """An untuned XGBoost near 0.70 loses 2 to 4 points of AUC from 2018-01 to 2018-12."""
    from pdx_assets.risk.metrics.discrimination import auc

    development = pl.concat([full(str(m)) for m in development_months(SPEC, "fixed_window", SPEC.p0)])
    assert 0.180 < development["label"].mean() < 0.192
    itv = (development["borrower_hash"] % 4 == 0).to_numpy()
    fit, held_out = to_sample(SPEC, development.filter(~itv)), to_sample(SPEC, development.filter(itv))
    assert 205 <= len(Preprocessing.fit(fit.matrix, standardize=False).columns) <= 235
    model = train("xgboost", fit, held_out, {}, seed=0)

    def measured(rows: pl.DataFrame) -> float:
        found = auc(rows["label"].to_numpy(), model.predict_pd(to_sample(SPEC, rows).matrix))
        assert found is not None
        return found

    otv = [full(str(m)) for m in otv_months(SPEC, SPEC.p0)]
    assert all(0.16 < month["label"].mean() < 0.19 for month in otv)
    assert 0.69 < measured(pl.concat(otv)) < 0.74
    first, last = (pl.concat([full(f"2018-{m:02}") for m in months]) for months in ((1, 2), (11, 12)))
    assert 0.67 < measured(first) < 0.72
    # Months are compared by twos: one alone has 4,000 bads, and its AUC a standard error of half a point.
    ageing = (measured(first) - measured(last)) * 11 / 10
    assert 0.02 < ageing < 0.04
