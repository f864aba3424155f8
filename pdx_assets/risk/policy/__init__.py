"""Policies as pure functions, and the fold: who is in charge of a production month, and why.

A decision is a recorded document. The champion of p is decided from the decisions recorded before p and
today's inputs for p; nothing here reads a store, a clock or a random number.
"""

from __future__ import annotations

from collections.abc import Callable

from pdx_assets.risk.policy.contest import Candidate, Choice, Contest, Evidence, Recalibrated, Verdict
from pdx_assets.risk.policy.evidence import contest_number, evidence, periods_since_change
from pdx_assets.risk.policy.fold import DECISION_VERSION, decision_document, in_charge_problem, incumbent_of
from pdx_assets.risk.policy.never_always import always, by_recipe, never
from pdx_assets.risk.policy.orders import approved, rejected, rolled_back, waiting, with_approval
from pdx_assets.risk.policy.paper import paper, paper_with_memory
from pdx_assets.risk.spec import Decision, PolicyName

POLICIES: dict[PolicyName, Callable[[Contest, Decision], Choice]] = {
    "never": never,
    "always": always,
    "paper": paper,
    "paper_with_memory": paper_with_memory,
    "evidence": evidence,
}

__all__ = [
    "DECISION_VERSION",
    "POLICIES",
    "Candidate",
    "Choice",
    "Contest",
    "Evidence",
    "Recalibrated",
    "Verdict",
    "always",
    "approved",
    "by_recipe",
    "contest_number",
    "decision_document",
    "evidence",
    "in_charge_problem",
    "incumbent_of",
    "never",
    "paper",
    "paper_with_memory",
    "periods_since_change",
    "rejected",
    "rolled_back",
    "waiting",
    "with_approval",
]
