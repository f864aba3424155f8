"""A change that needs approval, in a home where months have run: proposed, approved by two people, in charge."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from pdx_assets import cli
from pdx_assets.alerts.model import decision_alert
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError
from pdx_assets.risk.spec import Decision
from pdx_assets.stages import governance
from pdx_assets.stages.decision import decide
from pdx_assets.stages.record import decisions, versions
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.small_portfolio import small_spec

SPEC = small_spec()
GOVERNED = SPEC.model_copy(
    update={"decision": Decision(**SPEC.decision.model_dump(), approval={"required": True, "two_people": True})}
)


@pytest.fixture
def undecided(copied: Workspace) -> tuple[Workspace, Month]:
    """The finished home as it was before the month of a promotion was decided, and that month."""
    ws = Workspace.of(GOVERNED)
    promoted = [d["production_month"] for d in decisions(ws) if d["decision"] == "promoted"]
    assert promoted, "the small portfolio has a promotion"
    month = Month.parse(promoted[-1])
    later = [d["production_month"] for d in decisions(ws) if d["production_month"] >= str(month)]
    for path in copied.settings.home.rglob("decisions/main/*.json"):
        if path.stem in later:
            path.unlink()
    from deltalake import DeltaTable

    DeltaTable(ws.lake.table_path("production_scores")).delete(f"cohort >= '{month}'")
    return Workspace.of(GOVERNED), month


def test_a_promotion_waits_for_two_people(undecided: tuple[Workspace, Month], monkeypatch: pytest.MonkeyPatch) -> None:
    ws, month = undecided
    document, is_new = decide(ws, month)
    assert is_new and document["decision"] == "kept"
    assert document["champion"] == document["incumbent"]
    proposal = document["proposal"]
    alert = decision_alert(document, link="http://ui", now=0.0)
    assert alert is not None and alert.kind == "waiting_approval"
    assert f"--proposal {proposal['sha256'][:12]}" in alert.text

    given = {"kind": "approve", "reason": "validated"}
    first = governance.answer(ws, proposal["sha256"][:12], by="ann", **given)  # type: ignore[arg-type]
    assert not first.event.decides and first.overruled == (month,)
    with pytest.raises(DecisionError, match="second, different person"):
        governance.answer(ws, proposal["sha256"], by="Ann", **given)  # type: ignore[arg-type]
    again, _ = decide(ws, month)
    assert again["proposal"] == proposal, "one of two changes nothing"

    monkeypatch.setattr(cli, "open_workspace", lambda _: ws)
    command = ["approve", SPEC.name, "--proposal", proposal["sha256"][:8], "--reason", "agreed", "--by", "ben"]
    told = CliRunner().invoke(cli.app, command)
    assert told.exit_code == 0, told.output
    assert f"it is in charge of {SPEC.name} from production month {month} on" in " ".join(told.output.split())
    decided, _ = decide(ws, month)
    assert decided["decision"] == "promoted" and "approved by ann and ben" in decided["reason"]
    assert decided["champion"]["bundle_sha256"] == proposal["candidate"]["bundle_sha256"]
    assert "proposal" not in decided
    assert len(versions(ws, month)) == 3
    with pytest.raises(DecisionError, match="was approved by ben"):
        governance.answer(ws, proposal["sha256"], by="cy", kind="reject", reason="late")


def test_a_portfolio_that_needs_no_approval_says_so(finished: Workspace) -> None:
    with pytest.raises(DecisionError, match="need no approval"):
        governance.answer(finished, "abcd", kind="approve", by="ann", reason="r")
