"""Gates end to end: a blocking check stops a cohort, windows refuse it, and a waiver lets it pass."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pdx_assets.orchestration import runner
from pdx_assets.orchestration.home import prepare_home
from pdx_assets.risk import windows
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.checks.catalogue import CHECKS
from pdx_assets.risk.errors import FirewallError, WaiverError
from pdx_assets.risk.outcomes import label_rows, outcome_events
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.stages.cohort_checks import check_labels
from pdx_assets.stages.tape import open_tape
from pdx_assets.stages.verdicts import GATES, blocking
from pdx_assets.stages.waivers import gates, waive, waivers
from pdx_assets.stages.windows import make_window
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.small_portfolio import small_attributes, small_spec

P0, BROKEN = Month(2022, 7), Month(2021, 9)
WINDOW = tuple(Month(2021, n) for n in range(1, 7))  # development and OTV of p0


def evaluations(ws: Workspace, asset: str, code: str) -> list[Any]:
    """A check's results, the newest first."""
    with dg.DagsterInstance.from_config(str(ws.settings.dagster_home)) as instance:
        key = dg.AssetCheckKey(dg.AssetKey([ws.spec.name, asset]), code)
        records = instance.event_log_storage.get_asset_check_execution_history(key, limit=20)
    return [r.event.dagster_event.asset_check_evaluation_data for r in records]  # type: ignore[union-attr]


def ready(spec: PortfolioSpec) -> Workspace:
    ws = Workspace.of(spec)
    ws.settings.pin(spec.name, profile="quick", seed=0, tape=None)
    prepare_home(ws.settings)
    runner._enter_worker(spec, dict(os.environ))
    return ws


def read(cohorts: Sequence[Month]) -> list[str | None]:
    layers = ("raw_loans", "clean_features", "outcomes", "labels")
    return [runner._execute(runner.Task(f"cohort {c}", "cohort", "cohort", c, layers)) for c in cohorts]


def with_a_broken_month(month: Month) -> PortfolioSpec:
    """A tape of which one month's file lost nearly all of its loans."""
    ws = Workspace.of(small_spec())
    open_tape(ws)
    file = ws.settings.simulated("small") / "loans" / f"{month}.csv"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    export = ws.settings.home / "export"
    for folder in ("loans", "performance"):
        (export / folder).mkdir(parents=True)
        for source in (ws.settings.simulated("small") / folder).iterdir():
            (export / folder / source.name).write_bytes(source.read_bytes())
    (export / "loans" / file.name).write_text("".join(lines[:21]), encoding="utf-8")
    attributes = small_attributes()
    attributes["tape"] = {k: v for k, v in attributes["tape"].items() if k != "simulated"} | {
        "path": str(export),
        "reject_tolerance": 1.0,
    }
    return PortfolioSpec.model_validate(attributes)


