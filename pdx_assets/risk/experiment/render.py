"""Tables as Markdown for people, as CSV and JSON for programs: text only, the same figures in each."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pdx_assets.risk.experiment.table import Cell, Table, shown


def as_markdown(table: Table) -> str:
    """A table and its notes, the champion's figures bold; numbers to the right."""
    right = [any(row[i].kind != "text" for row in table.rows) for i in range(len(table.columns))]
    lines = [
        _line(_safe(c) for c in table.columns),
        _line("---:" if r else "---" for r in right),
        *(_line(_marked(cell) for cell in row) for row in table.rows),
    ]
    return "\n".join([*lines, "", *(f"- {_safe(note)}" for note in table.notes)]) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _marked(cell: Cell) -> str:
    text = _safe(shown(cell))
    return f"**{text}**" if cell.chosen and text else text


def _safe(text: str) -> str:
    # A tombstone's reason may be a library's message of several lines.
    return " ".join(text.split()).replace("|", "\\|")


def as_csv(table: Table, origin: Mapping[str, str]) -> str:
    """Values in full: metrics and shares as fractions, points as differences of those; blank where not measured.

    Args:
        origin: last columns, the same on every line (``origin.columns``): a CSV has no place for notes.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*table.columns, *origin])
    values = (["" if cell.value is None else cell.value for cell in row] for row in table.rows)
    writer.writerows([*row, *origin.values()] for row in values)
    return out.getvalue()


def as_document(portfolio: str, tables: Iterable[Table]) -> dict[str, Any]:
    """All tables as plain data, for JSON: values in full, null where not measured."""
    return {"portfolio": portfolio, "tables": [_as_data(table) for table in tables]}


def _as_data(table: Table) -> dict[str, Any]:
    rows = [[cell.value for cell in row] for row in table.rows]
    named = {"key": table.key, "title": table.title, "columns": list(table.columns), "rows": rows}
    return {**named, "chosen": [[c.chosen for c in row] for row in table.rows], "notes": list(table.notes)}


def as_json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
