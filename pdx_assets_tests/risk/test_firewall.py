"""The label firewall: what a window may not learn from, and how it says so."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.errors import FirewallError, NotYetKnownError, WindowError
from pdx_assets.risk.outcomes import LABEL_SCHEMA, label_rows
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.windows import Cohorts, build_manifest, check_firewall
from pdx_assets_tests.risk import small_tape

KEY = {"cohort": pl.String, "loan_id": pl.String}
LOANS_A_MONTH = 4
P0 = Month(2017, 7)  # small_tape's; its OTV is 2016-04..2016-06, its development window 2015-04..2016-03


def months_until(spec: PortfolioSpec, last: Month) -> list[Month]:
    return list(spec.periods.span(spec.first_cohort, last))


def loans_of(months: list[Month]) -> pl.DataFrame:
    rows = [(str(m), f"{m}-{i}") for m in months for i in range(LOANS_A_MONTH)]
    return pl.DataFrame(rows, schema=KEY, orient="row")


def first_versions(spec: PortfolioSpec, months: list[Month]) -> pl.DataFrame:
    """One label version a loan, known when the spec's rule says; the first loan of a month is bad."""
    rows = []
    for m in months:
        for i in range(LOANS_A_MONTH):
            rows.append((str(m), f"{m}-{i}", int(i == 0), "bad" if i == 0 else "good", spec.known_on(m), None))
    return pl.DataFrame(rows, schema=LABEL_SCHEMA, orient="row")


def cohorts(months: list[Month], labels: pl.DataFrame, loans: pl.DataFrame | None = None) -> Cohorts:
    return Cohorts({m: f"{m}-content" for m in months}, labels, loans_of(months) if loans is None else loans, {})


def with_row(labels: pl.DataFrame, loan_id: str, **values: object) -> pl.DataFrame:
    chosen = pl.col("loan_id") == loan_id
    return labels.with_columns(
        pl.when(chosen).then(pl.lit(v, dtype=LABEL_SCHEMA[k])).otherwise(pl.col(k)).alias(k) for k, v in values.items()
    )


@pytest.fixture
def book() -> tuple[PortfolioSpec, list[Month], pl.DataFrame]:
    spec = small_tape.spec()
    assert spec.p0 == P0
    months = months_until(spec, Month(2016, 6))
    return spec, months, first_versions(spec, months)


def test_quiet_when_every_label_was_known(book) -> None:
    spec, months, labels = book
    manifest = build_manifest(spec, "fixed_window", P0, cohorts(months, labels), seed=0)
    assert (manifest["development"]["loans"], manifest["development"]["bads"]) == (12 * LOANS_A_MONTH, 12)
    assert (manifest["otv"]["loans"], manifest["otv"]["indeterminate"]) == (3 * LOANS_A_MONTH, 0)


def test_a_label_known_on_the_decision_date_itself_is_known(book) -> None:
    spec, months, labels = book
    labels = with_row(labels, "2016-06-2", known_from=decision_date(P0))
    build_manifest(spec, "fixed_window", P0, cohorts(months, labels), seed=0)


@pytest.mark.parametrize(("loan", "month"), [("2015-09-1", "2015-09"), ("2016-06-3", "2016-06")])
def test_one_row_known_only_after_the_decision_date(book, loan: str, month: str) -> None:
    """Incident: label_view gave such a loan a null label without dates, and it counted as indeterminate.

    The firewall looked for loans absent from the view and for dates after the decision date: it found
    neither, and was silent in every case.
    """
    spec, months, labels = book
    late = decision_date(P0) + timedelta(days=1)
    labels = with_row(labels, loan, known_from=late)
    with pytest.raises(FirewallError) as failure:
        build_manifest(spec, "rolling_window", P0, cohorts(months, labels), seed=0)
    text = str(failure.value)
    assert f"{month}: 1 rows" in text
    assert str(late) in text and str(decision_date(P0)) in text
    assert "bad (12 months on book)" in text
    assert "What to do" in text
    assert [str(m) for m in months if f"{m}:" in text] == [month]


