"""
Google Gemini: `log_gemini_interaction` with google-genai, and with the older google-generativeai.

The text is taken from all parts but thoughts, and tokens from the usage metadata. It takes a whole
response, and the list of the pieces of a stream.
"""

from __future__ import annotations

from _clients import GEMINI_MODEL, gemini_client, generativeai_model, installed
from _provider import Provider
from _summary import summarize

from hilt_logging import Session
from hilt_logging.integrations.gemini import log_gemini_interaction


FILE = "logs/gemini.hilt.jsonl"


def weather(city: str) -> str:
    """Return the temperature in a city."""
    return f"21 °C in {city}"


def with_genai(session: Session, provider: Provider) -> None:
    question = "Summarise the Solar System"
    with gemini_client(provider) as client:
        result = client.models.generate_content(model=GEMINI_MODEL, contents=question)
        log_gemini_interaction(session, user_message=question, response=result, user_id="alice")
        pieces = list(client.models.generate_content_stream(model=GEMINI_MODEL, contents=question))
        log_gemini_interaction(session, user_message=question, response=pieces, user_id="alice")


def with_a_tool(session: Session, provider: Provider) -> None:
    question = "How warm is it in Paris?"
    asked = {
        "model": GEMINI_MODEL,
        "contents": question,
        "config": {"tools": [weather], "automatic_function_calling": {"disable": True}},
    }
    with gemini_client(provider) as client:
        result = client.models.generate_content(**asked)
    log_gemini_interaction(session, user_message=question, response=result, session_id="weather")


def with_generativeai(session: Session, provider: Provider) -> None:
    model = generativeai_model(provider)
    result = model.generate_content("Summarise the Solar System")
    log_gemini_interaction(session, user_message="Summarise the Solar System", response=result)


PARTS = {
    with_genai: "google.genai",
    with_a_tool: "google.genai",
    with_generativeai: "google.generativeai",
}


def main() -> None:
    with Provider() as provider, Session(FILE) as session:
        for part, module in PARTS.items():
            if installed(module):
                part(session, provider)
            else:
                print(f"skipped: {module} is not installed")
    summarize(FILE)


if __name__ == "__main__":
    main()
