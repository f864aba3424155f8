"""The simulated lender's files: whole or absent, the same bytes, and what the demo declares of them."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pdx_assets.risk import synthetic
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import HomeError
from pdx_assets.risk.spec import SimulatedLender
from pdx_assets.risk.spec_file import load_spec
from pdx_assets.risk.synthetic import simulate, write_simulated_tape
from pdx_assets.risk.synthetic_lender import malformed

DEMO = Path(synthetic.__file__).parents[1] / "defs" / "demo" / "defs.yaml"


def lender(**changes: object) -> SimulatedLender:
    return SimulatedLender.model_validate({"seed": 7, "months": 20, "loans_per_month": 400} | changes)


SMALL = {"months": 8, "loans_per_month": 60, "faults": {"dirty_share": 0.02, "late_share": 0.2}}


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_tape_is_the_book_month_by_month(tmp_path: Path) -> None:
    who = lender(months=15, faults={"label_delay_days": 20, "late_share": 0.5})
    write_simulated_tape(who, tmp_path / "tape")
    book = simulate(who)
    assert sorted(p.stem for p in (tmp_path / "tape" / "loans").iterdir()) == [str(c.month) for c in book.cohorts]
    loans = pl.concat(
        pl.read_csv(f, schema=book.loans.drop("cohort").schema) for f in sorted((tmp_path / "tape/loans").iterdir())
    )
    assert loans.equals(book.loans.drop("cohort"))
    reported = {}
    for file in sorted((tmp_path / "tape/performance").iterdir()):
        rows = pl.read_csv(file, try_parse_dates=True)
        assert rows["reported_on"].dt.strftime("%Y-%m").unique().to_list() == [file.stem]
        reported[file.stem] = rows.height
    assert sum(reported.values()) == book.performance.height
    truth = pl.concat(pl.read_csv(f) for f in sorted((tmp_path / "tape/truth").iterdir()))
    assert truth.equals(book.truth.select("loan_id", "true_pd"))
    assert "true_pd" not in loans.columns
    assert json.loads((tmp_path / "tape/lender.json").read_text())["as_of"] == "2022-03-31"


def test_writing_is_deterministic_idempotent_and_replaces(tmp_path: Path) -> None:
    who, folder = lender(**SMALL), tmp_path / "tape"
    write_simulated_tape(who, folder)
    before, written = contents(folder), (folder / "lender.json").stat().st_mtime_ns
    write_simulated_tape(who, folder)
    assert (folder / "lender.json").stat().st_mtime_ns == written
    write_simulated_tape(who, tmp_path / "again")
    assert contents(tmp_path / "again") == before
    (folder / "loans" / "2021-03.csv").write_text("cut sho")
    write_simulated_tape(who, folder)
    assert contents(folder) == before
    write_simulated_tape(lender(**SMALL | {"seed": 8}), folder)
    assert contents(folder).keys() == before.keys()
    assert contents(folder) != before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(HomeError, match=r"not a simulated tape"):
        write_simulated_tape(lender(**SMALL), tmp_path / "mine")
    with pytest.raises(HomeError):
        write_simulated_tape(lender(**SMALL), tmp_path / "mine" / "thesis.tex")
    assert contents(tmp_path / "mine") == {"thesis.tex": b"x"}


def test_killed_in_the_middle_nothing_half_written_shows(tmp_path: Path) -> None:
    who, folder = lender(**SMALL | {"loans_per_month": 2000}), tmp_path / "tape"
    code = (
        "import sys; from pathlib import Path; from pdx_assets.risk.spec import SimulatedLender;"
        "from pdx_assets.risk.synthetic import write_simulated_tape;"
        "write_simulated_tape(SimulatedLender.model_validate_json(sys.argv[1]), Path(sys.argv[2]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, who.model_dump_json(), str(folder)])
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob(".tape.*/loans/2021-02.csv")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    left = list(tmp_path.glob(".tape.*.partial"))
    assert left, "the process finished before it was killed"
    assert not folder.exists()
    long_ago = time.time() - 7200
    os.utime(left[0], (long_ago, long_ago))
    write_simulated_tape(who, folder)
    write_simulated_tape(who, tmp_path / "undisturbed")
    assert contents(folder) == contents(tmp_path / "undisturbed")
    assert not list(tmp_path.glob(".tape.*.partial"))


def test_malformed_rows_are_few_various_and_leave_the_rest_alone() -> None:
    text = simulate(lender(months=2, loans_per_month=1000)).loans.drop("cohort").write_csv()
    assert malformed(text, 0.0, np.random.default_rng(0)) == text
    spoilt = malformed(text, 0.02, np.random.default_rng(0))
    good, rows = set(text.splitlines()), spoilt.splitlines()
    bad = [r for r in rows if r not in good]
    assert len(bad) == 35  # of 40, five are repeats
    assert len(rows) == 2001 + 5
    cells = [next(csv.reader([r])) for r in bad]
    assert {len(c) for c in cells} == {22, 25, 27}
    assert sum(c[0] == "" for c in cells) == 5
    assert sum(c[2] == "1900-01-01" for c in cells) == 5
    assert sum(c[2].endswith("-32") for c in cells) == 5


# --- the demo -------------------------------------------------------------------------------------


def test_demo_spec_is_about_this_lender() -> None:
    spec = load_spec(DEMO)
    who = spec.tape.simulated
    assert who is not None
    book = simulate(who.model_copy(update={"months": 2}))
    assert set(spec.columns) == set(book.loans.columns) - {"cohort"}
    assert all(c.unit and c.description for c in spec.columns.values())
    assert spec.named("protected") == ["age_band"]
    assert spec.named("price") == ["annual_rate"]
    assert who.drift.concept > 0
    assert who.drift.covariate > 0
    # The last of twelve production months is measurable on the tape's last day.
    assert spec.known_on(Month.parse("2024-12")) == (Month.parse(who.first_month) + (who.months - 1)).last_day


def test_demo_otv_has_bads_enough() -> None:
    who = load_spec(DEMO).tape.simulated
    assert who is not None
    truth = simulate(who.model_copy(update={"months": 24})).truth
    otv = truth.filter(pl.col("cohort").is_in(["2022-10", "2022-11", "2022-12"]))
    assert (otv["bad_age"] <= 12).sum() > 100
