"""A wrong YAML fails with file, line and what was expected; the shipped ones load."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

import pdx_assets
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import SpecError
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.spec_file import expand_variables, load_spec
from pdx_assets_tests.risk import small_tape

DEFS = Path(pdx_assets.__file__).parent / "defs"

RIGHT = """\
type: pdx_assets.Portfolio
attributes:
  name: small
  tape:
    path: "${PDX_SMALL_TAPE}"
    first_cohort: 2015-01
    as_of_columns: [last_paid]
  loan_id:
    column: number
    derive_from: [opened, amount]
  columns:
    number: {role: id, dtype: text}
    customer: {role: borrower, dtype: text}
    opened: {role: date, dtype: date, format: "%b-%Y"}
    amount: {role: feature}
    income: {role: feature}
    purpose: {role: feature, dtype: category}
    rate: {role: price}
    region: {role: protected, dtype: category}
    last_paid: {role: outcome, dtype: date, format: "%b-%Y"}
    state: {role: outcome, dtype: category}
    paid: {role: outcome}
  ratios:
    amount_to_income: {numerator: amount, denominator: income}
  exclusions:
    - {name: tests, column: purpose, equals: test}
  label:
    name: bad
    horizon_months: 12
    definition: {kind: last_payment_and_status, status: state, bad_status: Late, last_payment: last_paid}
    indeterminate:
      - {name: fraud, column: state, matches: Fraud}
  windows:
    development: 12
    otv: 3
    gap: 12
    first_production: 2017-07
  strategies: [fixed_window, rolling_window]
  algorithms: [logistic_regression, xgboost]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "defs.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def line_of(text: str, part: str) -> int:
    return next(i for i, line in enumerate(text.splitlines(), 1) if part in line)


def test_the_right_one_loads(tmp_path: Path) -> None:
    spec = load_spec(written(tmp_path, RIGHT))
    assert spec.name == "small"
    assert spec.p0 == Month(2017, 7)
    assert spec.first_cohort == Month(2015, 1)
    assert spec.origination_column == "opened"
    assert spec.number_features == ["amount", "income", "amount_to_income"]
    assert spec.category_features == ["purpose"]
    assert spec.known_on(Month(2016, 6)) == date(2017, 6, 30)
    assert [spec.profile(p).retune_every for p in ("quick", "standard", "paper")] == [12, 12, 1]


