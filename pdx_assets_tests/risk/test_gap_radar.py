"""The radar's benchmark, benchmarks/gap_radar.py, on one small lender; at full size it is run by hand."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from benchmarks.gap_radar import AGES, coverage, print_results, run, run_lender, summary


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return pl.DataFrame(run_lender("covariate", 1, years=1, loans=300), infer_schema_length=None)


def test_every_month_age_kind_and_figure_is_there(rows: pl.DataFrame) -> None:
    assert rows["month"].n_unique() == 12
    # Without arrears on the day a month ends.
    assert rows.height == 12 * (2 * 2 + (len(AGES) - 1) * 3 * 2)
    assert rows.filter(pl.col("age") == 0)["clock"].unique().to_list() == [0.0]


def test_no_month_has_a_record_before_labels_are_known(rows: pl.DataFrame) -> None:
    by_age = rows.group_by("age").agg(pl.col("matured").max()).sort("age")["matured"].to_list()
    # The first month's labels are known twelve months after its end: the twelfth month, nine months old, has nine.
    assert by_age == [0, 3, 6, 9]


def test_estimates_close_in_on_what_came(rows: pl.DataFrame) -> None:
    errors = summary(rows).filter(kind="combined", figure="auc")["half width"].to_list()
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.6 * errors[0]


def test_a_file_is_gone_on_with(tmp_path: Path, rows: pl.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    out = tmp_path / "radar.jsonl"
    lines = [
        json.dumps({"world": "covariate", "seed": seed, "years": 1, "loans": 300, "rows": rows.to_dicts()})
        for seed in range(2)
    ]
    out.write_text("\n".join([*lines, '{"world": "covariate", "seed": 2, "ro']), encoding="utf-8")
    found = run(["covariate"], 2, workers=1, out=out, years=1, loans=300)
    assert found.height == 2 * rows.height
    share = coverage(found)[0]
    assert print_results(found) == (0.85 <= share <= 0.95)
    assert ("holds" if 0.85 <= share <= 0.95 else "FAILS") in capsys.readouterr().out
