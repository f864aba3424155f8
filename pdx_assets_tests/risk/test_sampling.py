"""Weights of a sample drawn by outcome: declared by value and file, carried as the weight of each loan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from pdx_assets.risk.cleaning import clean_features, feature_types
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.tape import TapeSource, fingerprint, stage_tape
from pdx_assets_tests.risk.small_tape import ATTRIBUTES, loan, loans, spec, staged, write

WEIGHTS = {"column": "state", "values": {"Current": 50, "Charged Off": 10.5}}


def weighted(**changes: Any) -> PortfolioSpec:
    return spec(sampling_weights={**WEIGHTS, **changes})


def test_each_loan_weighs_what_its_value_says(tmp_path: Path) -> None:
    of = weighted()
    tape = staged(tmp_path, [loan(1), loan(2, state=" Charged Off "), loan(3)], portfolio=of)
    features = clean_features(of, tape.cohort(tape.cohorts[0]).loans)
    assert features["weight"].to_list() == [50.0, 10.5, 50.0]
    assert {name: str(dtype) for name, dtype in features.schema.items()} == feature_types(of)
    assert "weight" not in of.number_features and of.is_weighted


def test_a_loan_without_a_weight_is_rejected_with_its_value(tmp_path: Path) -> None:
    rows = [*loans(20), loan(21, state="Late"), loan(22, state="")]
    tape = staged(tmp_path, rows, portfolio=weighted())
    assert tape.accounting.rejected == {"state: no sampling weight": 2}


def test_files_that_are_no_samples_weigh_one(tmp_path: Path) -> None:
    of = weighted(files="*balanced*")
    files = (
        write(tmp_path / "a" / "book.csv", [loan(1), loan(2, state="Late")]),
        write(tmp_path / "b" / "book.balanced.csv.gz.csv", [loan(3), loan(4, state="Charged Off")]),
    )
    tape = stage_tape(of, TapeSource(files), tmp_path / "staging")
    features = clean_features(of, tape.cohort(tape.cohorts[0]).loans)
    assert features["weight"].to_list() == [1.0, 1.0, 50.0, 10.5]


def test_other_weights_are_another_tape_and_none_leave_it_as_it_was(tmp_path: Path) -> None:
    source = TapeSource((write(tmp_path / "tape.csv", [loan(1)]),))
    marks = [fingerprint(of, source) for of in (spec(), weighted(), weighted(values={"Current": 49}))]
    assert len(set(marks)) == 3
    assert "sampling_weights" not in spec().model_dump()


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({**WEIGHTS, "values": {"Current": 0}}, "expected numbers above 0"),
        ({**WEIGHTS, "values": {}}, "at least 1 item"),
        ({**WEIGHTS, "column": "gone"}, r"'gone' \(sampling_weights\.column\)"),
    ],
)
def test_weights_that_cannot_be_are_refused(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        spec(sampling_weights=declared)


def test_a_column_and_a_rule_together_are_refused() -> None:
    columns = {**ATTRIBUTES["columns"], "rate": {"role": "weight"}}
    with pytest.raises(ValidationError, match="'rate' has role weight already"):
        spec(columns=columns, sampling_weights=WEIGHTS)


def test_no_loans_have_no_weights() -> None:
    of = weighted(files="*")
    empty = pl.DataFrame(schema=dict.fromkeys(("cohort", "loan_id", "source_file", *of.columns), pl.String))
    assert clean_features(of, empty)["weight"].len() == 0
