"""The runtime's own log records, each with its impact and what to do.

What a stuck message costs is not known here, so the figures are 0 and the description says so. Jobs
are counted as they are seen; of users at least one for each tenant.
"""

from __future__ import annotations

from typing import Final

from actors.runtime.logs import ActionLog, Counted, Subject
from schemas.logs import Detail, EconomicImpact, Observed, OperatorAction, Runbook

UNKNOWN: Final = "what it costs is not known here"


def dead_letter(journal: ActionLog, about: Subject, *, subject: str, why: str, reason: str) -> None:
    """Say that a message was buried: its step of the job will not happen."""
    journal.error(
        Observed.DEAD_LETTER,
        impact=_one(about, "STEP_LOST", "one step did not happen, its job may end by its timer"),
        action=OperatorAction(
            classification="DEAD_LETTER",
            urgency="ACT_TODAY",
            suggested_runbook_url=Runbook.DEAD_LETTERS,
            suggested_action="Read the letter, mend its cause, then replay it or drop it.",
            auto_action_taken="The message was kept with its error in the stream DLQ.",
        ),
        details=_details(f"dead letter from {subject}: {why} ({reason})", subject=subject)
        | {"reason": reason, "error": why},
        about=about,
    )


def letter_not_stored(journal: ActionLog, about: Subject, *, subject: str, why: str) -> None:
    """Say that a message could not be buried; it comes again, and is buried then."""
    journal.warn(
        Observed.LETTER_NOT_STORED,
        impact=_one(about, "STEP_DELAYED", "one message waits to be buried"),
        action=OperatorAction(
            classification="BROKER_REFUSES",
            urgency="ACT_NOW",
            suggested_runbook_url=Runbook.BROKER_DOWN,
            suggested_action="Look whether the broker is up and the stream DLQ has room.",
            auto_action_taken="The message was put off.",
        ),
        details=_details(f"the dead letter could not be stored: {why}", subject=subject),
        about=about,
    )


def handler_failed(journal: ActionLog, about: Subject, *, subject: str, bug: Exception) -> None:
    """Say that the module's code raised: the message comes again, until it is a dead letter."""
    journal.error(
        Observed.HANDLER_FAILED,
        impact=_one(about, "STEP_DELAYED", "one step is late, and lost if it keeps failing"),
        action=OperatorAction(
            classification="MODULE_FAILING",
            urgency="ACT_TODAY",
            suggested_runbook_url=Runbook.MODULE_FAILING,
            suggested_action="Read the traceback in the module's log and mend the code.",
            auto_action_taken="The message was put off with a growing delay.",
        ),
        details=_details(f"failed on {subject}: {type(bug).__name__}: {bug}", subject=subject),
        about=about,
        bug=bug,
    )


def store_away(journal: ActionLog, counted: Counted, *, why: str) -> None:
    """Say that a store does not answer: the module's messages wait."""
    journal.warn(
        Observed.STORE_AWAY,
        impact=_several(counted),
        action=OperatorAction(
            classification="STORE_AWAY",
            urgency="ACT_NOW",
            suggested_runbook_url=Runbook.DATABASE_DOWN,
            suggested_action="Bring the store back; what waits goes on by itself.",
            auto_action_taken="The messages were put off, and are not counted as failed.",
        ),
        details=_details(f"waits, a store is away: {why}", messages=counted.messages),
    )


def saying_failed(journal: ActionLog, counted: Counted, *, why: str) -> None:
    """Say that the broker does not take what the module says: its messages come again."""
    journal.warn(
        Observed.SAYING_FAILED,
        impact=_several(counted),
        action=OperatorAction(
            classification="BROKER_REFUSES",
            urgency="ACT_NOW",
            suggested_runbook_url=Runbook.BROKER_DOWN,
            suggested_action="Look whether the broker is up, has room, and permits it.",
            auto_action_taken="The messages were put off; they say the same again.",
        ),
        details=_details(f"could not say its answer: {why}", messages=counted.messages),
    )


def restarted(journal: ActionLog, *, what: str, failures: int, failure: Exception) -> None:
    """Say that a part of the process failed and is started again."""
    journal.error(
        Observed.PART_RESTARTED,
        impact=_not_counted(f"{what} stood still for a moment"),
        action=OperatorAction(
            classification="MODULE_FAILING",
            urgency="MONITOR",
            suggested_runbook_url=Runbook.MODULE_FAILING,
            suggested_action="Nothing, if it stays at one. Else read the traceback in the log.",
            auto_action_taken="It is started again, later each time.",
        ),
        details=_details(f"{what} failed: {type(failure).__name__}: {failure}", failures=failures),
        bug=failure,
    )


def gave_up(journal: ActionLog, *, what: str, failures: int, failure: Exception) -> None:
    """Say that a part of the process kept failing; the process ends."""
    journal.critical(
        Observed.PART_GAVE_UP,
        impact=_not_counted("the process ends; its jobs wait until it is back"),
        action=OperatorAction(
            classification="MODULE_FAILING",
            urgency="ACT_NOW",
            suggested_runbook_url=Runbook.MODULE_FAILING,
            suggested_action="Read the traceback in the log, mend its cause, start the process.",
            auto_action_taken="The process ends so that whoever watches it notices.",
            escalation_chain=("operator", "admin"),
        ),
        details=_details(f"{what} failed {failures} times in a row", failures=failures),
        bug=failure,
    )


def _one(about: Subject, kind: str, description: str) -> EconomicImpact:
    known = 1 if about.correlation_id else 0
    return EconomicImpact(
        type=kind,
        description=f"{description}; {UNKNOWN}",
        affected_jobs=known,
        affected_users=known,
    )


def _several(counted: Counted) -> EconomicImpact:
    return EconomicImpact(
        type="STEPS_DELAYED",
        description=f"{counted.messages} messages were put off since this was last said; {UNKNOWN}",
        affected_jobs=counted.jobs,
        affected_users=counted.tenants,
    )


def _not_counted(description: str) -> EconomicImpact:
    return EconomicImpact(
        type="SERVICE_INTERRUPTED",
        description=f"{description}; jobs were not counted, {UNKNOWN}",
    )


def _details(message: str, **more: Detail) -> dict[str, Detail]:
    return {"message": message, **more}
