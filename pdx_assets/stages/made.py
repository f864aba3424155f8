"""What each asset was made from, kept beside it: how the sensor tells what a new or revised tape makes stale.

One small document an asset and month, written by whoever makes the asset: sensor, UI, backfill or ``pdx run``.
It says nothing of results, and no result rests on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.hashing import content_sha256, document_sha256
from pdx_assets.risk.lineage import COHORT_ASSETS, Method, Part, cohort_made_from, made_from, sources, window_part
from pdx_assets.risk.maturity import Made
from pdx_assets.risk.tape_contents import CohortContent
from pdx_assets.stages.record import MAIN_BRANCH, find_decision
from pdx_assets.stages.workspace import Workspace

# Raised whenever reading, cleaning or labelling would give other rows from the same tape.
TAPE_VERSION = "1"
KIND = "made_from"
_WORDS = {"description", "name", "title"}


def method(ws: Workspace) -> Method:
    """What, beside the tape, the portfolio's assets rest on."""
    read_by = {"loan_id", "columns", "ratios", "derived", "exclusions", "label", "sampling_weights"}
    declared = ws.spec.model_dump(mode="json", include=read_by)
    words = document_sha256([TAPE_VERSION, _without_words(declared), ws.spec.use_price, *banned(ws)])
    return Method(ws.spec, words, ws.profile.retune_every, settled=tuple(sorted(ws.spec.leaks.accepted)))


def banned(ws: Workspace) -> list[list[str]]:
    """What bans add to the hash of the declarations: nothing where nothing is banned."""
    return [sorted(ws.spec.leaks.banned)] if ws.spec.leaks.banned else []


def _without_words(declared: Any) -> Any:
    """Declarations without what only people read: a better description makes nothing stale."""
    if isinstance(declared, dict):
        return {k: _without_words(v) for k, v in declared.items() if k not in _WORDS or not isinstance(v, str)}
    return declared


def keep_cohort(ws: Workspace, asset: str, cohort: Month, table: pl.DataFrame, content: CohortContent) -> None:
    """Keep what a table of a cohort is made from, with the table's hash: one without the other says nothing."""
    digest = cohort_made_from(method(ws).declared, content)[asset]
    kept = {"digest": digest, "loans": content.loans, "is_labelled": bool(content.labels)}
    ws.lake.put_document(KIND, f"{asset}/{cohort}", {**kept, "table": content_sha256(table)})


def loans_of(ws: Workspace, cohort: Month) -> str:
    """Hash of the loans that raw_loans of a cohort was read from; blank where nobody kept it."""
    return (ws.lake.find_document(KIND, f"raw_loans/{cohort}") or {}).get("loans", "")


def keep_window(ws: Workspace, strategy: str, production: Month, manifest: Mapping[str, Any]) -> None:
    """Keep what a window's two parts are made from."""
    parts = {}
    for part in ("development", "otv"):
        if manifest[part] is None:
            continue
        # Of partly observed cohorts it is who turned bad: how long a loan was seen follows from the month.
        rows = {Month.parse(r["cohort"]): r.get("bads_sha256", r["labels_sha256"]) for r in manifest[part]["months"]}
        parts[part] = window_part({c: (_digest(ws, "clean_features", c), sha) for c, sha in rows.items()})
    names = {"development": f"development_{strategy}", "otv": "otv"}
    digest = made_from(f"window_{strategy}", {(names[part], production): sha for part, sha in parts.items()})
    ws.lake.put_document(KIND, f"window_{strategy}/{production}", {"digest": digest, **parts})


def keep_made_from(ws: Workspace, asset: str, production: Month) -> None:
    """Keep what an asset of a production month is made from, by what its sources were made from."""
    is_baseline = asset.startswith("challenger_fixed_window_")
    if is_baseline and find_decision(ws, ws.spec.p0) and _digest(ws, asset, production):
        # The baseline stands: what it was made from stays what it was.
        return
    parts = {part: _source(ws, part) for part in sources(method(ws), asset, production)}
    ws.lake.put_document(KIND, f"{asset}/{production}", {"digest": made_from(asset, parts)})


def keep_record(ws: Workspace, production: Month, labels: Mapping[Month, str | None]) -> None:
    """Keep what ``recipe_record`` is made from.

    Args:
        labels: by earlier cohort the hash of its labels on the decision date, None where nobody knew them.
    """
    seen = window_part({c: (_digest(ws, "clean_features", c), sha) for c, sha in labels.items()})
    parts = {part: _source(ws, part) for part in sources(method(ws), "recipe_record", production)}
    parts["seen", production] = seen
    document = {"digest": made_from("recipe_record", parts), "seen": seen}
    ws.lake.put_document(KIND, f"recipe_record/{production}", document)


def keep_estimate(ws: Workspace, production: Month, ages: int) -> None:
    """Keep what ``performance_estimate`` is made from: the number of ages the month had reached among it."""
    ws.lake.put_document(KIND, f"ages/{production}", {"digest": str(ages)})
    keep_made_from(ws, "performance_estimate", production)


def keep_overview(ws: Workspace, last: Month) -> None:
    """Keep what the overview is made from, under the last decided month."""
    parts = {part: _source(ws, part) for part in sources(method(ws), "overview", last)}
    there = {part: digest for part, digest in parts.items() if digest}
    ws.lake.put_document(KIND, f"overview/{last}", {"digest": made_from("overview", there)})


def _source(ws: Workspace, part: Part) -> str | None:
    name, month = part
    if name == "otv":
        return _digest(ws, "window_fixed_window", month, "otv")
    if name.startswith("development_"):
        return _digest(ws, name.replace("development_", "window_", 1), month, "development")
    return _digest(ws, name, month)


def _digest(ws: Workspace, asset: str, month: Month, what: str = "digest") -> str | None:
    return (ws.lake.find_document(KIND, f"{asset}/{month}") or {}).get(what)


def read_made(ws: Workspace) -> Made:
    """Everything that is materialized, and what it was made from."""
    kept = {_part(key): document for key, document in ws.lake.documents(KIND).items()}
    for asset in COHORT_ASSETS:
        held = ws.lake.contents(asset)
        for part in [p for p in kept if p[0] == asset]:
            content = held.get(part[1])
            if content is None or content.sha256 != kept[part]["table"]:
                # Kept ahead of a write that never came, or of a table written by something else.
                del kept[part]
    decided = {Month.parse(k): d for k, d in ws.lake.documents(f"decisions/{MAIN_BRANCH}").items()}
    return Made(
        notes={part: document["digest"] for part, document in kept.items()},
        labelled=frozenset(m for (a, m), document in kept.items() if a == "labels" and document["is_labelled"]),
        decided=frozenset(decided),
        vacant=frozenset(p for p, decision in decided.items() if decision["champion"] is None),
    )


def _part(key: str) -> Part:
    asset, month = key.split("/")
    return asset, Month.parse(month)
