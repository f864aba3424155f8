"""From a model input back to the tape's column, as Dagster shows it."""

from __future__ import annotations

import dagster as dg

from pdx_assets.orchestration.lineage import (
    COLUMN_LINEAGE,
    features_lineage,
    features_schema,
    inputs_lineage,
    raw_schema,
)
from pdx_assets.risk.calendar import Month
from pdx_assets.stages.challengers import find_pointer, load_bundle
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.small_portfolio import small_spec


def test_every_feature_comes_from_columns_that_exist() -> None:
    spec = small_spec()
    raw = {column.name for column in raw_schema(spec).columns}
    lineage = features_lineage(spec).deps_by_column
    assert set(lineage) == {column.name for column in features_schema(spec).columns}
    for name, deps in lineage.items():
        assert deps and {d.column_name for d in deps} <= raw, name
        assert {d.asset_key for d in deps} == {dg.AssetKey(["small", "raw_loans"])}
    assert {d.column_name for d in lineage["amount_to_income"]} == {"amount", "annual_income"}
    assert {d.column_name for d in lineage["oldest_account_date"]} == {"oldest_account_date", "application_date"}


def test_every_input_of_a_real_model_leads_to_one_feature(finished: Workspace) -> None:
    features = {column.name for column in features_schema(finished.spec).columns}
    seen = set()
    for algorithm in finished.spec.algorithms:
        pointer = find_pointer(finished, "rolling_window", algorithm, Month.parse("2022-09"))
        assert pointer is not None
        inputs = load_bundle(finished, pointer["bundle_sha256"]).manifest["selected"]
        lineage = inputs_lineage(finished.spec, inputs).deps_by_column
        assert list(lineage) == inputs
        for name, deps in lineage.items():
            assert len(deps) == 1 and deps[0].column_name in features, name
            assert name.startswith(deps[0].column_name)
        seen |= set(inputs)
    assert any(" = " in name for name in seen)


def test_the_longest_feature_name_wins() -> None:
    spec = small_spec()
    lineage = inputs_lineage(spec, ["amount", "amount_to_income", "amount_to_income is missing"]).deps_by_column
    assert [deps[0].column_name for deps in lineage.values()] == ["amount", "amount_to_income", "amount_to_income"]


def test_lineage_and_overview_are_in_the_event_log(finished: Workspace) -> None:
    with dg.DagsterInstance.from_config(str(finished.settings.dagster_home)) as instance:
        for asset in ("clean_features", "challenger_rolling_window_xgboost"):
            (record,) = instance.fetch_materializations(dg.AssetKey(["small", asset]), limit=1).records
            assert record.asset_materialization is not None
            assert COLUMN_LINEAGE in record.asset_materialization.metadata
        (record,) = instance.fetch_materializations(dg.AssetKey(["small", "overview"]), limit=1).records
        assert record.asset_materialization is not None
        metadata = record.asset_materialization.metadata
    assert "Demo digital lender" in metadata["Portfolio"].value
    assert len(metadata["Decisions"].records) == 3
    assert metadata["Champions so far"].value.startswith("![")
