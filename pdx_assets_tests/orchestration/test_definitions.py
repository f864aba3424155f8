"""What Dagster loads: every portfolio, its groups in order, edges that cover the manifests, located YAML errors."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pytest
from dagster.components.core.component_tree import ComponentTree

import pdx_assets
from pdx_assets.definitions import build_definitions, defs
from pdx_assets.orchestration.partitions import window_edge
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.spec_file import load_spec
from pdx_assets.risk.windows import development_months, otv_months
from pdx_assets_tests.small_portfolio import small_attributes, small_spec

DEFS = Path(pdx_assets.__file__).parent / "defs"


@pytest.fixture(scope="module")
def loaded() -> dg.Definitions:
    return defs()


def test_every_folder_with_a_yaml_is_a_portfolio(loaded: dg.Definitions) -> None:
    graph = loaded.resolve_asset_graph()
    portfolios = {key.path[0] for key in graph.get_all_asset_keys()}
    assert portfolios == {p.parent.name for p in DEFS.glob("*/defs.yaml")}
    for portfolio in portfolios:
        jobs = {job.name for job in loaded.resolve_all_job_defs()}
        assert {f"{portfolio}_cohort", f"{portfolio}_decide", f"{portfolio}_measure"} <= jobs


def test_groups_sort_in_stage_order_and_every_asset_is_described(loaded: dg.Definitions) -> None:
    graph = loaded.resolve_asset_graph()
    demo = [graph.get(k) for k in graph.get_all_asset_keys() if k.path[0] == "demo"]
    groups = sorted({node.group_name for node in demo})
    stages = ["tape", "windows", "challengers", "decision", "production", "monitoring"]
    assert groups == [f"demo_{i}_{s}" for i, s in enumerate(stages, 1)]
    for node in demo:
        assert node.description and node.kinds and node.owners and node.code_version, node.key


def test_jobs_cover_every_asset_once() -> None:
    built = build_definitions(load_spec(DEFS / "demo" / "defs.yaml"))
    names = [
        node.name
        for job in ("cohort", "decide", "measure", "report", "overview")
        for node in built.resolve_job_def(f"demo_{job}").nodes
    ]
    assert len(names) == len(set(names)) == len(built.resolve_asset_graph().get_all_asset_keys())


@pytest.mark.parametrize("portfolio", sorted(p.parent.name for p in DEFS.glob("*/defs.yaml")))
def test_graph_edges_are_a_superset_of_the_manifests(portfolio: str) -> None:
    """Dagster's lineage must show every month a window reads; what it shows beyond is only the growing start."""
    spec = load_spec(DEFS / portfolio / "defs.yaml")
    graph = build_definitions(spec).resolve_asset_graph()
    cohorts = graph.get(dg.AssetKey([spec.name, "clean_features"])).partitions_def
    for strategy in spec.strategies:
        node = graph.get(dg.AssetKey([spec.name, f"window_{strategy}"]))
        mapping = node.partition_mappings[dg.AssetKey([spec.name, "clean_features"])]
        for production in (spec.periods.shift(spec.p0, passed) for passed in (0, 3, 13)):
            subset = node.partitions_def.empty_subset().with_partition_keys([str(production)])
            upstream = mapping.get_upstream_mapped_partitions_result_for_partitions(
                subset, node.partitions_def, cohorts
            )
            edges = {Month.parse(k) for k in upstream.partitions_subset.get_partition_keys()}
            needed = {*development_months(spec, strategy, production), *otv_months(spec, production)}
            assert needed <= edges
            assert max(edges) == max(needed), "no edge reaches into the gap"


def test_current_month_exists_and_future_months_do_not() -> None:
    from datetime import UTC, datetime

    spec = load_spec(DEFS / "demo" / "defs.yaml")
    graph = build_definitions(spec).resolve_asset_graph()
    keys = graph.get(dg.AssetKey(["demo", "champion"])).partitions_def.get_partition_keys()
    assert keys[0] == "2024-01"
    assert keys[-1] == f"{datetime.now(UTC):%Y-%m}"


def test_a_wrong_yaml_fails_with_file_line_and_expectation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through Dagster's own loading: the error names the file, the line and what was expected."""
    project = tmp_path / "project"
    shutil.copytree(DEFS / "demo", project / "book" / "defs" / "demo")
    (project / "book" / "__init__.py").touch()
    (project / "pyproject.toml").write_text(
        '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "book"\n', encoding="utf-8"
    )
    path = project / "book" / "defs" / "demo" / "defs.yaml"
    text = path.read_text(encoding="utf-8")
    assert "    development: 12" in text
    path.write_text(text.replace("    development: 12", "    development: twelve"), encoding="utf-8")
    line = next(n for n, row in enumerate(path.read_text(encoding="utf-8").split("\n"), 1) if "twelve" in row)
    monkeypatch.syspath_prepend(str(project))
    with pytest.raises(Exception, match="demo") as caught:
        ComponentTree.for_project(path_within_project=project).build_defs()
    error: BaseException | None = caught.value
    said = ""
    while error is not None:
        said, error = said + str(error) + "\n", error.__cause__ or error.__context__
    assert f"defs.yaml:{line}" in said
    assert "windows.development" in said
    assert "valid integer" in said


@pytest.mark.parametrize("delay", [0, 30])
def test_edges_of_strategies_beyond_the_paper_reach_what_is_seen_and_no_further(delay: int) -> None:
    """With a reporting delay the youngest known cohort is one older in some months than in others."""
    strategies = ["fixed_window", "all_known", "immature_cohorts"]
    label = small_attributes()["label"] | {"reporting_delay_days": delay}
    plan = {"development": 4, "otv": 2, "gap": 14, "first_production": "2022-09"}
    spec = small_spec(strategies=strategies, label=label, windows=plan)
    months = [spec.p0 + i for i in range(24)]
    for strategy in strategies[1:]:
        edge = window_edge(spec, strategy)
        reach = [(development_months(spec, strategy, p)[-1].ordinal - p.ordinal) for p in months]
        assert edge.end_offset == max(reach)
    graph = build_definitions(spec).resolve_asset_graph()
    parents = {s: graph.get(dg.AssetKey([spec.name, f"window_{s}"])).parent_keys for s in strategies}
    layers = {s: {key.path[-1] for key in keys} for s, keys in parents.items()}
    assert layers["all_known"] == layers["fixed_window"] == {"clean_features", "labels"}
    assert layers["immature_cohorts"] == {"clean_features", "labels", "outcomes", "raw_loans"}
    scored = {key.path[-1] for key in graph.get(dg.AssetKey([spec.name, "otv_scores"])).parent_keys}
    assert not {name for name in scored if "all_known" in name or "immature" in name}
