"""Portfolio: a spec becomes Dagster definitions. ``type: pdx_assets.Portfolio`` in a defs.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from pdx_assets.orchestration.assets.common import LABELS_TAG
from pdx_assets.risk.spec import NOT_KNOWABLE, PortfolioSpec

if TYPE_CHECKING:
    from dagster import ComponentLoadContext
    from pydantic import BaseModel


class Portfolio(dg.Component):
    """One loan book, from tape to champion.

    Its attributes are a :class:`pdx_assets.risk.spec.PortfolioSpec`; a new portfolio needs no Python.
    """

    def __init__(self, spec: PortfolioSpec) -> None:
        self.spec = spec

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return PortfolioSpec

    @classmethod
    def load(cls, attributes: BaseModel | None, context: ComponentLoadContext) -> Portfolio:  # noqa: ARG003
        assert isinstance(attributes, PortfolioSpec)
        return cls(attributes)

    def build_defs(self, context: ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002
        return portfolio_definitions(self.spec)


def portfolio_definitions(spec: PortfolioSpec) -> dg.Definitions:
    """Assets, checks, jobs and the sensor of one portfolio; resources come from :mod:`pdx_assets.definitions`."""
    from pdx_assets.orchestration.assets.challengers import challenger_assets
    from pdx_assets.orchestration.assets.decision import decision_assets
    from pdx_assets.orchestration.assets.evidence import evidence_assets
    from pdx_assets.orchestration.assets.experiment import experiment_assets
    from pdx_assets.orchestration.assets.monitoring import monitoring_assets
    from pdx_assets.orchestration.assets.overview import overview_assets
    from pdx_assets.orchestration.assets.policies import policy_assets
    from pdx_assets.orchestration.assets.production import production_assets
    from pdx_assets.orchestration.assets.radar import radar_assets
    from pdx_assets.orchestration.assets.reports import report_assets
    from pdx_assets.orchestration.assets.tape import tape_assets
    from pdx_assets.orchestration.assets.windows import window_assets
    from pdx_assets.orchestration.jobs import jobs
    from pdx_assets.orchestration.sensors import maturity_sensor
    from pdx_assets.orchestration.study import study_job

    stages, monitoring = jobs(spec), monitoring_assets(spec)
    assets = [
        *tape_assets(spec),
        *window_assets(spec),
        *challenger_assets(spec),
        *evidence_assets(spec),
        *decision_assets(spec),
        *production_assets(spec),
        *monitoring,
        *radar_assets(spec),
        *report_assets(spec),
        *overview_assets(spec),
        *experiment_assets(spec),
        *policy_assets(spec),
    ]
    return dg.Definitions(
        assets=dg.map_asset_specs(_marked, assets) if spec.hindsight else assets,
        jobs=[*stages, study_job(spec)],
        sensors=[maturity_sensor(spec, stages, [key for asset in monitoring for key in asset.keys])],
    )


def _marked(asset: dg.AssetSpec) -> dg.AssetSpec:
    """An asset whose labels were accepted although nobody could know them in time says so first of all."""
    return asset.replace_attributes(
        description=f"**{NOT_KNOWABLE}** {asset.description or ''}".strip(),
        tags={**asset.tags, LABELS_TAG: "not_knowable_in_time"},
    )
