"""
From a record to a line: JSON for files and shippers, one line of text for people.
"""

from __future__ import annotations

import logging
import os
import sys

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ._cutting import LEAST_BYTES, cut
from .errors import ConfigurationError, reject_unknown
from .events import encode
from .records import (
    HILTRecord,
    as_bound,
    complete,
    complete_with_line,
    completed,
    created_ns,
    summary,
)
from .snapshot import clean_text, snapshot


if TYPE_CHECKING:
    from .safeguards.encryption import Sealing, Subject
    from .safeguards.privacy import Rules


__all__ = ["HILTFormatter", "HILTTextFormatter"]


class HILTFormatter(logging.Formatter):
    """
    Format a record as one line of HILT JSON, for any handler.

    A record without an event becomes a `system` event with the record under `extensions.log`; to
    leave such records out, put the filter `OnlyHILT` on the handler.

    Args:
        fmt: Only there because `logging.config` passes it; must be None.
        datefmt: Likewise.
        style: Likewise; must be `%`.
        validate: Likewise; has no effect.
        defaults: Likewise; must be None.
        ascii: Escape every character that is not ASCII, for streams that are not UTF-8.
        max_line_bytes: How long a line may be with its newline; what is longer is cut and marked.
        content: `full`; `hash`, digests in place of what was said; `none`, nothing of it.
        redact: What is replaced wherever it is found: names of detectors (`all`, `core`, `secrets`,
            `email`, ...), `{name: regular expression}`, and functions from a text to
            `(start, end, kind)`, in a list or alone.
        redact_with: `label`, as `[EMAIL]`; `token`, the same for the same value; `hash`, a digest.
        detect_only: Only tell in `privacy.pii_detected` what was found.
        phone_regions: Countries, as `["US"]`, whose telephone numbers need no country code.
        fields: Paths of fields: only these are kept, and those with a `-` before them are dropped.
        public_fields: Paths of fields of your own that `content` leaves as they are.
        pseudonymize: Paths of ids that are replaced by names made with the key.
        privacy_key: The key for tokens, names and digests: `env:NAME`, `file:PATH` or bytes.
        shared_key_file: Take a key from a file that others can read, too.
        encrypt_to: Files of public keys (JWK): what `content: none` would leave out, and who it was
            about, is encrypted to their owners.
        erasable_by: Whose key the same is encrypted with, so that it can be erased: `user_id`,
            `actor` or `session`.
        key_store: Where these keys are kept: the path of a file, or a key store of your own.

    Raises:
        ConfigurationError: for an option that does not exist or has a wrong value.
        MissingDependencyError: where an option needs an extra that is not installed.
    """

    OPTIONS = (
        "ascii",
        "max_line_bytes",
        "content",
        "redact",
        "redact_with",
        "detect_only",
        "phone_regions",
        "fields",
        "public_fields",
        "pseudonymize",
        "privacy_key",
        "shared_key_file",
        "encrypt_to",
        "erasable_by",
        "key_store",
    )

    def __init__(
        self,
        fmt: None = None,
        datefmt: None = None,
        style: Literal["%"] = "%",
        validate: bool = True,
        *,
        defaults: None = None,
        ascii: bool = False,
        max_line_bytes: int = 1024 * 1024,
        content: str = "full",
        redact: Any = (),
        redact_with: str = "label",
        detect_only: bool = False,
        phone_regions: str | Sequence[str] = (),
        fields: str | Sequence[str] = (),
        public_fields: str | Sequence[str] = (),
        pseudonymize: str | Sequence[str] = (),
        privacy_key: str | bytes | None = None,
        shared_key_file: bool = False,
        encrypt_to: Any = None,
        erasable_by: str | None = None,
        key_store: Any = None,
        **unknown: Any,
    ) -> None:
        reject_unknown("HILTFormatter", unknown, self.OPTIONS)
        given = {"fmt": fmt, "datefmt": datefmt, "defaults": defaults}
        for option, value in given.items():
            if value is not None:
                raise ConfigurationError(option, value, "A line of HILT has one form: leave it out")
        if style != "%":
            raise ConfigurationError("style", style, "Must be left out")
        if type(ascii) is not bool:
            raise ConfigurationError("ascii", ascii, "Must be true or false")
        if type(max_line_bytes) is not int or max_line_bytes < LEAST_BYTES:
            raise ConfigurationError(
                "max_line_bytes", max_line_bytes, f"Must be a whole number from {LEAST_BYTES}"
            )
        super().__init__()
        self._ascii = ascii
        self._longest = self._most = max_line_bytes - 1  # the newline is one
        self._rules = _rules_of(
            content=content,
            redact=redact,
            redact_with=redact_with,
            detect_only=detect_only,
            phone_regions=phone_regions,
            fields=fields,
            public_fields=public_fields,
            pseudonymize=pseudonymize,
            privacy_key=privacy_key,
            shared_key_file=shared_key_file,
        )
        self._sealing = _sealing_of(
            encrypt_to=encrypt_to,
            erasable_by=erasable_by,
            key_store=key_store,
            privacy_key=privacy_key,
            public_fields=public_fields,
            shared_key_file=shared_key_file,
        )
        self._least = LEAST_BYTES if self._sealing is None else self._sealing.least_bytes
        self.leave_room(0)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, without its newline."""
        return self.line(record).decode()

    def line(self, record: logging.LogRecord) -> bytes:
        """Return the line of a record as bytes, without its newline."""
        line = record.hilt_line if type(record) is HILTRecord else None
        if self._sealing is not None:
            if line is None or self._rules is not None:
                return self._sealed_line(self._sealing, record)
            return self._sealing.line(line, self._most, ascii=self._ascii)
        if self._rules is not None:
            made = None if line is None or self._ascii else self._rules.line(line)
            if made is not None and len(made) <= self._most:
                return made
            return self.serialize(self._shown(self._rules, record)[0])
        if line is None:
            event, line = complete_with_line(record)
        else:
            event = None
        if line is None:
            return self.serialize(event or self.wrap(record))
        if self._ascii:
            return self.serialize(msgspec.json.decode(line))
        return line if len(line) <= self._most else cut(line, self._most)

    def _shown(
        self, rules: Rules | None, record: logging.LogRecord
    ) -> tuple[dict[str, Any], Subject | None]:
        """What may be read, and whose it is; the event itself stays whole for other handlers."""
        line = record.hilt_line if type(record) is HILTRecord else None
        is_foreign = False
        event: dict[str, Any] | None
        if line is not None:
            event = msgspec.json.decode(line)
        else:
            event = complete(record)
            is_foreign = event is None
            event = self.wrap(record) if event is None else snapshot(event)
        if self._sealing is None:
            subject = None
        else:
            with as_bound(record):
                subject = self._sealing.subject_of(event, is_foreign)
        return event if rules is None else rules.applied(event), subject

    def _sealed_line(self, sealing: Sealing, record: logging.LogRecord) -> bytes:
        event, subject = self._shown(self._rules, record)
        try:
            line = encode(event)
        except Exception:  # the name of a logger is no JSON
            line = encode(snapshot(event))
        return sealing.line(line, self._most, subject, ascii=self._ascii)

    def leave_room(self, size: int) -> None:
        """
        Make lines that are so many bytes shorter than `max_line_bytes`, for what a handler adds.

        Raises:
            ConfigurationError: where there is no room for that.
        """
        least = self._least + size
        if self._longest < least - 1:
            raise ConfigurationError(
                "max_line_bytes", self._longest + 1, f"Must be a whole number from {least} here"
            )
        self._most = self._longest - size

    def redaction_failures(self) -> dict[str, int]:
        """Return how often a text could not be searched or encrypted, from the cause to the count."""
        failures: dict[str, int] = {}
        for each in (self._rules, self._sealing):
            for cause, times in ({} if each is None else each.failures()).items():
                failures[cause] = failures.get(cause, 0) + times
        return failures

    def serialize(self, event: dict[str, Any]) -> bytes:
        """Return the line of a complete event."""
        try:
            line = encode(event)
        except Exception:  # a filter put something on the record that is no JSON
            line = encode(event := snapshot(event))
        if self._ascii and len(line) <= self._most:
            line = encode(event, ascii=True)
        return line if len(line) <= self._most else cut(line, self._most, ascii=self._ascii)

    def wrap(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return the `system` event that stands for an ordinary record."""
        log = {
            "logger": record.name,
            "level": record.levelname,
            "message": _message(record),
            "exception": _exception(record),
        }
        event = {
            "actor": {"type": "system", "id": record.name or "root"},
            "action": "system",
            "extensions": {"log": {k: v for k, v in log.items() if v is not None}},
        }
        with as_bound(record):
            return completed(event, record.name, created_ns(record))


