"""A person's order in place of the policy's choice."""

from __future__ import annotations

from pdx_assets.risk.policy.contest import Candidate, Choice


def rolled_back(contested: Choice, bundle: Candidate, *, by: str, why: str) -> Choice:
    """A person's order instead of the policy's choice: ``bundle`` is in charge, whatever the contest says.

    Args:
        contested: what the policy chose; it stays on record.
        bundle: with its score on OTV(p), or None where it could not be measured.
    """
    return Choice(
        "rolled_back",
        bundle,
        f"Rolled back to {bundle.recipe} of {bundle.trained_for} by {by}: {why.rstrip('.')}. "
        f"Without that: {contested.reason}",
    )
