"""Tables 2 to 8 from results made by hand, against figures computed by hand."""

from __future__ import annotations

from typing import Any

import pytest

from pdx_assets.risk.calendar import Month, Periods
from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.experiment.development import table_3, table_5
from pdx_assets.risk.experiment.paper import paper_dataset
from pdx_assets.risk.experiment.production import production_tables, table_4
from pdx_assets.risk.experiment.splits import difference, table_2
from pdx_assets.risk.experiment.stored import Split
from pdx_assets.risk.experiment.table import Cell, Table, shown
from pdx_assets.risk.experiment.tables import tables
from pdx_assets_tests.risk.experiment.sample import REASON, TOLD, metrics, stored


def rows(table: Table, source: str = "hand") -> dict[str, list[str]]:
    """Shown cells by the first column after the source."""
    return {shown(row[1]): [shown(c) for c in row[2:]] for row in table.rows if shown(row[0]) == source}


def chosen(table: Table, source: str = "hand") -> dict[str, list[int]]:
    found = {shown(r[1]): [i for i, c in enumerate(r[2:]) if c.chosen] for r in table.rows if shown(r[0]) == source}
    return {name: places for name, places in found.items() if places}


def test_what_is_real_and_what_is_simulated_stands_beside_every_table() -> None:
    for table in tables(stored(paper_dataset("P2P"))):
        assert table.notes[0] == TOLD, table.key


def test_table_2_counts_splits_and_leaves_an_unmeasured_one_blank() -> None:
    table = table_2(stored())
    assert [[shown(c) for c in row] for row in table.rows] == [
        ["Columns declared", "", "30", "", ""],
        ["Features a model may use", "", "21", "", ""],
        ["Train", "2022-01 to 2022-12", "7,500", "600", "8.0 %"],
        ["ITV", "2022-01 to 2022-12", "2,500", "200", "8.0 %"],
        ["OTV", "2023-01 to 2023-03", "1,000", "100", "10.0 %"],
        ["PROD", "", "", "", ""],
    ]


def test_table_2_says_in_words_where_a_split_differs_from_the_papers() -> None:
    table = table_2(stored(paper_dataset("P2P")))
    assert [shown(c) for c in table.rows[2][-2:]] == ["354,551", "18.6 %"]
    said = "\n".join(table.notes)
    # 7,500 / 354,551 is 2.1 %; 354,551 x 18.6 % is 65,946 bads; 18.6 - 8.0 is 10.6 points.
    assert (
        "Train differs: 7,500 loans (the paper's has 354,551, so this is 2.1 % of its size); 600 bads, the paper's "
        "about 65,946; a bad rate of 8.0 %, 10.6 points below the paper's 18.6 %."
    ) in said
    assert "PROD is not measured yet." in said
    assert "fit 16.5 % and no other" in said


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        (Split("", 99_120, 18_734, 0.189), None),
        (Split("", 99_120, 18_750, 0.1892), None),
        (
            Split("", 99_120, 16_355, 0.165),
            "99,120 loans (as many as the paper's); 16,355 bads, the paper's about 18,734",
        ),
        (Split("", 99_120, 16_355, 0.165), "16.5 %, 2.4 points below the paper's 18.9 %"),
        (Split("", 99_121, 18_734, 0.189), "1 more than the paper's 99,120"),
        (Split("", 99_100, 18_734, 0.189), "20 fewer than the paper's 99,120"),
        (Split("", 198_240, 37_467, 0.189), "2.00 times its size"),
        (Split("", 198_240, 37_467, 0.189), "the bad rate is the paper's, 18.9 %"),
        (Split("", 9_912, 2_000, 0.2018), "10.0 % of its size"),
        (Split("", 9_912, 2_000, 0.2018), "1.3 points above the paper's"),
        (Split("", 0, 0, None), "no loan with a label"),
    ],
)
def test_difference_sentences(ours: Split, words: str | None) -> None:
    said = difference("OTV", ours, paper_dataset("P2P").table_2.otv)
    assert (said is None) == (words is None)
    assert words is None or words in str(said)


def test_table_2_of_the_papers_own_sizes_says_that_nothing_differs() -> None:
    printed = paper_dataset("AutoL").table_2
    splits = {
        name: Split("", part.loans, round(part.loans * part.bad_rate), part.bad_rate)
        for name, part in (("train", printed.train), ("itv", printed.itv), ("otv", printed.otv))
    }
    splits["production"] = Split("", 4188, 716, 0.171)
    assert "Every split has the paper's number" in "\n".join(
        table_2(stored(paper_dataset("AutoL"), splits=splits)).notes
    )


def test_table_3_shows_the_baselines_on_itv_and_otv() -> None:
    table = table_3(stored())
    assert table.columns[2:] == tuple(f"{m} {p}" for m in ("AUC", "KS", "F1", "3DCR") for p in ("ITV", "OTV"))
    assert rows(table) == {
        "LR": ["0.710", "0.700", "0.310", "0.300", "0.210", "0.200", "0.610", "0.600"],
        "XGB": ["0.760", "0.750", "0.360", "0.350", "0.260", "0.250", "0.660", "0.650"],
    }
    assert chosen(table) == {"XGB": list(range(8))}
    beside = rows(table_3(stored(paper_dataset("SBA"))), "the paper")
    assert beside["NN"] == ["0.796", "0.785", "0.487", "0.389", "0.232", "0.216", "0.743", "0.665"]


