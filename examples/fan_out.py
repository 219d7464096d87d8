"""
One event, several destinations: nothing but a dict for `logging.config.dictConfig` decides.

Metadata goes to the console, full content to a private file, the events of one provider to a file
of their own, and what failed or was cut short to a third file.
"""

from __future__ import annotations

import logging.config

from _summary import summarize

from hilt_logging import Metrics, bind, emit, events


CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "summary": {"()": "hilt_logging.HILTTextFormatter"},
    },
    "filters": {
        # filters go on handlers: one on a logger does not see what its children log
        "anthropic": {"()": "hilt_logging.ProviderFilter", "providers": ["anthropic"]},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "summary"},
        "private": {
            "class": "hilt_logging.HILTFileHandler",
            "filename": "logs/fan_out.hilt.jsonl",
            "permissions": "0600",
        },
        "anthropic": {
            "class": "hilt_logging.HILTFileHandler",
            "filename": "logs/fan_out.anthropic.hilt.jsonl",
            "filters": ["anthropic"],
        },
        "errors": {
            "class": "hilt_logging.HILTFileHandler",
            "filename": "logs/fan_out.errors.hilt.jsonl",
            "level": "WARNING",
        },
    },
    "loggers": {
        "hilt": {
            "level": "INFO",
            "handlers": ["console", "private", "anthropic", "errors"],
            "propagate": False,  # handlers of the root logger might print the content
        },
    },
}


def talk(provider: str, model: str, question: str, answer: str) -> None:
    provenance = {"provider": provider, "model": model}
    prompt_id = emit(events.prompt(question, provenance=provenance))
    tokens = {"prompt": len(question) // 4, "completion": len(answer) // 4}
    tokens["total"] = sum(tokens.values())
    metrics = Metrics(latency_ms=700, tokens=tokens)
    emit(events.completion(answer, reply_to=prompt_id, provenance=provenance, metrics=metrics))


def main() -> None:
    logging.config.dictConfig(CONFIG)
    with bind(session_id="visit-8", user_id="alice"):
        talk("openai", "gpt-4o-mini", "When do you open?", "At nine, on weekdays.")
        talk("anthropic", "claude-sonnet-5-5", "And on Sundays?", "From ten to noon.")
        error = {"type": "RateLimitError", "code": "rate_limit_exceeded"}
        provenance = {"provider": "openai", "request_model": "gpt-4o-mini"}
        extensions = {"outcome": "failed", "status_code": 429, "error": error}
        emit(events.system(source="openai", provenance=provenance, extensions=extensions))
    summarize(*(each["filename"] for each in CONFIG["handlers"].values() if "filename" in each))


if __name__ == "__main__":
    main()
