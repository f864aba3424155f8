"""The experiment of a home whose results were made by hand: the asset, the command, and the folder it leaves."""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from pdx_assets import cli
from pdx_assets.orchestration.assets.experiment import experiment_assets
from pdx_assets.risk.errors import HomeError
from pdx_assets.stages.experiment import experiment, experiment_files
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.small_portfolio import small_spec
from pdx_assets_tests.stored_results import keep_results

PNG = b"\x89PNG\r\n"


@pytest.fixture
def ws(home: Path) -> Workspace:
    """The demo's spec over hand-made results."""
    ws = cli.open_workspace("demo")
    keep_results(ws)
    return ws


def run(*arguments: str) -> tuple[str, int]:
    done = CliRunner().invoke(cli.app, ["experiment", *arguments])
    return done.stdout, done.exit_code


def production(document: dict) -> dict[str, list]:  # type: ignore[type-arg]
    (table,) = [t for t in document["tables"] if t["key"] == "tables_6_to_8"]
    return {row[1]: row[2:] for row in table["rows"]}


def test_the_asset_shows_every_table_and_the_figure_inline(home: Path) -> None:
    spec = small_spec(experiment={"paper_dataset": "P2P"})
    keep_results(Workspace.of(spec))
    with dg.DagsterInstance.ephemeral() as instance:
        versions = []
        for _ in range(2):
            result = dg.materialize(experiment_assets(spec), instance=instance)
            (event,) = result.get_asset_materialization_events()
            versions.append((event.materialization.tags or {})["dagster/data_version"])
        assert versions[0] == versions[1], "the version is of the content"
        metadata = event.materialization.metadata
        for words in ("Table 2", "Table 3", "Table 4", "Table 5", "Table 6", "Figure 4"):
            (shown,) = [v.value for k, v in metadata.items() if k.startswith(words) and k != "Figure 4, drawn"]
            assert "Simulated: every loan of small" in shown
        assert "| small | FW XGB | **0.660** |  |" in metadata["Table 6: AUC in production, month by month"].value
        picture = metadata["Figure 4, drawn"].value
        assert base64.b64decode(picture.split("base64,")[1].rstrip(")")).startswith(PNG)
        ws = Workspace.of(spec)
        realized = ws.lake.get_document("production_performance", "2022-07")["metrics"]
        ws.lake.put_document("production_performance", "2022-08", {"metrics": realized})
        result = dg.materialize(experiment_assets(spec), instance=instance)
        (event,) = result.get_asset_materialization_events()
        assert (event.materialization.tags or {})["dagster/data_version"] != versions[0], "a month was measured since"


def test_the_command_leaves_a_folder_whose_files_say_the_same(ws: Workspace) -> None:
    said, code = run("demo")
    assert code == 0 and "README.md" in said
    folder = ws.settings.home / "experiments" / "demo"
    names = {f"table_{i}.csv" for i in range(2, 6)} | {"tables_6_to_8.csv", "figure_4.csv", "figure_4.png", "README.md"}
    assert {p.name for p in folder.iterdir()} == names
    assert (folder / "figure_4.png").read_bytes().startswith(PNG)
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert "$ pdx experiment demo" in page and "$ pdx run demo --profile standard --to 2024-02" in page
    assert page.count("Simulated: every loan of demo") == 7, "on top and beside each of six tables"
    lines = {row[1]: row[2:] for row in csv.reader(io.StringIO((folder / "tables_6_to_8.csv").read_text()))}
    assert lines["FW LR"] == ["0.65", *[""] * 11, "simulated"]
    assert "| demo | FW LR | 0.650 |  |" in page
    said, _ = run("demo", "--format", "json")
    assert production(json.loads(said))["FW LR"] == [0.65, *[None] * 11]
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert run("demo")[1] == 0
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before, "the same results, the same bytes"


def test_printing_writes_nothing_unless_asked_to(ws: Workspace, tmp_path: Path) -> None:
    said, code = run("demo", "--format", "markdown")
    assert code == 0 and said.startswith("# Demo digital lender (simulated): the paper's tables")
    assert not (ws.settings.home / "experiments").exists()
    said, code = run("demo", "--format", "json", "--out", str(tmp_path / "out"))
    assert code == 0 and json.loads(said)["portfolio"] == "demo"
    assert (tmp_path / "out" / "README.md").exists()


def test_splits_come_from_what_every_model_was_measured_on(ws: Workspace) -> None:
    (table,) = [t for t in experiment(ws).tables if t.key == "table_2"]
    values = {row[0].value: [cell.value for cell in row[1:]] for row in table.rows}
    assert values["Train"] == ["2021-10 to 2022-09", 800, 80, 0.1]
    assert values["PROD"] == ["2024-01", 800, 80, 0.1]
    assert values["Features a model may use"][1] == len(ws.spec.number_features + ws.spec.category_features)
    assert values["Columns declared"][1] == len(ws.spec.columns)


def test_somebody_elses_folder_is_not_replaced(ws: Workspace, tmp_path: Path) -> None:
    """`--out docs/experiments` would have taken the index page for its own README and every folder with it."""
    index = tmp_path / "docs"
    index.mkdir()
    (index / "README.md").write_text("the index", encoding="utf-8")
    for extra in (None, index / "lendingclub"):
        if extra is not None:
            extra.mkdir()
        done = CliRunner().invoke(cli.app, ["experiment", "demo", "--out", str(index)])
        assert isinstance(done.exception, HomeError) and "would be lost" in str(done.exception)
        assert (index / "README.md").read_text(encoding="utf-8") == "the index"
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".docs")]


def test_a_kill_leaves_the_former_folder(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run("demo")
    folder = ws.settings.home / "experiments" / "demo"
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    write = Path.write_bytes
    written = []

    def dies(self: Path, data: bytes) -> int:
        written.append(self)
        if len(written) == 4:
            raise KeyboardInterrupt
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", dies)
    assert run("demo")[1] != 0
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in folder.parent.iterdir()] == ["demo"]


def test_a_home_without_decisions_says_what_to_do(home: Path) -> None:
    with pytest.raises(HomeError, match="pdx run small"):
        experiment(Workspace.of(small_spec()))


def test_a_tape_given_is_named_without_its_folder(ws: Workspace) -> None:
    ws.settings.pin("demo", tape="/somebody/private/loans.csv")
    again = cli.open_workspace("demo")
    page = experiment_files(again, experiment(again))["README.md"].decode()
    assert "--tape loans.csv" in page and "private" not in page
    assert "Real: the loans of demo were read from its tape, given with --tape" in page


def test_a_quarterly_portfolio_has_quarters(home: Path) -> None:
    plan = {"frequency": "quarter", "development": 2, "otv": 1, "gap": 4, "first_production": "2022-10"}
    ws = Workspace.of(small_spec(windows=plan, experiment={"paper_dataset": "SBA"}))
    assert keep_results(ws) == ["2022-10", "2023-01"]
    page = experiment_files(ws, experiment(ws))["README.md"].decode()
    assert "## Table 7: AUC in production, quarter by quarter" in page
    assert "| small | quarter | 2022-10 | 2023-01 | 2023-04 |" in page
    assert "| Q2 (2023-01) |" not in page and "| Q1 (2022-10) | frozen XGB FW |" in page
    assert "Q12, the paper's, is not measured yet: Q1 is the last that is." in page
    assert "mean of 1 quarter |" in page
    assert "| the paper | quarter | 2002-01 | 2002-04 |" in page
