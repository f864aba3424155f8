"""The sentence beside every table: what is real, what is simulated, and what a portfolio is marked with."""

from __future__ import annotations

from pdx_assets.risk.experiment.origin import Source, columns, told
from pdx_assets.risk.experiment.paper import paper_dataset
from pdx_assets.risk.spec import NOT_KNOWABLE
from pdx_assets_tests.small_portfolio import small_attributes, small_spec

SNAPSHOT = Source("loans.csv", False, "2025-12-31")


def test_a_simulated_book_says_so() -> None:
    (said,) = told(small_spec(), SNAPSHOT, None)
    assert said.startswith("Simulated: every loan of small") and "no borrower is real" in said
    assert "seed 20260101" in said and "as of 2025-12-31" in said


def test_a_tape_given_to_a_simulated_book_is_not_simulated() -> None:
    (said,) = told(small_spec(), Source("mine.csv", True, None), None)
    assert said == "Real: the loans of small were read from mine.csv, given with --tape; PDx simulated none of them."


def test_a_tape_of_its_own_is_real() -> None:
    tape = small_attributes()["tape"]
    del tape["simulated"]
    said = told(small_spec(tape={**tape, "path": "book/*.csv"}), SNAPSHOT, paper_dataset("AutoL"))
    assert said[0].startswith("Real: the loans of small were read from loans.csv (tape as of 2025-12-31)")
    assert said[1] == "The paper's figures are of its own dataset: two-wheeler loans in India, real and private."


def test_marks_and_weights_are_told_beside_every_table() -> None:
    weighted = {**small_attributes()["columns"], "how_many": {"role": "weight"}}
    said = told(small_spec(columns=weighted), SNAPSHOT, None)
    assert (
        said[1]
        == "Loans are weighted: bad rates and metrics are of the book they stand for, loans and bads count rows."
    )


def test_hindsight_is_told_beside_every_table_and_in_every_csv() -> None:
    attributes = small_attributes()
    label = {**attributes["label"], "accepts_labels_not_knowable_in_time": True}
    marked = small_spec(label=label, windows={**attributes["windows"], "gap": 3})
    assert (marked.marks, small_spec().marks) == ({"hindsight": NOT_KNOWABLE}, {})
    assert NOT_KNOWABLE in told(marked, SNAPSHOT, None)
    assert columns(marked, SNAPSHOT) == {"small: loans are": "simulated", "small: labels": "not knowable in time"}
    assert columns(small_spec(), Source("mine.csv", True, None)) == {"small: loans are": "real"}