def test_a_label_rule_that_needs_another_month(book) -> None:
    """Labels made with a horizon of H + 1 months: every loan of the last OTV month is a month too young."""
    declared, months, _ = book
    longer = declared.label.model_copy(update={"horizon_months": 13})
    # model_copy does not validate: a spec with this label and a gap of 12 could not be declared.
    spec = declared.model_copy(update={"label": longer})
    with pytest.raises(FirewallError) as failure:
        build_manifest(spec, "fixed_window", P0, cohorts(months, first_versions(spec, months)), seed=0)
    text = str(failure.value)
    assert f"2016-06: {LOANS_A_MONTH} rows, known from 2017-07-31" in text
    assert "bad (13 months on book)" in text
    assert "2016-05:" not in text


def test_a_label_rule_that_needs_another_month_from_tape_to_manifest() -> None:
    """The same, with label_rows making the labels: it is the rule itself that dates them too late."""
    declared = small_tape.spec()
    spec = declared.model_copy(update={"label": declared.label.model_copy(update={"horizon_months": 13})})
    months = months_until(spec, Month(2016, 6))
    loans = loans_of(months).with_columns(
        pl.col("cohort").str.to_date("%Y-%m").dt.strftime("%b-%Y").alias("opened"), pl.lit("Current").alias("state")
    )
    events = pl.DataFrame(
        schema={**KEY, "event": pl.String, "event_date": pl.Date}
        | dict.fromkeys(("known_from", "withdrawn_from"), pl.Date)
    )
    as_of = date(2019, 1, 1)
    labels = pl.concat([label_rows(spec, m, loans.filter(cohort=str(m)), events, as_of) for m in months])
    with pytest.raises(FirewallError, match=rf"2016-06: {LOANS_A_MONTH} rows, known from 2017-07-31"):
        build_manifest(spec, "fixed_window", P0, cohorts(months, labels), seed=0)


def test_all_months_and_counts_are_listed(book) -> None:
    spec, months, labels = book
    for loan in ("2015-05-0", "2015-05-1", "2016-04-2"):
        labels = with_row(labels, loan, known_from=date(2018, 3, 31))
    with pytest.raises(FirewallError, match="2015-05: 2 rows"):
        build_manifest(spec, "fixed_window", P0, cohorts(months, labels), seed=0)
    only_otv = labels.filter(~pl.col("loan_id").str.starts_with("2015-05"))
    rest = loans_of(months).filter(~pl.col("loan_id").str.starts_with("2015-05"))
    with pytest.raises(FirewallError, match="2016-04: 1 rows"):
        build_manifest(spec, "fixed_window", P0, cohorts(months, only_otv, rest), seed=0)


def test_a_loan_without_any_label_row(book) -> None:
    spec, months, labels = book
    with pytest.raises(FirewallError, match=r"2015-12: 1 rows, no label version valid then"):
        build_manifest(
            spec, "fixed_window", P0, cohorts(months, labels.filter(pl.col("loan_id") != "2015-12-3")), seed=0
        )


def test_a_version_taken_back_before_the_decision_leaves_a_hole(book) -> None:
    """Superseded before the decision date by a version known only after it: nothing was known that day."""
    spec, months, labels = book
    labels = with_row(labels, "2016-05-1", superseded_from=date(2017, 6, 15))
    later = labels.filter(loan_id="2016-05-1").with_columns(
        pl.lit(date(2017, 8, 1)).alias("known_from"), pl.lit(None, dtype=pl.Date).alias("superseded_from")
    )
    with pytest.raises(FirewallError, match="2016-05: 1 rows, known from 2017-08-01"):
        build_manifest(spec, "fixed_window", P0, cohorts(months, pl.concat([labels, later])), seed=0)


