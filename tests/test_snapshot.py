"""Any value as JSON: detached, bounded, and without asking it anything."""

from __future__ import annotations

import array
import ast
import base64
import collections
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import fractions
import hashlib
import io
import ipaddress
import itertools
import json
import pathlib
import re
import sys
import threading
import time
import types
import typing
import uuid
import zoneinfo

import msgspec
import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilt_logging.snapshot import MAX_DEPTH, MAX_NODES, MAX_TEXT, clean_text, snapshot, type_name


def mark(cls):
    return {"$type": f"{cls.__module__}.{cls.__qualname__}"}


class Colour(enum.Enum):
    RED = "red"
    BOX = ("a", 1)


class Level(enum.IntEnum):
    HIGH = 3


class Flags(enum.Flag):
    A = 1
    B = 2


class Word(enum.StrEnum):
    YES = "yes"


Point = collections.namedtuple("Point", "x y")


class Pair(typing.NamedTuple):
    left: int
    right: list[int]


@dataclasses.dataclass
class Plain:
    a: int
    b: list[int]
    _private: str = "secret"


@dataclasses.dataclass(slots=True, frozen=True)
class Slotted:
    a: int
    b: object = None


@dataclasses.dataclass(slots=True)
class Derived(Plain):
    c: int = 3


class Struct(msgspec.Struct):
    a: int
    b: object = msgspec.UNSET


class Day(datetime.date):
    pass


class Moment(datetime.datetime):
    def isoformat(self, *args):
        raise RuntimeError("asked")

    def utcoffset(self):
        raise RuntimeError("asked")


class Zone(datetime.tzinfo):
    def utcoffset(self, when):
        raise RuntimeError("asked")

    tzname = dst = utcoffset


