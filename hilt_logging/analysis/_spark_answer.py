"""
Questions in Spark's SQL.
"""

from __future__ import annotations

import contextlib
import re

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..io.reader import Faults
from ._answers import Answer
from ._inputs import Paths
from ._spark import Log, errors, is_of_files, read_error, said, spark_of, translated
from .tables import EVENTS, IS_EVENT, IS_NOTICE, IS_NOTICE_IN_LINE, NAMES, conversations


if TYPE_CHECKING:
    from pyspark.sql import SparkSession


__all__ = ["answer_of"]

_ALL, _COUNTED = "log_events", "log_counted"
_TELLS = re.compile(r"\s*(describe|desc|show|explain)\b", re.IGNORECASE)


def answer_of(
    sql: str,
    paths: Paths,
    faults: Faults,
    *,
    rotated: bool,
    session: SparkSession | None,
    master: str | None,
) -> Answer:
    """
    Return the answer of Spark; see `sql.query`.

    Args:
        sql: The question.
        paths: As in `_spark.Log`.
        faults: Counts what can't be read.
        rotated: As in `_spark.Log`.
        session: As in `_spark.spark_of`.
        master: Likewise.
    """
    with contextlib.ExitStack() as stack:
        spark = stack.enter_context(spark_of(session, master))
        log = Log(spark, paths, faults, rotated=rotated)
        return _Answer(sql, log, faults, stack.pop_all())


class _Answer(Answer):
    """That of Spark."""

    def __init__(self, sql: str, log: Log, faults: Faults, stack: contextlib.ExitStack) -> None:
        self.faults = faults
        self._read = log.near
        self._sql = sql
        self._stack = stack
        try:
            _demand_one_question(log.spark, sql)
            self.events = _counted(log)
            _make_views(log)
            with _asking(sql):
                self._frame = _in_utc(log.spark.sql(sql))
            self.columns = tuple(self._frame.columns)
        except BaseException:
            stack.close()
            raise

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        with _asking(self._sql):
            for row in self._frame.toLocalIterator():
                yield tuple(row)

    def _write_parquet(self, part: str) -> None:
        allowed = "Spark's answers are written as csv, json or jsonl"
        raise ConfigurationError("format", "parquet", allowed)

    def close(self) -> None:
        """Give everything back."""
        self._stack.close()


def _counted(log: Log) -> int:
    """Report what is no event, and count the others."""
    name = "CASE WHEN is_event THEN '' ELSE filename END"
    is_event = f"coalesce({IS_EVENT}, false)"
    log.make_flat(_COUNTED, (), {"is_event": is_event}, {"is_event": "true"})
    sql = f"SELECT {name}, count(*) FROM {_COUNTED} GROUP BY {name}"  # noqa: S608 -- our own words
    with errors():
        found: dict[str, int] = dict(log.spark.sql(sql).collect())
    events = found.pop("", 0)
    log.tell(found.items())
    return int(events)


def _make_views(log: Log) -> None:
    line = f"coalesce({IS_NOTICE_IN_LINE}, false)"
    log.make_flat(_ALL, None, {"is_notice": IS_NOTICE}, {"is_notice": line}, IS_EVENT)
    log.make(EVENTS, f"SELECT {', '.join(NAMES)} FROM {_ALL}")  # noqa: S608
    log.make("conversations", translated(conversations(_ALL, "coalesce(is_notice, false)")))


def _demand_one_question(spark: SparkSession, sql: str) -> None:
    """Let nothing be run but what asks: Spark obeys at once, and a log is read, and never changed."""
    if _TELLS.match(sql):
        return
    parser = spark._jsparkSession.sessionState().sqlParser()
    with _asking(sql):
        parser.parseQuery(sql.strip().rstrip(";"))


@contextlib.contextmanager
def _asking(sql: str) -> Iterator[None]:
    """What Spark says becomes an error of ours; what it says of values is not repeated."""
    from py4j.protocol import Py4JError
    from pyspark.errors import AnalysisException, PySparkException

    try:
        yield
    except AnalysisException as error:
        raise ConfigurationError("SQL", sql, str(error).strip().partition("\n")[0]) from None
    except (PySparkException, Py4JError) as error:
        if is_of_files(error):
            raise read_error(error) from None
        raise ConfigurationError("SQL", sql, said(error)) from None


def _in_utc(frame: Any) -> Any:
    """An answer whose times are in UTC, whatever the time zone of Python."""
    zoned = {name for name, kind in frame.dtypes if kind == "timestamp"}
    if not zoned:
        return frame
    return frame.select(
        *(
            frame[f"`{name}`"].cast("timestamp_ntz").alias(name)
            if name in zoned
            else frame[f"`{name}`"]
            for name in frame.columns
        )
    )