_EVERYTHING = {
    "content": "full",
    "redact": (),
    "redact_with": "label",
    "detect_only": False,
    "phone_regions": (),
    "fields": (),
    "public_fields": (),
    "pseudonymize": (),
    "privacy_key": None,
    "shared_key_file": False,
}


def _rules_of(**options: Any) -> Rules | None:
    """The rules that options make; only who sets one loads what makes them."""
    if options == _EVERYTHING:
        return None
    from .safeguards.privacy import rules_of

    return rules_of(**options)


def _sealing_of(**options: Any) -> Sealing | None:
    """What encrypts; only who wants that loads it."""
    if all(options[name] is None for name in ("encrypt_to", "erasable_by", "key_store")):
        return None
    from .safeguards.encryption import sealing_of

    return sealing_of(**options)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # as wrong as "%d" % "x": the record is kept all the same
        return f"[message not formatted: {type(error).__name__}]"


def _exception(record: logging.LogRecord) -> dict[str, Any] | None:
    if type(record.exc_info) is not tuple or len(record.exc_info) != 3:
        return None
    kind, error, _ = record.exc_info
    if error is None:
        return None
    name = kind.__name__ if kind is not None else type(error).__name__
    try:
        text = str(error)
    except Exception:
        text = ""
    return {"type": name, "text": text}


