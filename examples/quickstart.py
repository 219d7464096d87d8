"""
A conversation with every SDK that is installed, kept by what `logging.example.yaml` sets up.

Nothing below names a file: the YAML says that all events go to a file in full and to the console as
a line without content, and that those of OpenAI go to a file of their own as well.
"""

from __future__ import annotations

import logging.config

from pathlib import Path

import _clients as clients
import yaml

from _provider import Provider
from _summary import summarize

from hilt_logging import bind
from hilt_logging.integrations import set_prices


CONFIG = Path(__file__).resolve().parent.parent / "logging.example.yaml"
QUESTIONS = ("What is HILT?", "And what does Python's logging do?")


def openai(provider: Provider) -> None:
    from hilt_logging.integrations.openai import log_openai_call

    with clients.openai_client(provider) as client:
        for question in QUESTIONS:
            log_openai_call(client=client, model=clients.OPENAI_MODEL, user_message=question)


def anthropic(provider: Provider) -> None:
    from hilt_logging.integrations.anthropic import log_claude_interaction

    asked = {"model": clients.ANTHROPIC_MODEL, "max_tokens": 200}
    with clients.anthropic_client(provider) as client:
        for question in QUESTIONS:
            messages = [{"role": "user", "content": question}]
            answer = client.messages.create(messages=messages, **asked)
            log_claude_interaction(user_message=question, response=answer)


def google_genai(provider: Provider) -> None:
    from hilt_logging.integrations.gemini import log_gemini_interaction

    with clients.gemini_client(provider) as client:
        for question in QUESTIONS:
            answer = client.models.generate_content(model=clients.GEMINI_MODEL, contents=question)
            log_gemini_interaction(user_message=question, response=answer)


def google_generativeai(provider: Provider) -> None:
    from hilt_logging.integrations.gemini import log_gemini_interaction

    model = clients.generativeai_model(provider)
    for question in QUESTIONS:
        answer = model.generate_content(question)
        log_gemini_interaction(user_message=question, response=answer)


def langchain(provider: Provider) -> None:
    from hilt_logging.integrations.langchain import HILTCallbackHandler

    model = clients.langchain_model(provider)
    for question in QUESTIONS:
        model.invoke(question, config={"callbacks": [HILTCallbackHandler()]})


CONVERSATIONS = {
    "openai": openai,
    "anthropic": anthropic,
    "google.genai": google_genai,
    "google.generativeai": google_generativeai,
    "langchain_core": langchain,
}


def main() -> None:
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    logging.config.dictConfig(config)
    # a server of one's own has no known prices: these are dollars per million tokens
    set_prices({"127.0.0.1": {"gpt-*": {"input": 0.15, "output": 0.6}}})
    with Provider() as provider:
        for module, conversation in CONVERSATIONS.items():
            if clients.installed(module):
                with bind(session_id=f"quickstart-{module}", user_id="alice"):
                    conversation(provider)
            else:
                print(f"skipped: {module} is not installed")
    summarize(*(each["filename"] for each in config["handlers"].values() if "filename" in each))


if __name__ == "__main__":
    main()
