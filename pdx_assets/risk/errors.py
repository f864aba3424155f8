"""The PdxError family: every failure a user can cause says what was got, what was expected, what to do.

Nothing but exception classes belongs here. Raise the most specific one; the CLI prints the message
alone (no traceback) and Dagster shows it as the step's failure.
"""

from __future__ import annotations


class PdxError(Exception):
    """A failure with a remedy.

    Args:
        got: what was found, naming the file, column, line, month or value.
        expected: what would have been right.
        remedy: what the reader can do about it.
    """

    def __init__(self, got: str, *, expected: str = "", remedy: str = "") -> None:
        self.got, self.expected, self.remedy = got, expected, remedy
        parts = [got]
        if expected:
            parts.append(f"Expected: {expected}")
        if remedy:
            parts.append(f"What to do: {remedy}")
        super().__init__("\n".join(parts))


class SpecError(PdxError):
    """A portfolio's YAML is wrong; names file and line."""


class TapeError(PdxError):
    """A tape cannot be read or its structure is not what the spec declares."""


class TapeUnavailableError(TapeError):
    """The tape could not be reached: not the same as a tape without loans."""


class CleaningError(PdxError):
    """A cohort's features cannot be made as declared."""


class WindowError(PdxError):
    """A window's months are missing, refused by a gate, or empty of a class."""


class TooEarlyError(WindowError):
    """A model as of a month before the tape has anything to learn from."""


class WaiverError(PdxError):
    """A waiver that cannot be recorded: nothing to waive, not to be waived, or waived already."""


class FirewallError(WindowError):
    """A row would teach a model something not yet known at its decision date."""


class LeakError(PdxError):
    """Features that seem to know the outcome, and that nobody has accepted or banned: nothing is trained on them."""


class NotYetKnownError(WindowError):
    """What was asked for lies in the future of the decision date or of the tape."""


class TrainingError(PdxError):
    """A challenger could not be trained; leaves a tombstone, never stops the contest."""


class ParityError(TrainingError):
    """The portable model does not reproduce the training library's scores."""


class BundleError(PdxError):
    """A bundle is missing, altered, or of a format this version cannot read."""


class ScoreError(PdxError):
    """A stored score is missing or a (bundle, cohort) pair may not be scored."""


class AlertError(PdxError):
    """Alerts are set up wrongly, or a channel did not take a message; never holds a password."""


class DecisionError(PdxError):
    """The champion of a month cannot be decided."""


class MissingMonthError(DecisionError):
    """An earlier production month has no recorded decision yet."""


class HomeError(PdxError):
    """The PDx home holds something that does not go with what was asked."""
