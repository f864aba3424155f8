"""The paper's figures as typed here: its tables must agree with each other wherever they print the same thing."""

from __future__ import annotations

from importlib.resources import files
from typing import get_args

import pytest
from pydantic import ValidationError

from pdx_assets.risk.experiment.names import SHORT
from pdx_assets.risk.experiment.paper import PaperDataset, paper_dataset
from pdx_assets.risk.spec import PaperDatasetName
from pdx_assets_tests.small_portfolio import small_spec

NAMES: tuple[PaperDatasetName, ...] = get_args(PaperDatasetName)
FULL = {short: name for name, short in SHORT.items()}


@pytest.mark.parametrize("name", NAMES)
def test_table_4_is_the_twelfth_period_of_tables_6_to_8(name: PaperDatasetName) -> None:
    paper = paper_dataset(name)
    assert paper.table_4.frozen[0] == paper.baseline[11]
    gain = 100 * (paper.table_4.champion[0] - paper.table_4.frozen[0])
    assert (gain == pytest.approx(paper.production.over_baseline[11], abs=0.11)) == (name != "AutoL")


@pytest.mark.parametrize("name", NAMES)
def test_champions_over_baseline_follow_from_the_cells(name: PaperDatasetName) -> None:
    """Where the champion is the period's own model its cell less the baseline's is the difference printed."""
    paper, compared = paper_dataset(name), 0
    for i, champion in enumerate(paper.production.champion):
        algorithm, window, made_for = champion.split()
        if made_for == f"M{i + 1}":
            cell = paper.production.auc[FULL[window]][FULL[algorithm]][i]  # type: ignore[index]
            printed = paper.production.over_baseline[i]
            assert 100 * (cell - paper.baseline[i]) == pytest.approx(printed, abs=0.15), champion
            compared += 1
    assert compared >= 7


def test_table_5_begins_with_table_3() -> None:
    paper = paper_dataset("P2P")
    assert sorted(paper.table_5) == [*range(11), 12]
    for algorithm, printed in paper.table_3.items():
        assert paper.table_5[0][algorithm]["fixed_origin"][1:] == (printed.itv[0], printed.otv[0])


@pytest.mark.parametrize("name", NAMES)
def test_f1_is_at_the_riskiest_30_percent_of_the_printed_bad_rate(name: PaperDatasetName) -> None:
    """F1 = 2 r b / (0.3 + b) gives b = 0.3 F1 / (2 r - F1); the P2P OTV rate is the slip that the notes tell of."""
    paper = paper_dataset(name)
    for part in ("itv", "otv"):
        printed = getattr(paper.table_2, part).bad_rate
        implied = [
            0.3 * f1 / (2 * capture - f1) for _, _, f1, capture in (getattr(m, part) for m in paper.table_3.values())
        ]
        if (name, part) == ("P2P", "otv"):
            assert implied == pytest.approx([0.165] * 4, abs=0.002)
        else:
            assert implied == pytest.approx([printed] * 4, abs=0.006)


def test_slips_belong_to_tables_that_are_there() -> None:
    for name in NAMES:
        assert set(paper_dataset(name).slips) <= {"table_2", "table_3", "table_4", "table_5", "production"}
    assert any("16.5 %" in slip for slip in paper_dataset("P2P").slips["table_2"])


def test_a_missing_figure_is_refused() -> None:
    given = paper_dataset("SBA").model_dump()
    given["table_4"]["frozen"] = given["table_4"]["frozen"][:3]
    with pytest.raises(ValidationError, match="frozen"):
        PaperDataset.model_validate(given)


def test_the_figures_are_in_one_file_of_the_package() -> None:
    text = (files("pdx_assets.risk.experiment") / "paper_tables.yaml").read_text(encoding="utf-8")
    assert "354551" in text


def test_a_portfolio_names_a_dataset_that_the_paper_has() -> None:
    assert small_spec().experiment.paper_dataset is None
    assert small_spec(experiment={"paper_dataset": "SBA"}).experiment.paper_dataset == "SBA"
    with pytest.raises(ValidationError, match="P2P"):
        small_spec(experiment={"paper_dataset": "LendingClub"})
