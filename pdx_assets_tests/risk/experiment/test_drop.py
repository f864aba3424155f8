"""Figure 4: what the frozen model loses, against figures computed by hand."""

from __future__ import annotations

import pytest

from pdx_assets.risk.experiment.drop import drop, figure_4, lost
from pdx_assets.risk.experiment.paper import paper_dataset
from pdx_assets.risk.experiment.table import shown
from pdx_assets.risk.metrics.auc_error import expected_error
from pdx_assets_tests.risk.experiment.sample import stored


def test_lost_is_a_share_of_what_it_is_compared_with() -> None:
    assert lost((0.75, 0.6, None, 0.9), 0.75) == pytest.approx((0.0, 0.2, None, -0.2))
    assert lost((0.75,), None) == (None,)
    assert lost((0.75,), 0.0) == (None,)


def test_figure_4_tells_what_was_lost_since_otv_and_since_the_first() -> None:
    table = figure_4(stored())
    lines = [[shown(c) for c in row] for row in table.rows]
    # OTV AUC at M1 0.75: 0.72 is 4.0 % below it, 0.66 12.0 %; from 0.72 to 0.66 it is 8.3 %.
    # Q1 = 0.72 / 1.28, Q2 = 2 x 0.5184 / 1.72: (0.2016 + 19 x 0.0441 + 179 x 0.0844) / (20 x 180) is 0.067 squared.
    assert lines[0] == ["M1", "2024-01", "200", "20", "0.720", "0.067", "-3.0", "4.0 %", "0.0 %", "0.720", "4.0 %"]
    assert lines[1] == ["M2", "2024-02", "250", "30", "0.660", "0.057", "-9.0", "12.0 %", "8.3 %", "0.660", "12.0 %"]
    assert lines[2] == ["M3", "2024-03", *[""] * 9]
    assert len(lines) == 12
    said = "\n".join(table.notes)
    assert "XGB FW, deployed on an OTV AUC of 0.750, has lost 12.0 % of it by M2 (8.3 % since the first period)" in said


def test_the_papers_frozen_model_is_its_first_champions_fixed_window() -> None:
    *_, paper = drop(stored(paper_dataset("AutoL")))
    assert paper.name == "the paper's frozen RF FW"
    assert paper.otv == 0.687
    assert paper.auc[:2] == (0.657, 0.671)
    table = figure_4(stored(paper_dataset("AutoL")))
    assert shown(table.rows[9][-3]) == "0.565"
    # (0.657 - 0.565) / 0.657 and (0.687 - 0.565) / 0.687
    assert [shown(c) for c in table.rows[9][-2:]] == ["17.8 %", "14.0 %"]
    assert any("16 % reduction" in note for note in table.notes)


def test_weighted_loans_have_their_error_from_effective_sizes_not_from_counts() -> None:
    """Where loans are weighted the column was blank: the sizes were not stored with the metrics."""
    assert drop(stored(is_weighted=True))[0].error == (None,) * 12, "of an older home, without the sizes"
    champions = [dict(c) for c in stored().champions]
    for line in champions:
        for of in ("production", "baseline_production"):
            line[of] = {**line[of], "effective_bads": 12.5, "effective_goods": 80.0} if line[of] else line[of]
    weighted = stored(is_weighted=True, champions=champions)
    assert drop(weighted)[0].error[0] == pytest.approx(expected_error(0.72, 12.5, 80.0))
    assert any("Kish's effective sizes of bads and goods" in note for note in figure_4(weighted).notes)


def test_standard_errors_are_those_of_repeated_samples() -> None:
    """Hanley and McNeil assume exponential scores; drawn from those, the AUC must scatter as the table says."""
    import numpy as np

    area, bads, goods = 0.72, 20, 180
    random = np.random.default_rng(0)
    # Of Exp(1) goods and Exp scaled by r for bads the AUC is r / (1 + r).
    scale = area / (1 - area)
    draws = [
        (scale * random.exponential(size=(bads, 1)) > random.exponential(size=(1, goods))).mean() for _ in range(1500)
    ]
    assert np.mean(draws) == pytest.approx(area, abs=0.005)
    error = drop(stored())[0].error[0]
    assert error == pytest.approx(np.std(draws), rel=0.15)
