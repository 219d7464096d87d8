"""
Configurations with a mistake in each, what is said of them, and whether `logging.config` takes them.

Each is a name, a configuration in YAML, and the problems: `severity code where`. What all of them have
in common is added: `version: 1`, and `disable_existing_loggers: false` where it is not given.
"""

from __future__ import annotations

import sys

import yaml


FILE = "  events: {class: hilt_logging.HILTFileHandler, filename: app.jsonl}\n"
HILT = "loggers: {hilt: {level: INFO, propagate: false, handlers: [events]}}\n"
MISTAKES = {
    # ---- none
    "nothing wrong": (f"handlers:\n{FILE}{HILT}", []),
    "on the root": (f"handlers:\n{FILE}root: {{level: INFO, handlers: [events]}}", []),
    "a stream": (
        """
        formatters: {event: {"()": hilt_logging.HILTFormatter}}
        handlers: {events: {class: logging.StreamHandler, stream: "ext://sys.stdout", formatter: event}}
        loggers: {hilt: {level: INFO, handlers: [events]}}
        """,
        [],
    ),
    "a stock file": (
        """
        formatters: {event: {"()": hilt_logging.HILTFormatter}}
        handlers: {events: {class: logging.FileHandler, filename: a.jsonl, formatter: event}}
        loggers: {hilt: {level: INFO, handlers: [events]}}
        """,
        [],
    ),
    "in the background": (
        f"handlers:\n{FILE}  queue: {{class: hilt_logging.BackgroundHandler, target: events}}\n"
        "loggers: {hilt: {level: INFO, handlers: [queue]}}",
        [],
    ),
    "python-json-logger": (
        """
        formatters: {json: {"()": hilt_logging.jsonlogger.HILTJsonFormatter}}
        handlers: {events: {class: logging.StreamHandler, formatter: json}}
        loggers: {hilt: {level: INFO, propagate: false, handlers: [events]}}
        """,
        [],
    ),
    "null means nothing": (
        f"handlers:\n{FILE}filters: {{}}\n"
        "loggers: {hilt: {level: INFO, propagate: null, handlers: [events], filters: null}}\n"
        "root: null",
        [],
    ),
    # ---- the configuration as a whole
    "no version": (f"version: null\nhandlers:\n{FILE}{HILT}", ["error version version"]),
    "another version": (f"version: 2\nhandlers:\n{FILE}{HILT}", ["error version version"]),
    "incremental": (
        "incremental: true\nloggers: {hilt: {level: INFO}}",
        ["error incremental incremental", "error no-handler loggers.hilt"],
    ),
    "misspelt section": (
        f"handlers:\n{FILE}logger: {{hilt: {{level: INFO, handlers: [events]}}}}",
        ["error level loggers", "warning unknown-key logger", "warning unused handlers.events"],
    ),
    "section without keys": (
        f"handlers:\n{FILE}loggers: [hilt]",
        ["error no-mapping loggers", "error level loggers", "warning unused handlers.events"],
    ),
    "disabled by default": (
        f"disable_existing_loggers: true\nhandlers:\n{FILE}root: {{level: INFO, handlers: [events]}}",
        ["error disabled disable_existing_loggers"],
    ),
    "only a child is not disabled": (
        f"disable_existing_loggers: true\nhandlers:\n{FILE}"
        "loggers: {hilt.openai: {level: INFO, handlers: [events]}}",
        ["error disabled disable_existing_loggers"],
    ),
    "hilt is named": (f"disable_existing_loggers: true\nhandlers:\n{FILE}{HILT}", []),
    "a text is true": (
        f'disable_existing_loggers: "false"\nhandlers:\n{FILE}root: {{level: INFO, handlers: [events]}}',
        [
            "error disabled disable_existing_loggers",
            "warning no-truth-value disable_existing_loggers",
        ],
    ),
    # ---- loggers
    "no level": (
        f"handlers:\n{FILE}loggers: {{hilt: {{handlers: [events]}}}}",
        ["error level loggers.hilt"],
    ),
    "level of the root": (
        f"handlers:\n{FILE}loggers: {{hilt: {{handlers: [events]}}}}\nroot: {{level: ERROR}}",
        ["error level root.level"],
    ),
    "level too high": (
        f"handlers:\n{FILE}loggers: {{hilt: {{level: WARNING, handlers: [events]}}}}",
        ["error level loggers.hilt.level"],
    ),
    "level of a child": (
        f"handlers:\n{FILE}loggers:\n"
        "  hilt: {level: INFO, handlers: [events]}\n  hilt.openai: {level: ERROR}",
        ["error level loggers.hilt.openai.level"],
    ),
    "no such level": (
        f"handlers:\n{FILE}loggers: {{hilt: {{level: info, handlers: [events]}}}}",
        ["error no-level loggers.hilt.level", "error level loggers.hilt"],
    ),
    "no handler": (
        "loggers: {hilt: {level: INFO}}",
        ["error no-handler loggers.hilt"],
    ),
    "a null handler": (
        "handlers: {none: {class: logging.NullHandler}}\n"
        "loggers: {hilt: {level: INFO, handlers: [none]}}",
        ["error no-handler loggers.hilt"],
    ),
    "nothing before propagate": (
        f"handlers:\n{FILE}loggers: {{hilt: {{level: INFO, propagate: false}}}}\n"
        "root: {handlers: [events]}",
        ["error no-handler loggers.hilt.propagate", "warning unused handlers.events"],
    ),
    "nothing before a child's propagate": (
        f"handlers:\n{FILE}loggers:\n"
        "  hilt: {level: INFO, handlers: [events]}\n  hilt.openai: {propagate: false}",
        ["error no-handler loggers.hilt.openai.propagate"],
    ),
    "propagate as a text": (
        f"handlers:\n{FILE}loggers: {{hilt: {{level: INFO, propagate: 'no', handlers: [events]}}}}",
        ["warning no-truth-value loggers.hilt.propagate"],
    ),
    "misspelt propagate": (
        f"handlers:\n{FILE}loggers: {{hilt: {{level: INFO, propogate: false, handlers: [events]}}}}",
        ["warning unknown-key loggers.hilt.propogate"],
    ),
    "another tree": (
        f"handlers:\n{FILE}loggers: {{hilt_logging: {{level: INFO, handlers: [events]}}}}",
        [
            "error level loggers",
            "warning other-logger loggers.hilt_logging",
            "warning unused handlers.events",
        ],
    ),
    "misspelt logger": (
        f"handlers:\n{FILE}loggers: {{Hilt: {{level: INFO, handlers: [events]}}}}",
        [
            "error level loggers",
            "warning other-logger loggers.Hilt",
            "warning unused handlers.events",
        ],
    ),
    "handlers that are no list": (
        f"handlers:\n{FILE}loggers: {{hilt: {{level: INFO, handlers: events}}}}",
        [
            "error no-list loggers.hilt.handlers",
            "error no-handler loggers.hilt",
            "warning unused handlers.events",
        ],
    ),
    "no such handler": (
        f"handlers:\n{FILE}loggers: {{hilt: {{level: INFO, handlers: [event]}}}}",
        [
            "error no-such-name loggers.hilt.handlers",
            "error no-handler loggers.hilt",
            "warning unused handlers.events",
        ],
    ),
    "filter of a logger": (
        f"filters: {{f: {{'()': hilt_logging.ActorFilter, types: [human, agent, system]}}}}\n"
        f"handlers:\n{FILE}loggers: {{hilt: {{level: INFO, handlers: [events], filters: [f]}}}}",
        ["warning parent-filter loggers.hilt.filters"],
    ),
    "twice on the way": (
        """
        formatters: {event: {"()": hilt_logging.HILTFormatter}}
        handlers: {events: {class: logging.StreamHandler, formatter: event}}
        loggers: {hilt: {level: INFO, handlers: [events]}, hilt.openai: {handlers: [events]}}
        """,
        ["warning twice loggers.hilt.openai.handlers"],
    ),
    "content at the root": (
        """
        formatters: {json: {"()": pythonjsonlogger.json.JsonFormatter}}
        handlers:
          events: {class: hilt_logging.HILTFileHandler, filename: app.jsonl}
          console: {class: logging.StreamHandler, formatter: json}
        loggers: {hilt: {level: INFO, handlers: [events]}}
        root: {handlers: [console]}
        """,
        ["warning content-shown loggers.hilt.propagate", "info import formatters.json.()"],
    ),
    # ---- handlers
    "a plain formatter": (
        "handlers: {a: {class: logging.FileHandler, filename: a.log}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error no-writer handlers.a"],
    ),
    "a formatter of text": (
        "formatters: {text: {'()': hilt_logging.HILTTextFormatter}}\n"
        "handlers: {a: {class: logging.StreamHandler, formatter: text}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error no-writer handlers.a.formatter"],
    ),
    "another formatter on ours": (
        "formatters: {text: {format: '%(message)s'}}\n"
        "handlers: {a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, formatter: text}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error refused handlers.a.formatter"],
    ),
    "options twice": (
        "formatters: {event: {'()': hilt_logging.HILTFormatter}}\n"
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, formatter: event,"
        " content: none}\nloggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error refused handlers.a.formatter"],
    ),
    "level of the handler": (
        "handlers: {a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, level: ERROR}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error handler-level handlers.a.level"],
    ),
    "level behind a queue": (
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, level: ERROR}\n"
        "  queue: {class: hilt_logging.BackgroundHandler, target: a}\n"
        "loggers: {hilt: {level: INFO, handlers: [queue]}}",
        ["error handler-level handlers.a.level"],
    ),
    "level of the queue": (
        f"handlers:\n{FILE}"
        "  queue: {class: hilt_logging.BackgroundHandler, target: events, level: WARNING}\n"
        "loggers: {hilt: {level: INFO, handlers: [queue]}}",
        ["error handler-level handlers.queue.level"],
    ),
    "level behind a buffer does not count": (
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, level: ERROR}\n"
        "  buffer: {class: logging.handlers.MemoryHandler, capacity: 1, target: a}\n"
        "loggers: {hilt: {level: INFO, handlers: [buffer]}}",
        ["info buffer handlers.buffer"],
    ),
    "a stream without ext": (
        "formatters: {event: {'()': hilt_logging.HILTFormatter}}\n"
        "handlers: {a: {class: logging.StreamHandler, stream: sys.stdout, formatter: event}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error no-stream handlers.a.stream", "error no-handler loggers.hilt"],
    ),
    "no class": (
        "handlers: {a: {filename: a.jsonl}}\nloggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error missing handlers.a.class", "warning not-known handlers.a"],
    ),
    "no such class": (
        "handlers: {a: {class: hilt_logging.FileHandler, filename: a.jsonl}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error missing handlers.a.class", "warning not-known handlers.a"],
    ),
    "no such module": (
        "handlers: {a: {class: no_such_module.Handler}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error missing handlers.a.class", "warning not-known handlers.a"],
    ),
    "no handler's class": (
        "handlers: {a: {class: hilt_logging.HILTFormatter}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error no-handler-class handlers.a", "warning not-known handlers.a"],
    ),
    "wrong option": (
        "handlers: {a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, colour: 1}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error refused handlers.a"],
    ),
    "wrong value": (
        "handlers: {a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, when: daily}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error refused handlers.a"],
    ),
    "wrong option of a stock handler": (
        "formatters: {event: {'()': hilt_logging.HILTFormatter}}\n"
        "handlers: {a: {class: logging.FileHandler, file: a.jsonl, formatter: event}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error refused handlers.a"],
    ),
    "no file": (
        "handlers: {a: {class: hilt_logging.HILTFileHandler}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error refused handlers.a"],
    ),
    "no target": (
        "handlers: {a: {class: hilt_logging.BackgroundHandler}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error no-target handlers.a", "error no-handler loggers.hilt"],
    ),
    "no such target": (
        "handlers: {a: {class: hilt_logging.BackgroundHandler, target: file}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error no-such-name handlers.a.target", "error no-handler loggers.hilt"],
    ),
    "a queue before itself": (
        "handlers: {a: {class: hilt_logging.BackgroundHandler, target: a}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error circle handlers.a.target", "error no-handler loggers.hilt"],
    ),
    "two with different options": (
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl}\n"
        "  b: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, max_bytes: 100000}\n"
        "loggers: {hilt: {level: INFO, handlers: [a, b]}}",
        ["error refused handlers.b"],
    ),
    "two with the same options": (
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl}\n"
        "  b: {class: hilt_logging.HILTFileHandler, filename: a.jsonl}\n"
        "loggers: {hilt: {level: INFO, handlers: [a, b]}}",
        [],
    ),
    "a stock handler on our file": (
        f"handlers:\n{FILE}  log: {{class: logging.FileHandler, filename: app.jsonl}}\n{HILT}"
        "root: {handlers: [log]}",
        ["warning file-twice handlers.log.filename"],
    ),
    "a file that is emptied": (
        "formatters: {event: {'()': hilt_logging.HILTFormatter}}\n"
        "handlers: {a: {class: logging.FileHandler, filename: a.jsonl, mode: w, formatter: event}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["warning emptied handlers.a.mode"],
    ),
    "a stock rotation": (
        "formatters: {event: {'()': hilt_logging.HILTFormatter}}\n"
        "handlers:\n  a: {class: logging.handlers.RotatingFileHandler, filename: a.jsonl,"
        " formatter: event}\nloggers: {hilt: {level: INFO, handlers: [a]}}",
        ["info rotation handlers.a"],
    ),
    "a folder": (
        "handlers: {a: {class: hilt_logging.HILTFileHandler, filename: folder}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error not-writable handlers.a.filename"],
    ),
    "no folder": (
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: gone/a.jsonl,"
        " create_dirs: false}\nloggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error not-writable handlers.a.filename"],
    ),
    "no folder for a stock handler": (
        "formatters: {event: {'()': hilt_logging.HILTFormatter}}\n"
        "handlers: {a: {class: logging.FileHandler, filename: gone/a.jsonl, formatter: event}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error not-writable handlers.a.filename"],
    ),
    "a file as a folder": (
        "handlers: {a: {class: hilt_logging.HILTFileHandler, filename: file.txt/a.jsonl}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error not-writable handlers.a.filename"],
    ),
    "a file of linked lines": (
        "handlers: {a: {class: hilt_logging.HILTFileHandler, filename: linked.jsonl}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error refused handlers.a"],
    ),
    "no key": (
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, evidence: true,"
        " sign_key: gone.key.jwk}\nloggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error refused handlers.a"],
    ),
    "a sealed log": (
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, evidence: sealed,"
        " seal_key: app.seal}\nloggers: {hilt: {level: INFO, handlers: [a]}}",
        [],
    ),
    "a sealed log that is there": (
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: sealed.jsonl,"
        " evidence: sealed, seal_key: used.seal}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        [],
    ),
    "no key that seals": (
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, evidence: sealed,"
        " seal_key: gone.seal}\nloggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error refused handlers.a"],
    ),
    "a key that seals another log": (
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: linked.jsonl,"
        " evidence: sealed, seal_key: used.seal}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error refused handlers.a"],
    ),
    "a key store that others can read": (
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl,"
        " erasable_by: user_id, key_store: file.txt}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error key-store handlers.a.key_store"],
    ),
    "readable by all": (
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl,"
        " permissions: '0644'}\nloggers: {hilt: {level: INFO, handlers: [a]}}",
        ["warning readable-by-all handlers.a.filename"],
    ),
    "on no logger": (
        f"handlers:\n{FILE}  b: {{class: hilt_logging.HILTFileHandler, filename: b.jsonl}}\n{HILT}",
        ["warning unused handlers.b"],
    ),
    # ---- filters and formatters
    "filter with class": (
        "filters: {f: {class: hilt_logging.ActionFilter, actions: [prompt]}}\n"
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, filters: [f]}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["warning filter-without-effect filters.f"],
    ),
    "filter that lets nothing pass": (
        "filters: {f: {'()': hilt_logging.ActionFilter, actions: [feedback]}}\n"
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, filters: [f]}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error filtered handlers.a.filters"],
    ),
    "filter that leaves out": (
        "filters: {f: {'()': hilt_logging.ActionFilter, actions: [prompt]}}\n"
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, filters: [f]}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["warning left-out handlers.a.filters"],
    ),
    "filter of names": (
        "filters: {f: {name: shop}}\n"
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, filters: [f]}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error filtered handlers.a.filters"],
    ),
    "filter of a logger that lets nothing pass": (
        f"filters: {{f: {{'()': hilt_logging.ActionFilter, actions: [feedback]}}}}\nhandlers:\n{FILE}"
        "loggers: {hilt: {level: INFO, handlers: [events], filters: [f]}}",
        ["error filtered loggers.hilt.filters", "warning parent-filter loggers.hilt.filters"],
    ),
    "no such filter": (
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, filters: [f]}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error no-such-name handlers.a.filters"],
    ),
    "wrong filter": (
        "filters: {f: {'()': hilt_logging.ActionFilter, actions: [shout]}}\n"
        "handlers:\n  a: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, filters: [f]}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error refused filters.f"],
    ),
    "formatter with class": (
        "formatters: {event: {class: hilt_logging.HILTFormatter, redact: [email]}}\n"
        "handlers: {a: {class: logging.StreamHandler, formatter: event}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["warning options-not-passed formatters.event.redact"],
    ),
    "no such formatter": (
        "handlers:\n  a: {class: logging.StreamHandler, formatter: event}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error no-such-name handlers.a.formatter", "error no-writer handlers.a"],
    ),
    "wrong formatter": (
        "formatters: {event: {'()': hilt_logging.HILTFormatter, format: '%(message)s'}}\n"
        "handlers: {a: {class: logging.StreamHandler, formatter: event}}\n"
        "loggers: {hilt: {level: INFO, handlers: [a]}}",
        ["error refused formatters.event"],
    ),
    "fmt for format": (
        f"formatters: {{text: {{fmt: '%(message)s'}}}}\nhandlers:\n{FILE}"
        f"  console: {{class: logging.StreamHandler, formatter: text}}\n{HILT}"
        "root: {handlers: [console]}",
        ["warning unknown-key formatters.text.fmt"],
    ),
}
if sys.version_info >= (3, 12):
    MISTAKES["a queue"] = (
        f"handlers:\n{FILE}  queue: {{class: logging.handlers.QueueHandler, handlers: [events]}}\n"
        "loggers: {hilt: {level: INFO, handlers: [queue]}}",
        ["warning context handlers.queue", "info listener handlers.queue"],
    )
    MISTAKES["a queue with context"] = (
        "filters: {context: {'()': hilt_logging.HILTContextFilter}}\n"
        f"handlers:\n{FILE}  queue: {{class: logging.handlers.QueueHandler, handlers: [events],"
        " filters: [context]}\nloggers: {hilt: {level: INFO, handlers: [queue]}}",
        ["info listener handlers.queue"],
    )
else:
    MISTAKES["a queue"] = (
        f"handlers:\n{FILE}  queue: {{class: logging.handlers.QueueHandler, handlers: [events]}}\n"
        "loggers: {hilt: {level: INFO, handlers: [queue]}}",
        [
            "error queue handlers.queue.handlers",
            "error no-handler loggers.hilt",
            "warning unused handlers.events",
            "warning context handlers.queue",
        ],
    )

REFUSED = {"version", "no-mapping", "no-level", "no-list", "no-such-name", "missing", "refused"} | {
    "not-writable",
    "no-target",
    "circle",
    "key-store",
    "queue",
}
"""Codes of what makes `logging.config` refuse the whole configuration."""


def config_of(name):
    """The configuration of a mistake."""
    import textwrap

    text, _ = MISTAKES[name]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        **yaml.safe_load(textwrap.dedent(text)),
    }
