"""Once per channel, whatever is killed; later if it could not be told; one message instead of three hundred."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest

from pdx_assets.alerts.delivery import deliver
from pdx_assets.alerts.model import Alert, Resolved
from pdx_assets.alerts.outbox import FIRST_PAUSE, LEASE, LONGEST_PAUSE, MAX_ATTEMPTS, Outbox, Position
from pdx_assets.alerts.settings import AlertSettings
from pdx_assets.risk.errors import AlertError
from pdx_assets_tests.alerts.samples import CHECK, NOON, Clock, Mailbox, check_alert, run_alert

log = logging.getLogger(__name__)


class Office:
    """An outbox with its channels, restarted at will."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.path, self.clock = folder / "alerts.db", Clock()
        self.channels = [Mailbox(name) for name in names or ("log",)]
        self.settings = AlertSettings(tuple(self.channels), "info", "http://ui", self.path)

    @property
    def outbox(self) -> Outbox:
        """As a new process would open it."""
        return Outbox(self.path, self.clock)

    def post(self, *events: Alert | Resolved) -> int:
        return self.outbox.post(events, channels=[c.name for c in self.channels])

    def tell(self) -> dict[str, str]:
        return deliver(self.outbox, self.settings, log)

    def subjects(self, channel: int = 0) -> list[str]:
        return [m.subject for m in self.channels[channel].messages]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_an_event_is_told_once_however_often_it_is_read(office: Office) -> None:
    for _ in range(3):
        office.post(CHECK)
        office.tell()
        office.clock.now += 100_000
    assert office.subjects() == ["[PDx] demo 2024-05: psi failed on drift"]


def test_every_channel_is_told(tmp_path: Path) -> None:
    office = Office(tmp_path, "log", "email", "sns")
    office.post(CHECK)
    assert office.tell() == {"log": "1 told", "email": "1 told", "sns": "1 told"}
    assert [len(c.messages) for c in office.channels] == [1, 1, 1]


def test_a_check_that_says_the_same_again_is_no_news(office: Office) -> None:
    """A month made again by a backfill fails its check again, with the same words."""
    assert [office.post(check_alert(n)) for n in (1, 2, 3)] == [1, 0, 0]
    assert office.post(check_alert(4, text="PSI of the score is 0.44, alarm at 0.25.")) == 1
    assert office.post(check_alert(5, severity="warning")) == 1


def test_a_check_that_fails_after_it_passed_is_news(office: Office) -> None:
    assert CHECK.topic is not None
    office.post(check_alert(1), Resolved(CHECK.topic, NOON + 2), check_alert(3))
    office.tell()
    assert len(office.subjects()) == 2
    # An old pass, read again, does not end what came after it.
    assert office.post(Resolved(CHECK.topic, NOON + 2), check_alert(4)) == 0


def test_every_failed_run_is_told(office: Office) -> None:
    assert office.post(run_alert(1), run_alert(2)) == 2


def test_a_channel_that_fails_is_tried_again_with_growing_pauses(tmp_path: Path) -> None:
    office = Office(tmp_path, "email", "log")
    office.channels[0].error = AlertError("mail:587 cannot be reached: TimeoutError.")
    office.post(CHECK)
    said = office.tell()
    assert said == {"email": "0 told, then: mail:587 cannot be reached: TimeoutError.", "log": "1 told"}
    office.clock.now += FIRST_PAUSE - 1
    assert office.tell()["email"] == "0 told"
    office.clock.now += 1
    assert "cannot be reached" in office.tell()["email"]
    office.channels[0].error = None
    office.clock.now += FIRST_PAUSE
    assert office.tell()["email"] == "0 told", "the second pause is twice the first"
    office.clock.now += FIRST_PAUSE
    assert office.tell() == {"email": "1 told", "log": "0 told"}
    assert [len(c.messages) for c in office.channels] == [1, 1]


