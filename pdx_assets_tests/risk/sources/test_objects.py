"""Tapes at s3:// addresses, on moto's server: what is found, what is fetched again, what failures say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake

from pdx_assets.risk.errors import TapeUnavailableError
from pdx_assets.risk.sources.landing import Landed, land
from pdx_assets.risk.sources.objects import ObjectSession, ObjectSource
from pdx_assets.risk.tape import TapeSource, locate_tape, stage_tape
from pdx_assets.risk.tape_formats import SUFFIXES
from pdx_assets_tests.risk.small_tape import PANEL_LABEL, csv_text, loan, loans, spec
from pdx_assets_tests.risk.sources.servers import Bucket, s3


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with s3(monkeypatch) as found:
        yield found


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the objects whose bytes were asked for."""
    names: list[str] = []
    original = ObjectSession._download

    def noted(self: ObjectSession, piece: Any, target: Path) -> None:
        names.append(piece.name)
        original(self, piece, target)

    monkeypatch.setattr(ObjectSession, "_download", noted)
    return names


def landed(url: str, folder: Path) -> Landed:
    return land(ObjectSource(url, SUFFIXES["auto"]), folder, fresh_seconds=0)


def names(found: Landed) -> list[str]:
    return [name for _, name in found.files]


def test_an_object_a_folder_a_pattern(bucket: Bucket, tmp_path: Path) -> None:
    for key in ("in/2016-01.csv", "in/2016-02.csv.gz", "in/notes.txt", "in/old/2015.csv", "in/", "odd", "inn/x.csv"):
        bucket.put(key, key.encode())
    assert names(landed("s3://loans/in/2016-01.csv", tmp_path / "1")) == ["2016-01.csv"]
    assert names(landed("s3://loans/odd", tmp_path / "2")) == ["odd"]
    assert names(landed("s3://loans/in", tmp_path / "3")) == ["2016-01.csv", "2016-02.csv.gz"]
    assert names(landed("s3://loans/in/", tmp_path / "3")) == ["2016-01.csv", "2016-02.csv.gz"]
    assert names(landed("s3://loans/in/*.csv", tmp_path / "4")) == ["2016-01.csv"]
    assert names(landed("s3://loans/in/**/*.csv", tmp_path / "5")) == ["2016-01.csv", "old/2015.csv"]
    assert names(landed("s3://loans/i*/[x2]*.csv", tmp_path / "6")) == ["in/2016-01.csv", "inn/x.csv"]


def test_an_unchanged_object_is_not_fetched_again(bucket: Bucket, tmp_path: Path, fetched: list[str]) -> None:
    bucket.put("in/a.csv", b"1")
    bucket.put("in/b.csv", b"2")
    first = landed("s3://loans/in", tmp_path)
    bucket.put("in/a.csv", b"1")  # put anew, the same
    assert landed("s3://loans/in", tmp_path) == first
    assert fetched == ["a.csv", "b.csv"]
    bucket.put("in/b.csv", b"3")
    bucket.put("in/c.csv", b"4")
    found = landed("s3://loans/in", tmp_path)
    assert fetched == ["a.csv", "b.csv", "b.csv", "c.csv"]
    assert [path.read_bytes() for path, _ in found.files] == [b"1", b"3", b"4"]


def test_of_a_delta_table_only_new_files_are_fetched(bucket: Bucket, tmp_path: Path, fetched: list[str]) -> None:
    url = "s3://loans/table"
    frame = pl.DataFrame({"number": ["1"], "x": ["a"]}).to_arrow()
    storage = {"AWS_S3_ALLOW_UNSAFE_RENAME": "true"}
    write_deltalake(url, frame, storage_options=storage)
    first = landed(url, tmp_path)
    assert sum(name.endswith(".parquet") for name in names(first)) == 1
    fetched.clear()
    assert landed(url, tmp_path) == first and fetched == []
    write_deltalake(url, frame, mode="append", storage_options=storage)
    landed(url, tmp_path)
    assert sorted(name.rpartition(".")[2] for name in fetched) == ["json", "parquet"]
    write_deltalake(url, frame, mode="overwrite", storage_options=storage)
    assert sum(name.endswith(".parquet") for name in names(landed(url, tmp_path))) == 1, "what was replaced is not read"


