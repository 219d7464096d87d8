"""What is bound, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
import threading
import types

import pytest

import hilt_logging

from hilt_logging import bind, current
from hilt_logging.context import trace_ids


def ids():
    return current().session_id, current().user_id


class TestBlock:
    def test_nothing(self):
        """Outside of every block nothing is bound."""
        assert (None, None) == ids()
        assert {} == current().extensions

    def test_inner_wins(self):
        """Inner values win over outer ones, and what they do not set shines through."""
        with bind("s1", "u1", tenant="a", plan="free"), bind(session_id="s2", plan="paid"):
            assert ("s2", "u1") == ids()
            assert {"tenant": "a", "plan": "paid"} == current().extensions
        assert (None, None) == ids()

    def test_after_an_error(self):
        """A block that an exception leaves binds nothing any more."""
        with contextlib.suppress(ZeroDivisionError), bind("s"):
            1 / 0
        assert (None, None) == ids()

    def test_used_again(self):
        """One `bind` serves several blocks, also within each other."""
        again = bind("s")
        for _ in range(2):
            with again, again:
                assert "s" == ids()[0]
            assert (None, None) == ids()

    def test_shared_by_threads(self):
        """Threads that use one `bind` at the same time each leave it behind."""
        shared, both = bind("shared"), threading.Barrier(2, timeout=30)
        seen = []

        def work(name):
            both.wait()
            with shared:
                both.wait()
                seen.append(ids()[0])
                if name == "last":
                    gone.wait(30)
            seen.append(ids()[0])
            gone.set()

        gone = threading.Event()
        threads = [threading.Thread(target=work, args=(name,)) for name in ("first", "last")]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert ["shared", "shared", None, None] == seen

    def test_shared_by_tasks(self):
        """Likewise tasks."""
        shared = bind("shared")

        async def work(pause):
            with shared:
                await asyncio.sleep(pause)
                inside = ids()[0]
            return inside, ids()[0]

        async def main():
            return await asyncio.gather(work(0.02), work(0.01), work(0.03))

        assert [("shared", None)] * 3 == asyncio.run(main())

    def test_left_in_another_context(self):
        """A block that is left in another context changes nothing there."""

        def body():
            with bind("generator"):
                yield

        running = body()
        contextvars.copy_context().run(next, running)
        with bind("mine"):
            running.close()
            assert "mine" == ids()[0]

    def test_blocks_that_overlap(self):
        """Two generators that take turns leave nothing bound when both are done."""

        def body(name):
            with bind(name):
                yield
                yield

        first, second = body("a"), body("b")
        for running in (first, second, first, second):
            next(running)
        first.close()
        second.close()
        assert (None, None) == ids()

    def test_values_are_detached(self):
        """Changing what was given does not change what is bound."""
        tags = ["a"]
        with bind("s", tags=tags, consent={"tags": tags}):
            tags.append("b")
            assert {"tags": ["a"]} == current().extensions == current().consent

    def test_lone_surrogates(self):
        """What can't stand in a file is replaced."""
        with bind("a\ud800b"):
            assert "a\ufffdb" == ids()[0]

    @pytest.mark.parametrize("option", ["session_id", "user_id", "trace_id", "span_id"])
    @pytest.mark.parametrize("value", ["", 7, b"x", ["s"]])
    def test_wrong_id(self, option, value):
        """An id that is no string, or empty, raises with its name."""
        with pytest.raises(hilt_logging.ConfigurationError, match=f"^Invalid {option}: "):
            bind(**{option: value})

    def test_wrong_consent(self):
        """Consent is a dict."""
        with pytest.raises(hilt_logging.ConfigurationError, match=r"consent.*Must be a dict"):
            bind(consent=True)


class TestThreadsAndTasks:
    def test_thread(self):
        """A new thread begins with nothing bound."""
        seen = []
        with bind("s"):
            thread = threading.Thread(target=lambda: seen.append(ids()))
            thread.start()
            thread.join()
        if not getattr(sys.flags, "thread_inherit_context", False):
            assert [(None, None)] == seen

    def test_to_thread(self):
        """`asyncio.to_thread` takes what is bound along."""

        async def main():
            with bind("s"):
                return await asyncio.to_thread(ids)

        assert ("s", None) == asyncio.run(main())

    def test_tasks(self):
        """Each task sees its own, and what was bound where it was made."""

        async def inner(name):
            with bind(user_id=name):
                await asyncio.sleep(0.005)
                return ids()

        async def main():
            with bind("s"):
                return await asyncio.gather(*(inner(name) for name in "abc"))

        assert [("s", "a"), ("s", "b"), ("s", "c")] == asyncio.run(main())


