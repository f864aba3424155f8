"""What the benchmarks of one production month share: their arguments, and a workspace with a profile pinned."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pdx_assets.risk.spec import ProfileName
    from pdx_assets.stages.workspace import Workspace


def month_parser(description: str | None) -> argparse.ArgumentParser:
    """``PORTFOLIO MONTH [--tape FILE] [--profile NAME]``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portfolio")
    parser.add_argument("month")
    parser.add_argument("--tape")
    parser.add_argument("--profile", choices=("quick", "standard", "paper", "paper_size"), default="standard")
    return parser


def pinned_workspace(arguments: argparse.Namespace, profile: ProfileName) -> Workspace:
    """The portfolio in the home of the environment, with a profile and the tape pinned anew."""
    from pdx_assets.cli import open_workspace
    from pdx_assets.stages.workspace import Workspace

    spec = open_workspace(arguments.portfolio).spec
    ws = Workspace.of(spec)
    (ws.settings.home / "portfolios" / f"{spec.name}.json").unlink(missing_ok=True)
    tape = str(Path(arguments.tape).resolve()) if arguments.tape else None
    ws.settings.pin(spec.name, profile=profile, seed=0, tape=tape)
    return ws
