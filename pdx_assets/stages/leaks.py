"""The leak sentinel on a portfolio: its first development window and OTV judged once, and what an open flag stops.

A judgement is content-addressed, as a study is: equal loans, labels, features and limits are judged once, by whichever
step asks first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.cleaning import clean_features
from pdx_assets.risk.errors import HomeError, LeakError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.leaks import JUDGE_VERSION, Judgement, in_parts, judge
from pdx_assets.risk.leaks.tally import Kind
from pdx_assets.risk.outcomes import label_rows, label_view, outcome_events
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.windows import development_months, identity, in_time_validation, labels_day, otv_months
from pdx_assets.stages.tape import open_tape
from pdx_assets.stages.workspace import Workspace

Status = Literal["accepted", "banned", "open", "clean"]

JUDGEMENTS, CURRENT = "leak_judgements", "leaks"

MOST_LOANS = 150_000
"""Loans that are judged at most, whole borrowers by hash: limits are of sizes, and more loans would not move them."""

_ALL = 1000


def kinds(spec: PortfolioSpec) -> dict[str, Kind]:
    """Every model feature and how it is judged, in declared order."""
    numbers: dict[str, Kind] = {}
    for name in spec.number_features:
        column = spec.columns.get(name)
        numbers[name] = "date" if column is not None and column.dtype == "date" else "number"
    return {**numbers, **dict.fromkeys(spec.category_features, "category")}


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
                document = {"depends_on": what, **_judged(ws.spec, _loans(ws, first))}
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


def judge_tape(ws: Workspace) -> dict[str, Any]:
    """Judge every feature, banned ones too, straight from the tape: nothing is trained, and no table is made.

    On *p0*'s months where the tape has them with known labels, else on every known cohort, the latest as out of time.

    Raises:
        HomeError: no cohort's labels are known on the tape.
    """
    spec = ws.spec.model_copy(update={"leaks": ws.spec.leaks.model_copy(update={"banned": {}})})
    tape, development, otv = open_tape(ws), *_months(spec)
    known = [c for c in tape.cohorts if spec.known_on(c) <= tape.as_of]
    planned = [c for c in (*development, *otv) if c in known]
    has_plan = len(planned) == len(development) + len(otv)
    months = planned if has_plan else [c for c in known if c >= spec.first_cohort]
    if not months:
        raise HomeError(
            f"No cohort of {spec.name} has known labels: the tape's as-of date is {tape.as_of}.",
            expected=f"an as-of date of {spec.known_on(spec.first_cohort)} or later",
            remedy="use a tape with later outcomes",
        )
    on = labels_day(spec, spec.p0) if has_plan else tape.as_of
    found = []
    for cohort in months:
        rows = tape.cohort(cohort)
        events = outcome_events(spec, rows.loans, rows.performance, tape.as_of)
        labels = label_rows(spec, cohort, rows.loans, events, tape.as_of)
        features = clean_features(spec, rows.loans)
        found.append(_labelled(features.lazy(), labels.lazy(), on).collect())
    loans = _sorted(pl.concat(found))
    share = _share(loans.height)
    loans = loans.filter(_drawn(share))
    parts = _parts(loans, otv, ws.pinned.seed) if has_plan else in_parts(loans["cohort"])
    document = _judged(spec, loans.with_columns(part=parts))
    return {"months": [str(months[0]), str(months[-1])], "as_planned": has_plan, **document}


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


def _judged(spec: PortfolioSpec, loans: pl.DataFrame) -> dict[str, Any]:
    weight = "weight" if spec.is_weighted else None
    found: Sequence[Judgement] = judge(loans, kinds(spec), spec.leaks, weight=weight)
    bads = int((loans["label"] == 1).sum())
    return {"loans": loans.height, "bads": bads, "features": [j.document() for j in found]}


def _loans(ws: Workspace, first: Mapping[str, Any]) -> pl.DataFrame:
    """The labelled loans of a first window, or an even share of them, with their part."""
    spec, versions = ws.spec, first["tables"]
    rows = [*first["development"]["months"], *first["otv"]["months"]]
    months = [Month.parse(row["cohort"]) for row in rows]
    weight = ["weight"] if spec.is_weighted else []
    wanted = ["cohort", "loan_id", "borrower_hash", *weight, *kinds(spec)]
    features = ws.lake.scan_months("clean_features", months, columns=wanted, version=versions["clean_features"])
    labels = ws.lake.scan_months("labels", months, version=versions["labels"])
    share = _share(sum(row["loans"] for row in rows))
    loans = _labelled(features.filter(_drawn(share)), labels, labels_day(spec, spec.p0)).collect()
    loans = _sorted(loans)
    return loans.with_columns(part=_parts(loans, _months(spec)[1], first["split"]["seed"]))


def _labelled(features: pl.LazyFrame, labels: pl.LazyFrame, on: Any) -> pl.LazyFrame:
    view = label_view(labels.collect(), on).filter(pl.col("label").is_not_null()).select("cohort", "loan_id", "label")
    return features.join(view.lazy(), on=["cohort", "loan_id"], how="inner")


def _sorted(loans: pl.DataFrame) -> pl.DataFrame:
    return loans.sort("cohort", "loan_id")


def _share(loans: int) -> int:
    """Thousandths of the borrowers to judge."""
    return _ALL if loans <= MOST_LOANS else max(1, _ALL * MOST_LOANS // loans)


def _drawn(share: int) -> pl.Expr:
    # The hash is of a sha256: its last digits are even, and independent of the split, which stirs it.
    return pl.lit(True) if share == _ALL else pl.col("borrower_hash").mod(_ALL).abs() < share


def _parts(loans: pl.DataFrame, otv: Sequence[Month], seed: int) -> pl.Series:
    is_otv = loans["cohort"].is_in([str(m) for m in otv]).to_numpy()
    is_itv = in_time_validation(loans["borrower_hash"].to_numpy(), seed)
    return pl.Series("part", np.select([is_otv, is_itv], ["otv", "itv"], "train"))


def _months(spec: PortfolioSpec) -> tuple[tuple[Month, ...], tuple[Month, ...]]:
    return development_months(spec, "fixed_window", spec.p0), otv_months(spec, spec.p0)