class TestDecorator:
    def test_function(self):
        """A function's body runs with it, and keeps its name and signature."""

        @bind("s")
        def answer(x, *, y=2):
            """Doc."""
            return ids()[0], x, y

        assert ("s", 1, 3) == answer(1, y=3)
        assert ("answer", "Doc.") == (answer.__name__, answer.__doc__)
        assert (None, None) == ids()

    def test_recursion(self):
        """A function may call itself."""

        @bind("s")
        def down(n):
            return ids()[0] if n == 0 else down(n - 1)

        assert "s" == down(5)
        assert (None, None) == ids()

    def test_coroutine(self):
        """Calls of a coroutine function may overlap."""

        @bind("s")
        async def work(pause):
            await asyncio.sleep(pause)
            return ids()[0]

        async def main():
            return await asyncio.gather(work(0.02), work(0.01)), ids()

        assert (["s", "s"], (None, None)) == asyncio.run(main())

    def test_generator(self):
        """Bound while the body runs, not while the consumer does."""

        @bind("s")
        def numbers():
            for number in range(2):
                yield number, ids()[0]
            return "done", ids()[0]

        def consumer():
            result = yield from numbers()
            yield result

        seen = []
        for item in consumer():
            seen.append((item, ids()[0]))
        assert [((0, "s"), None), ((1, "s"), None), (("done", "s"), None)] == seen

    def test_generator_send_and_throw(self):
        """What the consumer sends and throws reaches the body, there bound."""

        @bind("s")
        def body():
            got = yield ids()[0]
            try:
                yield got, ids()[0]
            except KeyError as error:
                yield error, ids()[0]

        running, error = body(), KeyError("x")
        assert "s" == next(running)
        assert ("sent", "s") == running.send("sent")
        assert (error, "s") == running.throw(error)
        assert (None, None) == ids()

    def test_generator_raises(self):
        """What the body raises comes out, and nothing stays bound."""

        @bind("s")
        def body():
            yield 1
            raise KeyError("x")

        running = body()
        next(running)
        with pytest.raises(KeyError):
            next(running)
        assert (None, None) == ids()

    def test_generator_closed_early(self):
        """A body that is closed cleans up while bound, also from another context."""
        seen = []

        @bind("s")
        def body():
            try:
                yield
            finally:
                seen.append(ids()[0])

        running = body()
        next(running)
        with bind("other"):
            running.close()
            seen.append(ids()[0])
        elsewhere = body()
        contextvars.copy_context().run(next, elsewhere)
        elsewhere.close()
        assert ["s", "other", "s"] == seen
        assert (None, None) == ids()

    def test_generators_take_turns(self):
        """Bodies that take turns each see their own."""

        def make(name):
            @bind(name)
            def body():
                while True:
                    yield ids()[0]

            return body()

        first, second = make("a"), make("b")
        assert ["a", "b", "a", "b"] == [next(each) for each in (first, second) * 2]
        assert (None, None) == ids()

    def test_async_generator(self):
        """Likewise an async generator, with send, throw and early close."""
        seen = []

        @bind("s")
        async def body():
            try:
                got = yield ids()[0]
                await asyncio.sleep(0)
                try:
                    yield got, ids()[0]
                except KeyError:
                    yield "thrown", ids()[0]
            finally:
                await asyncio.sleep(0)
                seen.append(ids()[0])

        async def main():
            running = body()
            assert "s" == await running.asend(None)
            assert (None, None) == ids()
            assert ("sent", "s") == await running.asend("sent")
            assert ("thrown", "s") == await running.athrow(KeyError())
            await running.aclose()
            assert (None, None) == ids()

        asyncio.run(main())
        assert ["s"] == seen

    def test_async_generator_is_exhausted(self):
        """It ends where the body ends, and raises what the body raises."""

        @bind("s")
        async def body(fail):
            yield 1
            if fail:
                raise KeyError("x")

        async def main():
            assert [1] == [item async for item in body(False)]
            with pytest.raises(KeyError):
                [item async for item in body(True)]
            return ids()

        assert (None, None) == asyncio.run(main())

    def test_kinds_are_kept(self):
        """Frameworks that look see the same kind of function as before."""
        import inspect

        async def coroutine():
            pass

        async def async_generator():
            yield

        def generator():
            yield

        assert inspect.iscoroutinefunction(bind("s")(coroutine))
        assert inspect.isasyncgenfunction(bind("s")(async_generator))
        assert inspect.isgeneratorfunction(bind("s")(generator))

    def test_method(self):
        """A method gets its instance."""

        class Service:
            @bind("s")
            def run(self):
                return self, ids()[0]

        service = Service()
        assert (service, "s") == service.run()


class TestTraceIds:
    def test_bound(self):
        """Bound ids are taken; without a trace a span means nothing."""
        with bind(trace_id="a" * 32, span_id="b" * 16):
            assert {"trace_id": "a" * 32, "span_id": "b" * 16} == trace_ids()
        with bind(trace_id="a" * 32):
            assert {"trace_id": "a" * 32} == trace_ids()

    @pytest.fixture
    def tracer(self, monkeypatch):
        """OpenTelemetry's module as far as it is asked."""

        def use(**span):
            found = types.SimpleNamespace(**span)
            current = types.SimpleNamespace(get_span_context=lambda: found)
            fake = types.ModuleType("opentelemetry.trace")
            fake.get_current_span = lambda: current
            monkeypatch.setitem(sys.modules, "opentelemetry.trace", fake)

        return use

    def test_opentelemetry(self, tracer):
        """The ids of OpenTelemetry's current span are taken where none is bound."""
        tracer(is_valid=True, trace_id=1, span_id=2)
        assert {"trace_id": f"{1:032x}", "span_id": f"{2:016x}"} == trace_ids()

    def test_no_span(self, tracer):
        """An invalid span counts for nothing."""
        tracer(is_valid=False, trace_id=0, span_id=0)
        assert {} == trace_ids()

    def test_broken_tracer(self, tracer):
        """A tracer that fails costs the ids, not the event."""
        tracer()
        assert {} == trace_ids()
