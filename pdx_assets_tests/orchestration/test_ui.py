"""The real servers on an empty home, and the page a person opens first, in a real browser."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pdx_assets.orchestration import runner
from pdx_assets.orchestration.metadata import (
    UNFOLDED,
    is_unfolded,
    models_table,
    png,
    recipe,
    samples_table,
    sketch,
    table,
)
from pdx_assets.risk.spec_file import load_spec
from pdx_assets.stages.record import find_decision
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.small_portfolio import DEMO

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
STAGES = ("tape", "windows", "challengers", "decision", "production", "monitoring")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def browser_path() -> str:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed (dev dependency group)")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the PATH")
    return found


@pytest.fixture(scope="module")
def served(browser_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with _served(tmp_path_factory.mktemp("ui")) as address:
        yield address


@contextmanager
def _served(home: Path) -> Iterator[str]:
    """``pdx ui`` on a home, as a shell script's ``&`` starts it: with SIGINT ignored."""
    port = _free_port()
    environment = {**os.environ, "PDX_HOME": str(home)}
    environment.pop("DAGSTER_HOME", None)
    command = [
        str(Path(sys.executable).parent / "pdx"),
        "ui",
        "--port",
        str(port),
        "--mlflow-port",
        "0",
        "--reports-port",
        "0",
    ]
    log = home / "ui.log"
    with log.open("wb") as out:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
        finally:
            signal.signal(signal.SIGINT, before)
        try:
            deadline = time.monotonic() + 300
            while "Stop with Ctrl-C" not in log.read_text(encoding="utf-8"):
                assert process.poll() is None, log.read_text(encoding="utf-8")
                assert time.monotonic() < deadline, "the webserver did not listen within 300 s"
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
            children = _children(process.pid)
            process.send_signal(signal.SIGINT)
            assert process.wait(180) == 0, log.read_text(encoding="utf-8")
            assert len(children) >= 2, "a webserver and a daemon"
            assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == [], "servers outlived pdx ui"
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(180)


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text(encoding="ascii").split()] if path.exists() else [0, 0]


@pytest.fixture(scope="module")
def page(browser_path: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, headless=True, args=list(QUIET))
        opened = browser.new_page(viewport={"width": 1400, "height": 900})
        opened.set_default_timeout(180_000)
        yield opened
        browser.close()


def _wait_for(page: Any, *texts: str) -> None:
    """Until all texts are on the page; if they never come, what is there instead is the message."""
    deadline = time.monotonic() + 180
    while missing := [text for text in texts if text not in page.inner_text("body")]:
        assert time.monotonic() < deadline, f"{missing} not on {page.url}, which says: {page.inner_text('body')[:2000]}"
        page.wait_for_timeout(250)


def test_the_asset_graph_shows_the_portfolios_groups_in_stage_order(page: Any, served: str) -> None:
    page.goto(f"{served}/asset-groups")
    _wait_for(page, "demo_6_monitoring", "lendingclub_6_monitoring")
    shown = page.inner_text("body")
    for portfolio in ("demo", "lendingclub"):
        groups = [f"{portfolio}_{i}_{stage}" for i, stage in enumerate(STAGES, 1)]
        places = [shown.find(group) for group in groups]
        assert -1 not in places, f"missing: {[g for g, p in zip(groups, places, strict=True) if p < 0]}"
        assert places == sorted(places)


def test_a_group_shows_its_assets_and_an_asset_its_description_owner_and_kind(page: Any, served: str) -> None:
    page.goto(f"{served}/locations/pdx/asset-groups/demo_4_decision/lineage")
    _wait_for(page, "champion", "otv_scores")
    page.goto(f"{served}/assets/demo/champion?view=overview")
    _wait_for(page, "Who is in charge of the production month", "credit-risk", "json", "demo_decide")


