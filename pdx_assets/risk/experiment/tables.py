"""All tables of an experiment, in the paper's order."""

from __future__ import annotations

from pdx_assets.risk.experiment.development import table_3, table_5
from pdx_assets.risk.experiment.drop import figure_4
from pdx_assets.risk.experiment.production import production_tables, table_4
from pdx_assets.risk.experiment.splits import table_2
from pdx_assets.risk.experiment.stored import Stored
from pdx_assets.risk.experiment.table import Table


def tables(stored: Stored) -> tuple[Table, ...]:
    """Tables 2 to 8, and Figure 4 as a table, last."""
    return (
        table_2(stored),
        table_3(stored),
        table_4(stored),
        table_5(stored),
        *production_tables(stored),
        figure_4(stored),
    )
