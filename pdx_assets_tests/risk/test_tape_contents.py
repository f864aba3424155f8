"""What makes a cohort look changed: its loans, and not where on the tape they stood."""

from __future__ import annotations

from pathlib import Path

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.tape import CohortRows, TapeSource, stage_tape
from pdx_assets.risk.tape_contents import loans_sha256
from pdx_assets_tests.risk.small_tape import loan, spec, write

JAN = Month(2016, 1)
# An amount that is no number: a row set aside.
LOANS = [loan(1), loan(2, amount="2000"), loan(3, amount="many"), *(loan(n) for n in range(4, 24))]


def read(folder: Path, name: str, *rows: dict[str, str]) -> CohortRows:
    source = TapeSource((write(folder / name, list(rows)),))
    return stage_tape(spec(), source, folder / "staging").cohort(JAN)


def test_the_next_full_export_changes_no_cohort_it_did_not_touch(tmp_path: Path) -> None:
    """A full export of LendingClub's loans under another file name, one cohort revised, made the sensor ask for
    all 55 cohorts again: file and line of each loan were part of what is compared.
    """
    before = read(tmp_path / "a", "2016-12.csv", *LOANS)
    earlier = loan(99, opened="Dec-2015")
    again = read(tmp_path / "b", "2017-01.csv", earlier, *reversed(LOANS))
    assert again.loans["source_row"].to_list() != before.loans["source_row"].to_list()
    assert loans_sha256(spec(), again) == loans_sha256(spec(), before)
    corrected = [loan(2, amount="2001") if row["number"] == "2" else row for row in LOANS]
    assert loans_sha256(spec(), read(tmp_path / "c", "2016-12.csv", *corrected)) != loans_sha256(spec(), before)
    mended = [loan(3) if row["number"] == "3" else row for row in LOANS]
    assert loans_sha256(spec(), read(tmp_path / "d", "2016-12.csv", *mended)) != loans_sha256(spec(), before)


def test_a_file_name_counts_where_it_decides_what_loans_weigh(tmp_path: Path) -> None:
    weights = {"column": "state", "values": {"Current": 2.0}, "files": "*sample*"}
    weighted = spec(sampling_weights=weights)
    whole, sample = (read(tmp_path / name, f"{name}.csv", *LOANS) for name in ("whole", "sample"))
    assert loans_sha256(weighted, whole) != loans_sha256(weighted, sample)
    assert loans_sha256(spec(), whole) == loans_sha256(spec(), sample)
