"""Schema, missing shares and new categories: fires, stays quiet, does not apply."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from pdx_assets.risk.checks.features import FeatureCounts, category_novelty, missing_rate, schema
from pdx_assets.risk.spec import Checks
from pdx_assets_tests.small_portfolio import small_spec

LIMITS = Checks()
USUAL = FeatureCounts(
    800, {"income": 8, "score": 160, "region": 0}, {"region": {"north": 500, "south": 300}, "employer": {}}
)
BEFORE = [USUAL] * 12
DECLARED = {"income": "Float32", "score": "Float32", "region": "String"}


def with_missing(**counts: int) -> FeatureCounts:
    return replace(USUAL, missing={**USUAL.missing, **counts})


def with_regions(**counts: int) -> FeatureCounts:
    return replace(USUAL, categories={**USUAL.categories, "region": counts})


def test_counts_of_a_cohort() -> None:
    spec = small_spec()
    numbers = {n: pl.Series([1.0, None, None], dtype=pl.Float32) for n in spec.number_features}
    categories = {n: pl.Series(["a", None, "a"]) for n in spec.category_features}
    counts = FeatureCounts.of(spec, pl.DataFrame(numbers | categories))
    assert counts.loans == 3
    assert set(counts.missing) == {*spec.number_features, *spec.category_features}
    assert counts.missing[spec.number_features[0]] == 2
    assert counts.categories[spec.category_features[0]] == {"a": 2}


def test_a_missing_column_and_a_wrong_type_block() -> None:
    verdict = schema(LIMITS, {"income": "Float64", "region": "String"}, DECLARED, USUAL, BEFORE)
    assert verdict.blocks
    assert verdict.reason == "income is Float64, expected Float32; score is absent, expected Float32"


def test_an_emptied_column_blocks_unless_it_is_optional() -> None:
    emptied = with_missing(score=800)
    verdict = schema(LIMITS, DECLARED, DECLARED, emptied, BEFORE)
    assert verdict.blocks
    assert "score has no value, and had one on 80.0 % of the rows before" in verdict.reason
    assert schema(LIMITS, DECLARED, DECLARED, emptied, BEFORE, optional={"score"}).status == "passed"


def test_schema_is_quiet_when_columns_are_as_declared() -> None:
    assert schema(LIMITS, DECLARED, DECLARED, with_missing(score=799), BEFORE).status == "passed"
    rare = [replace(USUAL, missing={**USUAL.missing, "score": 700})] * 12
    assert schema(LIMITS, DECLARED, DECLARED, with_missing(score=800), rare).status == "passed"


def test_nothing_is_said_to_be_emptied_without_cohorts_before() -> None:
    assert schema(LIMITS, DECLARED, DECLARED, with_missing(score=800), []).status == "passed"


def test_a_missing_share_that_moved_fails() -> None:
    for missing in (300, 60):
        verdict = missing_rate(LIMITS, with_missing(score=missing), BEFORE)
        assert verdict.status == "failed" and not verdict.blocks
    assert "score 20.0 % before, 7.5 % now" in verdict.reason
    assert verdict.rows[0][0] == "score"


def test_missing_shares_that_hardly_moved_are_quiet() -> None:
    assert missing_rate(LIMITS, with_missing(income=20, score=175), BEFORE).status == "passed"


def test_a_small_cohort_does_not_alarm_by_chance() -> None:
    """5 of 20 against 20 %: half of the limit's 5 points, and nothing to wonder at; 8 of 20 is 20 points off."""
    small = FeatureCounts(20, {"income": 1, "score": 8, "region": 0}, USUAL.categories)
    assert missing_rate(LIMITS, small, BEFORE).status == "passed"


def test_missing_rate_does_not_apply_without_cohorts_before() -> None:
    assert missing_rate(LIMITS, USUAL, BEFORE[:2]).status == "not_applicable"
    assert missing_rate(LIMITS, FeatureCounts(0, {}, {}), BEFORE).status == "not_applicable"


def test_a_new_category_that_matters_fails() -> None:
    verdict = category_novelty(LIMITS, with_regions(north=500, south=280, Süd=20), BEFORE)
    assert verdict.status == "failed"
    assert "region 'Süd' (2.5 %)" in verdict.reason
    assert verdict.rows == (("region", "Süd", 20, "2.5 %"),)


def test_rare_new_categories_and_those_seen_before_are_quiet() -> None:
    assert category_novelty(LIMITS, with_regions(north=500, south=297, Süd=3), BEFORE).status == "passed"
    seen = [*BEFORE, with_regions(north=799, south=0, Süd=1)]
    assert category_novelty(LIMITS, with_regions(north=700, Süd=100), seen).status == "passed"


def test_a_column_with_a_new_name_on_every_row_is_quiet() -> None:
    names = replace(USUAL, categories={"employer": {f"employer {i}": 1 for i in range(300)}})
    before = [replace(USUAL, categories={"employer": {f"other {m} {i}": 1 for i in range(300)}}) for m in range(12)]
    assert category_novelty(LIMITS, names, before).status == "passed"


def test_novelty_does_not_apply_without_categories_or_cohorts_before() -> None:
    assert category_novelty(LIMITS, replace(USUAL, categories={}), BEFORE).status == "not_applicable"
    assert category_novelty(LIMITS, USUAL, BEFORE[:2]).status == "not_applicable"
