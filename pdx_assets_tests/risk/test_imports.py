"""The domain imports neither Dagster nor MLflow, and light doors stay light: each in a fresh process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pdx_assets

ROOT = Path(pdx_assets.__file__).parent
ORCHESTRATORS = {"dagster", "mlflow"}
HEAVY = {"torch", "xgboost", "sklearn", "optuna", "onnx", "onnxruntime", "matplotlib", "evidently", "scipy", "pandas"}


def modules(folder: Path) -> list[str]:
    names = (p.relative_to(ROOT.parent).with_suffix("") for p in folder.rglob("*.py"))
    return sorted(".".join(p.parts).removesuffix(".__init__") for p in names)


def loaded(code: str) -> set[str]:
    """Top-level packages in a fresh interpreter after running some code."""
    script = f"{code}\nimport sys\nsys.stderr.write('LOADED ' + ' '.join({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.rpartition("LOADED ")[2].split())


def test_the_probe_sees_what_is_loaded() -> None:
    found = loaded("import xml.dom.minidom, pdx_assets")
    assert {"xml", "pdx_assets"} <= found
    assert "dagster" not in found


def test_risk_imports_neither_dagster_nor_mlflow_nor_heavy_libraries() -> None:
    names = modules(ROOT / "risk")
    assert {"pdx_assets.risk.windows", "pdx_assets.risk.models.training", "pdx_assets.risk.metrics.summary"} <= set(
        names
    )
    found = loaded(f"import {', '.join(names)}")
    assert "polars" in found
    assert not found & ORCHESTRATORS
    assert not found & HEAVY


def test_storage_and_stages_do_not_import_the_orchestrator_either() -> None:
    names = [*modules(ROOT / "stages"), "pdx_assets.lake", "pdx_assets.settings", "pdx_assets.results"]
    found = loaded(f"import {', '.join(names)}")
    assert not found & ORCHESTRATORS
    assert not found & HEAVY


@pytest.mark.parametrize(
    "code",
    [
        "import pdx_assets; assert pdx_assets.__version__",
        "import pdx_assets.cli",
        "import pdx_assets.settings",
        """
import sys
from pdx_assets.cli import app
for words in ([], ["run"], ["results"], ["ui"]):
    try:
        app([*words, "--help"])
    except SystemExit as end:
        assert end.code == 0, end.code
""",
    ],
    ids=["package", "cli", "settings", "help"],
)
def test_light_doors(code: str) -> None:
    found = loaded(code)
    assert not found & (ORCHESTRATORS | HEAVY | {"polars", "numpy", "deltalake", "pyarrow"})


def test_only_orchestration_names_the_orchestrator() -> None:
    """Lint says so too; this also sees imports inside functions of files that lint was told to pass over."""
    import ast

    allowed = {ROOT / "definitions.py", ROOT / "__init__.py", ROOT / "cli.py"}
    found = []
    for path in ROOT.rglob("*.py"):
        if path in allowed or ROOT / "orchestration" in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path}: {n}" for n in names if n.split(".")[0] in {*ORCHESTRATORS, "pickle", "joblib"}]
    assert found == []


def test_the_portfolio_component_is_found_where_dagster_looks() -> None:
    code = "import pdx_assets; assert pdx_assets.Portfolio.__name__ == 'Portfolio'"
    assert "dagster" in loaded(code)
    with pytest.raises(AttributeError, match="Portfolios"):
        pdx_assets.Portfolios  # noqa: B018
