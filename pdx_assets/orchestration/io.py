"""The IO manager of the cohort tables: polars frames in Delta Lake, a month replaced atomically."""

from __future__ import annotations

import dagster as dg
import polars as pl

from pdx_assets.lake import Lake
from pdx_assets.risk.calendar import Month
from pdx_assets.settings import Settings


class CohortTables(dg.ConfigurableIOManager):
    """Writes one month of ``[portfolio, layer]``; loads the months asked for, lazily.

    Zero, one or many partitions give one LazyFrame; a month that is not there is an error, never an
    empty frame.
    """

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame) -> None:
        portfolio, layer = context.asset_key.path
        lake = Lake(Settings.from_environment().lake, portfolio)
        content = lake.write_month(layer, Month.parse(context.partition_key), obj)
        context.add_output_metadata(
            {
                "dagster/row_count": content.rows,
                "dagster/uri": lake.table_path(layer),
                "content_sha256": content.sha256,
                "table_version": lake.version(layer) or 0,
            }
        )

    def load_input(self, context: dg.InputContext) -> pl.LazyFrame:
        portfolio, layer = context.asset_key.path
        lake = Lake(Settings.from_environment().lake, portfolio)
        return lake.scan_months(layer, [Month.parse(key) for key in context.asset_partition_keys])
