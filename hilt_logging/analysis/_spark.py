"""
Spark over the files of a log, wherever it reads them: the same columns, views and statistics.

What the session of a user has set is left alone, and makes no difference: a copy of it is asked, in
UTC. Nothing of this package runs in Spark's workers.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import urllib.parse

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, MissingDependencyError, ReadError
from ..io.files import LONGEST
from . import _questions
from ._figures import Question, Report, Tally
from ._figures_sql import tally_of
from ._inputs import Paths, inputs_of
from ._questions import FACTS, LINES
from .tables import COLUMNS, select, structure_of


if TYPE_CHECKING:
    from pyspark.sql import SparkSession


__all__ = [
    "Log",
    "errors",
    "figures_by_spark",
    "is_of_files",
    "master_of",
    "read_error",
    "said",
    "spark_of",
    "translated",
]

_NAME = "spark"
_PARQUET = ".parquet"
_TEXT, _FIELDS, _STORED, _FLAT = "log_text", "log_fields", "log_stored", "log_flat"
_TYPES = {"VARCHAR": "STRING", "BIGINT": "BIGINT", "DOUBLE": "DOUBLE", "TIMESTAMP": "TIMESTAMP_NTZ"}
_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.ansi.enforceReservedKeywords": "false",
    "spark.sql.ansi.doubleQuotedIdentifiers": "false",
    "spark.sql.caseSensitive": "false",
    "spark.sql.json.enablePartialResults": "true",
    "spark.sql.parser.escapedStringLiterals": "false",
    "spark.sql.variable.substitute": "false",
}
_OWN = {
    "spark.app.name": "hilt-log",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
_JSON = (
    "map('mode', 'PERMISSIVE', 'allowSingleQuotes', 'false', 'allowNonNumericNumbers', 'false', "
    "'allowBackslashEscapingAnyCharacter', 'false')"
)
_MARKS = "\\u0000\\ufeff"
_SPACE = "BOTH ' \\t\\r'"
_LOGGERS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")
_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_.]+)\]")
_PLACE = "try_url_decode(replace(_metadata.file_path, '+', '%2B'))"
_FOLDER = f"replace(regexp_extract({_PLACE}, '/provider=([^/]*)/', 1), '+', '%2B')"
_PROVIDER = (
    f"CASE WHEN {_PLACE} LIKE '%/provider=%' "
    f"THEN nullif(try_url_decode({_FOLDER}), '__HIVE_DEFAULT_PARTITION__') END"
)


def _demand_pyspark() -> None:
    try:
        import pyspark  # noqa: F401 -- whether it is there is told before what is in it
    except ImportError:
        raise MissingDependencyError("pyspark", _NAME) from None


def master_of(engine: str) -> str | None:
    """
    Return the master that stands behind `spark:`, if there is one.

    Raises:
        ConfigurationError: for another engine.
    """
    name, _, master = engine.partition(":")
    if name != _NAME:
        allowed = "Must be duckdb, spark, or spark: and a master, as spark:local[2]"
        raise ConfigurationError("engine", engine, allowed)
    return master or None


def translated(sql: str) -> str:
    """
    Return a query in Spark's SQL that is in DuckDB's.

    Raises:
        MissingDependencyError: if sqlglot is not installed.
    """
    try:
        import sqlglot
    except ImportError:
        raise MissingDependencyError("sqlglot", _NAME) from None
    tree = sqlglot.parse_one(sql, read="duckdb")
    return str(tree.transform(_in_spark).sql(dialect="spark"))


def _in_spark(node: Any) -> Any:
    """What sqlglot does not carry over."""
    from sqlglot import exp

    if isinstance(node, exp.PercentileCont):
        return exp.Anonymous(this="percentile", expressions=[node.this, node.expression])
    if isinstance(node, exp.JSONType):
        return _kind_of(node)
    return node


def _kind_of(node: Any) -> Any:
    """The type of a value in JSON, in DuckDB's words as far as `_questions` has them."""
    import sqlglot

    line = node.this.sql(dialect="spark")
    names = re.findall(r'"([^"]*)"', node.expression.name)
    place = "$" + "".join(f"['{name}']" for name in names)
    kind = f"""schema_of_variant(try_variant_get(try_parse_json({line}), "{place}", 'variant'))"""
    return sqlglot.parse_one(
        f"CASE WHEN {kind} = 'STRING' THEN 'VARCHAR' WHEN {kind} = 'BOOLEAN' THEN 'BOOLEAN' "
        f"WHEN {kind} = 'VOID' THEN 'NULL' WHEN {kind} LIKE '%<%' THEN 'OBJECT' "
        f"WHEN {kind} IS NOT NULL THEN 'DOUBLE' END",
        read="spark",
    )


