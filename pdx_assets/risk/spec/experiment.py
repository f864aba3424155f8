"""Declarations of the experiment: which of the paper's datasets a portfolio's tables stand beside."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pdx_assets.risk.spec.base import Declared

PaperDatasetName = Literal["P2P", "SBA", "AutoL"]


class Experiment(Declared):
    """What `pdx experiment` prints beside the portfolio's own tables; nothing that is computed depends on it."""

    paper_dataset: PaperDatasetName | None = Field(None, description="the paper's dataset that the portfolio mirrors")
