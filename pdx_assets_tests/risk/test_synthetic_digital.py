"""The simulated file of small, short loans."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from pdx_assets.risk.synthetic_applicants import expected_auc
from pdx_assets.risk.synthetic_digital import LATE_DAYS, DigitalBook, simulate_digital

STAMP = "%Y-%m-%d %H:%M:%S%.f"


@pytest.fixture(scope="module")
def book() -> DigitalBook:
    return simulate_digital(loans_per_month=400)


def days(book: DigitalBook, name: str) -> pl.Series:
    return book.loans[name].str.to_date(STAMP)


def test_equal_parameters_give_equal_books(book: DigitalBook) -> None:
    assert simulate_digital(loans_per_month=400).loans.equals(book.loans)
    assert not simulate_digital(loans_per_month=400, seed=1).loans.equals(book.loans)


def test_it_looks_like_the_public_files(book: DigitalBook) -> None:
    loans = book.loans
    assert loans["systemloanid"].is_unique().all()
    assert set(loans["termdays"].unique()) <= {15, 30, 60, 90}
    assert loans["referredby"].null_count() > 0.9 * loans.height
    assert (loans["totaldue"] > loans["loanamount"]).all()
    again = loans.group_by("customerid").agg(pl.len(), pl.col("loannumber").max())
    assert again["len"].max() > 5 and (again["len"] == again["loannumber"]).all()
    issued = days(book, "approveddate")
    assert (issued.min(), issued.max()) <= (date(2016, 1, 1), book.as_of) and len(
        issued.dt.month_start().unique()
    ) == 18


def test_nothing_later_than_the_export_is_in_it(book: DigitalBook) -> None:
    for name in ("closeddate", "firstrepaiddate"):
        paid = days(book, name)
        assert paid.max() <= book.as_of  # type: ignore[operator]
        assert paid.null_count() > 0
        assert ((paid - days(book, "approveddate")).dt.total_days() >= 0).all()


def test_bads_are_drawn_from_the_true_pd(book: DigitalBook) -> None:
    """Within PD bands, late payers are as many as the truth says: a chi-square on loans old enough to tell."""
    due, paid = days(book, "firstduedate"), days(book, "firstrepaiddate")
    old = due.dt.offset_by(f"{LATE_DAYS}d") <= book.as_of
    late = ((paid - due).dt.total_days() > LATE_DAYS).fill_null(True)
    joined = book.loans.with_columns(late=late).filter(old).join(book.truth, on="systemloanid")
    pd_true, bad = joined["true_pd"].to_numpy(), joined["late"].to_numpy()
    assert 0.05 < bad.mean() < 0.25 and 0.68 < expected_auc(pd_true) < 0.8
    band = np.searchsorted(np.quantile(pd_true, np.linspace(0, 1, 11)[1:-1]), pd_true)
    z = [
        (bad[band == b].sum() - pd_true[band == b].sum()) / np.sqrt((pd_true * (1 - pd_true))[band == b].sum())
        for b in range(10)
    ]
    assert np.square(z).sum() < 29.6  # chi-square, ten degrees of freedom, one in a thousand
