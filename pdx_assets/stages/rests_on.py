"""What a home's decisions rest on: features and label. They are settled by the first decision recorded in it.

Removing a feature, adding one or changing the label later would put models that cannot score the same loans, or that
predict another thing, beside one another: that is another home's work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import HomeError
from pdx_assets.risk.windows import label_rule
from pdx_assets.stages.workspace import Workspace

KIND, KEY = "rests_on", "decisions"


def keep(ws: Workspace, production: Month) -> None:
    """Keep what decisions rest on, with the first one of a home; later ones change nothing.

    Raises:
        HomeError: another process kept other declarations since :func:`require_unchanged`.
    """
    if not ws.lake.create_document(KIND, KEY, {**_declared(ws), "since": str(production)}):
        require_unchanged(ws)


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
    was, now = _kinds(kept["features"]), _kinds(today["features"])
    gone, new = [f for f in was if f not in now], [f for f in now if f not in was]
    told += [f"features gone: {', '.join(gone)}"] if gone else []
    told += [f"new features: {', '.join(new)}"] if new else []
    told += [f"{f} was a {was[f]} and is a {now[f]}" for f in was if f in now and was[f] != now[f]]
    before, after = _flat(kept["label"]), _flat(today["label"])
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            told.append(f"label.{key} was {before.get(key)!r} and is {after.get(key)!r}")
    if not told:
        return None
    return f"{ws.spec.name} is declared otherwise than when {kept['since']} was decided: {'; '.join(told)}."


def _declared(ws: Workspace) -> dict[str, Any]:
    features = {"numbers": ws.spec.number_features, "categories": ws.spec.category_features}
    return {"features": features, "label": label_rule(ws.spec)}


def _kinds(features: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {f: kind for kind, key in (("number", "numbers"), ("category", "categories")) for f in features[key]}


def _flat(rule: dict[str, Any]) -> dict[str, Any]:
    definition = rule.get("definition", {})
    found = {k: v for k, v in rule.items() if k != "definition"}
    return found | {f"definition.{k}": v for k, v in definition.items()}
