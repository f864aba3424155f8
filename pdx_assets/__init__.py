"""PDx keeps lenders' probability-of-default models healthy after launch (README.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdx_assets.orchestration.component import Portfolio

__version__ = "0.1.0"
__all__ = ["Portfolio"]


def __getattr__(name: str) -> Any:
    # Dagster finds the component as pdx_assets.Portfolio; risk/ and the CLI must not pay for importing it.
    if name == "Portfolio":
        from pdx_assets.orchestration.component import Portfolio

        return Portfolio
    raise AttributeError(f"module 'pdx_assets' has no attribute {name!r}")
