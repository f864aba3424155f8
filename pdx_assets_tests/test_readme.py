"""The README's commands work as written; so do the YAML and the Python of docs/."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pdx_assets.risk.spec_file import load_spec

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return [body for lang, info, body in FENCE.findall(text) if lang == language and "no-test" not in info]


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment with a home in which one month of the demo is decided, and pdx on the path."""
    environment = {
        **os.environ,
        "PDX_HOME": str(tmp_path_factory.mktemp("readme")),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = ["pdx", "run", "demo", "--profile", "quick", "--to", "2024-01"]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=500)
    return environment


def test_readme_commands_run(decided: dict[str, str]) -> None:
    commands = [line for body in blocks("README.md", "bash") for line in body.strip().split("\n")]
    assert len(commands) >= 5
    for command in commands:
        ended = subprocess.run(
            command, shell=True, env=decided, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
        )
        assert ended.returncode == 0, f"{command}\n{ended.stderr[-2000:]}"
        assert ended.stdout.strip()


def test_storage_page_follows_a_score_back_and_derives_a_bundle_again(decided: dict[str, str]) -> None:
    """Its Python blocks, in order, as one session on a real home: what an auditor would do."""
    script = "\n".join(blocks("docs/storage.md", "python"))
    assert "build_bundle" in script
    ended = subprocess.run(
        [sys.executable, "-c", script], env=decided, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]


def test_portfolio_pages_tapes_are_valid() -> None:
    import yaml

    from pdx_assets.risk.spec import Tape

    tapes = [yaml.safe_load(b)["tape"] for b in blocks("docs/portfolio.md", "yaml") if b.startswith("tape:")]
    assert [next(k for k in ("path", "sql", "http") if k in tape) for tape in tapes] == ["path", "path", "sql", "http"]
    for tape in tapes:
        Tape.model_validate(tape)


def test_portfolio_pages_example_is_valid(tmp_path: Path) -> None:
    examples = [b for b in blocks("docs/portfolio.md", "yaml") if b.lstrip().startswith("type: pdx_assets.Portfolio")]
    assert examples
    for body in examples:
        path = tmp_path / "defs.yaml"
        path.write_text(body, encoding="utf-8")
        assert load_spec(path).name


def test_links_and_pictures_exist() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        text = document.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (document.parent / target).exists(), f"{document.name}: {target}"
