"""Delta tables by month, documents and bundles on a folder: atomic, remembered for good, safe together."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import polars as pl
import pytest

from pdx_assets.lake import CONTENT, Lake, MonthContent
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import HomeError, PdxError
from pdx_assets.risk.hashing import content_sha256

JANUARY = Month(2020, 1)
LAYER = "clean_features"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path, "demo")


def processes(count: int) -> ProcessPoolExecutor:
    """Workers that are waited for. multiprocessing's own pool ends its by SIGTERM, and in a suite started in the
    background they ignore it: SIGINT is ignored there, and a run gives SIGTERM its handler. It waited for ever."""
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"))


def rows(month: Month, values: list[float | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "cohort": [str(month)] * len(values),
            "loan_id": [f"{month}-{i}" for i in range(len(values))],
            "income": pl.Series(values, dtype=pl.Float32),
        },
        schema_overrides={"cohort": pl.String, "loan_id": pl.String},
    )


def read(lake: Lake, *months: Month, version: int | None = None) -> list[float | None]:
    found = lake.scan_months(LAYER, months, version=version).collect()
    return found.sort("loan_id")["income"].to_list()


# --- tables -----------------------------------------------------------------------------------------


def test_a_month_is_replaced_and_the_others_stay(lake: Lake) -> None:
    for k in range(3):
        lake.write_month(LAYER, JANUARY + k, rows(JANUARY + k, [k, None]))
    assert read(lake, JANUARY, JANUARY + 1, JANUARY + 2) == [0, None, 1, None, 2, None]
    lake.write_month(LAYER, JANUARY + 1, rows(JANUARY + 1, [7]))
    assert read(lake, JANUARY, JANUARY + 1, JANUARY + 2) == [0, None, 7, 2, None]
    assert {m: c.rows for m, c in lake.contents(LAYER).items()} == {JANUARY: 2, JANUARY + 1: 1, JANUARY + 2: 2}


def test_the_hash_travels_with_the_rows(lake: Lake) -> None:
    frame = rows(JANUARY, [1, None, 3])
    content = lake.write_month(LAYER, JANUARY, frame)
    assert content == MonthContent(content_sha256(frame), 3)
    assert lake.contents(LAYER) == {JANUARY: content}
    back = lake.scan_months(LAYER, [JANUARY]).collect()
    assert CONTENT not in back.columns
    assert content_sha256(back) == content.sha256
    table = lake.scan_table(LAYER).collect()
    assert table[CONTENT].unique().to_list() == [content.sha256]
    revised = lake.write_month(LAYER, JANUARY, rows(JANUARY, [1, None, 4]))
    assert revised.sha256 != content.sha256
    assert lake.contents(LAYER) == {JANUARY: revised}


def test_the_same_rows_again_are_no_new_version(lake: Lake) -> None:
    lake.write_month(LAYER, JANUARY, rows(JANUARY, [1]))
    version = lake.version(LAYER)
    lake.write_month(LAYER, JANUARY, rows(JANUARY, [1]))
    assert lake.version(LAYER) == version
    lake.write_month(LAYER, JANUARY, rows(JANUARY, [2]))
    assert lake.version(LAYER) == version + 1


def test_an_old_version_reads_as_it_was(lake: Lake) -> None:
    old = lake.write_month(LAYER, JANUARY, rows(JANUARY, [1]))
    version = lake.version(LAYER)
    lake.write_month(LAYER, JANUARY, rows(JANUARY, [2]))
    lake.write_month(LAYER, JANUARY + 1, rows(JANUARY + 1, [3]))
    assert read(lake, JANUARY, version=version) == [1]
    assert lake.contents(LAYER, version) == {JANUARY: old}
    with pytest.raises(HomeError, match="2020-02"):
        read(lake, JANUARY, JANUARY + 1, version=version)


def test_all_missing_months_are_named(lake: Lake) -> None:
    assert lake.version(LAYER) is None
    assert lake.contents(LAYER) == {}
    with pytest.raises(HomeError, match=r"lacks 2020-01\."):
        lake.scan_months(LAYER, [JANUARY])
    lake.write_month(LAYER, JANUARY, rows(JANUARY, [1]))
    with pytest.raises(HomeError) as failure:
        lake.scan_months(LAYER, [JANUARY, JANUARY + 1, JANUARY + 5])
    assert "clean_features lacks 2020-02, 2020-06." in str(failure.value)
    assert "materialize clean_features" in str(failure.value)


def test_an_empty_month_is_not_a_missing_one(lake: Lake) -> None:
    content = lake.write_month(LAYER, JANUARY, rows(JANUARY, []))
    assert lake.contents(LAYER) == {JANUARY: content}
    assert content.rows == 0
    back = lake.scan_months(LAYER, [JANUARY]).collect()
    assert back.height == 0
    assert back.schema == rows(JANUARY, []).schema
    lake.write_month(LAYER, JANUARY + 1, rows(JANUARY + 1, [5]))
    assert read(lake, JANUARY, JANUARY + 1) == [5]
    # Filled, emptied, filled again: the last state counts each time.
    for values in ([1.0], [], [2.0, 3.0], []):
        lake.write_month(LAYER, JANUARY, rows(JANUARY, values))
        assert read(lake, JANUARY) == values
        assert lake.contents(LAYER)[JANUARY].rows == len(values)


def test_no_months_and_some_columns(lake: Lake) -> None:
    lake.write_month(LAYER, JANUARY, rows(JANUARY, [1, 2]))
    assert lake.scan_months(LAYER, []).collect().height == 0
    found = lake.scan_months(LAYER, [JANUARY], columns=["income"]).collect()
    assert found.columns == ["income"]


def test_a_new_column_is_missing_in_the_months_before(lake: Lake) -> None:
    lake.write_month(LAYER, JANUARY, rows(JANUARY, [1]))
    february = rows(JANUARY + 1, [2]).with_columns(pl.lit("car").alias("purpose"))
    lake.write_month(LAYER, JANUARY + 1, february)
    found = lake.scan_months(LAYER, [JANUARY, JANUARY + 1]).collect().sort("cohort")
    assert found["purpose"].to_list() == [None, "car"]
    assert found["income"].to_list() == [1, 2]


def test_a_failed_write_leaves_the_month_as_it_was(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between its data file and its commit: the old rows and the old hash, both or neither."""
    old = lake.write_month(LAYER, JANUARY, rows(JANUARY, [1]))
    log = Path(lake.table_path(LAYER)) / "_delta_log"
    before = sorted(p.name for p in log.iterdir())
    lake.write_month(LAYER, JANUARY, rows(JANUARY, [2]))
    # A data file is there, its commit is not: what a kill before the commit leaves.
    for path in log.iterdir():
        if path.name not in before:
            path.unlink()
    assert lake.contents(LAYER) == {JANUARY: old}
    assert read(lake, JANUARY) == [1]
    again = lake.write_month(LAYER, JANUARY, rows(JANUARY, [2]))
    assert read(lake, JANUARY) == [2]
    assert lake.contents(LAYER) == {JANUARY: again}


