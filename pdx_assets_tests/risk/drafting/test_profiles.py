"""What one column holds."""

from __future__ import annotations

import polars as pl
import pytest

from pdx_assets.risk import columns
from pdx_assets.risk.drafting.profiles import profile, words


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ChgOffDate", "chg_off_date"),
        ("MIS_Status", "mis_status"),
        ("PERFORM_CNS.SCORE", "perform_cns_score"),
        ("Date.of.Birth", "date_of_birth"),
        (" loan amount (USD) ", "loan_amount_usd"),
        ("firstrepaiddate", "firstrepaiddate"),
    ],
)
def test_names_become_words(name: str, expected: str) -> None:
    assert words(name) == expected


@pytest.mark.parametrize(
    ("name", "cells", "dtype", "declared", "values"),
    [
        ("GrAppv", ["$60,000.00 ", "$1,500.50 "], "number", {}, [60000.0, 1500.5]),
        ("int_rate", ["13.5%", " 7.0%"], "number", {"unit": "percent"}, [13.5, 7.0]),
        ("term", [" 36 months", " 60 months"], "number", {"unit": "months", "extract": r"(\d+)"}, [36.0, 60.0]),
        (
            "income",
            ["1200", "NA", "n/a", "900"],
            "number",
            {"replace": {"NA": None, "n/a": None}},
            [1200, None, None, 900],
        ),
        ("zip", ["02139", "10001"], "category", {}, ["02139", "10001"]),
        ("account_type", ["1", "2", "3", "1"], "category", {}, ["1", "2", "3", "1"]),
        ("state", ["NY", "CA", None], "category", {}, ["NY", "CA", None]),
    ],
)
def test_dtypes(
    name: str, cells: list[str | None], dtype: str, declared: dict[str, object], values: list[object]
) -> None:
    found = profile(name, pl.Series(name, cells))
    assert found.dtype == dtype
    for key, value in declared.items():
        assert getattr(found.declared, key) == value
    assert found.values.to_list() == values
    # The tape reader, told so, reads the same.
    assert (
        columns.parsed(pl.Series(name, cells), found.declared.model_copy(update={"dtype": dtype})).to_list() == values
    )


def test_decimal_commas_are_not_read_and_said_so() -> None:
    found = profile("betrag", pl.Series([f"{i}.000,5{i % 10}" for i in range(1, 100)]))
    assert found.dtype == "text" and "decimal commas" in found.note


def test_words_that_hardly_repeat_are_text() -> None:
    assert profile("remark", pl.Series([f"customer called at {i}" for i in range(200)])).dtype == "text"


def test_an_empty_and_a_constant_column() -> None:
    assert profile("x", pl.Series([None, " "], dtype=pl.String)).empty
    assert profile("x", pl.Series(["7", "7"])).constant


def test_a_few_cells_that_do_not_read_are_told() -> None:
    found = profile("amount", pl.Series(["5"] * 99 + ["5O"]))
    assert found.dtype == "number" and "1.00%" in found.note
