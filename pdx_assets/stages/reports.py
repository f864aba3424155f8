"""Group *monitoring*, for people: the drift report of a production month, a page under the home."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pdx_assets.files import write_whole
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.drift_report import SCORE, drift_report
from pdx_assets.stages.made import keep_made_from
from pdx_assets.stages.monitoring import champion_and_window
from pdx_assets.stages.scores import ensure_scores, read_scores
from pdx_assets.stages.workspace import Workspace

KEYS = ["cohort", "loan_id"]


@dataclass(frozen=True)
class Report:
    """A report as written.

    Attributes:
        path: the HTML file.
        reference, current: loans compared.
        first, last: the development window's cohorts.
    """

    path: Path
    reference: int
    current: int
    first: Month
    last: Month


def write_drift_report(ws: Workspace, production: Month) -> Report:
    """Compare cohort p with the development window of p's champion, features and score, and write the page.

    Raises:
        DecisionError: nobody is in charge of the month.
    """
    digest, manifest = champion_and_window(ws, production)
    months = [Month.parse(m["cohort"]) for m in manifest["development"]["months"]]
    reference, current = _loans(ws, digest, months), _loans(ws, digest, [production])
    page = drift_report(
        reference,
        current,
        numbers=[SCORE, *ws.spec.number_features],
        categories=ws.spec.category_features,
        weight=_weight(ws),
        title=f"{ws.spec.title or ws.spec.name}: loans of {production} against the champion's development window, "
        f"{months[0]} to {months[-1]}",
    )
    path = ws.settings.reports / ws.spec.name / f"drift-{production}.html"
    write_whole(path, page)
    keep_made_from(ws, "drift_report", production)
    return Report(path, reference.height, current.height, months[0], months[-1])


def psi_history(ws: Workspace, production: Month) -> tuple[list[str], dict[str, list[float | None]]]:
    """Months up to p whose drift was measured, and the PSI of the score and of every feature in each.

    Returns:
        Months in order, (m,); name to PSI, (m,) each, None where undefined or not declared then.
    """
    keys = [key for key in ws.lake.keys("drift") if key <= str(production)]
    documents: list[dict[str, Any]] = [ws.lake.get_document("drift", key) for key in keys]
    names = list(dict.fromkeys(name for document in documents for name in document["psi"]))
    series = {"score": [document["score_psi"] for document in documents]}
    return keys, series | {name: [document["psi"].get(name) for document in documents] for name in names}


def _weight(ws: Workspace) -> str | None:
    return "weight" if ws.spec.is_weighted else None


def _loans(ws: Workspace, digest: str, cohorts: list[Month]) -> pl.DataFrame:
    """Features and the champion's PD of some cohorts as they are now, sorted by cohort and loan."""
    held = ws.lake.contents("clean_features")
    hashes = {cohort: held[cohort].sha256 for cohort in cohorts if cohort in held}
    ensure_scores(ws, [digest], hashes).require_all()
    weight = _weight(ws)
    columns = [*KEYS, *([weight] if weight else []), *ws.spec.number_features, *ws.spec.category_features]
    features = ws.lake.scan_months("clean_features", cohorts, columns=columns).collect()
    scores = read_scores(ws, [digest], hashes).select(*KEYS, pl.col("pd").alias(SCORE))
    return features.join(scores, on=KEYS).sort(KEYS)
