"""A draft as a commented ``defs.yaml``: what was guessed, on what evidence, and what a person has to decide."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pdx_assets.risk.calendar import Periods
from pdx_assets.risk.drafting.drafts import Draft
from pdx_assets.risk.drafting.roles import Guess
from pdx_assets.risk.spec import Role

_MARK = "# DECIDE: "
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_SECTIONS: tuple[tuple[tuple[Role, ...], str], ...] = (
    (("id", "borrower", "date", "weight"), "Which loan, whose, and since when."),
    (("feature",), "Features: known when the decision is made. What is not belongs under outcomes."),
    (("price",), "The price: another model's output. Left out unless `use_price: true`."),
    (("protected",), "Protected: used to measure fairness, never to score."),
    (("outcome",), "Outcomes: known only afterwards. Never features."),
    (("ignore",), "Not used."),
)


@dataclass(frozen=True)
class Decision:
    """Something a person has to decide: the line of the YAML (from 1) that says so, and what."""

    line: int
    text: str


def decisions(text: str) -> list[Decision]:
    """Every line of a draft that is marked for a person."""
    marked = ((i, line.strip()) for i, line in enumerate(text.split("\n"), start=1))
    return [Decision(i, line.removeprefix(_MARK)) for i, line in marked if line.startswith(_MARK)]


def yaml_text(draft: Draft) -> str:
    """The draft as YAML, ending in a newline."""
    return "\n".join(_lines(draft)) + "\n"


def _lines(draft: Draft) -> Iterator[str]:
    sample = draft.sample
    seen = "all of them looked at" if sample.whole else f"{sample.rows.height:,} of them looked at"
    yield f"# Drafted by `pdx new` from {_comment(sample.path.name)}: {sample.total:,} rows, {seen}."
    yield "# Everything here is a guess, with its evidence beside it. Lines marked DECIDE want a person."
    yield "# docs/new_book.md says how to go through them; docs/portfolio.md explains every key."
    yield "type: pdx_assets.Portfolio"
    yield ""
    yield "attributes:"
    yield f"  name: {_key(draft.name)}"
    yield f"  title: {_text(draft.name.replace('_', ' ').capitalize())}"
    yield ""
    yield from _tape(draft)
    yield ""
    yield from _loan_id(draft)
    yield ""
    empty = [n for n, p in draft.roles.profiles.items() if p.empty]
    yield "  columns:"
    for roles, title in _SECTIONS:
        names = [n for role in roles for n in draft.roles.named(role) if n not in empty]
        if names:
            yield f"    # {title}"
            for name in names:
                yield from _column(draft, name, draft.roles.guesses[name])
    if empty:
        yield f"    # Empty in every row looked at, and so not declared: {_comment(', '.join(empty))}."
    yield ""
    yield from _label(draft)
    yield ""
    yield from _windows(draft)


def _tape(draft: Draft) -> Iterator[str]:
    assert draft.plan is not None
    yield "  tape:"
    yield f"    path: {_text(str(draft.sample.path))}"
    yield f"    first_cohort: {_text(str(draft.plan.first_cohort))}"
    if draft.sample.malformed:
        yield f"    # {draft.sample.malformed:,} lines are no rows (wrong width, ...): they will be rejected."
    if draft.as_of_columns:
        yield f"    # The tape was drawn on the latest day in these columns, as it seems: {draft.as_of}."
        yield f"    as_of_columns: {_text(list(draft.as_of_columns))}"
    elif not draft.panel:
        yield f"    {_MARK}on which day was this file drawn? No column tells; nothing later than it was observed."
        yield f"    as_of: {draft.as_of}"
    if draft.panel:
        yield "    performance:"
        yield "      path: performance"
        for key, column in draft.panel.items():
            yield f"      {key}: {_text(column)}"


def _loan_id(draft: Draft) -> Iterator[str]:
    yield "  loan_id:"
    if draft.loan_id:
        yield f"    column: {_text(draft.loan_id)}"
    if draft.derive_from:
        why = "some rows have none" if draft.loan_id else "no column is filled and different on every row"
        yield f"    # {why}: the id is a hash of these, and an ordinal for exact repeats"
        yield f"    derive_from: {_text(list(draft.derive_from))}"


def _column(draft: Draft, name: str, guess: Guess) -> Iterator[str]:
    if guess.suspicious:
        asked = f"{name} is suspicious: {guess.suspicious}. Known when the decision is made? Else role: outcome."
        yield f"    {_MARK}{_comment(asked)}"
    if guess.decide:
        yield f"    {_MARK}{_comment(name)}: {_comment(guess.decide)}"
    declared = draft.roles.profiles[name].declared
    said: dict[str, Any] = {"role": guess.role, "dtype": guess.dtype}
    if guess.dtype == "date":
        said["format"] = declared.format
    if guess.dtype in ("number", "date"):
        if declared.unit:
            said["unit"] = declared.unit
        if declared.two_digit_years_from:
            said["two_digit_years_from"] = declared.two_digit_years_from
        if declared.extract:
            said["extract"] = declared.extract
        if declared.replace:
            said["replace"] = declared.replace
    shown = ", ".join(f"{key}: {_text(value)}" for key, value in said.items())
    yield f"    {_key(name)}: {{{shown}}}  # {_comment(guess.why)}"


def _label(draft: Draft) -> Iterator[str]:
    label = draft.label
    yield "  label:"
    for line in label.why:
        yield f"    # {_comment(line)}"
    if not label.kind:
        yield f"    {_MARK}no column tells how a loan ended. Which does? Kinds of labels: docs/portfolio.md#label"
        yield "    name: bad"
        yield f"    horizon_months: {label.horizon_months}"
        yield "    definition: {kind: DECIDE}"
        return
    for line in label.decide:
        yield f"    {_MARK}{_comment(line)}"
    yield f"    name: {_key(re.sub('[^a-z0-9_]+', '_', label.name))}"
    yield f"    horizon_months: {label.horizon_months}"
    yield "    definition:"
    yield f"      kind: {label.kind}"
    for key, value in label.definition.items():
        yield f"      {key}: {_text(value)}"


def _windows(draft: Draft) -> Iterator[str]:
    plan = draft.plan
    assert plan is not None
    yield (
        "  # In "
        + ("months" if plan.frequency == "month" else "quarters")
        + "; docs/method.md#windows has the arithmetic."
    )
    for line in plan.why:
        yield f"  # - {line}"
    if plan.problem:
        yield f"  {_MARK}this plan does not work: {plan.problem}"
    periods = Periods(plan.frequency)
    p0 = plan.first_production
    ends = periods.shift(p0, -plan.gap - 1)
    begins = periods.shift(ends, 1 - plan.otv)
    yield (
        f"  # First production {plan.frequency} {p0}: development {periods.shift(begins, -plan.development)} to "
        f"{periods.shift(begins, -1)}, OTV {begins} to {ends}."
    )
    yield "  windows:"
    if plan.frequency != "month":
        yield f"    frequency: {plan.frequency}"
    yield f"    development: {plan.development}"
    yield f"    otv: {plan.otv}"
    yield f"    gap: {plan.gap}"
    yield f"    first_production: {_text(str(p0))}"


def _key(name: str) -> str:
    if _PLAIN_KEY.match(name) and name.lower() not in _YAML_WORDS:
        return name
    return _text(name)


def _text(value: Any) -> str:
    """A value in YAML's flow style: JSON is YAML, and nothing in it needs guessing."""
    if isinstance(value, str) and _PLAIN_KEY.match(value) and value.lower() not in _YAML_WORDS:
        return value
    if isinstance(value, list):
        return "[" + ", ".join(_text(v) for v in value) + "]"
    # Escaped beyond ASCII: YAML refuses some characters that a column name can hold.
    return json.dumps(value)


def _comment(text: str) -> str:
    """Text of a tape within a comment: it must not end the line."""
    return "".join(c if c.isprintable() else " " for c in text)
