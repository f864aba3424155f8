"""Group *tape*: raw_loans, clean_features, outcomes, labels, by cohort month."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from pdx_assets.orchestration.assets.common import asset_options, monthly
from pdx_assets.orchestration.checks import check_results, check_specs
from pdx_assets.orchestration.lineage import (
    COLUMN_LINEAGE,
    COLUMN_SCHEMA,
    features_lineage,
    features_schema,
    raw_schema,
)
from pdx_assets.orchestration.metadata import percent, plotted, table
from pdx_assets.orchestration.partitions import cohort_months
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks.catalogue import (
    BAD_RATE_SHIFT,
    CATEGORY_NOVELTY,
    COHORT_VOLUME,
    MISSING_RATE,
    ROW_ACCOUNTING,
    SCHEMA,
)
from pdx_assets.risk.errors import NotYetKnownError
from pdx_assets.risk.hashing import content_sha256
from pdx_assets.risk.metrics.weights import ClassWeights
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.tape_accounting import RowAccounting
from pdx_assets.stages import tape as stage
from pdx_assets.stages.cohort_checks import check_features, check_labels, check_rows, stored_weight
from pdx_assets.stages.made import TAPE_VERSION
from pdx_assets.stages.workspace import Workspace


def tape_assets(spec: PortfolioSpec) -> list[dg.AssetsDefinition]:
    """The four tables of a portfolio's cohorts."""
    options = {
        "partitions_def": cohort_months(spec),
        "io_manager_key": "tables",
        "code_version": TAPE_VERSION,
        **asset_options(spec, "tape", kinds={"polars", "deltalake"}),
    }

    @dg.asset(
        name="raw_loans",
        description=f"Loans of one cohort of {spec.title or spec.name} as received, types checked; rejected rows are "
        "set aside with a reason, and every row is accounted for.",
        metadata={COLUMN_SCHEMA: raw_schema(spec)},
        freshness_policy=monthly(spec),
        check_specs=check_specs(spec, "raw_loans", ROW_ACCOUNTING, COHORT_VOLUME),
        output_required=False,
        **options,
    )
    def raw_loans(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        ws, cohort = Workspace.of(spec), Month.parse(context.partition_key)
        try:
            rows = stage.raw_loans(ws, cohort)
        except NotYetKnownError as error:
            context.log.warning(str(error))
            return
        accounting = rows.accounting
        yield dg.MaterializeResult(
            value=rows.loans,
            data_version=dg.DataVersion(content_sha256(rows.loans)),
            metadata={
                "Row accounting": _accounting(accounting),
                "The whole tape": _accounting(stage.open_tape(ws).accounting),
                "rejected rows": sum(accounting.rejected.values()),
                "excluded rows": sum(accounting.excluded.values()),
            },
            # The same verdicts that windows refuse by.
            check_results=check_results(ws, cohort, check_rows(ws, cohort, rows)),
        )

    @dg.asset(
        name="clean_features",
        description="What was known at application time, one row a loan; nothing here is learned from the data.",
        ins={"raw_loans": dg.AssetIn([spec.name, "raw_loans"])},
        metadata={COLUMN_SCHEMA: features_schema(spec)},
        check_specs=check_specs(spec, "clean_features", SCHEMA, MISSING_RATE, CATEGORY_NOVELTY),
        **options,
    )
    def clean_features(context: dg.AssetExecutionContext, raw_loans: pl.LazyFrame) -> Iterator[dg.MaterializeResult]:
        ws, cohort = Workspace.of(spec), Month.parse(context.partition_key)
        features = stage.features(ws, cohort, raw_loans.collect().sort("source_file", "source_row"))
        missing = {c: features[c].null_count() / max(features.height, 1) for c in features.columns}
        worst = sorted(((c, share) for c, share in missing.items() if share), key=lambda kv: (-kv[1], kv[0]))[:15]
        # Yielded: with checks beside it, Dagster takes a returned frame for one that should be nothing.
        yield dg.MaterializeResult(
            value=features,
            data_version=dg.DataVersion(content_sha256(features)),
            metadata={
                "Model inputs": f"{len(spec.number_features)} numbers, {len(spec.category_features)} categories",
                COLUMN_LINEAGE: features_lineage(spec),
                "Most often missing": table(["column", "missing"], ([c, percent(share)] for c, share in worst)),
            },
            check_results=check_results(ws, cohort, check_features(ws, cohort, features)),
        )

    @dg.asset(
        name="outcomes",
        description="What has happened to the cohort's loans so far, each event with the date it was known from.",
        ins={"raw_loans": dg.AssetIn([spec.name, "raw_loans"])},
        **options,
    )
    def outcomes(context: dg.AssetExecutionContext, raw_loans: pl.LazyFrame) -> dg.MaterializeResult:
        loans = raw_loans.collect().sort("source_file", "source_row")
        events = stage.outcomes(Workspace.of(spec), Month.parse(context.partition_key), loans)
        counts = events.group_by("event").agg(pl.len().alias("loans")).sort("event")
        return dg.MaterializeResult(
            value=events,
            data_version=dg.DataVersion(content_sha256(events)),
            metadata={"Events so far": table(["event", "count"], counts.iter_rows())},
        )

    @dg.asset(
        name="labels",
        description=f"{spec.label.name}: the label {spec.label.horizon}, once known; null until then, never 'good'.",
        ins={
            "raw_loans": dg.AssetIn([spec.name, "raw_loans"]),
            "outcomes": dg.AssetIn([spec.name, "outcomes"]),
        },
        deps=[dg.AssetKey([spec.name, "clean_features"])],
        check_specs=check_specs(spec, "labels", BAD_RATE_SHIFT),
        **options,
    )
    def labels(
        context: dg.AssetExecutionContext, raw_loans: pl.LazyFrame, outcomes: pl.LazyFrame
    ) -> Iterator[dg.MaterializeResult]:
        ws, cohort = Workspace.of(spec), Month.parse(context.partition_key)
        loans = raw_loans.collect().sort("source_file", "source_row")
        rows = stage.labels(ws, cohort, loans, outcomes.collect())
        yield dg.MaterializeResult(
            value=rows,
            data_version=dg.DataVersion(content_sha256(rows)),
            metadata=_label_metadata(rows, stored_weight(ws, cohort)),
            check_results=check_results(ws, cohort, check_labels(ws, cohort, rows)),
        )

    return [raw_loans, clean_features, outcomes, labels]


def _label_metadata(rows: pl.DataFrame, weight: pl.DataFrame | None) -> dict[str, Any]:
    latest = rows.filter(pl.col("superseded_from").is_null())
    counts = latest.group_by("status").agg(pl.len().alias("loans")).sort("status")
    known = latest.filter(pl.col("label").is_not_null())
    if weight is not None:
        known = known.join(weight, on="loan_id")
    weights = ClassWeights.of(known["label"].to_numpy(), None if weight is None else known["weight"].to_numpy())
    rate = weights.bad_rate
    return {
        "Labels": table(["status", "loans"], counts.iter_rows()),
        "Bad rate": percent(rate) or "not known yet",
        **plotted({"bad_rate": rate}),
    }


def _accounting(accounting: RowAccounting) -> dg.TableMetadataValue:
    rows: list[tuple[str, int]] = [("read from the tape", accounting.rows_in)]
    rows += [(f"rejected: {reason}", -count) for reason, count in sorted(accounting.rejected.items())]
    rows += [(f"excluded: {rule}", -count) for rule, count in sorted(accounting.excluded.items())]
    return table(["rows", "count"], [*rows, ("loans kept", accounting.rows_out)])
