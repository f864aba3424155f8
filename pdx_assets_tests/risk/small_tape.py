"""A small lender's tape for tests: its spec, and CSV text made of dictionaries."""

from __future__ import annotations

import copy
import csv
import io
from pathlib import Path
from typing import Any

from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.tape import StagedTape, TapeSource, stage_tape

ATTRIBUTES: dict[str, Any] = {
    "name": "small",
    "tape": {"path": "unused.csv", "first_cohort": "2015-01", "as_of_columns": ["last_paid"], "reject_tolerance": 0.1},
    "loan_id": {"column": "number"},
    "columns": {
        "number": {"role": "id", "dtype": "text"},
        "customer": {"role": "borrower", "dtype": "text", "optional": True},
        "opened": {"role": "date", "dtype": "date", "format": "%b-%Y"},
        "amount": {"role": "feature", "unit": "USD"},
        "income": {"role": "feature", "unit": "USD"},
        "term": {"role": "feature", "extract": r"(\d+)"},
        "first_credit": {"role": "feature", "dtype": "date", "format": "%b-%Y"},
        "purpose": {"role": "feature", "dtype": "category"},
        "rate": {"role": "price", "unit": "percent", "optional": True},
        "region": {"role": "protected", "dtype": "category", "optional": True},
        "last_paid": {"role": "outcome", "dtype": "date", "format": "%b-%Y"},
        "state": {"role": "outcome", "dtype": "category"},
        "note": {"role": "ignore", "dtype": "text", "optional": True},
    },
    "ratios": {"amount_to_income": {"numerator": "amount", "denominator": "income"}},
    "label": {
        "name": "bad",
        "horizon_months": 12,
        "definition": {
            "kind": "last_payment_and_status",
            "status": "state",
            "bad_status": "Charged Off|Late",
            "paid_off_status": "Paid",
            "last_payment": "last_paid",
        },
    },
    "windows": {"development": 12, "otv": 3, "gap": 12, "first_production": "2017-07"},
}
PANEL_LABEL = {"name": "bad", "horizon_months": 12, "definition": {"kind": "days_past_due", "threshold": 90}}

LOAN = {
    "number": "1",
    "opened": "Jan-2016",
    "amount": "1000",
    "income": "20000.0",
    "term": " 36 months",
    "first_credit": "Jan-2010",
    "purpose": "car",
    "last_paid": "Dec-2016",
    "state": "Current",
    "note": "",
}


def spec(**changes: Any) -> PortfolioSpec:
    """The small spec with top-level parts merged (dictionaries) or replaced (anything else)."""
    attributes = copy.deepcopy(ATTRIBUTES)
    for name, value in changes.items():
        if isinstance(value, dict) and name != "label":
            attributes[name] = {**attributes.get(name, {}), **value}
        else:
            attributes[name] = value
    return PortfolioSpec.model_validate(attributes)


def loan(identity: int | str, **cells: str) -> dict[str, str]:
    return {**LOAN, "number": str(identity), **cells}


def loans(count: int) -> list[dict[str, str]]:
    """Loans 1..count, opened in turn in the months of 2016, all paid last in 2017-12."""
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return [loan(i + 1, opened=f"{months[i % 12]}-2016", last_paid="Dec-2017") for i in range(count)]


def csv_text(rows: list[dict[str, str]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def write(path: Path, content: str | bytes | list[dict[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, list):
        content = csv_text(content)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def staged(
    tmp_path: Path,
    content: str | bytes | list[dict[str, str]],
    *,
    portfolio: PortfolioSpec | None = None,
    performance: str | list[dict[str, str]] | None = None,
) -> StagedTape:
    """Stage one loan file, and one performance file where given."""
    files = (write(tmp_path / "tape.csv", content),)
    panel = () if performance is None else (write(tmp_path / "panel.csv", performance),)
    return stage_tape(portfolio or spec(), TapeSource(files, panel), tmp_path / "staging")
