"""The alerts sensor, and the end of ``pdx run``, on a temporary instance with real runs and check evaluations."""

import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pdx_assets.alerts.outbox import Outbox
from pdx_assets.lake import Lake
from pdx_assets.orchestration import alerting as module
from pdx_assets.orchestration.alerting import alert_sensor, alerting
from pdx_assets.risk.errors import AlertError, TapeUnavailableError
from pdx_assets.settings import Settings
from pdx_assets_tests.alerts.servers import free_port

# Partitioned checks, which PDx's own are, are "preview" in Dagster 1.13.
pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning")

MONTHS = dg.StaticPartitionsDefinition(["2024-01", "2024-02", "2024-03"])
# What the fake assets below do, by month.
behaviour: dict[str, Any] = {}


def portfolio(name: str, *, tagged: bool = True) -> dg.Definitions:
    """A portfolio of one asset, whose check and whose run fail as told."""

    @dg.asset(
        name="drift",
        key_prefix=name,
        partitions_def=MONTHS,
        tags={"pdx/portfolio": name} if tagged else {},
        check_specs=[dg.AssetCheckSpec("psi", asset=[name, "drift"], partitions_def=MONTHS)],
    )
    def drift(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        what = behaviour.get(context.partition_key)
        if isinstance(what, Exception):
            raise what
        result = dg.AssetCheckResult(passed=what is None, check_name="psi", description=what)
        return dg.MaterializeResult(check_results=[result])

    return dg.Definitions(assets=[drift], jobs=[dg.define_asset_job(f"{name}_measure", selection=[drift])])


@pytest.fixture
def home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    behaviour.clear()
    for name in [n for n in os.environ if n.startswith("PDX_ALERTS")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PDX_ALERTS", "log")
    monkeypatch.setenv("PDX_DAGSTER_UI", "http://ui")
    return home


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    (home / "dagster").mkdir()
    with dg.DagsterInstance.from_config(str(home / "dagster")) as made:
        yield made


def run(instance: dg.DagsterInstance, month: str, name: str = "small", **tags: str) -> None:
    job = portfolio(name).resolve_job_def(f"{name}_measure")
    job.execute_in_process(instance=instance, partition_key=month, raise_on_error=False, tags=tags)


def tick(instance: dg.DagsterInstance, *definitions: dg.Definitions) -> str:
    """One evaluation, by a sensor that remembers nothing: as after a restart of the daemon."""
    defs = dg.Definitions.merge(*(definitions or (portfolio("small"),)))
    with dg.build_sensor_context(instance=instance, definitions=defs) as context:
        result = alert_sensor()(context)
    assert isinstance(result, dg.SkipReason)
    return result.skip_message or ""


def told(home: Path) -> list[str]:
    path = home / "logs" / "alerts.log"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line.partition(" ")[2].partition(" ")[2] for line in lines]


def decide(month: str, verdict: str, name: str = "small") -> None:
    champion = {"strategy": "rolling_window", "algorithm": "xgboost", "trained_for": month}
    document = {
        "portfolio": name,
        "production_month": month,
        "decision": verdict,
        "champion": champion,
        "reason": f"{verdict}, because of the AUC",
    }
    assert Lake(Settings.from_environment().lake, name).create_document("decisions/main", month, document)


def test_what_happened_is_told_once(home: Path, instance: dg.DagsterInstance) -> None:
    assert tick(instance) == "0 new; log: 0 told"
    behaviour.update(
        {"2024-01": "PSI 0.31", "2024-02": TapeUnavailableError("s3://tapes is not there.", remedy="wait")}
    )
    for month in ("2024-01", "2024-02", "2024-03"):
        run(instance, month)
    decide("2024-01", "promoted")
    decide("2024-02", "kept")
    assert tick(instance) == "3 new; log: 3 told"
    run_id = next(r.run_id for r in instance.get_runs() if r.is_failure)
    check, failed, promotion = sorted(told(home), key=lambda line: ("champion" in line, "run of" in line))
    assert check.startswith("ERROR   [PDx] small 2024-01: psi failed on drift | PSI 0.31 failed check, error,")
    assert check.endswith("http://ui/assets/small/drift?view=checks&checkDetail=psi")
    assert "s3://tapes is not there. What to do: wait" in failed and failed.endswith(f"http://ui/runs/{run_id}")
    assert "small 2024-02: run of" in failed
    assert "rolling window xgboost of 2024-01 is the champion | promoted, because of the AUC" in promotion
    assert promotion.endswith("http://ui/assets/small/champion?view=partitions&partition=2024-01")
    for _ in range(2):
        assert tick(instance) == "0 new; log: 0 told"
    assert len(told(home)) == 3


def test_the_same_failure_again_is_no_news_until_it_was_well(home: Path, instance: dg.DagsterInstance) -> None:
    tick(instance)
    said = []
    for words in ("PSI 0.31", "PSI 0.31", "PSI 0.40", None, "PSI 0.40"):
        behaviour["2024-01"] = words
        run(instance, "2024-01")
        said.append(tick(instance)[0])
    assert said == ["1", "0", "1", "0", "1"]


def test_only_portfolios_of_the_code_location_are_told(home: Path, instance: dg.DagsterInstance) -> None:
    tick(instance)
    behaviour.update({"2024-01": "PSI 0.31", "2024-02": ValueError("broken")})
    for name in ("small", "other", "foreign"):
        run(instance, "2024-01", name)
        run(instance, "2024-02", name)
    both = (portfolio("small"), portfolio("other"), portfolio("foreign", tagged=False))
    assert tick(instance) == "2 new; log: 2 told"
    # A portfolio that is new here is read from when alerts began, and the first is not told again.
    assert tick(instance, *both) == "2 new; log: 2 told"
    assert {line.split()[2] for line in told(home)} == {"small", "other"}


def test_what_was_before_alerts_were_on_is_not_told(home: Path, instance: dg.DagsterInstance) -> None:
    behaviour["2024-01"] = "PSI 0.31"
    run(instance, "2024-01")
    decide("2024-01", "promoted")
    old = [f"decision/small/{m}" for m in ("2024-01",)]
    Outbox(home / "alerts.db", lambda: time.time() + 2 * module.CLOCK_SKEW).begin(lambda: old)
    assert tick(instance) == "0 new; log: 0 told"


def test_decisions_of_before_are_known_at_the_first_tick(home: Path, instance: dg.DagsterInstance) -> None:
    decide("2024-01", "promoted")
    assert tick(instance) == "0 new; log: 0 told"
    decide("2024-02", "promoted")
    assert tick(instance) == "1 new; log: 1 told"


def test_a_deleted_instance_loses_and_repeats_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids start again at 1, below where the log had been read to, and then pass it between two ticks."""
    behaviour.update({"2024-01": "PSI 0.31", "2024-02": "PSI 0.32", "2024-03": "PSI 0.33"})
    for months, new in ((["2024-01"], 1), (["2024-02"], 1), (["2024-03"] * 8, 1)):
        shutil.rmtree(home / "dagster", ignore_errors=True)
        (home / "dagster").mkdir()
        with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
            for month in months:
                run(instance, month)
            assert tick(instance) == f"{new} new; log: {new} told"
            assert tick(instance) == "0 new; log: 0 told"


def test_a_wiped_asset_loses_and_repeats_nothing(home: Path, instance: dg.DagsterInstance) -> None:
    """Wiping deletes events, and SQLite gives the ids of deleted rows out again."""
    tick(instance)
    behaviour.update({"2024-01": "PSI 0.31", "2024-02": "PSI 0.32"})
    run(instance, "2024-01")
    assert tick(instance) == "1 new; log: 1 told"
    instance.wipe_assets([dg.AssetKey(["small", "drift"])])
    run(instance, "2024-02")
    assert tick(instance) == "1 new; log: 1 told"
    instance.wipe()
    assert tick(instance) == "0 new; log: 0 told"


def test_many_events_are_read_in_batches(home: Path, instance: dg.DagsterInstance) -> None:
    tick(instance)
    count = module.BATCH + 120
    for n in range(count):
        evaluation = dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(["small", "drift"]), check_name=f"check_{n}", passed=False, description=f"bad {n}"
        )
        instance.report_runless_asset_event(evaluation)
    assert tick(instance).startswith(f"{count} new; log: {module.BATCH} told"), "claimed so many at once"
    assert tick(instance) == "0 new; log: 120 told"
    assert len(told(home)) == 2, "in one message each"
    start = time.perf_counter()
    assert tick(instance) == "0 new; log: 0 told"
    assert time.perf_counter() - start < 2


def test_a_level_keeps_the_less_severe_back(
    home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PDX_ALERTS_LEVEL", "error")
    tick(instance)
    behaviour["2024-01"] = "PSI 0.31"
    run(instance, "2024-01")
    decide("2024-01", "promoted")
    assert tick(instance) == "1 new; log: 1 told"
    monkeypatch.setenv("PDX_ALERTS_LEVEL", "info")
    assert tick(instance) == "0 new; log: 0 told", "what was below the level then stays untold"


def test_a_run_that_dagster_retries_is_a_warning(home: Path, instance: dg.DagsterInstance) -> None:
    tick(instance)
    behaviour["2024-01"] = ValueError("killed")
    run(instance, "2024-01")
    [failed] = instance.get_runs()
    instance.add_run_tags(failed.run_id, {"dagster/will_retry": "true"})
    tick(instance)
    assert told(home)[0].startswith("WARNING [PDx] small 2024-01: run of")
    assert "failed, Dagster tries again | small__drift: ValueError: killed" in told(home)[0]


def test_a_channel_that_cannot_be_reached_fails_no_tick(
    home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PDX_ALERTS", "webhook,log")
    monkeypatch.setenv("PDX_ALERTS_WEBHOOK_URL", f"http://127.0.0.1:{free_port()}/services/secret-token")
    tick(instance)
    behaviour["2024-01"] = "PSI 0.31"
    run(instance, "2024-01")
    said = tick(instance)
    assert said.startswith("1 new; webhook: 0 told, then: 127.0.0.1 cannot be reached: ConnectionRefusedError")
    assert said.endswith("log: 1 told")
    assert "secret-token" not in said + caplog.text
    assert tick(instance) == "0 new; webhook: 0 told; log: 0 told"


def test_a_log_that_cannot_be_read_fails_no_tick(
    home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick(instance)
    behaviour["2024-01"] = "PSI 0.31"
    run(instance, "2024-01")
    decide("2024-01", "promoted")

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("postgresql://pdx:hunter2@db is down")

    with monkeypatch.context() as patched:
        patched.setattr(instance.event_log_storage, "get_logs_for_all_runs_by_log_id", broken)
        assert tick(instance) == "1 new; log: 1 told", "promotions are read from elsewhere"
    assert tick(instance) == "1 new; log: 1 told", "and the check when the log is back"


def test_without_alerts_the_sensor_stands_still_and_says_so(
    home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert alert_sensor().default_status == dg.DefaultSensorStatus.RUNNING
    monkeypatch.delenv("PDX_ALERTS")
    assert alert_sensor().default_status == dg.DefaultSensorStatus.STOPPED
    assert "PDX_ALERTS is not set" in tick(instance)
    assert not (home / "alerts.db").exists()
    monkeypatch.setenv("PDX_ALERTS", "pigeon")
    # A mistake shows as a failed tick, and does not keep the code location from loading.
    assert alert_sensor().default_status == dg.DefaultSensorStatus.RUNNING
    with pytest.raises(Exception, match=r"SensorExecutionError|pigeon") as failure:
        tick(instance)
    assert isinstance(failure.value.__cause__ or failure.value, AlertError)


def test_the_code_location_has_one_alerts_sensor() -> None:
    from pdx_assets.definitions import defs

    sensors = [s for s in defs().get_repository_def().sensor_defs if s.name == "alerts"]
    assert len(sensors) == 1


# --- pdx run ----------------------------------------------------------------------------------------


def test_what_failed_within_pdx_run_is_told_at_its_end(home: Path) -> None:
    behaviour["2024-01"] = ValueError("broken")
    with alerting(Settings.from_environment(), ["small"]):
        (home / "dagster").mkdir(exist_ok=True)
        with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
            run(instance, "2024-01")
        decide("2024-01", "first")
    assert len(told(home)) == 2
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        assert tick(instance) == "0 new; log: 0 told", "the daemon's sensor does not tell it again"


def test_a_failing_body_is_told_and_fails_all_the_same(home: Path) -> None:
    with pytest.raises(TapeUnavailableError), alerting(Settings.from_environment(), ["small"]):
        decide("2024-01", "promoted")
        raise TapeUnavailableError("gone")
    assert len(told(home)) == 1


@pytest.mark.parametrize("alerts", ["pigeon", "log", ""])
def test_nothing_about_alerts_fails_a_run(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, alerts: str
) -> None:
    monkeypatch.setenv("PDX_ALERTS", alerts)
    (home / "alerts.db").write_text("no database" * 100, encoding="utf-8")
    (home / "logs").write_text("no folder", encoding="utf-8")
    with caplog.at_level(logging.WARNING), alerting(Settings.from_environment(), ["small"]):
        done = True
    assert done
    words = {"pigeon": "Nobody will be alerted", "log": "Alerts could not", "": ""}[alerts]
    assert words in caplog.text and bool(caplog.text) == bool(alerts)