@contextlib.contextmanager
def spark_of(session: SparkSession | None, master: str | None) -> Iterator[SparkSession]:
    """
    Give a session whose settings are ours: a copy of one that is there, else one of our own.

    Args:
        session: The session of a user.
        master: Where one of our own runs, as `local[2]` or `spark://host:7077`; by default where
            Spark is configured to.

    Raises:
        MissingDependencyError: if pyspark is not installed.
        ConfigurationError: if there can't be such a session.
    """
    _demand_pyspark()
    if session is None:
        session = _running(master)
    with contextlib.ExitStack() as stack:
        if session is None:
            session = stack.enter_context(_own(master))
        stack.enter_context(_silence())
        yield _copy(session)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep pyspark from logging its errors, in which stand values."""
    from pyspark.logger import PySparkLogger

    loggers = [PySparkLogger.getLogger(name) for name in _LOGGERS]
    were = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, was in zip(loggers, were, strict=True):
            logger.disabled = was


def _running(master: str | None) -> SparkSession | None:
    """The session that runs in this process already."""
    from pyspark.sql import SparkSession

    found = SparkSession.getActiveSession()
    if found is not None and master is not None and found.sparkContext.master != master:
        allowed = f"Spark runs in this process already, on {found.sparkContext.master}"
        raise ConfigurationError("engine", f"spark:{master}", allowed)
    return found


def _copy(session: SparkSession) -> SparkSession:
    if not hasattr(session, "_jsparkSession"):
        allowed = "Must be a session of Spark itself, not of Spark Connect"
        raise ConfigurationError("spark", type(session).__name__, allowed)
    copy = type(session)(session.sparkContext, session._jsparkSession.cloneSession())
    for name, value in _SETTINGS.items():
        copy.conf.set(name, value)
    return copy


@contextlib.contextmanager
def _own(master: str | None) -> Iterator[SparkSession]:
    """A session that is quiet, and gone with its Java in the end."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    conf = SparkConf()
    for name, value in _OWN.items():
        conf.set(name, value)
    if master is not None:
        conf.setMaster(master)
    launch: Callable[..., Any] = launch_gateway
    gateway = None
    try:
        if SparkContext._gateway is None:
            gateway = launch(conf, {"stderr": subprocess.DEVNULL})
        context = SparkContext(conf=conf, gateway=gateway)
    except Exception as error:  # of pyspark, py4j and the system
        _quit(gateway)
        raise _no_session(master, error) from None
    try:
        yield SparkSession(context)
    finally:
        with contextlib.suppress(Exception):  # what it lost on its way is of no interest any more
            context.stop()
        _quit(gateway)


def _no_session(master: str | None, error: Exception) -> ConfigurationError:
    engine = _NAME if master is None else f"{_NAME}:{master}"
    return ConfigurationError("engine", engine, f"Spark can't be started: {said(error)}")


def _quit(gateway: Any) -> None:
    """End the Java that was started for us."""
    if gateway is None:
        return
    from pyspark import SparkContext

    with contextlib.suppress(Exception):
        gateway.shutdown()
    SparkContext._gateway = SparkContext._jvm = None
    gateway.proc.stdin.close()
    try:
        gateway.proc.wait(10)
    except subprocess.TimeoutExpired:
        gateway.proc.kill()
        gateway.proc.wait()


def said(error: BaseException) -> str:
    """Return what went wrong in Spark, without what stands in a log."""
    condition = getattr(error, "getCondition", lambda: None)()
    if condition == "JAVA_GATEWAY_EXITED":
        return "it needs Java 17 or later"
    java = getattr(error, "java_exception", None)
    if condition or java is None:
        return str(condition or type(error).__name__)
    while java.getCause() is not None:
        java = java.getCause()
    named = _CONDITION.match(java.getMessage() or "")
    return named[1] if named else str(java.getClass().getSimpleName())


def is_of_files(error: BaseException) -> bool:
    """Return whether an error of Spark is about a file."""
    return said(error).startswith(("FAILED_READ_FILE", "PATH_NOT_FOUND"))


def read_error(error: BaseException, path: str = "Spark") -> ReadError:
    """Return an error of Spark as one of ours."""
    parameters = getattr(error, "getMessageParameters", lambda: None)() or {}
    name = said(error)
    reason = "File not found" if name == "PATH_NOT_FOUND" else f"Spark can't read it ({name})"
    return ReadError(reason, _path(parameters.get("path", path)))