def located(home: Path, portfolio: Any, *, look_again: bool = True) -> TapeSource:
    return locate_tape(
        portfolio, override=None, simulated_folder=home / "none", landing=home / "landing", look_again=look_again
    )


def test_an_export_with_its_performance_is_one_address(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("export/loans/2016.csv", csv_text(loans(24)).encode())
    panel = "loan_id,month,days_past_due\n1,2016-12,95\n"
    bucket.put("export/performance/2016.csv", panel.encode())
    tape = {"path": "s3://loans/export", "performance": {"path": "elsewhere"}, "as_of": "2018-01-01"}
    portfolio = spec(tape={**tape, "as_of_columns": []}, label=PANEL_LABEL)
    found = stage_tape(portfolio, located(tmp_path, portfolio), tmp_path / "staging")
    assert found.accounting.rows_out == 24
    assert found.performance_accounting is not None and found.performance_accounting.rows_out == 1
    assert set(found.cohort(found.cohorts[0]).loans["source_file"]) == {"2016.csv"}


def test_a_new_month_leaves_the_loans_of_the_others_as_they_were(bucket: Bucket, tmp_path: Path) -> None:
    """Names hold no trace of the landing, so that a new snapshot does not make every cohort look changed."""
    bucket.put("in/1.csv", csv_text([loan(1)]).encode())
    portfolio = spec(tape={"path": "s3://loans/in"})
    first = stage_tape(portfolio, located(tmp_path, portfolio), tmp_path / "staging")
    bucket.put("in/2.csv", csv_text([loan(2, opened="Feb-2016")]).encode())
    assert located(tmp_path, portfolio, look_again=False) == located(tmp_path, portfolio, look_again=False)
    second = stage_tape(portfolio, located(tmp_path, portfolio), tmp_path / "staging")
    assert second.fingerprint != first.fingerprint
    january = first.cohorts[0]
    assert second.cohort(january).loans.equals(first.cohort(january).loans)
    assert len(second.cohorts) == 2


def test_what_cannot_be_read_is_unavailable_and_tells_no_secret(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url, words in {
        "s3://loans/nothing/here": "nothing is there that could be read",
        "s3://loans/*.csv": "nothing is there that could be read",
        "s3://no-such-bucket/in": "s3://no-such-bucket/in cannot be read",
    }.items():
        with pytest.raises(TapeUnavailableError, match="s3") as caught:
            landed(url, tmp_path / "a")
        assert words in str(caught.value).replace("\\", "") and "s3cr3t" not in str(caught.value)
    bucket.put("in/a.csv", b"1")
    landed("s3://loans/in", tmp_path / "b")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("pdx_assets.risk.sources.objects.RETRIES", {"max_retries": 0})
    with pytest.raises(TapeUnavailableError, match="cannot be read") as caught:
        landed("s3://loans/in", tmp_path / "b")
    text = str(caught.value)
    assert "AKIATESTONLY" not in text and "s3cr3t" not in text
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_an_object_that_changes_under_the_listing_is_not_half_read(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("in/a.csv", b"1")

    class Late(ObjectSession):
        def fetch(self, piece: Any, target: Path) -> bool:
            bucket.put("in/a.csv", b"other")
            return super().fetch(piece, target)

    source = ObjectSource("s3://loans/in", SUFFIXES["auto"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pdx_assets.risk.sources.objects.ObjectSession", Late)
        with pytest.raises(TapeUnavailableError):
            land(source, tmp_path, fresh_seconds=0)
    assert not (tmp_path / "current.json").exists()