def test_rows_are_replaced_by_any_partition(lake: Lake) -> None:
    def scores(bundle: str, pd: float) -> pl.DataFrame:
        return pl.DataFrame({"cohort": ["2020-01"], "bundle": [bundle], "pd": [pd]})

    by = ("cohort", "bundle")
    lake.write_where("scores", scores("a", 0.1), by=by, predicate="cohort = '2020-01' AND bundle IN ('a')")
    lake.write_where("scores", scores("b", 0.2), by=by, predicate="cohort = '2020-01' AND bundle IN ('b')")
    lake.write_where("scores", scores("a", 0.3), by=by, predicate="cohort = '2020-01' AND bundle IN ('a')")
    assert sorted(lake.scan_table("scores").select("bundle", "pd").collect().iter_rows()) == [("a", 0.3), ("b", 0.2)]
    assert lake.partitions("scores", *by) == {("2020-01", "a"), ("2020-01", "b")}
    assert lake.partitions("never_written", *by) == set()


def test_two_portfolios_do_not_meet(tmp_path: Path) -> None:
    one, two = Lake(tmp_path, "one"), Lake(tmp_path, "two")
    one.write_month(LAYER, JANUARY, rows(JANUARY, [1]))
    one.put_document("windows", "2020-01", {"of": "one"})
    assert two.contents(LAYER) == {}
    assert two.find_document("windows", "2020-01") is None


def write_share(root: str, share: int) -> None:
    lake = Lake(root, "demo")
    for k in range(share, 12, 4):
        lake.write_month(LAYER, JANUARY + k, rows(JANUARY + k, [float(k)] * (k + 1)))


def test_four_processes_write_twelve_months_at_once(tmp_path: Path) -> None:
    """The first write creates the table: four at once must not lose a month to each other."""
    with processes(4) as pool:
        list(pool.map(write_share, [str(tmp_path)] * 4, range(4)))
    lake = Lake(tmp_path, "demo")
    months = [JANUARY + k for k in range(12)]
    assert {m: c.rows for m, c in lake.contents(LAYER).items()} == {m: k + 1 for k, m in enumerate(months)}
    for k, month in enumerate(months):
        assert read(lake, month) == [float(k)] * (k + 1)
        assert lake.contents(LAYER)[month].sha256 == content_sha256(rows(month, [float(k)] * (k + 1)))


