"""The files of a Delta table in a local folder, with what its log says of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import polars as pl

from pdx_assets.risk.errors import TapeError
from pdx_assets.risk.tape_parquet import TablePart
from pdx_assets.risk.tape_text import as_text

LOG = "_delta_log"
# Features that do not change what a data file's rows mean.
_HARMLESS = {"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"}


def is_delta(folder: Path) -> bool:
    return (folder / LOG).is_dir()


def delta_parts(folder: Path, formats: Mapping[str, str]) -> tuple[TablePart, ...]:
    """The data files of the table's newest version, by partition, then by time written, then by name.

    Args:
        formats: declared formats of date columns, by name.

    Raises:
        TapeError: the log is damaged, or the table uses a feature by which a file's rows are not the table's.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        table = DeltaTable(folder)
        protocol, properties = table.protocol(), table.metadata().configuration
        columns = tuple(column.name for column in table.schema().fields)
        partition_columns = list(table.metadata().partition_columns)
        actions = pl.DataFrame(table.get_add_actions(flatten=True))
    except (DeltaError, OSError) as error:
        raise TapeError(
            f"{folder}: the Delta table cannot be opened: {str(error).splitlines()[0]}",
            expected=f"a Delta table: data files and their {LOG}",
            remedy="export the table again",
        ) from error
    used = set(protocol.reader_features or ()) - _HARMLESS
    if properties.get("delta.columnMapping.mode", "none") != "none":
        used.add("columnMapping")
    if used:
        raise TapeError(
            f"{folder}: the Delta table uses {', '.join(sorted(used))}, which PDx does not read.",
            expected="a table whose data files hold its rows as they are",
            remedy="write the table anew without it, or export it as Parquet",
        )
    if not actions.height:
        raise TapeError(f"{folder}: the Delta table has no rows.", expected="loans", remedy="export the table again")
    # Ordered by their typed values, before they become text.
    by = [f"partition.{name}" for name in partition_columns]
    actions = actions.sort([*by, "modification_time", "path"], nulls_last=True)
    values = [as_text(actions[f"partition.{name}"], formats.get(name)).to_list() for name in partition_columns]
    parts = []
    for i, path in enumerate(actions["path"]):
        constants = tuple((name, column[i]) for name, column in zip(partition_columns, values, strict=True))
        # The log writes names as in an address; a space in one is %20.
        file = folder / path if (folder / path).exists() else folder / unquote(path)
        parts.append(TablePart(file, columns, constants))
    return tuple(parts)