def test_a_month_that_lost_its_loans_is_stopped_refused_waived_and_used(home: Path) -> None:
    broken = WINDOW[4]
    ws = ready(with_a_broken_month(broken))
    errors = dict(zip(WINDOW, read(WINDOW), strict=True))
    assert [m for m, error in errors.items() if error] == [broken]
    assert "cohort_volume" in (errors[broken] or "") and "pdx waive" in (errors[broken] or "")
    assert broken not in ws.lake.contents("clean_features"), "the run went on"

    (result,) = evaluations(ws, "raw_loans", "cohort_volume")[:1]
    stopped = [e for e in evaluations(ws, "raw_loans", "cohort_volume") if not e.passed]
    assert [(e.partition, e.severity, e.blocking) for e in stopped] == [
        (str(broken), dg.AssetCheckSeverity.ERROR, True)
    ]
    assert result.metadata["Title"].value == CHECKS["cohort_volume"].title

    with pytest.raises(Exception, match=f"blocking check failed: {broken} .cohort_volume: 20 loans, 0.08 times"):
        make_window(ws, "fixed_window", P0)

    waiver = waive(ws, "cohort_volume", broken, reason="the branch was closed", by="Ada")
    assert waivers(ws) == [waiver]
    assert read([broken]) == [None]
    passed = evaluations(ws, "raw_loans", "cohort_volume")[0]
    assert (passed.passed, passed.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert passed.metadata["Waived"].value == f"by Ada on {waiver['at'][:10]}: the branch was closed"
    manifest = make_window(ws, "fixed_window", P0)
    assert manifest["waived"] == [
        {
            "cohort": str(broken),
            "check": "cohort_volume",
            "reason": "the branch was closed",
            "by": "Ada",
            "at": waiver["at"],
        }
    ]
    with pytest.raises(WaiverError, match="waived already, by Ada on"):
        waive(ws, "cohort_volume", broken, reason="again", by="Grace")
    with pytest.raises(WaiverError, match="nothing to waive"):
        waive(ws, "cohort_volume", WINDOW[3], reason="just in case", by="Ada")


def stored(ws: Workspace, cohort: Month, loans: int) -> None:
    verdict = {
        "code": "cohort_volume",
        "reason": f"{loans} loans",
        "numbers": {"loans against median": loans / 800},
        "rows": [],
        "blocks": True,
    }
    ws.lake.put_document("checks/raw_loans", str(cohort), {"verdicts": [verdict]})


def test_a_waiver_is_for_the_verdict_that_was_seen(home: Path) -> None:
    ws = Workspace.of(small_spec())
    stored(ws, BROKEN, 20)
    waive(ws, "cohort_volume", BROKEN, reason="known", by="Ada")
    assert gates(ws, [BROKEN])[0] == {}
    stored(ws, BROKEN, 5)
    assert gates(ws, [BROKEN]) == ({BROKEN: "cohort_volume: 5 loans"}, {})
    waive(ws, "cohort_volume", BROKEN, reason="known too", by="Ada")
    assert len(waivers(ws)) == 2


def test_one_waived_check_does_not_excuse_another(home: Path) -> None:
    ws = Workspace.of(small_spec())
    stored(ws, BROKEN, 20)
    schema = {"code": "schema", "reason": "income is absent", "numbers": {}, "rows": [], "blocks": True}
    ws.lake.put_document("checks/clean_features", str(BROKEN), {"verdicts": [schema]})
    waive(ws, "cohort_volume", BROKEN, reason="known", by="Ada")
    assert gates(ws, [BROKEN]) == ({BROKEN: "schema: income is absent"}, {})


def test_a_home_without_verdicts_is_judged_by_its_accounting(home: Path) -> None:
    ws = Workspace.of(small_spec())
    ws.lake.put_document("accounting", str(BROKEN), {"blocking_failures": ["loan rows do not balance"]})
    assert [v["code"] for v in blocking(ws, BROKEN)] == ["row_accounting"]
    waive(ws, "row_accounting", BROKEN, reason="known", by="Ada")
    assert gates(ws, [BROKEN])[0] == {}


@pytest.mark.parametrize(
    ("code", "reason", "by", "said"),
    [
        ("volume", "known", "Ada", "There is no check 'volume'"),
        ("feature_psi", "known", "Ada", "it warns, and stops nothing"),
        ("label_firewall", "known", "Ada", "cannot be waived"),
        ("cohort_volume", " ", "Ada", "without a reason or a name"),
        ("cohort_volume", "known", "", "without a reason or a name"),
        ("cohort_volume", "known", "Ada", "nothing to waive"),
    ],
)
def test_what_cannot_be_waived_says_why(home: Path, code: str, reason: str, by: str, said: str) -> None:
    ws = Workspace.of(small_spec())
    with pytest.raises(WaiverError, match=said):
        waive(ws, code, BROKEN, reason=reason, by=by)
    assert waivers(ws) == []


def test_a_label_from_the_future_fails_the_firewalls_check(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws = ready(small_spec())
    assert read(WINDOW) == [None] * len(WINDOW)

    def leaks(*_: object, **__: object) -> None:
        raise FirewallError("Labels not known on the decision date: 2021-03: 1 rows.")

    task = runner.Task("window", "window", "decide", P0, ("window_fixed_window",))
    with monkeypatch.context() as planted:
        planted.setattr(windows, "check_firewall", leaks)
        assert "2021-03: 1 rows" in (runner._execute(task) or "")
    assert runner._execute(task) is None
    quiet, fired = evaluations(ws, "window_fixed_window", "label_firewall")
    assert quiet.passed and "decision date 2022-07-01" in quiet.description
    assert not fired.passed and fired.severity == dg.AssetCheckSeverity.ERROR and "2021-03" in fired.description


def test_the_gates_are_the_assets_with_checks_that_can_be_waived() -> None:
    assert GATES == ("raw_loans", "clean_features")
    assert all(check.blocking for check in CHECKS.values() if check.waivable)


def test_every_month_of_a_finished_home_has_its_verdicts(finished: Workspace) -> None:
    """All codes the portfolio's assets yield, each with title and month, where the runbook and the interface look."""
    for asset, codes in {
        "champion": {"someone_in_charge", "otv_discrimination", "cut_off_shift"},
        "drift": {"feature_psi", "score_psi"},
        "performance_estimate": {"expected_performance"},
        "production_performance": {"auc_decay", "calibration", "champion_against_baseline"},
    }.items():
        for month in ("2022-07", "2022-09"):
            document = finished.lake.get_document(f"checks/{asset}", month)
            assert {v["code"] for v in document["verdicts"]} == codes
            assert all(v["reason"] and v["title"] == CHECKS[v["code"]].title for v in document["verdicts"])
            for code in codes:
                assert month in {e.partition for e in evaluations(finished, asset, code)}
    first = finished.lake.get_document("checks/production_performance", "2022-07")["verdicts"][2]
    assert (first["code"], first["status"]) == ("champion_against_baseline", "not_applicable")
    drift = finished.lake.get_document("drift", "2022-08")
    assert len(drift["moved"]) == len(drift["psi"]) + 1
    for moved in drift["moved"][:-1]:
        assert moved["psi"] == drift["psi"][moved["name"]]


def test_counting_the_cohorts_before_leaves_no_word_of_their_tables(home: Path) -> None:
    """The bad-rate check counts a dozen earlier cohorts from the tape.

    It did so by the stage that makes their tables, which notes what a table was made from: under a moving clock the
    sensor took a dozen outcomes for stale at every step, and gave up on them in the fifth month of a replay.
    """
    ws = Workspace.of(small_spec())
    opened, cohort = open_tape(ws), Month.parse("2021-08")
    rows = opened.cohort(cohort)
    labels = label_rows(
        ws.spec, cohort, rows.loans, outcome_events(ws.spec, rows.loans, rows.performance, opened.as_of), opened.as_of
    )
    (verdict,) = check_labels(ws, cohort, labels)
    assert verdict.status == "passed" and len(verdict.rows) > 1, "it looked at the cohorts before"
    assert ws.lake.keys("made_from") == []


def test_verdicts_do_not_depend_on_the_order_months_are_read_in(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small_spec()
    found = []
    for i, order in enumerate((WINDOW[2:5], WINDOW[4:1:-1])):
        monkeypatch.setenv("PDX_HOME", str(tmp_path / f"home{i}"))
        ws = ready(spec)
        assert read(order) == [None] * 3
        kinds = ("checks/raw_loans", "checks/clean_features", "checks/labels")
        found.append({(k, m): ws.lake.get_document(k, str(m)) for k in kinds for m in WINDOW[2:5]})
    assert found[0] == found[1]
    labels = found[0]["checks/labels", WINDOW[4]]["verdicts"][0]
    assert labels["status"] != "not_applicable"
