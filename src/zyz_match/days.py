"""The day at the bureau: all of China keeps Beijing time, whatever zone a server is set to."""

from datetime import UTC, date, datetime, timedelta, timezone

BEIJING = timezone(timedelta(hours=8), "Asia/Shanghai")


def today() -> date:
    """The day that it is."""
    return datetime.now(BEIJING).date()


def day_of(moment: datetime) -> date:
    """The day of a moment; one without a zone is UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(BEIJING).date()
