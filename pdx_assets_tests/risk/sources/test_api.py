"""Tapes from a JSON API, on a real server: tries again, pages to the end, months and marks, and what failures say."""

from __future__ import annotations

import gzip
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pdx_assets.risk.calendar import Month, Periods
from pdx_assets.risk.errors import SpecError, TapeUnavailableError
from pdx_assets.risk.sources.api import ApiSource
from pdx_assets.risk.sources.landing import Landed, land
from pdx_assets.risk.spec import HttpSource
from pdx_assets_tests.risk.sources.servers import Answer, Api, api

MONTHS = Periods("month").span(Month(2016, 1), Month(2016, 3))
ITEMS = [{"id": i} for i in range(7)]
Parameters = dict[str, str]


def landed(folder: Path, url: str, **declared: Any) -> Landed:
    source = ApiSource(HttpSource(url=url, **declared), where="tape.http", months=MONTHS)
    return land(source, folder, fresh_seconds=0)


def records(found: Landed) -> list[Any]:
    return [json.loads(line) for path, _ in found.files for line in gzip.decompress(path.read_bytes()).splitlines()]


def paged(size: int = 3) -> Callable[[str, Parameters, Parameters], Answer]:
    def answer(_: str, parameters: Parameters, __: Parameters) -> Answer:
        at = (int(parameters["page"]) - 1) * size
        return Answer({"items": ITEMS[at : at + size], "total": len(ITEMS)})

    return answer


def test_pages_end_at_the_first_empty_one_whatever_size_was_asked_for(tmp_path: Path) -> None:
    """A server that gives at most 3 when asked for 5 must not look like one that has no more."""
    with api(paged()) as host:
        found = landed(
            tmp_path, f"{host.url}/x?kind=a", records="items", total="total", page_size=5, paging={"kind": "page"}
        )
    assert records(found) == ITEMS
    assert [p["page"] for _, p, _ in host.asked] == ["1", "2", "3", "4"]
    assert {(p["page_size"], p["kind"]) for _, p, _ in host.asked} == {("5", "a")}


def test_the_same_records_are_the_same_bytes(tmp_path: Path) -> None:
    with api(paged()) as host:
        declared: dict[str, Any] = {"records": "items", "paging": {"kind": "page"}}
        first, second = (landed(tmp_path / name, host.url, **declared) for name in "ab")
    assert first.folder.name == second.folder.name


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_stumbles_is_asked_again(status: int, tmp_path: Path) -> None:
    def answer(*_: Any) -> Answer:
        return Answer(ITEMS) if len(host.asked) > 2 else Answer({}, status, {"Retry-After": "0"})

    with api(answer) as host:
        assert records(landed(tmp_path, host.url)) == ITEMS
    assert len(host.asked) == 3


def test_a_server_that_goes_on_stumbling_is_unavailable(tmp_path: Path) -> None:
    stumbling = api(lambda *_: Answer({}, 503, {"Retry-After": "0"}))
    with stumbling as host, pytest.raises(TapeUnavailableError, match="answered 503"):
        landed(tmp_path, host.url, attempts=3)
    assert len(host.asked) == 3


def test_a_page_that_fails_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    def answer(path: str, parameters: Parameters, headers: Parameters) -> Answer:
        return paged()(path, parameters, headers) if parameters["page"] != "2" else Answer({}, 500)

    with api(answer) as host, pytest.raises(TapeUnavailableError, match="answered 500"):
        landed(tmp_path, host.url, records="items", paging={"kind": "page"}, attempts=1)
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]


def test_a_silent_server_is_unavailable(tmp_path: Path) -> None:
    import time

    def answer(*_: Any) -> Answer:
        time.sleep(2.5)
        return Answer(ITEMS)

    with api(answer) as host, pytest.raises(TapeUnavailableError, match="did not answer in time"):
        landed(tmp_path, host.url, timeout_seconds=1, attempts=1)
    with pytest.raises(TapeUnavailableError, match="refused or broken off"):
        landed(tmp_path, "http://127.0.0.1:9/x", attempts=1)