def test_pictures_in_metadata_are_drawn(page: Any) -> None:
    """The browser decodes both kinds of picture from the very text that the metadata holds."""
    import numpy as np

    from pdx_assets.risk.plots import champion_timeline
    from pdx_assets.risk.sketches import roc_and_calibration_sketch, timeline_sketch

    rng = np.random.default_rng(7)
    pd = rng.beta(1, 9, 600)
    months = [f"2024-{m:02d}" for m in range(1, 13)]
    recipes = ["fixed window xgboost"] * 5 + [None] + ["rolling window logistic regression"] * 6
    shown = (
        sketch(roc_and_calibration_sketch(rng.random(600) < pd, pd), "ROC"),
        sketch(timeline_sketch(months, recipes), "Champions"),
        png(champion_timeline(months, recipes), "Champions"),
    )
    for entry in shown:
        address = entry.value.split("](", 1)[1].rstrip(")").strip("<>")
        page.set_content(f'<img id="it" src="{address}">')
        page.wait_for_function("document.getElementById('it').complete")
        assert page.evaluate("document.getElementById('it').naturalWidth") > 200, entry.value[:80]


def test_a_month_is_decided_by_clicking(page: Any, home: Path) -> None:
    """Everything a decision of the demo's first month needs is there; a person opens the champion and clicks."""
    spec = load_spec(DEMO)
    ws = Workspace.of(spec)
    ws.settings.pin(spec.name, profile="quick")
    needed = [t for t in runner.plan(ws, (spec.p0,)) if t.stage in ("cohort", "window", "train")]
    scored = runner.Task("scores", "decide", "decide", spec.p0, ("otv_scores",), frozenset(t.key for t in needed))
    outcomes = runner.run_tasks(ws, [*needed, scored], workers=2, report=lambda _: None)
    assert [o.error for o in outcomes if o.error] == []
    with _served(home) as address:
        asset = f"{address}/assets/demo/champion?view=partitions&partition={spec.p0}"
        page.goto(asset)
        page.get_by_role("button", name="Materialize").first.click()
        page.get_by_role("button", name="Launch 1 run").click()
        deadline = time.monotonic() + 600
        # The page shows a month's metadata as it was when it was opened.
        while "First champion" not in page.inner_text("body"):
            assert time.monotonic() < deadline, page.inner_text("body")[:2000]
            page.wait_for_timeout(4000)
            page.goto(asset)
            page.wait_for_timeout(2000)
        decision = find_decision(ws, spec.p0)
        assert decision is not None
        champion = decision["champion"]
        _wait_for(page, "First champion", " ".join(recipe(champion)), "by this run", decision["reason"])


def test_sketches_stay_below_what_the_ui_folds_away() -> None:
    import numpy as np

    from pdx_assets.risk.sketches import roc_and_calibration_sketch, timeline_sketch

    rng = np.random.default_rng(3)
    for n in (40, 500, 20_000):
        pd = rng.beta(1, 9, n)
        label = np.arange(n) % 9 == 0
        assert len(sketch(roc_and_calibration_sketch(label, pd), "ROC, calibration on ITV").value) < UNFOLDED
    one_class = roc_and_calibration_sketch(np.zeros(50), rng.random(50))
    assert "AUC undefined" in one_class
    assert is_unfolded(timeline_sketch(["2024-01"], [None]), "Champions")
    # Twelve champions of twelve recipes do not fit; the asset then drops the oldest months.
    many = [f"rolling window logistic regression {i}" for i in range(12)]
    assert not is_unfolded(timeline_sketch([str(i) for i in range(12)], many), "Champions")


def test_tables_read_as_people_read_numbers() -> None:
    records = table(["rows", "count"], [("read from the tape", 12_345), ("bad rate", 0.08), ("none", None)]).records
    assert [r.data["count"] for r in records] == ["12,345", "0.0800", ""]
    worse, better = ({"auc": auc, "capture_rate_top3_deciles": 0.5, "bad_rate": 0.1} for auc in (0.6, 0.7))
    who = [{"strategy": "fixed_window", "algorithm": "xgboost", "bundle_sha256": sha} for sha in ("a", "b")]
    models = models_table([(who[0], worse), (who[1], better)], b="champion").records
    assert [(r.data["AUC"], r.data["role"]) for r in models] == [("0.7000", "champion"), ("0.6000", "")]
    assert "role" not in models_table([(who[0], worse)]).records[0].data
    assert {r.data[""]: r.data["train"] for r in samples_table({"train": worse}).records}["bad rate"] == "10.0 %"
