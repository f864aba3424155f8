"""Checks of a month's data and models, as pure functions: figures in, a verdict in words out.

``catalogue.py`` names them; the other modules hold one stage's checks each. What a failed check stops is decided
elsewhere: windows.py refuses a month, orchestration/ shows it.
"""
