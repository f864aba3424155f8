"""What a home's decisions rest on: features and label. They are settled by the first decision recorded in it.

Removing a feature, adding one or changing the label later would put models that cannot score the same loans, or that
predict another thing, beside one another: that is another home's work.
"""

from __future__ import annotations

from typing import Any

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import HomeError
from pdx_assets.risk.windows import label_rule
from pdx_assets.stages.workspace import Workspace

KIND, KEY = "rests_on", "decisions"


def keep(ws: Workspace, production: Month) -> None:
    """Keep what decisions rest on, with the first one of a home; later ones change nothing."""
    ws.lake.create_document(KIND, KEY, {**_declared(ws), "since": str(production)})


def require_unchanged(ws: Workspace) -> None:
    """Refuse to go on under declarations that the home's decisions were not made under.

    Raises:
        HomeError: what changed, and what to do.
    """
    changed = changed_since(ws)
    if changed:
        raise HomeError(
            changed,
            expected=f"features and label as they were, in the home {ws.settings.home}",
            remedy=f"`PDX_HOME=another pdx run {ws.spec.name}` begins anew; or take back the change",
        )


def changed_since(ws: Workspace) -> str | None:
    """What differs between today's declarations and those of the home's first decision; None where nothing does."""
    kept = ws.lake.find_document(KIND, KEY)
    if kept is None:
        return None
    told, today = [], _declared(ws)
    gone = [f for f in kept["features"] if f not in today["features"]]
    new = [f for f in today["features"] if f not in kept["features"]]
    told += [f"features gone: {', '.join(gone)}"] if gone else []
    told += [f"new features: {', '.join(new)}"] if new else []
    before, after = _flat(kept["label"]), _flat(today["label"])
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            told.append(f"label.{key} was {before.get(key)!r} and is {after.get(key)!r}")
    if not told:
        return None
    return f"{ws.spec.name} is declared otherwise than when {kept['since']} was decided: {'; '.join(told)}."


def _declared(ws: Workspace) -> dict[str, Any]:
    return {"features": [*ws.spec.number_features, *ws.spec.category_features], "label": label_rule(ws.spec)}


def _flat(rule: dict[str, Any]) -> dict[str, Any]:
    definition = rule.get("definition", {})
    found = {k: v for k, v in rule.items() if k != "definition"}
    return found | {f"definition.{k}": v for k, v in definition.items()}
