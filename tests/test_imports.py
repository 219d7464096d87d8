"""What imports what, and what importing does."""

from __future__ import annotations

import ast
import sys

from pathlib import Path

import pytest

import hilt_logging


PACKAGE = Path(hilt_logging.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
# lowest first; a module may import its own layer and those before
LAYERS = [
    "_counting _ids _late _naming _unfinished errors events schema snapshot context _cutting safeguards storage _diagnostics",
    "_checkpoints _completing _failures _histories _lines _logfile _summaries records emit formatters filters structlog jsonlogger testing",
    "_background handlers config",
    "io integrations",
    "custody analysis diagnosis",
    "cli",
    "__init__ __main__",
]
LAYER = {name: index for index, names in enumerate(LAYERS) for name in names.split()}
THIRD_PARTY = {
    "structlog": ("structlog.py",),
    "pythonjsonlogger": ("jsonlogger.py",),
    "langchain_core": ("integrations/langchain.py",),
    "openai": ("integrations/openai.py",),
    "anthropic": ("integrations/anthropic.py",),
    "google": ("integrations/gemini.py",),
    "genai_prices": ("integrations/_pricing.py",),
    "phonenumbers": ("safeguards/_phones.py",),
    "presidio_analyzer": ("safeguards/presidio.py",),
    "cryptography": ("safeguards/jwk.py", "safeguards/_jwe.py", "safeguards/chain.py"),
    "backports": ("storage/compression.py",),
    "compression": ("storage/compression.py",),  # of the standard library from 3.14 on
    "duckdb": ("analysis/_duckdb.py", "analysis/sql.py"),
    "pyspark": ("analysis/_spark.py", "analysis/_spark_answer.py"),
    "py4j": ("analysis/_spark.py", "analysis/_spark_answer.py"),  # what pyspark is made of
    "sqlglot": ("analysis/_spark.py",),
    "jinja2": ("analysis/_page.py",),
    "markupsafe": ("analysis/_page.py",),
    "yaml": ("diagnosis/_files.py",),
    "click": ("cli/",),
    "rich": ("cli/",),
}


def _imports(path):
    """(full name of what is imported, whether only for the type checker)."""
    tree = ast.parse((PACKAGE / path).read_text("utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    package = ["hilt_logging", *path.parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in typing_only
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                yield f"{module}.{alias.name}", id(node) in typing_only


def _module_of(name):
    """The path of one of our modules that a dotted name means; None for others."""
    parts = name.split(".")
    if parts[0] != "hilt_logging":
        return None
    for end in range(len(parts), 0, -1):
        inner = Path(*parts[1:end])
        for path in (inner.with_suffix(".py") if inner.name else inner, inner / "__init__.py"):
            if path in MODULES:
                return path
    raise AssertionError(f"{name} is not in the package")


def _room(path):
    return path.parts[0].removesuffix(".py")


def _ours(path):
    found = {_module_of(name) for name, typing_only in _imports(path) if not typing_only}
    return found - {None, path}


def _ids(path):
    return path.as_posix()


def test_modules_are_found():
    """The rules below are held against a package, not against nothing."""
    assert Path("events.py") in MODULES
    assert Path("storage/appender.py") in MODULES


@pytest.mark.parametrize("path", MODULES, ids=_ids)
def test_every_room_has_a_layer(path):
    """A new module is given its layer here."""
    assert _room(path) in LAYER


@pytest.mark.parametrize("path", MODULES, ids=_ids)
def test_imports_run_one_way(path):
    """A module imports nothing that stands above it."""
    above = {p.as_posix() for p in _ours(path) if LAYER[_room(p)] > LAYER[_room(path)]}
    assert set() == above - {"__init__.py"}  # a package is imported before what is in it


def test_no_circles():
    """From no module do imports lead back to it."""
    graph = {path: _ours(path) - {Path("__init__.py")} for path in MODULES}
    finished = set()

    def visit(path, way):
        assert path not in way, " -> ".join(p.as_posix() for p in [*way, path])
        if path in finished:
            return
        for other in graph[path]:
            visit(other, [*way, path])
        finished.add(path)

    for path in MODULES:
        visit(path, [])
    assert set(MODULES) == finished


@pytest.mark.parametrize("path", MODULES, ids=_ids)
def test_third_party(path):
    """A third-party package is imported only in the module that needs it; msgspec anywhere."""
    found = {
        name.partition(".")[0]
        for name, typing_only in _imports(path)
        if not typing_only and not name.startswith("hilt_logging")
    }
    foreign = found - sys.stdlib_module_names - {"msgspec"}
    where = path.as_posix()
    assert set() == {name for name in foreign if not where.startswith(THIRD_PARTY.get(name, ()))}


@pytest.mark.parametrize("path", MODULES, ids=_ids)
def test_platform_modules(path):
    """What only one platform has is imported only in storage."""
    found = {name.partition(".")[0] for name, _ in _imports(path)} & {"fcntl", "msvcrt", "ctypes"}
    assert not found or _room(path) == "storage"


@pytest.mark.parametrize("path", [p for p in MODULES if _room(p) == "integrations"], ids=_ids)
def test_integrations(path):
    """Integrations do not import `io`, and only the package itself imports `config`."""
    rooms = {_room(p) for p in _ours(path)}
    assert "io" not in rooms
    assert "config" not in rooms or path.as_posix() == "integrations/__init__.py"


IMPORTED = """
import sys
import msgspec, sysconfig, zoneinfo  # with what they load themselves where it is installed
sysconfig.get_config_vars()
known = set(sys.modules)
import hilt_logging
tops = {name.partition(".")[0] for name in set(sys.modules) - known}
print(sorted(tops - set(sys.stdlib_module_names)))
"""


def test_import_loads_msgspec_alone(in_child):
    """`import hilt_logging` loads no third-party module but msgspec, and says nothing."""
    done = in_child(IMPORTED)
    assert (0, "['hilt_logging']\n", "") == (done.returncode, done.stdout, done.stderr)


def test_import_leaves_logging_handlers(in_child):
    """`logging.handlers`, which loads sockets and pickle, is loaded by what needs it."""
    done = in_child(
        "import sys, hilt_logging as h; print('logging.handlers' in sys.modules)\n"
        "h.handlers.BackgroundHandler; print('logging.handlers' in sys.modules)\n"
        "print(h.BackgroundHandler is h.handlers.BackgroundHandler)"
    )
    assert ("False\nTrue\nTrue\n", "") == (done.stdout, done.stderr)


CONFIGURED = """
import logging
import hilt_logging
for name in (None, "hilt", "hilt_logging"):
    logger = logging.getLogger(name)
    print(name, logger.level, [type(h).__name__ for h in logger.handlers], logger.propagate)
loggers = logging.Logger.manager.loggerDict.values()
print([each for each in loggers if isinstance(each, logging.Logger) and each.level])
print(hilt_logging.emit({"actor": {"type": "human", "id": "x"}, "action": "prompt"}))
logging.getLogger("hilt.x").warning("a")
logging.getLogger("hilt_logging.x").warning("b")
hilt_logging.Session
"""


def test_import_configures_nothing(in_child):
    """Importing sets no level and adds only NullHandlers; nothing reaches stderr."""
    done = in_child(CONFIGURED)
    assert [
        "None 30 [] True",
        "hilt 0 ['NullHandler'] True",
        "hilt_logging 0 ['NullHandler'] True",
        "[]",
        "None",
    ] == done.stdout.splitlines()
    assert "" == done.stderr