def test_a_later_correction_is_no_leak_and_is_not_seen(book) -> None:
    """The version of the decision date is used, whatever was learned afterwards."""
    spec, months, labels = book
    before = build_manifest(spec, "fixed_window", P0, cohorts(months, labels), seed=0)
    day = decision_date(P0) + timedelta(days=1)
    revised = with_row(labels, "2016-05-1", superseded_from=day)
    correction = revised.filter(loan_id="2016-05-1").with_columns(
        pl.lit(1, dtype=pl.Int8).alias("label"),
        pl.lit("bad").alias("status"),
        pl.lit(day).alias("known_from"),
        pl.lit(None, dtype=pl.Date).alias("superseded_from"),
    )
    after = build_manifest(spec, "fixed_window", P0, cohorts(months, pl.concat([revised, correction])), seed=0)
    assert after == before


def test_a_loan_outside_the_features_neither_counts_nor_fails(book) -> None:
    """A loan rejected on the way to clean_features may still have a label row, and a late one."""
    spec, months, labels = book
    stranger = labels.head(1).with_columns(
        pl.lit("2015-04").alias("cohort"),
        pl.lit("rejected").alias("loan_id"),
        pl.lit(date(2020, 1, 1)).alias("known_from"),
    )
    manifest = build_manifest(spec, "fixed_window", P0, cohorts(months, pl.concat([labels, stranger])), seed=0)
    assert manifest["development"]["loans"] == 12 * LOANS_A_MONTH


def test_indeterminate_loans_are_known_and_counted_apart(book) -> None:
    spec, months, labels = book
    labels = with_row(labels, "2015-08-0", label=None, status="indeterminate")
    development = build_manifest(spec, "fixed_window", P0, cohorts(months, labels), seed=0)["development"]
    assert (development["loans"], development["bads"], development["indeterminate"]) == (12 * LOANS_A_MONTH, 11, 1)
    assert development["bad_rate"] == 11 / (12 * LOANS_A_MONTH - 1)


def test_labels_unknown_on_the_tape_are_not_yet_known(book) -> None:
    """An as-of date before the label's: a NotYetKnownError that says which date would do, not a leak."""
    spec, months, labels = book
    unknown = pl.col("cohort") == "2016-06"
    labels = labels.with_columns(
        pl.when(~unknown).then(pl.col("label")).alias("label"),
        pl.when(~unknown).then(pl.col("known_from")).alias("known_from"),
        pl.when(unknown).then(pl.lit("unknown")).otherwise("status").alias("status"),
    )
    with pytest.raises(NotYetKnownError, match=r"2016-06 .*\n.*2017-06-30"):
        build_manifest(spec, "fixed_window", P0, cohorts(months, labels), seed=0)


def test_check_firewall_by_itself() -> None:
    loans = pl.DataFrame({"cohort": ["2016-01"] * 3 + ["2016-02"], "loan_id": list("abcd")})
    on = date(2017, 3, 1)
    view = loans.with_columns(pl.lit(on).alias("known_from"))
    check_firewall(loans, view, on=on, rule="r")
    for wrong, said in (
        (
            view.with_columns(pl.lit(on + timedelta(days=3)).alias("known_from")),
            "2016-01: 3 rows, known from 2017-03-04",
        ),
        (view.filter(pl.col("loan_id") != "d"), "2016-02: 1 rows, no label version valid then"),
        (view.with_columns(pl.lit(None, dtype=pl.Date).alias("known_from")), "2016-02: 1 rows, no label version"),
        (view.clear(), "2016-01: 3 rows"),
    ):
        with pytest.raises(FirewallError) as failure:
            check_firewall(loans, wrong, on=on, rule="the rule's name")
        assert said in str(failure.value)
        assert "the rule's name" in str(failure.value)
    assert issubclass(FirewallError, WindowError)
    assert issubclass(NotYetKnownError, WindowError)