def test_table_3_warns_of_a_split_with_few_bads() -> None:
    """The SBA sample's ITV has seven bads, and the table showed an AUC of 0.367 on them without a word."""
    few = {**stored().splits, "itv": Split("2022-01 to 2022-12", 717, 7, 0.002)}
    # Q1 = 0.7 / 1.3, Q2 = 0.98 / 1.7: (0.21 + 6 x 0.0485 + 709 x 0.0865) / (7 x 710) is 0.112 squared.
    said = "ITV has 7 bads: an AUC of 0.7 on so few has a standard error of 0.11."
    assert said in table_3(stored(splits=few)).notes
    assert not any("on so few" in note for note in table_3(stored()).notes)


def test_table_4_compares_the_last_measured_period_and_the_mean() -> None:
    table = table_4(stored())
    assert [[shown(c) for c in row[1:]] for row in table.rows] == [
        ["M2 (2024-02)", "frozen XGB FW", "0.660", "0.260", "0.160", "0.560"],
        ["M2 (2024-02)", "champion XGB FW M1", "0.660", "0.260", "0.160", "0.560"],
        ["M2 (2024-02)", "difference, points", "0.0", "0.0", "0.0", "0.0"],
        ["mean of 2 months", "frozen XGB FW", "0.690", "0.290", "0.190", "0.590"],
        ["mean of 2 months", "champion", "0.690", "0.290", "0.190", "0.590"],
        ["mean of 2 months", "difference, points", "0.0", "0.0", "0.0", "0.0"],
    ]
    assert "M12, the paper's, is not measured yet: M2 is the last that is." in table.notes


def test_table_4_differences_are_points_and_the_papers_are_as_printed() -> None:
    given = stored(paper_dataset("SBA"))
    given.champions[1]["production"] = metrics(0.70)  # type: ignore[index]
    table = table_4(given)
    assert [shown(c) for c in table.rows[2]][3:] == ["+4.0"] * 4
    assert [shown(c) for c in table.rows[5]][3:] == ["+2.0"] * 4
    assert [shown(c) for c in table.rows[-1]] == [
        "the paper", "Q12", "difference as printed, points", "+5.9", "+9.8", "+0.4", "+9.8",
    ]  # fmt: skip
    assert any("0.402" in note for note in table.notes)


def test_table_4_of_a_home_without_a_measured_month_is_empty() -> None:
    given = stored()
    table = table_4(stored(champions=[{**c, "production": None, "baseline_production": None} for c in given.champions]))
    assert table.rows == ()
    assert "No production period is measured yet." in table.notes


def test_table_5_marks_who_is_in_charge_and_tells_of_tombstones() -> None:
    table = table_5(stored())
    lines = [[shown(c) for c in row[1:]] for row in table.rows]
    assert lines[1] == ["0", "2024-01", "XGB", *["0.910", "0.760", "0.750"] * 2, "FO = RW"]
    assert lines[2] == ["1", "2024-02", "LR", "0.820", "0.720", "0.700", "0.830", "0.730", "0.710", ""]
    assert lines[3] == ["1", "2024-02", "XGB", "0.920", "0.770", "0.730", "failed", "failed", "failed", ""]
    assert lines[4] == ["2", "2024-03", "LR", "0.820", "0.720", "0.700", "0.830", "0.730", "0.770", "RW"]
    assert [[i for i, c in enumerate(row) if c.chosen] for row in table.rows] == [
        [], [4, 5, 6, 7, 8, 9], [], [], [7, 8, 9], [],
    ]  # fmt: skip
    assert f"Failed: XGB RW of M2 left a tombstone: {REASON}" in table.notes
    assert len(rows(table_5(stored(paper_dataset("SBA"))), "the paper")) == 0
    assert sum(shown(r[0]) == "the paper" for r in table_5(stored(paper_dataset("P2P"))).rows) == 48


def test_table_5_has_the_strategies_beyond_the_papers_where_there_are_any() -> None:
    """A champion that learned from immature cohorts had no column to be bold in, and the legend no words for it."""
    models = [dict(m) for m in stored().models]
    for m in models:
        if m["strategy"] == "rolling_window" and m["production_month"] == "2024-03":
            models.append(
                {**m, "strategy": "immature_cohorts", "bundle_sha256": "ic " + m["bundle_sha256"], "otv": None}
            )
    champions = [dict(c) for c in stored().champions]
    champions[-1] |= {"strategy": "immature_cohorts", "bundle_sha256": "ic i", "algorithm": "xgboost"}
    strategies = (*stored().strategies, "immature_cohorts")
    given = stored(paper_dataset("P2P"), strategies=strategies, models=models, champions=champions)
    table = table_5(given)
    assert table.columns[-4:] == ("IC train", "IC ITV", "IC OTV", "champion")
    assert [shown(c) for c in table.rows[5]][-4:] == ["0.930", "0.780", "", "IC"]
    assert [i for i, c in enumerate(table.rows[5]) if c.chosen] == [10, 11], "OTV it has seen"
    assert any("IC partly observed cohorts as well" in note for note in table.notes)


