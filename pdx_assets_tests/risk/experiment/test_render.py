"""Markdown, CSV and JSON of a table show the same figures, whatever is in its cells."""

from __future__ import annotations

import csv
import io
import json
import re

from hypothesis import given
from hypothesis import strategies as st

from pdx_assets.risk.experiment.paper import paper_dataset
from pdx_assets.risk.experiment.render import as_csv, as_document, as_json, as_markdown
from pdx_assets.risk.experiment.table import Cell, Table, shown
from pdx_assets.risk.experiment.tables import tables
from pdx_assets_tests.risk.experiment.sample import stored

words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.sampled_from(" |*\n"), max_size=12)
fractions = st.floats(-1, 1, allow_nan=False)
cells = st.one_of(
    st.builds(Cell, words.map(str.strip).map(lambda t: t or None), st.just("text")),
    st.builds(Cell, st.none() | st.integers(0, 10**9), st.just("count"), st.booleans()),
    st.builds(Cell, st.none() | fractions, st.sampled_from(["metric", "share", "points"]), st.booleans()),
)
grids = st.integers(1, 4).flatmap(
    lambda n: st.lists(st.lists(cells, min_size=n, max_size=n).map(tuple), max_size=4).map(
        lambda rows: Table("key", "title", tuple(f"c{i}" for i in range(n)), tuple(rows), ("a | note",))
    )
)


def parsed(markdown: str) -> list[list[str]]:
    """The cells of a pipe table, by the rules of GitHub's Markdown and nothing of ours."""
    lines = [line for line in markdown.split("\n") if line.startswith("|")]
    split = [[c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert all(re.fullmatch(r"-+:?", c) for c in split[1])
    return [split[0], *split[2:]]


def spoken(value: str, kind: str) -> str:
    """What a person should read for a value of the CSV, worked out on its own."""
    if value == "" or kind == "text":
        return " ".join(value.split())
    if kind == "count":
        return f"{int(value):,}"
    number = float(value)
    if kind == "metric":
        return format(number, ".3f")
    text = format(100 * number, ".1f")
    if kind == "share":
        return f"{text} %"
    return "0.0" if float(text) == 0 else text if text.startswith("-") else f"+{text}"


@given(grids)
def test_markdown_and_csv_agree(table: Table) -> None:
    head, *read = csv.reader(io.StringIO(as_csv(table, {})))
    page = parsed(as_markdown(table))
    assert head == page[0] == list(table.columns)
    # A row that is blank from end to end is still a row.
    read = [row or [""] * len(head) for row in read]
    assert len(read) == len(page) - 1 == len(table.rows)
    for row, line, own in zip(read, page[1:], table.rows, strict=True):
        for value, text, cell in zip(row, line, own, strict=True):
            plain = text[2:-2] if cell.chosen and text else text
            assert plain == spoken(value, cell.kind)


@given(grids)
def test_json_holds_the_values_of_the_csv(table: Table) -> None:
    document = json.loads(as_json(as_document("book", [table])))
    (data,) = document["tables"]
    read = list(csv.reader(io.StringIO(as_csv(table, {}))))[1:]
    for row, own in zip(read, data["rows"], strict=True):
        assert (row or [""] * len(own)) == ["" if v is None else str(v) for v in own]
    assert data["chosen"] == [[c.chosen for c in row] for row in table.rows]


def test_a_tombstones_reason_cannot_break_the_page() -> None:
    page = "\n".join(as_markdown(table) for table in tables(stored(paper_dataset("P2P"))))
    assert "left a tombstone: no \\| convergence at all" in page
    for line in page.split("\n"):
        assert not line or line[0] in "|-", line


def test_the_champions_figures_are_bold() -> None:
    table = next(t for t in tables(stored()) if t.key == "tables_6_to_8")
    lines = as_markdown(table).split("\n")
    assert any(line.startswith("| hand | FW XGB | **0.720** | **0.660** |") for line in lines)


def test_a_difference_too_small_to_show_has_no_sign() -> None:
    assert [shown(Cell(v, "points")) for v in (0.0, 1e-9, -1e-9, 0.0005001, -0.012, None)] == [
        "0.0", "0.0", "0.0", "+0.1", "-1.2", "",
    ]  # fmt: skip


def test_every_line_of_a_csv_says_what_its_loans_are() -> None:
    """The folder's CSVs are passed on without their page: they were bare of what is simulated, and of hindsight."""
    origin = {"book: loans are": "simulated", "book: labels": "not knowable in time"}
    for table in tables(stored(paper_dataset("P2P"))):
        head, *lines = csv.reader(io.StringIO(as_csv(table, origin)))
        assert head == [*table.columns, *origin]
        assert lines and all(line[-2:] == list(origin.values()) for line in lines)
