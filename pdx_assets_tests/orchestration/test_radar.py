"""The gap radar in a home where months have run: what is estimated, from what, when, and where it is seen."""

from __future__ import annotations

import json
from datetime import date, timedelta

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner

from pdx_assets import cli
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import NotYetKnownError
from pdx_assets.risk.radar.ages import ages, day_at, reached
from pdx_assets.risk.radar.confidence import Estimate
from pdx_assets.stages import radar
from pdx_assets.stages.maturity import wanted_today
from pdx_assets.stages.radar import KIND, estimate_performance
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.small_portfolio import small_spec

SPEC = small_spec()
P0, LAST = Month.parse("2022-07"), Month.parse("2022-09")


def test_a_month_is_estimated_when_it_ends_and_at_each_quarter_of_the_horizon() -> None:
    assert ages(SPEC) == (0, 3, 6, 9)
    assert day_at(SPEC, P0, 0) == date(2022, 7, 31)
    assert day_at(SPEC, P0, 9) == date(2023, 4, 30)
    assert reached(SPEC, P0, date(2022, 7, 30)) == ()
    assert reached(SPEC, P0, date(2023, 1, 31)) == (0, 3, 6)


def test_every_day_is_estimated_and_the_arrears_close_in(finished: Workspace) -> None:
    document = finished.lake.get_document(KIND, str(P0))
    days = document["estimates"]
    assert [d["as_of"] for d in days] == ["2022-07-31", "2022-10-31", "2023-01-31", "2023-04-30"]
    assert "arrears" not in days[0]
    assert days[0]["combined"] == days[0]["confidence"]
    assert days[0]["clock"] == 0 < days[1]["clock"] < days[2]["clock"] < days[3]["clock"] < 1
    realized = finished.lake.get_document("production_performance", str(P0))
    champion = realized["metrics"][realized["champion"]]
    assert document["bundle_sha256"] == realized["champion"]
    assert document["realized"]["auc"] == pytest.approx(champion["auc"], abs=1e-9)
    assert document["realized"]["bad_rate"] == pytest.approx(champion["bad_rate"], abs=1e-9)
    assert days[3]["bads_so_far"] <= champion["n_bads"]
    for name in ("auc", "bad_rate"):
        errors = [d["combined"][name]["standard_error"] for d in days]
        assert errors[3] < 0.7 * errors[0]
        assert abs(days[3]["combined"][name]["value"] - champion[name]) < 4 * errors[3]
    # OTV of the champion, or what it had not learned from; never the month's own gap.
    assert document["reference"]["last"] == "2021-06"
    assert document["reference"]["only_itv"] is False


def test_nothing_known_later_is_used(copied: Workspace) -> None:
    """Estimates of a day are the same on a tape whose events, labels and cohorts end on it."""
    whole = copied.lake.get_document(KIND, str(P0))
    day = day_at(SPEC, P0, 3)
    outcomes = copied.lake.scan_months("outcomes", [P0]).collect()
    known = outcomes.filter(pl.col("known_from") <= day).select(c for c in outcomes.columns if c != "content_sha256")
    assert 0 < known.height < outcomes.height
    copied.lake.write_month("outcomes", P0, known)
    later = estimate_performance(copied, P0, day)
    assert later["estimates"] == whole["estimates"][:2]
    assert later["realized"] is None
    assert copied.lake.get_document(KIND, str(P0)) == whole, "a look back is not stored"


def test_a_month_that_has_not_ended_is_not_estimated(finished: Workspace) -> None:
    with pytest.raises(NotYetKnownError, match="not all there on 2022-07-30"):
        estimate_performance(finished, P0, date(2022, 7, 30))


def test_making_it_again_gives_the_same_document_and_nothing_is_wanted(copied: Workspace) -> None:
    stored = copied.lake.get_document(KIND, str(LAST))
    copied.lake.put_document("radar", str(P0), {"inputs": "other"})
    assert estimate_performance(copied, LAST) == stored
    wanted = {(w.month, a) for w in wanted_today(copied) for a in w.assets if a == "performance_estimate"}
    assert not {m for m, _ in wanted} & {P0, Month.parse("2022-08"), LAST}


def test_it_grows_older_with_the_clock(copied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """On an earlier day the sensor finds another number of ages, has it made, and then wants nothing more."""
    monkeypatch.setenv("PDX_AS_OF", "2023-01-15")
    ws = Workspace.of(SPEC)

    def is_wanted() -> bool:
        return any(w.month == LAST and "performance_estimate" in w.assets for w in wanted_today(ws))

    assert is_wanted()
    assert len(estimate_performance(ws, LAST)["estimates"]) == 2
    assert not is_wanted()


def test_the_asset_its_check_and_its_pictures(finished: Workspace) -> None:
    with dg.DagsterInstance.from_config(str(finished.settings.dagster_home)) as instance:
        key = dg.AssetKey(["small", "performance_estimate"])
        records = instance.fetch_materializations(dg.AssetRecordsFilter(asset_key=key), limit=10).records
    by_month = {r.asset_materialization.partition: r.asset_materialization for r in records if r.asset_materialization}
    assert set(by_month) == {"2022-07", "2022-08", "2022-09"}
    metadata = by_month["2022-09"].metadata
    assert len(metadata["As the month ages"].value.records) == 3 * 3 + 2
    assert metadata["Estimated and realized AUC"].value.startswith("![")
    assert metadata["Realized"].value.startswith("AUC 0.")
    (verdict,) = finished.lake.get_document("checks/performance_estimate", "2022-09")["verdicts"]
    assert verdict["code"] == "expected_performance"
    assert "limit" in verdict["reason"]


def test_the_command_shows_every_month(finished: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "open_workspace", lambda _: finished)
    shown = CliRunner().invoke(cli.app, ["radar", "small"])
    assert shown.exit_code == 0, shown.output
    assert "2022-09" in shown.output
    told = json.loads(CliRunner().invoke(cli.app, ["radar", "small", "--format", "json"]).output)
    assert [m["production_month"] for m in told] == ["2022-07", "2022-08", "2022-09"]
    assert told[0] == finished.lake.get_document(KIND, "2022-07")


def test_a_record_holds_what_was_known_on_the_day_at_the_same_age(finished: Workspace) -> None:
    raws = {m: finished.lake.get_document("radar", str(m)) for m in (P0, P0 + 1, LAST)}
    day = SPEC.known_on(P0 + 1)
    found = radar._matured(finished, raws, day, 6)
    assert len(found) == 2
    stored = raws[P0]["ages"]["6"]["arrears"]["auc"]
    assert found[0].outlooks.arrears is not None
    assert found[0].outlooks.arrears.auc == Estimate(**stored)
    assert found[0].auc == raws[P0]["realized"]["auc"]
    assert len(radar._matured(finished, raws, day - timedelta(days=1), 6)) == 1
    assert radar._matured(finished, raws, SPEC.known_on(P0) - timedelta(days=1), 6) == []
    assert radar._matured(finished, raws, day, 7) == [], "no estimate was made at that age"
