"""The leak sentinel: does a feature, judged alone, know the outcome?

:func:`judge` is all that others need: a typed frame of features, labels, cohorts and weights goes in, a
judgement of every feature comes out. Where the loans come from, and what a flag stops, is in stages/leaks.py.
"""

from pdx_assets.risk.leaks.judge import JUDGE_VERSION, Evidence, Judgement, in_parts, judge

__all__ = ["JUDGE_VERSION", "Evidence", "Judgement", "in_parts", "judge"]
