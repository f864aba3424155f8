"""Whole drafts: the YAML loads, and says of each file what a careful reader would."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from pdx_assets.risk.drafting import Draft, decisions, draft_portfolio, yaml_text
from pdx_assets.risk.drafting.sampling import read_sample
from pdx_assets.risk.drafting.trial import try_draft
from pdx_assets.risk.errors import SpecError, TapeError, TapeUnavailableError
from pdx_assets.risk.spec import PortfolioSpec, RepaymentDates
from pdx_assets.risk.spec_file import load_spec
from pdx_assets.risk.synthetic_digital import simulate_digital

SHARED = Path(__file__).parents[4] / "shared" / "data"


def drafted(path: Path, folder: Path) -> tuple[Draft, str, PortfolioSpec]:
    draft = draft_portfolio("book", path)
    text = yaml_text(draft)
    (folder / "defs.yaml").write_text(text, encoding="utf-8")
    return draft, text, load_spec(folder / "defs.yaml")


@pytest.fixture(scope="module")
def loans() -> pl.DataFrame:
    return simulate_digital(loans_per_month=500).loans


def test_a_digital_loan_file_can_be_run_as_drafted(loans: pl.DataFrame, tmp_path: Path) -> None:
    loans.write_csv(tmp_path / "loans.csv")
    draft, text, spec = drafted(tmp_path / "loans.csv", tmp_path)
    assert (spec.loan_id.column, spec.named("borrower"), spec.origination_column) == (
        "systemloanid",
        ["customerid"],
        "approveddate",
    )
    assert set(spec.named("outcome")) == {"closeddate", "firstrepaiddate", "firstduedate"}
    assert spec.named("price") == ["totaldue"] and spec.named("protected") == ["age_band"]
    assert "creationdate" not in spec.feature_columns and "loannumber" in spec.feature_columns
    rule = spec.label.definition
    assert isinstance(rule, RepaymentDates)
    assert (rule.due, rule.repaid, rule.threshold, spec.label.horizon_months) == (
        "firstduedate",
        "firstrepaiddate",
        30,
        2,
    )
    assert [d.text.split("?")[0] for d in decisions(text)] == ["how many days late is bad"]
    line = decisions(text)[0].line
    assert text.split("\n")[line - 1].strip().startswith("# DECIDE: how many days late is bad?")
    trial = try_draft(spec, tmp_path / "scratch")
    assert not trial.rejected and len(trial.measurable) == draft.plan.measured >= 3  # type: ignore[union-attr]
    assert all(w.counts.bads >= 30 for w in trial.windows[:2])
    # An independent count of the first window's bads.
    due, paid, issued = (
        loans[c].str.slice(0, 10).str.to_date() for c in ("firstduedate", "firstrepaiddate", "approveddate")
    )
    late = ((paid - due).dt.total_days() > 30).fill_null(True)
    in_time = due.dt.offset_by("30d") <= issued.dt.offset_by("2mo").dt.month_end()
    inside = issued.dt.strftime("%Y-%m").is_in([str(m) for m in trial.windows[0].months])
    assert trial.windows[0].counts.bads == (late & in_time & inside).sum()


def test_closed_without_a_day_of_repayment(loans: pl.DataFrame, tmp_path: Path) -> None:
    """First repayment days missing here and there are no defaults: the term and the day of closing are believed."""
    gappy = loans.with_columns(
        firstrepaiddate=pl.when(pl.int_range(pl.len()) % 10 > 0).then("firstrepaiddate"),
    )
    gappy.write_csv(tmp_path / "loans.csv")
    rule = drafted(tmp_path / "loans.csv", tmp_path)[2].label.definition
    assert isinstance(rule, RepaymentDates)
    assert (rule.due, rule.term_days, rule.repaid) == (None, "termdays", "closeddate")


def test_a_file_of_repaid_loans_only_is_doubted(loans: pl.DataFrame, tmp_path: Path) -> None:
    loans.drop_nulls(["firstrepaiddate", "closeddate"]).write_csv(tmp_path / "loans.csv")
    _, text, _ = drafted(tmp_path / "loans.csv", tmp_path)
    assert any("repaid loans only" in d.text for d in decisions(text))


def test_a_column_written_after_the_outcome_is_no_feature(loans: pl.DataFrame, tmp_path: Path) -> None:
    """Neither the name nor the type of `segment` and `calls` gives them away."""
    late = (
        (
            loans["firstrepaiddate"].str.slice(0, 10).str.to_date()
            - loans["firstduedate"].str.slice(0, 10).str.to_date()
        ).dt.total_days()
        > 30
    ).fill_null(True)
    leaky = loans.with_columns(
        segment=pl.when(late).then(pl.lit("C")).otherwise(pl.lit("A")),
        calls=pl.when(late)
        .then(pl.int_range(pl.len()) % 7 + 1)
        .otherwise((pl.int_range(pl.len()) % 11 == 0).cast(pl.Int64)),
    )
    leaky.write_csv(tmp_path / "loans.csv")
    draft, _, spec = drafted(tmp_path / "loans.csv", tmp_path)
    assert "segment" in spec.named("outcome") and "AUC of 1.00" in draft.roles.guesses["segment"].why
    assert "calls" in spec.named("outcome") or draft.roles.guesses["calls"].suspicious
    assert not any(g.suspicious for n, g in draft.roles.guesses.items() if n != "calls")


def test_no_outcome_asks_for_one(loans: pl.DataFrame, tmp_path: Path) -> None:
    loans.drop("closeddate", "firstduedate", "firstrepaiddate").write_csv(tmp_path / "loans.csv")
    with pytest.raises(SpecError, match=r"defs.yaml:\d+: label.definition.*DECIDE"):
        drafted(tmp_path / "loans.csv", tmp_path)
    text = (tmp_path / "defs.yaml").read_text()
    assert any("no column tells how a loan ended" in d.text for d in decisions(text))


def test_a_ready_flag(loans: pl.DataFrame, tmp_path: Path) -> None:
    flagged = loans.drop("closeddate", "firstduedate", "firstrepaiddate").with_columns(
        good_bad_flag=pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.lit("Bad")).otherwise(pl.lit("Good"))
    )
    flagged.write_csv(tmp_path / "loans.csv")
    _, text, spec = drafted(tmp_path / "loans.csv", tmp_path)
    rule = spec.label.definition
    assert rule.kind == "ready_flag" and (rule.flag, rule.bad, rule.good) == ("good_bad_flag", "Bad", "Good")
    assert any("on which day was this file drawn" in d.text for d in decisions(text))


def test_names_and_cells_cannot_break_the_yaml(tmp_path: Path) -> None:
    odd = {
        "yes": ["a", "b"],
        "loan id": ["1", "2"],
        "date": ["2017-01-31", "2018-01-31"],
        "x: {y}": ["#", "- z"],
        "q\"uote'": ["1", "2"],
        "1st": ["1", "3"],
        "ta\tb": ["l\u2028ine\x85s", "two"],
        "größe": ["3", "4"],
        "default": ["0", "1"],
    }
    pl.DataFrame({name: cells * 60 for name, cells in odd.items()}).with_columns(
        pl.Series("loan id", [str(i) for i in range(120)]),
        pl.Series("default", [str(i % 7 // 6) for i in range(120)]),
    ).write_csv(tmp_path / "loans.csv")
    _, _, spec = drafted(tmp_path / "loans.csv", tmp_path)
    assert set(spec.columns) == set(odd)


def test_bad_files_are_told_as_pdx_run_tells_them(tmp_path: Path) -> None:
    with pytest.raises(TapeUnavailableError, match="is not there"):
        read_sample(tmp_path / "loans.csv")
    (tmp_path / "loans.csv").write_text("a,b\n")
    with pytest.raises(TapeError, match="a header and no loans"):
        read_sample(tmp_path / "loans.csv")
    (tmp_path / "loans.csv").write_text("a;b\n1;2\n")
    with pytest.raises(TapeError, match="semicolons"):
        read_sample(tmp_path / "loans.csv")
    (tmp_path / "loans.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TapeError, match="no column holds the day a loan was granted"):
        draft_portfolio("book", tmp_path / "loans.csv")


def test_a_sample_is_the_head_and_rows_all_over(tmp_path: Path) -> None:
    pl.DataFrame({"n": range(5000)}).write_csv(tmp_path / "loans.csv")
    sample = read_sample(tmp_path / "loans.csv", most=500)
    kept = sample.rows["n"].cast(pl.Int64)
    assert sample.total == 5000 and not sample.whole
    assert kept.head(500).to_list() == list(range(500)) and kept.max() >= 4990  # type: ignore[operator]
    assert 500 < kept.len() < 1000 and sample.scale == 5000 / kept.len()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real files are not here")
class TestRealFiles:
    def test_lendingclub(self, tmp_path: Path) -> None:
        _, _, spec = drafted(SHARED / "lendingclub" / "accepted_2007_to_2018Q4.sample2000.csv", tmp_path)
        by_hand = load_spec(Path(__file__).parents[3] / "pdx_assets" / "defs" / "lendingclub" / "defs.yaml")
        rule = spec.label.definition
        assert (rule.kind, rule.status, rule.last_payment) == ("last_payment_and_status", "loan_status", "last_pymnt_d")
        assert (spec.origination_column, spec.loan_id.column) == ("issue_d", "id")
        # What was declared an outcome by hand does not become a feature. LendingClub's investors fund a loan after it
        # was granted, almost always in full: neither name nor content of that amount says so.
        assert set(spec.feature_columns) & set(by_hand.named("outcome")) <= {"funded_amnt_inv"}
        assert set(by_hand.named("price")) <= set(spec.named("price"))
        missed = set(by_hand.feature_columns) - set(spec.feature_columns)
        assert len(missed) <= 3, missed

    @pytest.mark.parametrize(
        ("name", "format_of_approval"),
        [("SBAnational.sample30000_balanced.csv.gz", "%d-%b-%y"), ("SBAnational.first22427.csv.gz", "%m/%d/%Y")],
    )
    def test_sba(self, tmp_path: Path, name: str, format_of_approval: str) -> None:
        draft, text, spec = drafted(SHARED / "sba" / name, tmp_path)
        rule = spec.label.definition
        assert (rule.kind, rule.date, rule.status, rule.bad_status) == (
            "charged_off",
            "ChgOffDate",
            "MIS_Status",
            "CHGOFF",
        )
        assert spec.columns["ApprovalDate"].format == format_of_approval
        assert {"ChgOffDate", "MIS_Status", "ChgOffPrinGr"} <= set(spec.named("outcome"))
        if "balanced" in name:
            assert "Term is suspicious" in text and any("Was the file drawn so?" in d.text for d in decisions(text))
            assert [n for n, g in draft.roles.guesses.items() if g.suspicious] == ["Term"]
