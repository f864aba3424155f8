"""Every check and every limit is documented where people look."""

from __future__ import annotations

import re
from pathlib import Path

from pdx_assets.risk.checks.catalogue import CHECKS
from pdx_assets.risk.spec import Checks, Leaks

DOCS = Path(__file__).parents[3] / "docs"


def test_the_runbook_says_of_every_check_what_it_means_and_what_to_do() -> None:
    text = (DOCS / "runbook.md").read_text(encoding="utf-8").split("\n## Checks\n")[1].split("\n## Waiving\n")[
        0
    ] + "\n## "
    parts = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", text, re.MULTILINE | re.DOTALL))
    assert set(parts) == set(CHECKS)
    for code, part in parts.items():
        assert "**Means**:" in part and "**Do**:" in part, code
        assert f"[`{code}`](#{code})" in text


def test_the_portfolio_page_has_every_limit_with_its_default() -> None:
    text = (DOCS / "portfolio.md").read_text(encoding="utf-8")
    table = re.split(r"\n##", text.split("### checks")[1])[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([0-9.]+) \|", table, re.MULTILINE))
    assert {name: float(value) for name, value in rows.items()} == {
        name: float(field.default) for name, field in Checks.model_fields.items()
    }


def test_the_portfolio_page_has_every_limit_of_the_leak_sentinel_with_its_default() -> None:
    text = (DOCS / "portfolio.md").read_text(encoding="utf-8")
    table = text.split("### leaks")[1].split("### checks")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([0-9.]+) \|", table, re.MULTILINE))
    limits = {n: f.default for n, f in Leaks.model_fields.items() if n not in ("accepted", "banned")}
    assert {name: float(value) for name, value in rows.items()} == {n: float(v) for n, v in limits.items()}


def test_codes_are_names_dagster_takes_and_blocking_checks_are_errors() -> None:
    for code, check in CHECKS.items():
        assert re.fullmatch(r"[a-z_]+", code) and check.title and check.about
        assert check.severity == "error" or not check.blocking
        assert check.blocking or not check.waivable