# (what is wrong, text replaced, replacement, text on the line that must be named, what the message must say)
WRONG = [
    ("unknown key", "gap: 12", "gap: 12\n    gapp: 12", "gapp: 12", r"windows\.gapp: .*not permitted"),
    ("unknown key at the top", "  label:\n", "  labels: 1\n  label:\n", "labels: 1", r"labels: .*not permitted"),
    (
        "unknown role",
        "paid: {role: outcome}",
        "paid: {role: outcom}",
        "role: outcom}",
        r"columns\.paid\.role: .*'outcome'.*got 'outcom'",
    ),
    (
        "unknown dtype",
        "role: feature, dtype: category",
        "role: feature, dtype: float",
        "dtype: float",
        r"'number'.*got 'float'",
    ),
    (
        "a date without format",
        'last_paid: {role: outcome, dtype: date, format: "%b-%Y"}',
        "last_paid: {role: outcome, dtype: date}",
        "last_paid: {",
        r"columns\.last_paid: a date column needs a format",
    ),
    (
        "bad month",
        "first_production: 2017-07",
        "first_production: 2017-13",
        "2017-13",
        r"got '2017-13', expected a month YYYY-MM",
    ),
    (
        "a day for a month",
        "first_production: 2017-07",
        "first_production: 2017-07-01",
        "2017-07-01",
        r"got the day 2017-07-01, expected a month such as 2017-07",
    ),
    (
        "a number for a month",
        "first_cohort: 2015-01",
        "first_cohort: 2015",
        "first_cohort: 2015",
        r"tape\.first_cohort: got 2015, expected a month",
    ),
    ("no first cohort", "    first_cohort: 2015-01\n", "", "path:", r"tape\.first_cohort: Field required"),
    (
        "no label",
        RIGHT[RIGHT.index("  label:") : RIGHT.index("  windows:")],
        "",
        "name: small",
        r"label: Field required",
    ),
    ("no source", '    path: "${PDX_SMALL_TAPE}"\n', "", "first_cohort", r"give a path"),
    *(
        (what, 'path: "${PDX_SMALL_TAPE}"', wrong, at, message)
        for what, wrong, at, message in (
            (
                "a password in a database's address",
                "sql: {url: 'postgresql://me:hunter2@host/loans', query: SELECT 1 ORDER BY 1}",
                "hunter2",
                r"tape\.sql\.url: the address holds a password, expected it in the environment",
            ),
            (
                "a default for a password",
                "sql: {url: 'postgresql://me:${PW:-hunter2}@host/loans', query: SELECT 1 ORDER BY 1}",
                "hunter2",
                r"tape\.sql\.url: the address holds a password",
            ),
            (
                "a token in an API's address",
                "http: {url: 'https://host/loans?api_key=hunter2'}",
                "hunter2",
                r"tape\.http\.url: the address holds a secret in 'api_key'",
            ),
            (
                "a token before an API's address",
                "http: {url: 'https://hunter2@host/loans'}",
                "hunter2",
                r"tape\.http\.url: the address holds a user or a token",
            ),
            (
                "a token in a header's prefix",
                "http: {url: 'https://host/loans', auth: {variable: TOKEN, prefix: 'Bearer hunter2'}}",
                "hunter2",
                r"tape\.http\.auth\.prefix: the prefix looks like the secret itself",
            ),
            (
                "a password in a path",
                "path: s3://me:hunter2@bucket/loans",
                "hunter2",
                r"tape\.path: the address holds a password",
            ),
            (
                "two statements",
                "sql: {url: 'sqlite:///x', query: 'SELECT 1 ORDER BY 1; DROP TABLE x'}",
                "DROP",
                r"tape\.sql\.query: got several statements, expected one SELECT",
            ),
            (
                "a statement that writes",
                "sql: {url: 'sqlite:///x', query: 'DELETE FROM x'}",
                "DELETE",
                r"tape\.sql\.query: got a statement that begins with 'DELETE FROM x'",
            ),
            (
                "a query without order",
                "sql: {url: 'sqlite:///x', query: SELECT 1}",
                "SELECT",
                r"tape\.sql\.query: the query has no ORDER BY",
            ),
            (
                "half a month",
                "sql: {url: 'sqlite:///x', query: 'SELECT 1 FROM x WHERE d >= :month_start ORDER BY 1'}",
                "month_start",
                r"tape\.sql: the query has one of :month_start and :next_month_start",
            ),
            (
                "two places",
                "path: x\n    http: {url: 'https://host/loans'}",
                "path: x",
                r"tape: got path and http, give a path, sql or http",
            ),
            (
                "an unknown paging",
                "http: {url: 'https://host/loans', paging: {kind: offset}}",
                "offset",
                r"tape\.http\.paging: .*'next_link', 'page', 'cursor'",
            ),
            (
                "a token for a variable",
                "http: {url: 'https://host/loans', auth: {variable: hunter-2}}",
                "hunter-2",
                r"tape\.http\.auth\.variable: String should match",
            ),
        )
    ),
    (
        "as-of column missing",
        "as_of_columns: [last_paid]",
        "as_of_columns: [last_payed]",
        "last_payed",
        r"not declared under columns: 'last_payed' \(tape\.as_of_columns",
    ),
    (
        "as-of column is a feature",
        "as_of_columns: [last_paid]",
        "as_of_columns: [opened]",
        "as_of_columns",
        r"'opened' of role date, expected an outcome",
    ),
    (
        "as-of column is no date",
        "as_of_columns: [last_paid]",
        "as_of_columns: [paid]",
        "as_of_columns",
        r"'paid' of dtype number, expected a date",
    ),
    ("id column missing", "column: number", "column: numbr", "column: numbr", r"'numbr' \(loan_id\.column\)"),
    (
        "no id at all",
        "    column: number\n    derive_from: [opened, amount]",
        "    derive_from: []",
        "derive_from: []",
        r"loan_id: name the id column",
    ),
    (
        "derived id leaks",
        "derive_from: [opened, amount]",
        "derive_from: [opened, paid]",
        "derive_from",
        r"derive_from\.1 uses the outcome column 'paid'",
    ),
    (
        "exclusion on nothing",
        "column: purpose, equals",
        "column: purposes, equals",
        "purposes",
        r"'purposes' \(exclusions\.0\.column\)",
    ),
    (
        "exclusion by what happened later",
        "column: purpose, equals",
        "column: state, equals",
        "column: state, equals",
        r"exclusions\.0\.column uses the outcome column 'state'.*label\.indeterminate",
    ),
    (
        "rule with two tests",
        "equals: test",
        "equals: test, is_missing: true",
        "is_missing",
        r"rule 'tests' has .*expected exactly one of",
    ),
    ("rule without a test", ", matches: Fraud", "", "name: fraud", r"rule 'fraud' has no test"),
    (
        "status column missing",
        "status: state",
        "status: stat",
        "status: stat,",
        r"'stat' \(label\.definition\.status\)",
    ),
    (
        "status is a feature",
        "state: {role: outcome",
        "state: {role: feature",
        "status: state",
        r"'state' of role feature, expected an outcome",
    ),
    (
        "unknown label kind",
        "kind: last_payment_and_status",
        "kind: last_payment",
        "kind: last_payment,",
        r"label\.definition: .*'days_past_due'",
    ),
    (
        "panel label without a panel",
        "{kind: last_payment_and_status, status: state, bad_status: Late, last_payment: last_paid}",
        "{kind: days_past_due}",
        "kind: days_past_due",
        r"needs tape\.performance",
    ),
    (
        "two date columns",
        "    amount: {role: feature}",
        '    closed: {role: date, dtype: date, format: "%Y"}\n    amount: {role: feature}',
        "closed:",
        r"columns of role date: \['opened', 'closed'\], expected exactly one",
    ),
    (
        "no date column",
        "opened: {role: date,",
        "opened: {role: feature,",
        "number: {role: id",
        r"columns of role date: \[\], expected exactly one",
    ),
    (
        "origination is no date",
        'opened: {role: date, dtype: date, format: "%b-%Y"}',
        "opened: {role: date}",
        "opened: {role: date}",
        r"'opened' has role date but dtype 'number'",
    ),
    (
        "two borrowers",
        "region: {role: protected",
        "region: {role: borrower",
        "region:",
        r"columns of role borrower: \['customer', 'region'\], expected at most one",
    ),
    (
        "gap below the horizon",
        "gap: 12",
        "gap: 11",
        "gap: 11",
        r"windows\.gap is 11 months .* needs 12 months and 0 days: cohort 2016-07 is known on 2017-07-31, "
        r"after the decision date 2017-07-01",
    ),
    (
        "delay beyond the gap",
        "horizon_months: 12",
        "horizon_months: 12\n    reporting_delay_days: 5",
        "gap: 12",
        r"12 months and 5 days: cohort 2016-06 is known on 2017-07-05",
    ),
    (
        "first production too early",
        "first_production: 2017-07",
        "first_production: 2017-03",
        "2017-03",
        r"starts 2014-12, before the first cohort 2015-01: .* can be 2017-04 at the earliest",
    ),
    (
        "quarter begins in May",
        "    gap: 12\n    first_production: 2017-07",
        "    gap: 4\n    frequency: quarter\n    first_production: 2021-05",
        "2021-05",
        r"expected the first month of a quarter",
    ),
    (
        "unknown algorithm",
        "[logistic_regression, xgboost]",
        "[logistic_regression, lightgbm]",
        "lightgbm",
        r"algorithms\.1: .*'xgboost'.*got 'lightgbm'",
    ),
    (
        "algorithm twice",
        "[logistic_regression, xgboost]",
        "[xgboost, xgboost]",
        "algorithms",
        r"algorithms is \['xgboost', 'xgboost'\], expected each at most once",
    ),
    (
        "blend of one",
        "[logistic_regression, xgboost]",
        "[logistic_regression, blend, xgboost]",
        "algorithms",
        r"expected blend after at least two others",
    ),
    ("no algorithm", "[logistic_regression, xgboost]", "[]", "algorithms", r"at least one"),
    (
        "unknown strategy",
        "[fixed_window, rolling_window]",
        "[fixed_window, rolling]",
        "rolling]",
        r"'rolling_window'.*got 'rolling'",
    ),
    (
        "no baseline",
        "[fixed_window, rolling_window]",
        "[rolling_window]",
        "strategies",
        r"strategies lack fixed_window",
    ),
    (
        "ratio on an outcome",
        "denominator: income",
        "denominator: paid",
        "denominator: paid",
        r"ratios\.amount_to_income\.denominator uses 'paid' of role outcome, expected a feature",
    ),
    (
        "ratio on a category",
        "denominator: income",
        "denominator: purpose",
        "denominator: purpose",
        r"'purpose' of dtype category, expected a number",
    ),
    (
        "ratio on nothing",
        "denominator: income",
        "denominator: incom",
        "denominator: incom",
        r"'incom' \(ratios\.amount_to_income\.denominator\)",
    ),
    ("unsafe name", "name: small", "name: ../small", "name: ../small", r"got '../small', expected lower-case"),
    ("name ends in a newline", "name: small", 'name: "small\\n"', "name:", r"expected lower-case"),
    (
        "negative window",
        "development: 12",
        "development: 0",
        "development: 0",
        r"windows\.development: .*greater than or equal to 1",
    ),
    ("text for a number", "otv: 3", "otv: three", "otv: three", r"windows\.otv: .*integer.*got 'three'"),
    (
        "two groups in extract",
        "income: {role: feature}",
        "income: {role: feature, extract: '(a)(b)'}",
        "extract",
        r"has 2 groups, expected exactly one",
    ),
    (
        "a broken expression",
        "income: {role: feature}",
        "income: {role: feature, extract: '('}",
        "extract",
        r"is not a regular expression",
    ),
    (
        "a column twice",
        "    income: {role: feature}",
        "    income: {role: feature}\n    amount: {role: ignore}",
        "amount: {role: ignore}",
        r"'amount' is declared already on line 15",
    ),
    ("no attributes", "attributes:", "attribute:", None, r"has no `attributes:`"),
    ("not YAML", "  columns:", "  columns: [", None, r"is not YAML: .*\n.*line \d+"),
]