@contextlib.contextmanager
def errors(path: str = "Spark") -> Iterator[None]:
    """What Spark says becomes an error of ours, without what stands in a log."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise read_error(error, path) from None


def _path(uri: str) -> str:
    """A path of this machine as people write it."""
    if not uri.startswith("file:"):
        return uri
    return urllib.parse.unquote(uri.removeprefix("file://").removeprefix("file:"))


class Log:
    """
    What Spark reads of some paths, as views in its session.

    Args:
        spark: The session, which is ours.
        paths: Paths: of this machine as elsewhere, with `scheme://` or unknown here whatever Spark reads.
        report: Is called with the error of each path that is not there or not read.
        rotated: Whether a log that is named means its rotated files, too.

    Attributes:
        files: How many files there are.
        near: Those of this machine.

    Raises:
        ReadError: if a path of Spark's is not there.
    """

    def __init__(
        self, spark: SparkSession, paths: Paths, report: Report, *, rotated: bool = True
    ) -> None:
        self.spark = spark
        self.files = 0
        self.near: list[str] = []
        self._report = report
        self._logs: list[str] = []
        self._parquet: list[str] = []
        given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        names = [os.fspath(each) for each in given]
        far = [each for each in names if "://" in each]
        near = [each for each in names if "://" not in each]
        if near or not far:
            self._take_near(near, rotated)
        for each in far:
            self._take_far(each)

    def _take_near(self, names: list[str], rotated: bool) -> None:
        if "-" in names:
            raise ConfigurationError("paths", "-", "Spark does not read standard input")
        inputs = inputs_of(names, self._report, rotated=rotated)
        self.near += inputs.files
        for found, paths in (
            (self._logs, [file.path for file in inputs.logs]),
            (self._parquet, inputs.parquet),
            (None, inputs.sqlite),
        ):
            for path in paths:
                self.files += 1
                why = _why_not(path) if found is not None else "Spark does not read SQLite"
                if why is not None:
                    self._report(ReadError(why, path))
                elif found is not None:
                    found.append(_uri(path))

    def _take_far(self, path: str) -> None:
        """Take a path that only Spark knows: files, folders and patterns."""
        names = self._listed(path)
        stored = [name for name in names if name.endswith(_PARQUET)]
        if stored and len(stored) < len(names):
            raise ConfigurationError("paths", path, "Name logs and Parquet apart, by patterns")
        self.files += len(names)
        (self._parquet if stored else self._logs).append(path)

    def _listed(self, path: str) -> list[str]:
        reader = self.spark.read.format("binaryFile").option("recursiveFileLookup", "true")
        with errors(path):
            return list(reader.load(path).inputFiles())

    def make_flat(
        self,
        view: str,
        columns: Iterable[str] | None,
        others: Mapping[str, str],
        stored: Mapping[str, str],
        where: str | None = None,
    ) -> None:
        """
        Make a view of flat columns of lines.

        Args:
            view: Its name.
            columns: Which ones; all by default.
            others: More of them, by name, as expressions of DuckDB over `tables.STRUCTURE`.
            stored: The same for events in Parquet, over the flat columns.
            where: Which lines, as an expression over the structure; all by default.
        """
        chosen = list(columns) if columns is not None else [each.name for each in COLUMNS]
        pieces = []
        if self._logs or not self._parquet:
            self._make_fields(structure_of(chosen, others))
            others = {**others, "filename": "filename"}
            pieces.append(translated(select(_FIELDS, chosen, others=others, where=where)))
        if self._parquet:
            self._make_stored()
            values = [*chosen, *(f"{sql} AS {name}" for name, sql in stored.items()), "filename"]
            pieces.append(translated(f"SELECT {', '.join(values)} FROM {_STORED}"))  # noqa: S608
        self.make(view, " UNION ALL ".join(pieces))

    def make(self, view: str, sql: str) -> None:
        """Make a view of a query in Spark's SQL."""
        with errors():
            self.spark.sql(sql).createOrReplaceTempView(view)

    def _make_fields(self, structure: Mapping[str, Any]) -> None:
        """Make the view of the fields of lines of logs, of the types in `tables.STRUCTURE`."""
        reader = self.spark.read.option("lineSep", "\n").option("recursiveFileLookup", "true")
        with errors():
            if self._logs:
                text = reader.text(self._logs).selectExpr(
                    "value", "_metadata.file_path AS filename"
                )
            else:
                text = self.spark.sql("SELECT '' AS value, '' AS filename WHERE false")
            text.createOrReplaceTempView(_TEXT)
        values = ", ".join(_typed(name, kind, "line") for name, kind in structure.items())
        self.make(
            _FIELDS,
            f"""
SELECT {values}, value AS event, filename
FROM (
  SELECT value, filename, inline(array(from_json(json, 'line {_declared(structure)}', {_JSON})))
  FROM (
    SELECT value, filename,
      CASE WHEN is_valid_utf8(value) AND octet_length(value) <= {LONGEST}
        THEN concat('{{"line":', value, '}}') END AS json
    FROM (
      SELECT trim({_SPACE} FROM trim(LEADING '{_MARKS}' FROM value)) AS value, filename
      FROM {_TEXT} WHERE trim({_SPACE} FROM value) <> ''
    )
  )
)
""",  # noqa: S608 -- our own words
        )

    def _make_stored(self) -> None:
        """Make the view of Parquet; the provider of a divided one is in the names of its folders."""
        schema = ", ".join(f"`{each.name}` {_TYPES[each.type]}" for each in COLUMNS)
        reader = self.spark.read.schema(schema).option("recursiveFileLookup", "true")
        with errors():
            stored = reader.parquet(*self._parquet).selectExpr(
                *(f"`{each.name}`" for each in COLUMNS if each.name != "provider"),
                f"coalesce(provider, {_PROVIDER}) AS provider",
                "_metadata.file_path AS filename",
            )
            stored.createOrReplaceTempView(_STORED)

    def tell(self, unread: Iterable[tuple[str, int]]) -> None:
        """
        Report how many lines of files are no events.

        Args:
            unread: The URIs of files, and how many lines.
        """
        for uri, number in sorted(unread):
            lines = "1 line is no event" if number == 1 else f"{number:,} lines are no events"
            self._report(ReadError(lines, _path(uri)))