def test_threads_replacing_the_same_month_leave_one_whole_state(tmp_path: Path) -> None:
    def write(k: int) -> None:
        Lake(tmp_path, "demo").write_month(LAYER, JANUARY, rows(JANUARY, [float(k)] * (k + 1)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    lake = Lake(tmp_path, "demo")
    found = read(lake, JANUARY)
    assert found == [found[0]] * (int(found[0]) + 1)
    assert lake.contents(LAYER)[JANUARY] == MonthContent(content_sha256(rows(JANUARY, found)), len(found))


def back_date(table: str, days: int) -> None:
    long_ago = time.time() - days * 86400
    for path in Path(table).rglob("*"):
        if path.is_file():
            os.utime(path, (long_ago, long_ago))


@pytest.fixture
def checkpoint_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint every 10 commits instead of 100: old logs are cleaned up when one is written."""
    import pdx_assets.lake

    often = {**pdx_assets.lake.TABLE_PROPERTIES, "delta.checkpointInterval": "10"}
    monkeypatch.setattr(pdx_assets.lake, "TABLE_PROPERTIES", often)


def aged(lake: Lake, days: int) -> Path:
    """A table whose first commits and first checkpoint grew old before a second checkpoint; its log."""
    for k in range(35):
        lake.write_month(LAYER, JANUARY + k % 2, rows(JANUARY + k % 2, [k]))
        if k in (15, 25):
            back_date(lake.table_path(LAYER), days)
    log = Path(lake.table_path(LAYER)) / "_delta_log"
    assert len(list(log.glob("*.checkpoint.parquet"))) >= 2
    return log


@pytest.mark.parametrize("days", [40, 365 * 20])
@pytest.mark.usefixtures("checkpoint_often")
def test_a_table_with_a_back_dated_log_still_reads_version_0(lake: Lake, days: int) -> None:
    """Delta's default forgets: after 40 days the old log could not be read and version 0 was gone."""
    log = aged(lake, days)
    assert (log / f"{0:020d}.json").exists()
    assert lake.scan_table(LAYER, version=0).collect().height == 0  # the table as created
    assert read(lake, JANUARY, version=1) == [0]
    assert read(lake, JANUARY, JANUARY + 1, version=2) == [0, 1]
    assert read(lake, JANUARY, JANUARY + 1) == [34, 33]


@pytest.mark.usefixtures("checkpoint_often")
def test_without_our_settings_a_back_dated_log_is_forgotten(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above guards against does happen, by the same steps, to a table with Delta's defaults."""
    import pdx_assets.lake

    monkeypatch.setattr(pdx_assets.lake, "TABLE_PROPERTIES", {"delta.checkpointInterval": "10"})
    log = aged(lake, 40)
    assert not (log / f"{0:020d}.json").exists()
    assert read(lake, JANUARY, JANUARY + 1) == [34, 33]
    with pytest.raises(HomeError, match="lacks 2020-01"):
        read(lake, JANUARY, version=1)


def test_a_hundred_commits_of_an_old_table(lake: Lake) -> None:
    """The real interval: the first checkpoint comes at 100 commits, over a log that has grown old by then."""
    for k in range(104):
        lake.write_where(LAYER, rows(JANUARY, [k]), by=("cohort",), predicate="cohort = '2020-01'")
        if k == 60:
            back_date(lake.table_path(LAYER), 365 * 20)
    log = Path(lake.table_path(LAYER)) / "_delta_log"
    assert list(log.glob("*.checkpoint.parquet"))
    assert lake.scan_table(LAYER, version=1).collect()["income"].to_list() == [0]
    assert lake.scan_table(LAYER).collect()["income"].to_list() == [103]


# --- documents --------------------------------------------------------------------------------------


def test_documents_come_back_as_they_went(lake: Lake) -> None:
    document = {"b": [1, None, 0.1 + 0.2], "a": {"é": True}}
    lake.put_document("decisions/main", "2020-01", document)
    assert lake.get_document("decisions/main", "2020-01") == document
    lake.put_document("decisions/main", "2020-01", {"replaced": 1})
    lake.put_document("decisions/main", "2019-12", {})
    assert lake.get_document("decisions/main", "2020-01") == {"replaced": 1}
    assert lake.keys("decisions/main") == ["2019-12", "2020-01"]
    assert lake.keys("decisions/other") == []
    assert lake.find_document("decisions/main", "2021-01") is None
    with pytest.raises(HomeError, match=r"decisions/main has no 2021-01\."):
        lake.get_document("decisions/main", "2021-01")


def test_a_document_without_a_spelling_is_refused(lake: Lake) -> None:
    with pytest.raises(ValueError, match="JSON"):
        lake.put_document("decisions/main", "2020-01", {"auc": float("nan")})
    assert lake.find_document("decisions/main", "2020-01") is None


def test_the_same_document_has_the_same_bytes(lake: Lake, tmp_path: Path) -> None:
    lake.put_document("k", "one", {"a": 1, "b": 2})
    lake.put_document("k", "two", {"b": 2, "a": 1})
    one, two = (tmp_path / "demo" / "documents" / "k" / f"{n}.json" for n in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_put_if_absent(lake: Lake) -> None:
    assert lake.create_document("decisions/main", "2020-01", {"who": "first"})
    assert not lake.create_document("decisions/main", "2020-01", {"who": "second"})
    assert lake.get_document("decisions/main", "2020-01") == {"who": "first"}


def contend(root: str, writer: int, count: int) -> list[bool]:
    lake = Lake(root, "demo")
    return [lake.create_document("decisions/main", f"month-{k}", {"writer": writer}) for k in range(count)]


def test_of_two_writers_exactly_one_is_recorded(tmp_path: Path) -> None:
    with processes(2) as pool:
        won = list(pool.map(contend, [str(tmp_path)] * 2, range(2), [200] * 2))
    lake = Lake(tmp_path, "demo")
    for k in range(200):
        assert won[0][k] != won[1][k]
        recorded = lake.get_document("decisions/main", f"month-{k}")["writer"]
        assert won[recorded][k]


UNSAFE = [
    "",
    ".",
    "..",
    "../x",
    "a/../b",
    "a/..",
    "/etc/passwd",
    "a//b",
    "a/",
    "a b",
    "a\n",
    "a\x00",
    "~",
    "a\\b",
    ".x",
    "é",
]


@pytest.mark.parametrize("key", UNSAFE)
def test_unsafe_keys_are_refused(lake: Lake, tmp_path: Path, key: str) -> None:
    """Incident: a key ending in a newline passed, and failed later inside the store without a remedy."""
    attempts = (
        lambda: lake.put_document("k", key, {}),
        lambda: lake.put_document(key, "k", {}),
        lambda: lake.create_document("k", key, {}),
        lambda: lake.find_document("k", key),
        lambda: lake.keys(key),
        lambda: lake.put_bundle(key, {"manifest.json": b""}),
        lambda: lake.put_bundle("d", {key: b""}),
        lambda: lake.get_bundle(key),
        lambda: lake.write_month(key, JANUARY, rows(JANUARY, [1])),
    )
    for attempt in attempts:
        with pytest.raises(PdxError, match="not a storage key"):
            attempt()
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


# --- bundles ----------------------------------------------------------------------------------------


def test_bundles_come_back_byte_for_byte(lake: Lake) -> None:
    files = {"manifest.json": b'{"a": 1}', "model.onnx": bytes(range(256)), "weights/part-0": b""}
    lake.put_bundle("ab12", files)
    lake.put_bundle("ab12", files)
    lake.put_bundle("ab1", {"manifest.json": b"other"})
    assert lake.get_bundle("ab12") == files
    assert lake.get_bundle("ab1") == {"manifest.json": b"other"}


def test_a_half_written_bundle_is_no_bundle(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest goes last: a kill in between leaves nothing that could be loaded."""
    store = lake._objects
    put = []

    class Dying:
        def put(self, path: str, data: bytes) -> None:
            put.append(path)
            if len(put) == 2:
                raise KeyboardInterrupt
            store.put(path, data)

    monkeypatch.setattr(lake, "_objects_store", Dying())
    with pytest.raises(KeyboardInterrupt):
        lake.put_bundle("ab12", {"manifest.json": b"{}", "a.bin": b"1", "z.onnx": b"2"})
    monkeypatch.setattr(lake, "_objects_store", store)
    assert put == ["bundles/ab12/a.bin", "bundles/ab12/z.onnx"]
    with pytest.raises(HomeError, match="there is no bundle ab12"):
        lake.get_bundle("ab12")


def test_an_unknown_bundle(lake: Lake) -> None:
    with pytest.raises(HomeError, match="there is no bundle ffff"):
        lake.get_bundle("ffff")


def test_a_lake_on_s3_keeps_its_address() -> None:
    lake = Lake("s3://bucket/prefix/", "demo")
    assert lake.is_remote
    assert lake.table_path(LAYER) == "s3://bucket/prefix/demo/tables/clean_features"


def test_stored_documents_are_readable_json(lake: Lake, tmp_path: Path) -> None:
    lake.put_document("windows", "a/2020-01", {"é": 1})
    text = (tmp_path / "demo" / "documents" / "windows" / "a" / "2020-01.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"é": 1}
    assert "é" in text and text.endswith("}\n")
