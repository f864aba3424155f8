"""The job that runs one study ahead of the asset that shows it, so that no core waits for another."""

import dagster as dg

from pdx_assets.orchestration.assets.common import TRAINING_POOL
from pdx_assets.orchestration.jobs import job_name
from pdx_assets.orchestration.partitions import production_months
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.stages.as_of import models_as_of
from pdx_assets.stages.challengers import study_ahead
from pdx_assets.stages.workspace import Workspace


def study_op(portfolio: str) -> str:
    """Name of the one step of the study job; Dagster wants it unique over all portfolios."""
    return f"{portfolio}_study_of_one_window"


def study_job(spec: PortfolioSpec) -> dg.JobDefinition:
    """One study of one production month, ahead of the asset ``tuning_<algorithm>`` that will show it.

    That asset holds the studies of all its windows and is one step: run alone, the network's two studies kept one
    core busy for 52 of the 64 s of a month. Studies are content-addressed, so whoever needs one finds it made.
    """

    @dg.op(
        name=study_op(spec.name),
        config_schema={
            "strategy": dg.Field(str, is_required=False),
            "algorithm": dg.Field(str, is_required=False),
            "as_of": dg.Field(str, is_required=False, description="month before p0: train its models instead"),
        },
        pool=TRAINING_POOL,
        description="Runs the study and stores it; tuning_<algorithm> of the month then finds it there.",
    )
    def study(context: dg.OpExecutionContext) -> dg.Output[None]:
        config = context.op_config
        if "as_of" in config:
            seconds = models_as_of(Workspace.of(spec), Month.parse(config["as_of"])).seconds
            return dg.Output(None, metadata={"training_seconds": round(seconds, 3)})
        seconds = study_ahead(
            Workspace.of(spec), config["strategy"], config["algorithm"], Month.parse(context.partition_key)
        )
        return dg.Output(None, metadata={"training_seconds": round(seconds, 3)})

    @dg.job(
        name=job_name(spec.name, "study"),
        partitions_def=production_months(spec),
        description="Run one study of one production month ahead of its tuning asset; `pdx run` uses it to keep "
        "every core busy.",
    )
    def job() -> None:
        study()

    return job
