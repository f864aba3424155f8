"""Promotion on evidence: records of recipes, the paired test over months, its yearly level, gates, the choice.

A **record** is prequential: each cohort was scored by the model that its recipe made on the cohort's own decision
date. Pure functions; how a record is made and stored is no business of this package. The defence of the rule is in
docs/decisions/0011-prequential-contests.md.
"""