def test_months_and_their_marks(tmp_path: Path) -> None:
    marks = {"2016-01": 1, "2016-02": 1}

    def answer(path: str, parameters: Parameters, _: Parameters) -> Answer:
        if path == "/changes":
            return Answer({"months": [{"month": m, "mark": mark} for m, mark in marks.items()]})
        month = parameters["month"]
        return Answer([{"month": month, "mark": marks[month]}] if month in marks else [])

    def months() -> list[str]:
        return [p["month"] for path, p, _ in host.asked if path == "/loans"]

    with api(answer) as host:
        found = landed(tmp_path / "a", f"{host.url}/loans", month_parameter="month")
        assert [name for _, name in found.files] == ["2016-01.jsonl.gz", "2016-02.jsonl.gz"]
        assert months() == ["2016-01", "2016-02", "2016-03"]
        host.asked.clear()
        changes = {"url": f"{host.url}/changes", "records": "months"}
        declared: dict[str, Any] = {"month_parameter": "month", "changes": changes}
        for _ in range(2):
            landed(tmp_path / "b", f"{host.url}/loans", **declared)
        assert months() == ["2016-01", "2016-02"]
        marks["2016-02"] = 2
        assert records(landed(tmp_path / "b", f"{host.url}/loans", **declared))[-1] == {"month": "2016-02", "mark": 2}
        assert months() == ["2016-01", "2016-02", "2016-02"]


WRONG: dict[str, tuple[Callable[[Api, Parameters], Answer], dict[str, Any], str]] = {
    "not JSON": (lambda *_: Answer(raw=b"<html>sign in</html>"), {}, "answered with no JSON: '<html>"),
    "no list": (lambda *_: Answer({"data": {}}), {"records": "data.items"}, r"no list of records at 'data\.items'"),
    "not a list": (lambda *_: Answer({"rows": []}), {}, r"no list of records at 'its top'; it has \['rows'\]"),
    "refused": (lambda *_: Answer({}, 401), {"auth": {"variable": "LOANS_API_TOKEN"}}, "value of LOANS_API_TOKEN"),
    "unauthorized": (lambda *_: Answer({}, 403), {}, r"declare tape\.http\.auth"),
    "moved": (lambda host, _: Answer({}, 302, {"Location": f"{host.url}/login"}), {}, "answered 302"),
    "gone": (lambda *_: Answer({}, 404), {}, r"answered 404 .*(?s:.)*tape\.http\.url"),
    "no records": (lambda *_: Answer([]), {}, "gave no records at all"),
    "fewer than said": (
        lambda *_: Answer({"items": ITEMS, "total": 9}),
        {"records": "items", "total": "total"},
        "says there are 9 records and gave 7",
    ),
    "the same page for ever": (lambda *_: Answer(ITEMS), {"paging": {"kind": "page"}}, "gave the same page twice"),
    "a circle of links": (
        lambda host, p: Answer({"items": [len(host.asked)], "next": "/a" if len(host.asked) % 2 else "/b"}),
        {"records": "items", "paging": {"kind": "next_link", "path": "next"}},
        "leads back to a page",
    ),
    "a link to somebody else": (
        lambda host, _: Answer({"items": ITEMS, "next": "http://127.0.0.2:1/loans?token=t0ken"}),
        {"records": "items", "paging": {"kind": "next_link", "path": "next"}},
        "links to another host",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_said_and_no_token_with_it(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOANS_API_TOKEN", "t0ken")
    monkeypatch.setenv("LOANS_API_KEY", "k3y")
    respond, declared, words = WRONG[kind]
    declared = {"auth": {"variable": "LOANS_API_TOKEN"}} | declared if kind != "unauthorized" else declared
    wrong = api(lambda _, parameters, __: respond(host, parameters))
    with wrong as host, pytest.raises(TapeUnavailableError, match=words) as caught:
        landed(tmp_path, f"{host.url}/loans?api_key=${{LOANS_API_KEY}}", attempts=1, **declared)
    story = "".join(traceback.format_exception(caught.value))
    assert "t0ken" not in story and "k3y" not in story
    assert host.asked[0][1]["api_key"] == "k3y"
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]


def test_a_token_that_no_header_can_hold_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOANS_API_TOKEN", "t0ken\nX-Other: 1")
    with api(lambda *_: Answer(ITEMS)) as host, pytest.raises(TapeUnavailableError) as caught:
        landed(tmp_path, host.url, auth={"variable": "LOANS_API_TOKEN"})
    assert "t0ken" not in "".join(traceback.format_exception(caught.value)) and host.asked == []


def test_a_key_in_a_header_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOANS_API_TOKEN", "t0ken")
    with api(lambda *_: Answer(ITEMS)) as host:
        landed(tmp_path, host.url, auth={"variable": "LOANS_API_TOKEN", "header": "X-Api-Key", "prefix": ""})
    assert host.asked[0][2]["x-api-key"] == "t0ken"
    monkeypatch.delenv("LOANS_API_TOKEN")
    with pytest.raises(SpecError, match="LOANS_API_TOKEN is not set"):
        landed(tmp_path, host.url, auth={"variable": "LOANS_API_TOKEN"})