def test_production_shows_every_recipe_and_leaves_unmeasured_months_blank() -> None:
    (table,) = production_tables(stored())
    assert table.key == "tables_6_to_8"
    assert table.columns[2:] == tuple(f"M{i}" for i in range(1, 13))
    blank = [""] * 10
    assert rows(table) == {
        "month": [f"2024-{i:02d}" for i in range(1, 13)],
        "FW LR": ["0.690", "0.660", *blank],
        "FW XGB": ["0.720", "0.660", *blank],
        "FO LR": ["0.690", "0.670", *blank],
        "FO XGB": ["0.720", "0.680", *blank],
        "RW LR": ["0.690", "", *blank],
        "RW XGB": ["0.720", "failed", *blank],
        "champion": ["XGB FW M1", "XGB FW M1", "LR RW M3", *blank[1:]],
        "champion's AUC": ["0.720", "0.660", *blank],
        "frozen model's AUC": ["0.720", "0.660", *blank],
        "champion over frozen, points": ["0.0", "0.0", *blank],
    }
    # At M1 the strategies are one model; it goes by the fixed window's name, as in the paper.
    assert chosen(table) == {"FW XGB": [0, 1], "champion's AUC": [0, 1]}


def test_a_champion_made_earlier_is_measured_on_its_own_line() -> None:
    """RW LR of M3 kept in M4: M4 has its own RW LR, which is not the champion."""
    given = stored()
    kept = {**given.champions[2], "production_month": "2024-04", "production": metrics(0.74)}
    kept["baseline_production"] = metrics(0.71)
    newer = {**given.models[-2], "production_month": "2024-04", "strategy": "rolling_window"}
    newer |= {"algorithm": "logistic_regression", "bundle_sha256": "z", "production": metrics(0.76)}
    (table,) = production_tables(stored(champions=[*given.champions, kept], models=[*given.models, newer]))
    found = rows(table)
    assert found["RW LR"][3] == "0.760"
    assert found["champion"][3] == "LR RW M3"
    assert found["champion's AUC"][3] == "0.740"
    assert found["champion over frozen, points"][3] == "+3.0"
    assert "RW LR" not in chosen(table)


def test_a_vacant_month_has_no_champion_and_no_figures() -> None:
    vacant: dict[str, Any] = dict.fromkeys(("strategy", "algorithm", "trained_for", "bundle_sha256", "otv_auc"))
    vacant |= {"production_month": "2024-01", "production": None, "baseline_production": None, "decision": "vacant"}
    given = stored(champions=[{**vacant, "reason": "too few bads"}], splits={})
    for table in tables(given):
        assert not any(c.chosen for row in table.rows for c in row), table.key
    assert rows(production_tables(given)[0])["champion"][0] == "vacant"


def test_the_papers_champions_are_bold_where_they_have_a_cell() -> None:
    (table,) = production_tables(stored(paper_dataset("P2P")))
    assert table.key == "table_6" and table.title.startswith("Table 6")
    assert chosen(table, "the paper") == {"FW XGB": [0], "FO XGB": [1, 3, 8], "RW XGB": [2, 5, 10]}
    assert rows(table, "the paper")["month"][0] == "2018-01"


def test_quarters_are_called_quarters() -> None:
    given = stored(paper_dataset("SBA"), frequency="quarter", models=(), champions=())
    made = {table.key: table for table in tables(given)}
    assert made["table_7"].columns[2:] == tuple(f"Q{i}" for i in range(1, 13))
    assert "quarter by quarter" in made["table_7"].title
    assert rows(made["table_7"])["quarter"][:3] == ["2024-01", "2024-04", "2024-07"]
    paper = rows(made["table_7"], "the paper")
    assert paper["quarter"][-1] == "2004-10" and paper["champion"][11] == "XGB RW Q11"
    assert made["table_2"].columns[1] == "hand: quarters"
    assert made["table_5"].columns[1:3] == ("quarter - 1", "quarter")
    assert "month" not in " ".join(c for t in made.values() for c in t.columns)


def test_more_than_twelve_periods_go_on_in_a_further_table() -> None:
    last = {**stored().champions[0], "production_month": "2025-02"}
    first, second = production_tables(stored(paper_dataset("P2P"), champions=[*stored().champions, last]))
    assert first.key == "table_6" and second.key == "table_6_m13_to_m14"
    assert second.columns == ("source", "model", "M13", "M14")
    assert rows(second, "the paper") == {}


def test_rows_must_fit_their_columns() -> None:
    with pytest.raises(PdxError, match="2 cells for 1 columns"):
        Table("x", "x", ("a",), ((Cell("1"), Cell("2")),))


def test_numbers_of_periods() -> None:
    given = stored(periods=Periods("quarter"))
    assert [given.number(Month(2024, 1)), given.number(Month(2024, 7)), given.number(Month(2025, 1))] == [1, 3, 5]