def _why_not(path: str) -> str | None:
    """Why Spark does not read a file of this machine."""
    if os.path.basename(path).startswith(("_", ".")):
        return "Spark passes over files whose names begin with _ or ."
    return "Spark reads no files with a colon in their names" if ":" in path else None


def _uri(path: str) -> str:
    """A path of this machine, in which Spark sees no pattern."""
    real = os.path.realpath(path)
    return "file://" + "".join(f"\\{char}" if char in "\\*?[]{}," else char for char in real)


def _declared(structure: Mapping[str, Any]) -> str:
    """The type in which Spark reads fields: every value as a text."""
    fields = (
        f"`{name}`: {_declared(kind) if isinstance(kind, dict) else 'STRING'}"
        for name, kind in structure.items()
    )
    return f"STRUCT<{', '.join(fields)}>"


def _typed(name: str, kind: Any, place: str) -> str:
    """A field with its type, as a column."""
    return f"{_value(kind, f'{place}.`{name}`')} AS `{name}`"


def _value(kind: Any, path: str) -> str:
    if isinstance(kind, dict):
        inner = (f"'{name}', {_value(each, f'{path}.`{name}`')}" for name, each in kind.items())
        return f"named_struct({', '.join(inner)})"
    if kind == "BIGINT":
        rounded = f"try_cast(rint(try_cast({path} AS DOUBLE)) AS BIGINT)"
        return f"coalesce(try_cast({path} AS BIGINT), {rounded})"
    return path


def figures_by_spark(
    paths: Paths,
    question: Question,
    report: Report,
    *,
    rotated: bool = True,
    session: SparkSession | None = None,
    master: str | None = None,
) -> Tally:
    """
    Answer a question about logs; see `_figures.Engine`.

    Args:
        paths: As in `Log`.
        question: The question.
        report: Is called with how many lines of each file are no events, and with what can't be read.
        rotated: As in `Log`.
        session: As in `spark_of`.
        master: As in `spark_of`.
    """
    with spark_of(session, master) as spark:
        log = Log(spark, paths, report, rotated=rotated)
        columns = _questions.columns_for(question)
        log.make_flat(_FLAT, columns, _questions.FROM_FIELDS, _questions.FROM_STORED)
        file = "CASE WHEN NOT is_event THEN filename END AS filename"
        marked = f"SELECT * EXCLUDE (filename), {file} FROM {_FLAT}"  # noqa: S608
        lines = spark.sql(translated(_questions.lines(marked, question, ["filename"])))
        lines.persist()
        try:
            lines.createOrReplaceTempView(LINES)
            log.make(FACTS, translated(_questions.facts()))
            return _tally(log, question)
        finally:
            lines.unpersist()


def _tally(log: Log, question: Question) -> Tally:
    def ask(sql: str) -> Iterable[tuple[Any, ...]]:
        with errors():
            rows: Iterable[tuple[Any, ...]] = log.spark.sql(translated(sql)).collect()
            return rows

    tally = tally_of(question, ask)
    tally.stats.files = log.files
    if tally.stats.unread:
        sql = f"SELECT filename, count(*) FROM {LINES} WHERE NOT is_event GROUP BY filename"  # noqa: S608
        unread = [tuple(row) for row in ask(sql)]
        log.tell(unread)
        tally.stats.unread -= len(unread)  # which are counted as they are reported
    return tally
