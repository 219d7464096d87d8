"""
LangChain: `HILTCallbackHandler` records models, tools and the boundaries of chains.

The model is langchain-openai's where that is installed, else one of langchain-core that only
pretends. A LangGraph graph takes the same handler; its `thread_id` is the session.
"""

from __future__ import annotations

from typing import Any, TypedDict

from _clients import installed, langchain_model
from _provider import Provider
from _summary import summarize
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool

from hilt_logging import Session
from hilt_logging.integrations.langchain import HILTCallbackHandler


FILE = "logs/langchain.hilt.jsonl"


@tool
def weather(city: str) -> str:
    """Return the temperature in a city."""
    return f"21 °C in {city}"


class Research(TypedDict):
    """The state of the graph."""

    topic: str
    answer: str


def graph(model: Any) -> Any:
    from langgraph.graph import END, START, StateGraph

    def explain(state: Research) -> dict[str, str]:
        return {"answer": model.invoke(f"Explain {state['topic']} in one sentence.").text}

    def check(state: Research) -> dict[str, str]:
        return {"answer": state["answer"].strip()}

    built: Any = StateGraph(Research)
    built.add_node("explain", explain)
    built.add_node("check", check)
    built.add_edge(START, "explain")
    built.add_edge("explain", "check")
    built.add_edge("check", END)
    return built.compile()


def main() -> None:
    with Provider() as provider, Session(FILE) as session:
        callback = HILTCallbackHandler(session, session_id="demo-chain")
        model = langchain_model(provider)
        model.invoke("Explain the HILT format in one sentence.", config={"callbacks": [callback]})

        chain = ChatPromptTemplate.from_template("What does Python's {module} do?") | model
        chain.invoke({"module": "logging"}, config={"callbacks": [callback]})
        weather.invoke({"city": "Paris"}, config={"callbacks": [callback]})

        if installed("langgraph"):
            thread = {"thread_id": "demo-graph"}
            callbacks = [HILTCallbackHandler(session)]
            given = {"topic": "the Solar System", "answer": ""}
            graph(model).invoke(given, config={"callbacks": callbacks, "configurable": thread})
        else:
            print("skipped: langgraph is not installed")
    summarize(FILE)


if __name__ == "__main__":
    main()