NOON = datetime.datetime(2026, 1, 2, 12, 0, 0, 5)
KNOWN = [
    (None, None),
    (True, True),
    (0, 0),
    (-0.0, -0.0),
    (1e308, 1e308),
    (float("nan"), None),
    (float("inf"), None),
    (float("-inf"), None),
    (2**63, 2**63),
    (2**64 - 1, 2**64 - 1),
    (2**64, str(2**64)),
    (-(2**63), -(2**63)),
    (-(2**63) - 1, str(-(2**63) - 1)),
    (10**4000, "1" + "0" * 4000),
    (1 << 20_000, hex(1 << 20_000)),
    (-(1 << 20_000), hex(-(1 << 20_000))),
    ("é\u2028\0", "é\u2028\0"),
    ("a\ud800b", "a\ufffdb"),
    ("\ud83d\ude00", "😀"),
    ("\udc00\ud800", "\ufffd\ufffd"),
    (b"\xff\x00", {"$type": "builtins.bytes", "size": 2, "base64": "/wA="}),
    (bytearray(b"x"), {"$type": "builtins.bytearray", "size": 1, "base64": "eA=="}),
    (memoryview(b"abcd")[::2], {"$type": "builtins.memoryview", "size": 2, "base64": "YWM="}),
    (NOON, "2026-01-02T12:00:00.000005"),
    (NOON.replace(tzinfo=datetime.timezone.utc), "2026-01-02T12:00:00.000005+00:00"),
    (NOON.replace(tzinfo=zoneinfo.ZoneInfo("Asia/Tokyo")), "2026-01-02T12:00:00.000005+09:00"),
    (NOON.replace(tzinfo=Zone()), f"2026-01-02T12:00:00.000005[{__name__}.Zone]"),
    (datetime.time(1, 2, tzinfo=Zone()), f"01:02:00[{__name__}.Zone]"),
    (Moment(2026, 1, 2), "2026-01-02T00:00:00"),
    (Moment(2026, 1, 2, tzinfo=Zone()), f"2026-01-02T00:00:00[{__name__}.Zone]"),
    (Day(2026, 1, 2), "2026-01-02"),
    (datetime.date(2026, 1, 2), "2026-01-02"),
    (datetime.time(1, 2, 3), "01:02:03"),
    (datetime.timedelta(days=1, milliseconds=5), 86_400.005),
    (decimal.Decimal("1.10"), "1.10"),
    (decimal.Decimal("sNaN"), "sNaN"),
    (decimal.Decimal("1E+999999"), "1E+999999"),
    (fractions.Fraction(1, 3), "1/3"),
    (1 + 2j, "(1+2j)"),
    (complex("nan"), "(nan+0j)"),
    (range(3), "range(0, 3)"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (pathlib.PurePosixPath("/a/b"), "/a/b"),
    (pathlib.PurePosixPath("/a/\udcff"), "/a/\ufffd"),
    (pathlib.PureWindowsPath("c:/a"), "c:\\a"),
    (pathlib.Path("x"), "x"),
    (ipaddress.ip_address("::1"), "::1"),
    (ipaddress.ip_network("10.0.0.0/8"), "10.0.0.0/8"),
    ((1, (2,)), [1, [2]]),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset("ba"), ["a", "b"]),
    (set(), []),
    (collections.deque([1, 2]), [1, 2]),
    (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    (collections.defaultdict(list, a=[1]), {"a": [1]}),
    (collections.Counter("aab"), {"a": 2, "b": 1}),
    (Colour.RED, "red"),
    (Colour.BOX, ["a", 1]),
    (Level.HIGH, 3),
    (Flags.A | Flags.B, 3),
    (Word.YES, "yes"),
    (Point(1, [2]), {"x": 1, "y": [2]}),
    (Pair(1, [2]), {"left": 1, "right": [2]}),
    (time.gmtime(0), [1970, 1, 1, 0, 0, 0, 3, 1, 0]),
    (Plain(1, [2]), {"a": 1, "b": [2]}),
    (Slotted(1, {2}), {"a": 1, "b": [2]}),
    (Derived(1, [2]), {"a": 1, "b": [2], "c": 3}),
    (Struct(1), {"a": 1}),
    (Struct(1, [Struct(2)]), {"a": 1, "b": [{"a": 2}]}),
    (ValueError("x", 1), {"$type": "builtins.ValueError", "args": ["x", 1]}),
    (
        ExceptionGroup("g", [KeyError("k")]),
        {
            "$type": "builtins.ExceptionGroup",
            "args": ["g", [{"$type": "builtins.KeyError", "args": ["k"]}]],
        },
    ),
    (int, {"$type": "builtins.type", "name": "builtins.int"}),
    (len, {"$type": "builtins.builtin_function_or_method"}),
    (object(), {"$type": "builtins.object"}),
    (..., {"$type": "builtins.ellipsis"}),
    (types.SimpleNamespace(a=1), {"$type": "types.SimpleNamespace"}),
    (types.MappingProxyType({"a": 1}), {"$type": "builtins.mappingproxy"}),
    (array.array("i", [1]), {"$type": "array.array"}),
    (re.compile("x"), {"$type": "re.Pattern"}),
    (io.StringIO("x"), {"$type": "_io.StringIO"}),
    (ast.parse("x"), {"$type": "ast.Module"}),
]


@pytest.mark.parametrize(("value", "expected"), KNOWN, ids=lambda value: type(value).__name__)
def test_known(value, expected):
    """What is known is read; what is not known is named by its class."""
    assert json.dumps(expected) == json.dumps(snapshot(value))
    assert json.dumps([{"a": expected}]) == json.dumps(snapshot([{"a": value}]))


KEYS = [
    ({1: "a"}, {"1": "a"}),
    ({None: 1, True: 2, 1.5: 3}, {"null": 1, "true": 2, "1.5": 3}),
    ({float("nan"): 1}, {"nan": 1}),
    ({1: "a", "1": "b"}, {"1": "a", "1#2": "b"}),
    ({"1": "a", 1: "b", "1#2": "c"}, {"1": "a", "1#2": "b", "1#2#2": "c"}),
    ({c: i for i, c in enumerate("\ud800\udc00", 1)}, {"\ufffd": 1, "\ufffd#2": 2}),
    ({(1, "a"): 1}, {"1,a": 1}),
    ({(1, (2,)): 1}, {"builtins.tuple": 1}),
    ({b"x": 1}, {"builtins.bytes": 1}),
    ({Colour.RED: 1, Level.HIGH: 2}, {"red": 1, "3": 2}),
    ({datetime.date(2026, 1, 2): 1}, {"2026-01-02": 1}),
    ({2**70: 1}, {str(2**70): 1}),
    ({frozenset([1]): 1}, {"builtins.frozenset": 1}),
    ({len: 1, print: 2}, {f"{mark(type(len))['$type']}{n}": i for n, i in (("", 1), ("#2", 2))}),
]


@pytest.mark.parametrize(("value", "expected"), KEYS, ids=range(len(KEYS)))
def test_keys(value, expected):
    """Keys become strings; those that are then alike are told apart, and no value is lost."""
    assert expected == snapshot(value)


def test_other_peoples_objects():
    """Objects of pydantic are read with extras and without private parts."""
    pydantic = pytest.importorskip("pydantic")

    class Inner(pydantic.BaseModel):
        n: int

    class Model(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow")
        a: int
        inner: Inner
        key: pydantic.SecretStr
        _hidden: str = pydantic.PrivateAttr("secret")

        @pydantic.computed_field
        @property
        def costly(self) -> int:
            raise RuntimeError("asked")

    value = Model(a=1, inner=Inner(n=2), key="secret", more=[3])
    plain = snapshot(value)
    assert {
        "a": 1,
        "inner": {"n": 2},
        "key": {"$type": "pydantic.types.SecretStr"},
        "more": [3],
    } == plain
    assert "secret" not in json.dumps(plain)


def test_pydantic_dataclass():
    """Dataclasses of pydantic are read like any."""
    dataclass = pytest.importorskip("pydantic.dataclasses").dataclass

    @dataclass
    class Data:
        a: int

    assert {"a": 1} == snapshot(Data(a=1))


def test_attrs():
    """Objects of attrs are read, with slots and without."""
    attr = pytest.importorskip("attrs")
    slotted = attr.make_class("Slotted", ["a", "_hidden"])
    plain = attr.make_class("Plain", ["a"], slots=False)
    assert [{"a": 1}, {"a": [2]}] == snapshot([slotted(1, 9), plain([2])])


def test_numpy():
    """Scalars of numpy are numbers, arrays are named."""
    numpy = pytest.importorskip("numpy")
    scalars = [
        *(numpy.int64(3), numpy.uint64(2**64 - 1), numpy.float32(0.5), numpy.float64("nan")),
        *(numpy.bool_(True), numpy.str_("x"), numpy.datetime64("2026-01-02")),
    ]
    assert [3, 2**64 - 1, 0.5, None, True, "x", "2026-01-02"] == snapshot(scalars)
    assert {"$type": "numpy.ndarray"} == snapshot(numpy.zeros(10**6))
    assert {"$type": "numpy.datetime64"} == snapshot(numpy.datetime64("NaT", "s"))
    assert {"1": 2} == snapshot({numpy.int32(1): numpy.int8(2)})
    assert "$type" in snapshot(numpy.longdouble(1))


def test_numpy_record_that_holds_itself():
    """A structured scalar may hold anything, itself too."""
    numpy = pytest.importorskip("numpy")
    cell = numpy.zeros(1, dtype=[("o", object)])[0]
    cell["o"] = [cell]
    json.dumps(snapshot(cell))


class TestBounds:
    def test_cycle(self):
        """What contains itself ends where it begins again."""
        value = [1]
        value.append(value)
        assert [1, {"$type": "builtins.list", "$cut": "cycle"}] == snapshot(value)

    def test_cycle_of_kinds(self):
        """Also by way of dicts, objects and exceptions."""
        error = ValueError()
        error.args = ({"error": error, "data": Plain(1, [error])},)
        cut = {"$type": "builtins.ValueError", "$cut": "cycle"}
        assert {"error": cut, "data": {"a": 1, "b": [cut]}} == snapshot(error)["args"][0]

    def test_shared_is_no_cycle(self):
        """What stands in two places is written twice."""
        part = {"a": 1}
        assert [{"a": 1}, {"a": 1}] == snapshot([part, part])

    def test_depth(self):
        """Nesting ends at its bound."""
        value = []
        for _ in range(10_000):
            value = [value]
        plain = snapshot(value)
        for _ in range(MAX_DEPTH):
            (plain,) = plain
        assert {"$type": "builtins.list", "$cut": "depth"} == plain

    @pytest.mark.parametrize("wrap", [list, tuple, ValueError, Slotted, lambda x: {"a": x}])
    def test_depth_of_what_comes_out(self, wrap):
        """No kind of container nests deeper than the bound, and the result stays as it is."""
        value = 1
        for _ in range(500):
            value = wrap([value]) if wrap in (list, tuple) else wrap(value)
        plain = snapshot(value)

        def depth(value):
            inner = value.values() if isinstance(value, dict) else value
            return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0

        assert depth(plain) <= MAX_DEPTH + 1
        assert plain == snapshot(plain)

    def test_billion_laughs(self):
        """A small value that unfolds into a large one is bounded."""
        value = ["lol"]
        for _ in range(60):
            value = [value] * 10
        assert sum(1 for _ in _leaves(snapshot(value))) <= 2 * MAX_NODES

    def test_ten_million_items(self):
        """A list of ten million is cut, and says how many are left out."""
        plain = snapshot([0] * 10_000_000)
        assert MAX_NODES + 1 == len(plain)
        assert {"$cut": "size", "$omitted": 10_000_000 - MAX_NODES} == plain[-1]

    @pytest.mark.parametrize("make", [set, dict.fromkeys, collections.deque, frozenset])
    def test_many_items(self, make):
        """Likewise other containers."""
        assert len(snapshot(make(range(MAX_NODES * 3)))) <= MAX_NODES + 2

    def test_megabytes_of_text(self):
        """Text is cut at its bound, and says so."""
        plain = snapshot({"a": "x" * (MAX_TEXT + 1), "b": "y" * 100})
        assert f"… [$cut: {MAX_TEXT + 1} characters]" == plain["a"][-38:].lstrip("x")
        assert MAX_TEXT - 300 < len(plain["a"]) < MAX_TEXT
        assert plain == snapshot(plain)

    def test_short_text_is_kept(self):
        """What is cut keeps the names around it, and what they say."""
        plain = snapshot({"a": "x" * (MAX_TEXT * 2), "z" * 256: "prompt", "b": "y" * 300})
        assert ["a", "z" * 256, "b"] == list(plain)
        assert "prompt" == plain["z" * 256]
        assert "… [$cut: 300 characters]" == plain["b"]

    def test_text_within_the_bound(self):
        """Up to there it is whole."""
        assert "é" * 5_000_000 == snapshot("é" * 5_000_000)

    def test_large_bytes(self):
        """Of large bytes there are size and digest."""
        data = b"x" * 1_000_000
        assert {
            "$type": "builtins.bytes",
            "size": 1_000_000,
            "sha256": hashlib.sha256(data).hexdigest(),
        } == snapshot(data)

    def test_small_bytes(self):
        """Small ones are whole."""
        data = bytes(range(256)) * 256
        assert data == base64.b64decode(snapshot(data)["base64"])

    def test_keys_that_are_all_alike(self):
        """Thirty thousand keys of one foreign class take no quadratic time."""
        plain = snapshot({object(): index for index in range(30_000)})
        assert 30_000 == len(plain)

    def test_user_who_uses_our_mark(self):
        """Where a dict is cut, a field of the user's that has the name of our mark is kept."""
        plain = snapshot({"$cut": "mine", **dict.fromkeys(map(str, range(10)))}, max_nodes=5)
        assert ("mine", "size", 6) == (plain["$cut"], plain["$cut#2"], plain["$omitted"])

    def test_options(self):
        """The bounds can be given."""
        assert [1, {"$cut": "size", "$omitted": 1}] == snapshot([1, 2], max_nodes=1)
        assert [{"$type": "builtins.list", "$cut": "depth"}] == snapshot([[1]], max_depth=1)
        assert f"{'a' * 44}… [$cut: 301 characters]" == snapshot("a" * 301, max_text=300)

    @pytest.mark.untraced  # a tracer's own frames would be the first without room
    def test_near_the_recursion_limit(self):
        """A caller with no stack left gets JSON, not a RecursionError."""
        value, seen = [{"a": [[[Plain(1, [Slotted(2)])]]]}], []

        def down(left):
            if left:
                return down(left - 1)
            seen.append(snapshot(value))
            return None

        depth = sys.getrecursionlimit()
        for left in range(depth - 120, depth - 20):
            try:
                down(left)
            except RecursionError as error:
                frames = []
                step = error.__traceback__
                while step is not None:
                    frames.append(step.tb_frame.f_code)
                    step = step.tb_next
                assert frames[-1].co_name in ("down", "snapshot")  # there was no room to begin
        assert all("a" in plain[0] or "$cut" in plain[0] for plain in seen if type(plain) is list)
        assert [{"a": [[[{"a": 1, "b": [{"a": 2, "b": None}]}]]]}] == seen[0]


def _leaves(value):
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, str) or not isinstance(value, collections.abc.Iterable):
        yield value
    else:
        for item in value:
            yield from _leaves(item)


class TestDetached:
    def test_changes_do_not_show(self):
        """Nothing that is changed afterwards shows."""
        value = {"a": [1, {"b": 2}], "c": bytearray(b"x"), "d": Plain(1, [2])}
        plain = snapshot(value)
        before = json.dumps(plain)
        value["a"][1]["b"] = 3
        value["a"].append(4)
        value["c"][0] = 0
        value["d"].b.append(5)
        assert before == json.dumps(plain)

    @pytest.mark.parametrize(
        "endless", [itertools.count, lambda: iter(int, 1), lambda: map(len, "")]
    )
    def test_iterators_are_not_consumed(self, endless):
        """An iterator is named, not asked for anything."""
        assert {"$type"} == set(snapshot(endless()))

    def test_generator_is_not_consumed(self):
        """A generator gives its items to whom it belongs."""
        generator = (number for number in range(2))
        snapshot({"stream": generator, generator: 1})
        assert [0, 1] == list(generator)

    @pytest.mark.parametrize("kind", ["dict", "set", "list", "deque", "object"])
    def test_changed_by_another_thread(self, kind):
        """A container that another thread changes meanwhile is read without an error."""
        value = {
            "dict": dict.fromkeys(range(500)),
            "set": set(range(500)),
            "list": list(range(500)),
            "deque": collections.deque(range(500)),
            "object": Plain(1, []),
        }[kind]
        stop = threading.Event()

        def change():
            for number in itertools.count(1000):
                if stop.is_set():
                    return
                if kind == "dict":
                    value[number] = number
                    value.pop(next(iter(value)))
                elif kind == "set":
                    value.add(number)
                    value.discard(number - 500)
                elif kind == "object":
                    setattr(value, f"x{number % 50}", number)
                    vars(value).pop(f"x{(number - 20) % 50}", None)
                else:
                    value.append(number)
                    value.pop()

        thread = threading.Thread(target=change)
        thread.start()
        try:
            for _ in range(300):
                text = json.dumps(snapshot(value, max_nodes=200))
                assert '"$cut": "error"' not in text
        finally:
            stop.set()
            thread.join()


HOSTILE = """
import collections.abc, dataclasses, enum, json, sys
from hilt_logging.snapshot import snapshot

def forever(*args, **kwargs):
    {reaction}

NAMES = ["__repr__", "__str__", "__iter__", "__next__", "__getattr__", "__getattribute__", "__eq__",
    "__ne__", "__lt__", "__hash__", "__len__", "__bool__", "__contains__", "__getitem__", "__format__",
    "__int__", "__index__", "__float__", "__bytes__", "__reversed__", "__sizeof__", "__reduce__",
    "__reduce_ex__", "__copy__", "__deepcopy__", "__getstate__", "__dir__", "__call__",
    "__instancecheck__", "__subclasscheck__", "__fspath__", "__array__", "keys", "items", "values",
    "get", "copy", "isoformat", "utcoffset", "model_dump", "dict", "to_dict", "json", "item",
    "__iter__", "__length_hint__", "__aiter__", "__conform__", "__buffer__"]
trap = property(forever)

def arm(namespace):
    namespace.update({{name: forever for name in NAMES}})
    namespace["__class__"] = trap
    namespace["secret_property"] = trap
    return namespace

class Meta(type):
    pass

def build(base, meta=type, **more):
    namespace = arm({{"__module__": "evil", "__slots__": ()}} if base is tuple else {{"__module__": "evil"}})
    for name in more.get("keep", ()):
        namespace.pop(name, None)
    return meta("Evil", (base,), namespace)

made = []
for base, args in [(object, ()), (dict, ({{"a": 1}},)), (list, ([1],)), (tuple, ([1],)), (str, ("x",)),
    (int, (5,)), (float, (0.5,)), (bytes, (b"x",)), (set, ([1],)), (frozenset, ([1],)), (ValueError, ("x",))]:
    cls = build(base)
    value = base.__new__(cls, *args)
    if base in (dict, list, set):
        base.__init__(value, *args)
    made.append(value)

meta = type("EvilMeta", (type,), {{}})
Plain = meta("Plain", (), {{}})
Items = meta("Items", (list,), {{}})
Data = dataclasses.dataclass(meta("Data", (), {{"__annotations__": {{"a": int}}, "__module__": "evil"}}))
made += [Plain(), Items([1]), Data(1), Plain]
for name in NAMES:
    if name not in ("__reduce__", "__reduce_ex__"):
        setattr(meta, name, forever)
class Abc(collections.abc.Mapping):
    __getitem__ = __iter__ = __len__ = forever
made.append(Abc())
class Lazy:
    __dict__ = trap
made.append(Lazy())
@dataclasses.dataclass
class Held:
    a: int
    b: int = 2
    __getattribute__ = forever
made.append(Held(1))
class Field:
    def __get__(self, *args): forever()
    def __set__(self, *args): pass
@dataclasses.dataclass
class Described:
    a: int
    b: object = None
vars_ = Described(1)
Described.b = Field()
made.append(vars_)

out = []
for value in made:
    out.append(snapshot({{"before": 1, "value": value, "nested": [value], "after": 2}}))
for one in out:
    assert one["before"] == 1 and one["after"] == 2, one
    assert one["value"] == one["nested"][0], one
print(json.dumps([one["value"] for one in out], allow_nan=False))
"""


@pytest.mark.parametrize(
    "reaction", ["raise RuntimeError('asked')", "while True: pass", "sys.exit(3)"]
)
def test_nothing_hostile_is_asked(in_child, reaction):
    """No method of a foreign class or metaclass is called, whatever it would do."""
    done = in_child(HOSTILE.format(reaction=reaction), timeout=60)
    assert (0, "") == (done.returncode, done.stderr)
    values = json.loads(done.stdout)
    assert [
        {"$type": "evil.Evil"},
        {"a": 1},
        [1],
        [1],
        "x",
        5,
        0.5,
        {"$type": "builtins.bytes", "size": 1, "base64": "eA=="},
        [1],
        [1],
        {"$type": "evil.Evil", "args": ["x"]},
        {"$type": "__main__.Plain"},
        [1],
        {"a": 1},
        {"$type": "builtins.type", "name": "__main__.Plain"},
        {"$type": "__main__.Abc"},
        {"$type": "__main__.Lazy"},
        {"a": 1, "b": 2},
        {"a": 1},
    ] == [value if value != {"a": 1, "b": None} else {"a": 1} for value in values]


def test_hostile_keys():
    """Keys are not asked either, not even where many look alike."""

    class Key:
        armed = False

        def __hash__(self):
            assert not Key.armed
            return 1

        def __eq__(self, other):
            assert not Key.armed
            return self is other

        __repr__ = __str__ = None

    value = {Key(): index for index in range(50)}
    Key.armed = True
    plain = snapshot(value)
    assert list(range(50)) == list(plain.values())


def test_hostile_module_and_name():
    """The names of a class are only taken where they are plain strings."""

    class Text(str):
        def __format__(self, spec):
            raise RuntimeError("asked")

        __str__ = __format__

    class Odd:
        __module__ = Text("m")

    Odd.__qualname__ = Text("Q\ud800" * 500)
    assert "?.Q\ufffdQ" == type_name(Odd)[:5]
    assert len(type_name(Odd)) <= 200
    assert {"$type": type_name(Odd)} == snapshot(Odd())


def test_one_bad_value():
    """A value that can't be read costs itself, not what stands around it."""
    view = memoryview(b"x")
    view.release()
    huge = fractions.Fraction(10**5000, 3)
    assert [1, {"$type": "builtins.memoryview", "$cut": "error"}, 2] == snapshot([1, view, 2])
    assert {"a": {"$type": "fractions.Fraction", "$cut": "error"}, "b": 1} == snapshot(
        {"a": huge, "b": 1}
    )


def test_enum_that_is_its_own_value():
    """An enum whose value leads back to it ends."""

    class Loop(enum.Enum):
        A = 1

    Loop.A._value_ = [Loop.A]
    json.dumps(snapshot([1, Loop.A]))
    Loop.A._value_ = Loop.A
    assert 1 == snapshot([1, Loop.A])[0]


def test_tuple_that_only_looks_named():
    """A tuple with more items than names loses none."""

    class Odd(tuple):
        _fields = ("a",)
        __slots__ = ()

    assert [1, 2] == snapshot(Odd((1, 2)))

    class OddList(list):
        _fields = ("a",)

    assert [1] == snapshot(OddList([1]))


@pytest.mark.parametrize("text", ["", "ascii", "é😀", "\ufffd", "\U0010ffff"])
def test_clean_text_is_left(text):
    """Text that is well-formed stays as it is."""
    assert text is clean_text(text)


_chars = st.text(st.characters(), max_size=8)
_keys = st.one_of(
    _chars,
    st.integers(),
    st.booleans(),
    st.none(),
    st.floats(),
    st.binary(max_size=4),
    st.tuples(st.integers(), _chars),
    st.dates(),
    st.sampled_from([*Colour, Level.HIGH]),
    st.sampled_from(["1", 1, "1#2", True, "true", "null", "$cut", "$type", "nan"]),
)
_atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    _chars,
    st.binary(max_size=20),
    st.decimals(),
    st.fractions(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.complex_numbers(),
    st.sampled_from([*Colour, *Flags, Level.HIGH]),
    st.integers(min_value=2**63 - 2, max_value=2**64 + 2),
    st.builds(object),
    st.builds(ValueError, _chars),
    st.ip_addresses(),
)
_any = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.lists(inner, max_size=4).map(collections.deque),
        st.dictionaries(_keys, inner, max_size=5),
        st.sets(_keys, max_size=4),
        st.frozensets(_keys, max_size=4),
        st.builds(Plain, inner, inner),
        st.builds(Slotted, inner, inner),
        st.builds(Struct, inner, inner),
        st.builds(Point, inner, inner),
        st.builds(KeyError, inner),
    ),
    max_leaves=20,
)


@settings(max_examples=700, deadline=None, suppress_health_check=list(HealthCheck))
@given(_any)
def test_anything(strict_json, value):
    """Any value gives strict JSON that reads back the same, and a second snapshot changes nothing."""
    plain = snapshot(value)
    assert plain == strict_json(json.dumps(plain, allow_nan=False))
    assert plain == strict_json(msgspec.json.encode(plain))
    assert plain == snapshot(plain)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(_any, st.integers(0, 4), st.integers(0, 8), st.integers(0, 12))
def test_anything_within_bounds(strict_json, value, depth, nodes, text):
    """Whatever the bounds are."""
    plain = snapshot(value, max_depth=depth, max_nodes=nodes, max_text=text)
    assert plain == strict_json(json.dumps(plain, allow_nan=False))