def test_trying_ends(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    office.channels[0].error = AlertError("no")
    office.post(CHECK)
    tries, hours = 0, 0.0
    while "no" in office.tell()["log"]:
        tries += 1
        office.clock.now += LONGEST_PAUSE
        hours += 1
    assert tries == MAX_ATTEMPTS
    assert "given up" in caplog.text
    office.channels[0].error = None
    office.clock.now += 100 * LONGEST_PAUSE
    assert office.tell() == {"log": "0 told"}


def test_any_error_of_a_library_is_caught_and_its_text_kept_back(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    office.channels[0].error = ValueError("cannot encode 'hunter2'")
    office.post(CHECK)
    assert "ValueError" in office.tell()["log"]
    assert "hunter2" not in caplog.text
    assert b"hunter2" not in office.path.read_bytes()


def test_one_bad_message_does_not_stop_the_others_for_good(office: Office) -> None:
    class Picky(Mailbox):
        def send(self, message: object) -> str:
            if "run 1 " in message.text:  # type: ignore[attr-defined]
                raise AlertError("refused")
            return super().send(message)  # type: ignore[arg-type]

    picky = Picky()
    office.settings = AlertSettings((picky,), "info", "http://ui", office.path)
    office.post(run_alert(1), run_alert(2), run_alert(3))
    assert office.tell()["log"] == "0 told, then: refused"
    office.clock.now += FIRST_PAUSE
    assert office.tell()["log"] == "2 told, then: refused"


def test_killed_before_telling_it_is_told_later(office: Office) -> None:
    office.post(CHECK)
    assert len(office.outbox.claim("log", 10)) == 1
    assert office.tell() == {"log": "0 told"}, "claimed by a process that may still be at it"
    office.clock.now += LEASE
    assert office.tell() == {"log": "1 told"}


def test_two_processes_do_not_tell_the_same(office: Office) -> None:
    office.post(*(run_alert(n) for n in range(6)))
    first, second = office.outbox.claim("log", 4), office.outbox.claim("log", 4)
    keys = [{d.alert.key for d in claimed} for claimed in (first, second)]
    assert (len(keys[0]), len(keys[1]), keys[0] & keys[1]) == (4, 2, set())


def test_many_at_once_come_in_one_message(office: Office) -> None:
    office.post(*(run_alert(n) for n in range(299)), CHECK)
    assert office.tell() == {"log": "300 told"}
    [message] = office.channels[0].messages
    assert message.subject == "[PDx] demo: 300 alerts: 299 failed runs, 1 failed check"
    assert message.text.count("\n- ") + 1 == 20 + 1 and "And 280 more." in message.text
    assert message.attributes == {"severity": "error", "portfolio": "demo", "month": "2024-05"}
    office.post(*(run_alert(n) for n in range(1000, 1005)))
    office.tell()
    assert len(office.channels[0].messages) == 6


def test_the_worst_is_named_first(office: Office) -> None:
    office.post(*(run_alert(n, severity="warning") for n in range(30)), run_alert(99))
    office.tell()
    first_named = office.channels[0].messages[0].paragraphs[1].splitlines()[0]
    assert first_named == "- error: demo 2024-05: run of champion failed. champion: run 99 was killed"


def test_an_alert_and_the_position_behind_it_are_written_together(office: Office) -> None:
    class KilledError(Exception):
        pass

    def dying() -> list[Alert]:
        raise KilledError

    with pytest.raises(KilledError):
        office.outbox.post(
            (e for events in (lambda: [CHECK], dying) for e in events()),
            channels=["log"],
            moved=("checks", Position(7, NOON)),
        )
    assert office.outbox.position("checks") == Position()
    assert office.tell() == {"log": "0 told"}
    office.outbox.post([CHECK], channels=["log"], moved=("checks", Position(7, NOON)))
    assert office.outbox.position("checks") == Position(7, NOON)


def test_the_beginning_is_remembered(office: Office) -> None:
    assert office.outbox.begin(lambda: ["decision/demo/2024-01"]) == NOON
    office.clock.now += 1000
    assert office.outbox.begin(lambda: pytest.fail("asked again")) == NOON
    keys = ["decision/demo/2024-02", "decision/demo/2024-01"]
    assert office.outbox.unseen(keys) == ["decision/demo/2024-02"]


def test_a_failed_beginning_is_made_later(office: Office) -> None:
    def unreachable() -> list[str]:
        raise OSError("no lake")

    with pytest.raises(OSError, match="no lake"):
        office.outbox.begin(unreachable)
    office.clock.now += 5
    assert office.outbox.begin(lambda: []) == NOON + 5


def test_a_file_that_is_no_outbox_is_not_overwritten(office: Office) -> None:
    office.path.write_text("my notes" * 100, encoding="utf-8")
    with pytest.raises(sqlite3.DatabaseError):
        office.post(CHECK)
    assert office.path.read_text(encoding="utf-8").startswith("my notes")


def test_a_waiting_approval_is_told(office: Office) -> None:
    waiting = Alert(
        key="approval/demo/2024-06",
        kind="waiting_approval",
        severity="info",
        portfolio="demo",
        title="promotion waits for approval",
        text="xgboost would approve 4.1 % more.",
        occurred=NOON,
        month="2024-06",
    )
    office.post(waiting)
    office.tell()
    assert office.subjects() == ["[PDx] demo 2024-06: promotion waits for approval"]
    assert "waiting approval, info, month 2024-06" in office.channels[0].messages[0].text


def test_a_password_in_an_error_does_not_leave_the_house(office: Office) -> None:
    office.post(check_alert(1, text="postgresql://pdx:hun@ter2@db/mlflow is down"))
    office.tell()
    assert "postgresql://***@db/mlflow is down" in office.channels[0].messages[0].text