@pytest.mark.parametrize(("old", "new", "at", "message"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_wrong_yaml_says_file_line_and_what_was_expected(
    tmp_path: Path, old: str, new: str, at: str | None, message: str
) -> None:
    """Incident: contradictions between parts (gap and horizon, ratio and role) all pointed to the first line."""
    assert RIGHT.count(old) == 1
    text = RIGHT.replace(old, new)
    path = written(tmp_path, text)
    with pytest.raises(SpecError) as failure:
        load_spec(path)
    said = str(failure.value)
    assert re.search(message, said), said
    assert str(path) in said
    assert "hunter2" not in said, "a secret is not repeated"
    if at is not None:
        assert f"{path}:{line_of(text, at)}:" in said, said
        assert "What to do" in said


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    text = RIGHT.replace("otv: 3", "otv: 0").replace("amount: {role: feature}", "amount: {role: featur}")
    with pytest.raises(SpecError) as failure:
        load_spec(written(tmp_path, text))
    assert "windows.otv" in str(failure.value)
    assert "columns.amount.role" in str(failure.value)


def test_not_utf_8_is_located(tmp_path: Path) -> None:
    path = tmp_path / "defs.yaml"
    path.write_bytes(RIGHT.encode().replace(b"  name: small", b"  name: small\n  title: Caf\xe9"))
    with pytest.raises(SpecError, match=r"defs\.yaml:4: .*\n.*UTF-8"):
        load_spec(path)


def test_a_delay_that_fits_most_months_but_not_a_february() -> None:
    """Incident: only p0 was checked; with 30 days and one spare month every third of March would have failed.

    2018-01-31 plus 30 days is 2018-03-02: after the decision date of 2018-03, though p0 and all others fit.
    """
    label = {**small_tape.ATTRIBUTES["label"], "reporting_delay_days": 30}
    with pytest.raises(ValidationError, match="known on 2018-03-02, after the decision date 2018-03-01"):
        small_tape.spec(label=label, windows={"gap": 13, "first_production": "2017-08"})
    label["reporting_delay_days"] = 29
    assert small_tape.spec(label=label, windows={"gap": 13, "first_production": "2017-08"}).windows.gap == 13


def test_quarters_need_the_whole_quarter_on_book() -> None:
    """The last loan of a quarter is as late as its last month: four quarters of gap hold 12 months exactly."""
    plan = {"frequency": "quarter", "development": 2, "otv": 1, "first_production": "2017-07"}
    assert small_tape.spec(windows={**plan, "gap": 4}).windows.gap == 4
    with pytest.raises(ValidationError, match="gap is 9 months but the label needs 12"):
        small_tape.spec(windows={**plan, "gap": 3})


def test_prices_come_in_only_by_the_switch() -> None:
    """Incident: a ratio of a price was a feature while prices themselves were out."""
    ratios = {"rate_to_income": {"numerator": "rate", "denominator": "income"}}
    out = small_tape.spec(ratios=ratios)
    assert "rate" not in out.feature_columns
    assert [r for r in out.number_features if "rate" in r] == []
    let_in = small_tape.spec(ratios=ratios, use_price=True)
    assert [r for r in let_in.number_features if "rate" in r] == ["rate", "rate_to_income"]


def test_a_model_needs_something_to_learn_from() -> None:
    columns = {
        name: {**column, "role": "ignore"} if column["role"] == "feature" else column
        for name, column in small_tape.ATTRIBUTES["columns"].items()
    }
    with pytest.raises(ValidationError, match="no column has role feature"):
        small_tape.spec(columns=columns, ratios={"amount_to_income": {"numerator": "rate", "denominator": "rate"}})


def test_no_outcome_or_protected_column_is_a_feature() -> None:
    spec = small_tape.spec(use_price=True)
    features = {*spec.number_features, *spec.category_features}
    for role in ("outcome", "protected", "id", "borrower", "date", "ignore", "weight"):
        assert not features & set(spec.named(role))


def test_profiles_left_out_keep_their_defaults() -> None:
    """Incident: declaring one profile lost the others, and `--profile paper` ended in a KeyError."""
    spec = small_tape.spec(tuning={"profiles": {"quick": {"trials": 2, "retune_every": 6}}})
    assert (spec.profile("quick").trials, spec.profile("quick").retune_every) == (2, 6)
    assert spec.profile("paper").retune_every == 1
    with pytest.raises(ValidationError, match="quick"):
        small_tape.spec(tuning={"profiles": {"slow": {"trials": 2, "retune_every": 6}}})


def test_a_spec_cannot_change_under_a_reader() -> None:
    spec = small_tape.spec()
    with pytest.raises(ValidationError, match="frozen"):
        spec.use_price = True


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDX_SMALL_TAPE", "/data/loans.csv")
    monkeypatch.delenv("PDX_NOT_SET", raising=False)
    where = "small.tape.path"
    assert expand_variables("${PDX_SMALL_TAPE}", where=where) == "/data/loans.csv"
    assert expand_variables("a/${PDX_NOT_SET:-b}/${PDX_SMALL_TAPE}", where=where) == "a/b//data/loans.csv"
    assert expand_variables("${PDX_NOT_SET:-}", where=where) == ""
    assert expand_variables("$HOME ${lower} {x}", where=where) == "$HOME ${lower} {x}"
    with pytest.raises(SpecError) as failure:
        expand_variables("${PDX_NOT_SET}/x", where=where)
    assert "small.tape.path uses ${PDX_NOT_SET}, which is not set" in str(failure.value)
    assert "export PDX_NOT_SET=" in str(failure.value)


@pytest.mark.parametrize("path", sorted(DEFS.glob("*/defs.yaml")), ids=lambda p: p.parent.name)
def test_the_shipped_portfolios_load(path: Path) -> None:
    spec = load_spec(path)
    assert spec.name == path.parent.name
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["type"] == "pdx_assets.Portfolio"
    is_beyond = spec.decision.policy == "evidence"
    assert spec.strategies[:3] == ("fixed_window", "fixed_origin", "rolling_window")
    assert (len(spec.strategies), len(spec.algorithms)) == ((5, 5) if is_beyond else (3, 4))
    # What was read can be written and read again: the spec is data.
    assert PortfolioSpec.model_validate(spec.model_dump(mode="json")) == spec
    assert all(column.unit or column.dtype != "number" for column in spec.columns.values())


def test_lendingclub_on_evidence_is_the_same_book() -> None:
    """Its columns are a copy of lendingclub's: one changed alone would compare two books, not two methods."""
    paper, evidence = (load_spec(DEFS / name / "defs.yaml") for name in ("lendingclub", "lendingclub_evidence"))
    own = dict.fromkeys(["name", "title", "description", "strategies", "algorithms", "decision", "experiment"], True)
    # Only immature_cohorts reads it, which the paper has not.
    own |= {"windows": {"half_life_months": True}}  # type: ignore[dict-item]
    assert paper.model_dump(exclude=own) == evidence.model_dump(exclude=own)


def test_both_portfolios_are_shipped() -> None:
    assert {"demo", "lendingclub"} <= {p.parent.name for p in DEFS.glob("*/defs.yaml")}


def test_lendingclubs_plan_and_leaks() -> None:
    spec = load_spec(DEFS / "lendingclub" / "defs.yaml")
    assert (spec.windows.development, spec.windows.otv, spec.windows.gap) == (12, 3, 12)
    assert spec.p0 == Month(2010, 10)
    features = {*spec.number_features, *spec.category_features}
    leaks = re.compile(
        r"last_pymnt|^total_(pymnt|rec)|out_prncp|recover|last_fico|last_credit|hardship|settlement|status$"
    )
    assert [f for f in sorted(features) if leaks.search(f) and not f.startswith("verification_status")] == []
    assert not features & {"int_rate", "grade", "sub_grade", "installment"}
