"""The leak sentinel on a portfolio: its first development window and OTV judged once, and what an open flag stops.

A judgement is content-addressed, as a study is: equal loans, labels, features and limits are judged once, by whichever
step asks first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import LeakError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.leaks import JUDGE_VERSION
from pdx_assets.risk.leaks.on_tape import (
    drawn,
    in_order,
    in_windows,
    judged,
    kinds,
    labelled_on,
    months_judged,
    share_of,
)
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.windows import identity, labels_day
from pdx_assets.stages.workspace import Workspace

Status = Literal["accepted", "banned", "open", "clean"]

JUDGEMENTS, CURRENT = "leak_judgements", "leaks"


def status_of(spec: PortfolioSpec, feature: str, flagged: bool) -> Status:
    """What the YAML says of a feature; ``open``: flagged, and nobody has decided."""
    if feature in spec.leaks.banned:
        return "banned"
    if feature in spec.leaks.accepted:
        return "accepted"
    return "open" if flagged else "clean"


def find_judgement(ws: Workspace, first: Mapping[str, Any]) -> dict[str, Any] | None:
    """The stored judgement of the loans of a first window, by today's features and limits; None before it is made."""
    return ws.lake.find_document(JUDGEMENTS, document_sha256(_depends_on(ws.spec, first)))


def judge_window(ws: Workspace, first: Mapping[str, Any]) -> dict[str, Any]:
    """Judge every feature on the window of *p0*, unless that was done.

    Args:
        first: a manifest of *p0*; its development months are judged as train and ITV, its OTV as out of time.

    Returns:
        The document: ``depends_on``, ``loans``, ``bads`` and ``features``, a list of judgements.
    """
    what = _depends_on(ws.spec, first)
    key = document_sha256(what)
    document = ws.lake.find_document(JUDGEMENTS, key)
    if document is None:
        with ws.only_one(key):
            document = ws.lake.find_document(JUDGEMENTS, key)
            if document is None:
                document = {"depends_on": what, **judged(ws.spec, _loans(ws, first))}
                ws.lake.put_document(JUDGEMENTS, key, document)
    if ws.lake.find_document(CURRENT, str(ws.spec.p0)) != document:
        ws.lake.put_document(CURRENT, str(ws.spec.p0), document)
    return document


def refuse_open_leaks(ws: Workspace, first: Mapping[str, Any]) -> None:
    """Stop unless every flagged feature is accepted or banned in the YAML.

    Raises:
        LeakError: naming each open one, what gave it away, and what to write.
    """
    document = judge_window(ws, first)
    opened = [j for j in document["features"] if status_of(ws.spec, j["feature"], j["flagged"]) == "open"]
    if not opened:
        return
    names = [j["feature"] for j in opened]
    told = "\n".join(f"- {j['feature']}: {j['reason']}" for j in opened)
    raise LeakError(
        f"{len(opened)} of {len(document['features'])} features of {ws.spec.name} seem to know the outcome:\n{told}",
        expected="features known at the application, or a person's decision about each",
        remedy="give them role outcome, or write into the portfolio's YAML, under attributes, for each of them either\n"
        + "\n".join(
            [
                "leaks:",
                "  banned:    # never a feature",
                f'    {names[0]}: "why it is not known in time"',
                "  accepted:  # a feature all the same",
                f'    {names[-1]}: "why it is known in time"',
            ]
        )
        + f"\n`pdx leaks {ws.spec.name}` shows the evidence; docs/runbook.md says how to read it.",
    )


def current_rows(ws: Workspace) -> list[dict[str, Any]]:
    """The standing judgement of the first window, as :func:`rows_of` has it; none before it is made."""
    document = ws.lake.find_document(CURRENT, str(ws.spec.p0))
    return [] if document is None else rows_of(ws.spec, document)


def rows_of(spec: PortfolioSpec, document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The judgements of a document with each feature's status and a person's words about it."""
    words = {**spec.leaks.accepted, **spec.leaks.banned}
    return [
        {**j, "status": status_of(spec, j["feature"], j["flagged"]), "decided": words.get(j["feature"])}
        for j in document["features"]
    ]


def _depends_on(spec: PortfolioSpec, first: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "judge": JUDGE_VERSION,
        "development": identity(first, "development"),
        "otv": identity(first, "otv"),
        "features": list(kinds(spec).items()),
        "weight": spec.named("weight"),
        **({"sampling_weights": spec.sampling_weights.model_dump(mode="json")} if spec.sampling_weights else {}),
        "limits": spec.leaks.model_dump(mode="json", exclude={"accepted", "banned"}),
    }


def _loans(ws: Workspace, first: Mapping[str, Any]) -> pl.DataFrame:
    """The labelled loans of a first window, or an even share of them, with their part."""
    spec, versions = ws.spec, first["tables"]
    rows = [*first["development"]["months"], *first["otv"]["months"]]
    months = [Month.parse(row["cohort"]) for row in rows]
    weight = ["weight"] if spec.is_weighted else []
    wanted = ["cohort", "loan_id", "borrower_hash", *weight, *kinds(spec)]
    features = ws.lake.scan_months("clean_features", months, columns=wanted, version=versions["clean_features"])
    labels = ws.lake.scan_months("labels", months, version=versions["labels"])
    share = share_of(sum(row["loans"] for row in rows))
    loans = labelled_on(features.filter(drawn(share)), labels, labels_day(spec, spec.p0)).collect()
    loans = in_order(loans)
    return loans.with_columns(part=in_windows(loans, months_judged(spec)[1], first["split"]["seed"]))
