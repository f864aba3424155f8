"""How dear a look is: a tick asks little, a month that is run asks at once, and a dead source is never an old tape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pdx_assets.orchestration.sensors import _default_status
from pdx_assets.risk.errors import SpecError, TapeUnavailableError
from pdx_assets.risk.tape import locate_tape
from pdx_assets.risk.tape_location import require_variables
from pdx_assets.settings import Settings
from pdx_assets.stages.maturity import contents
from pdx_assets.stages.tape import open_tape, tape_state, whole_tape
from pdx_assets.stages.workspace import Workspace
from pdx_assets_tests.risk.sources import same_loans
from pdx_assets_tests.risk.sources.servers import Answer, Api, api

RECORDS = [{**record, "seen_at": None} for record in same_loans.as_records(same_loans.rows())]


def answer(path: str, parameters: dict[str, str], _: dict[str, str]) -> Answer:
    by_month: dict[str, list[Any]] = {}
    for record, loan in zip(RECORDS, same_loans.rows(), strict=True):
        by_month.setdefault(f"{loan['opened']:%Y-%m}", []).append(record)
    if path == "/changes":
        return Answer([{"month": month, "mark": 1} for month in by_month])
    return Answer(by_month.get(parameters["month"], []))


def workspace(home: Path, host: Api, **tape: Any) -> Workspace:
    declared = {"url": f"{host.url}/loans", "month_parameter": "month", "changes": {"url": f"{host.url}/changes"}}
    settings = Settings(home, str(home / "lake"), f"sqlite:///{home}/mlflow.db", "http://x", "http://y")
    return Workspace(same_loans.spec(http={**declared, "attempts": 1}, **tape), settings)


def test_a_tick_within_the_interval_asks_nothing_and_one_after_it_asks_for_the_marks(tmp_path: Path) -> None:
    with api(answer) as host:
        ws = workspace(tmp_path, host)
        whole_tape(ws)
        assert host.paths() == ["/changes", *["/loans"] * 4]
        host.asked.clear()
        for _ in range(2):
            contents(ws)
            tape_state(ws)
        assert host.asked == []
        first = open_tape(ws)
        assert whole_tape(ws, look_again=True) is first, "what did not change is not read again"
        assert host.paths() == ["/changes"]
        eager = workspace(tmp_path, host, refresh_minutes=0)
        open_tape(eager)
        assert host.paths() == ["/changes"] * 2
    assert len([p for p in ws.settings.staging("small").iterdir() if not p.name.startswith(".")]) == 1


def test_a_dead_source_is_an_error_though_a_tape_was_landed(tmp_path: Path) -> None:
    with api(answer) as host:
        ws = workspace(tmp_path, host)
        whole_tape(ws)
    with pytest.raises(TapeUnavailableError, match="cannot be read"):
        whole_tape(ws, look_again=True)
    assert whole_tape(ws).accounting.rows_out == 16, "within its interval nobody asks"


def test_a_revised_month_makes_its_cohort_differ_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marks = {"2016-02": 1}

    def revised(path: str, parameters: dict[str, str], headers: dict[str, str]) -> Answer:
        said = answer(path, parameters, headers)
        if path == "/changes":
            return Answer([{**entry, "mark": marks.get(entry["month"], 1)} for entry in said.body])
        if parameters["month"] == "2016-02" and marks["2016-02"] > 1:
            return Answer([{**record, "state": "Late"} for record in said.body])
        return said

    with api(revised) as host:
        ws = workspace(tmp_path, host)
        before = contents(ws)
        marks["2016-02"] = 2
        whole_tape(ws, look_again=True)
        after = contents(ws)
    assert [str(c) for c in after if after[c].loans != before[c].loans] == ["2016-02"]


def test_the_sensor_stays_off_where_an_address_lacks_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDX_SENSORS", "all")
    query = {"url": "postgresql://me:${LOANS_PW}@host/db", "query": "SELECT 1 ORDER BY 1"}
    token = {"url": "https://host/loans", "auth": {"variable": "LOANS_PW"}}
    for tape in ({"sql": query}, {"http": token}, {"path": "${LOANS_PW}/x"}):
        monkeypatch.delenv("LOANS_PW", raising=False)
        with pytest.raises(SpecError, match="LOANS_PW"):
            require_variables(same_loans.spec(**tape))
        assert _default_status(same_loans.spec(**tape)).value == "STOPPED"
        monkeypatch.setenv("LOANS_PW", "x")
        assert _default_status(same_loans.spec(**tape)).value == "RUNNING"


def test_an_address_given_in_place_of_the_declared_one(tmp_path: Path) -> None:
    def located(override: str, **tape: Any) -> Any:
        return locate_tape(
            same_loans.spec(**tape), override=override, simulated_folder=tmp_path, landing=tmp_path / "landing"
        )

    with api(lambda *_: Answer(RECORDS)) as host:
        found = located(f"{host.url}/replica", http={"url": "https://nowhere.invalid/loans"})
    assert host.paths() == ["/replica"] and found.landed[0][1] == "records.jsonl.gz"
    with pytest.raises(SpecError, match=r"--tape is the address of a database, and the portfolio declares none"):
        located("postgresql://host/db", path="x.csv")
    query = {"url": "postgresql://host/db", "query": "SELECT 1 ORDER BY 1"}
    with pytest.raises(SpecError, match="holds a password") as caught:
        located("postgresql://me:hunter2@host/db", sql=query)
    assert "hunter2" not in str(caught.value)
