"""A first draft of a portfolio from nothing but its tape: what each column seems to be, and why.

``sampling`` reads, ``dates`` and ``profiles`` look at one column, ``roles`` and ``repayment`` at columns
together, ``plans`` at the months, ``drafts`` puts the guesses together and ``writing`` makes them a commented
YAML. Guesses are for a person to check: nothing else in PDx reads them, only the YAML they end up in.
"""

from pdx_assets.risk.drafting.drafts import Draft, draft_portfolio
from pdx_assets.risk.drafting.writing import Decision, decisions, yaml_text

__all__ = ["Decision", "Draft", "decisions", "draft_portfolio", "yaml_text"]