_COLOURS = {"DEBUG": "2", "INFO": "36", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


class HILTTextFormatter(logging.Formatter):
    """
    Format a record as one line of text for people; of an event the summary, without content.

    Args:
        fmt: As in `logging.Formatter`; by default time, level and message.
        datefmt: As in `logging.Formatter`.
        style: As in `logging.Formatter`.
        validate: As in `logging.Formatter`.
        defaults: As in `logging.Formatter`.
        content: Show the event's text too, cut to `max_text` characters.
        max_text: How many characters of the text.
        color: True, False, or None for "if stderr is a terminal and NO_COLOR is not set".

    Raises:
        ConfigurationError: for an option that does not exist or has a wrong value.
    """

    OPTIONS = ("fmt", "datefmt", "style", "validate", "defaults", "content", "max_text", "color")

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: Literal["%", "{", "$"] = "%",
        validate: bool = True,
        *,
        defaults: dict[str, Any] | None = None,
        content: bool = False,
        max_text: int = 200,
        color: bool | None = None,
        **unknown: Any,
    ) -> None:
        reject_unknown("HILTTextFormatter", unknown, self.OPTIONS)
        for option, value in {"content": content, "color": color}.items():
            if type(value) is not bool and not (value is None and option == "color"):
                raise ConfigurationError(option, value, "Must be true or false")
        if type(max_text) is not int or max_text < 1:
            raise ConfigurationError("max_text", max_text, "Must be a whole number from 1")
        if fmt is None and style == "%":
            fmt = "%(asctime)s %(levelname)-7s %(message)s"
        try:
            super().__init__(fmt, datefmt, style, validate, defaults=defaults)
        except (TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(
                "fmt", fmt, f"Must be as in logging.Formatter: {error}"
            ) from None
        self._content = content
        self._max_text = max_text
        self._color = _is_terminal() if color is None else color

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        event = complete(record)
        if event is None:
            line = super().format(record)
        else:
            line = super().format(self._shown(record, event))
        if not self._color:
            return line
        return f"\x1b[{_COLOURS.get(record.levelname, '0')}m{line}\x1b[0m"

    def _shown(self, record: logging.LogRecord, event: dict[str, Any]) -> logging.LogRecord:
        """A copy whose message is the summary: what users wrote themselves may hold content."""
        text = summary(event)
        if self._content:
            said = event.get("content", {}).get("text")
            if said:
                text = f"{text} {_one_line(said, self._max_text)}"
        shown = logging.makeLogRecord(dict(record.__dict__))
        shown.msg, shown.args = text, ()
        shown.exc_info = shown.exc_text = shown.stack_info = None
        return shown


def _is_terminal() -> bool:
    return not os.environ.get("NO_COLOR") and sys.stderr is not None and sys.stderr.isatty()


def _one_line(text: str, most: int) -> str:
    """The beginning of a text, with nothing in it that a terminal would obey."""
    shown = clean_text(text[:most])
    plain = "".join(c if c.isprintable() else " " for c in shown)
    return f'"{plain}{"…" if len(text) > most else ""}"'
