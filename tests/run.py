"""
Build the wheel, then test it on every CPython from 3.11 to 3.14 that this machine has.

    python3 tests/run.py                     everything
    python3 tests/run.py 3.12                one version
    python3 tests/run.py 3.12 -- -k rotate   with arguments for pytest
    python3 tests/run.py 3.11 --coverage     tells, too, which lines no test runs; takes longer

Needs Python 3.11 or later with pip, and a package index. Environments are kept in `.venvs/` and
used again while their requirements stay the same. Two runs of tests go on at a time. On 3.11 the
tests run with every SDK, those that fork (marked `untraced`) apart from the others, and the linter,
the formatter and the type checker run too; the other versions leave out what does not depend on the
version (marked `once`), and those between 3.11 and the newest what takes long and hardly does (marked
`outermost`). Where the SDKs do not install on another version, the rest of the tests runs there, and
the summary says so. The exit code is 0 only if everything passed; a run that found no test has failed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venvs"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
FULL = "3.11"
EXTRAS = (
    "structlog",
    "json",
    "yaml",
    "cost",
    "pii",
    "crypto",
    "cli",
    "analytics",
    "report",
    "zstd",
)
GROUPS = ("tests", "interop")
SDK_EXTRAS = ("openai", "anthropic", "gemini", "langchain")
FULL_GROUPS = ("frameworks", "lint")
TESTS_MAY_TAKE_S = 20 * 60
COVERAGE = "--coverage"

Job = Callable[[], list[tuple[bool, str]]]
"""What tells in lines whether it passed."""

_CLOSING = re.compile(r"^=+ .*(passed|failed|error|no tests ran).* in [\d.]+s|^(FAILED|ERROR) ")
_ASK = """
import json, sys, sysconfig, platform, venv, ensurepip
print(json.dumps({
    "version": platform.python_version(),
    "minor": "%d.%d" % sys.version_info[:2],
    "usable": sys.implementation.name == "cpython"
        and sys.version_info.releaselevel == "final"
        and not sysconfig.get_config_var("Py_GIL_DISABLED"),
}))
"""


@dataclasses.dataclass
class Env:
    """A virtual environment to test in, and what became of it."""

    minor: str
    version: str
    base: str
    is_newest: bool = True
    sdks: bool = True
    note: str = ""

    @property
    def folder(self) -> Path:
        return VENVS / f"py{self.minor}"

    def program(self, name: str) -> str:
        return str(self.folder / "bin" / name)


def main(arguments: list[str]) -> int:
    """Run everything; return the exit code."""
    wanted, pytest_arguments, is_traced = _split(arguments)
    began = time.monotonic()
    envs = [env for env in interpreters() if not wanted or env.minor in wanted]
    missing = sorted(set(wanted or [FULL]) - {env.minor for env in envs})
    if missing:
        print(f"no usable CPython {' and '.join(missing)} on this machine")
        return 1
    print("testing on", ", ".join(f"CPython {env.version}" for env in envs), flush=True)
    VENVS.mkdir(exist_ok=True)
    wheel = build()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda env: prepare(env, wheel), envs))
        longest_first = sorted(envs, key=lambda env: (env.minor != FULL, not env.is_newest))
        jobs = [
            job for env in longest_first for job in jobs_of(env, wheel, pytest_arguments, is_traced)
        ]
        report = [line for lines in pool.map(lambda job: job(), jobs) for line in lines]
    print("\n---- summary", f"({time.monotonic() - began:.0f} s)")
    for _, line in report:
        print(line)
    return 0 if all(passed for passed, _ in report) else 1


def _split(arguments: list[str]) -> tuple[list[str], list[str], bool]:
    at = arguments.index("--") if "--" in arguments else len(arguments)
    wanted = [each for each in arguments[:at] if each != COVERAGE]
    for version in wanted:
        if version not in VERSIONS:
            sys.exit(f"{version!r} is not one of {', '.join(VERSIONS)}")
    return wanted, arguments[at + 1 :], COVERAGE in arguments[:at]


def interpreters() -> list[Env]:
    """Return one environment for each version, of those interpreters that really run."""
    found: dict[str, Env] = {}
    for path in _candidates():
        try:
            answer = subprocess.run(
                [path, "-I", "-c", _ASK], capture_output=True, timeout=60, check=True
            )
            told = json.loads(answer.stdout)
        except (OSError, subprocess.SubprocessError, ValueError):
            continue  # a shim without its interpreter, or one without venv
        if told["usable"] and told["minor"] in VERSIONS:
            found.setdefault(told["minor"], Env(told["minor"], told["version"], path))
    envs = [found[minor] for minor in VERSIONS if minor in found]
    for env in envs[:-1]:
        env.is_newest = False
    return envs


def _candidates() -> list[str]:
    """Where interpreters may be; the one that runs this comes first."""
    paths = [Path(getattr(sys, "_base_executable", "") or sys.executable)]
    for minor in VERSIONS:
        paths += [Path(folder, f"python{minor}") for folder in os.get_exec_path()]
        paths.append(Path("/usr/local/bin", f"python{minor}"))
    managers = (
        (Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions"), "*/bin/python"),
        (Path.home() / ".local/share/uv/python", "cpython-*/bin/python"),
        (Path("/opt/python"), "*/bin/python"),
    )
    for folder, pattern in managers:
        paths += sorted(folder.glob(pattern), reverse=True)
    return list(dict.fromkeys(str(path) for path in paths if os.access(path, os.X_OK)))


def build() -> Path:
    """Build the wheel and return its path."""
    target = VENVS / "dist"
    shutil.rmtree(target, ignore_errors=True)
    _run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(target), str(ROOT)],
        "build of the wheel",
    )
    (wheel,) = target.glob("*.whl")
    print(f"built {wheel.name}", flush=True)
    return wheel


def prepare(env: Env, wheel: Path) -> None:
    """Make an environment ready: the SDKs where they install, and the wheel."""
    began = time.monotonic()
    try:
        _install(env, wheel)
    except subprocess.CalledProcessError as error:
        if env.minor == FULL:
            sys.exit(f"the installation for {env.version} failed:\n{error.stdout}")
        print(f"the SDKs do not install on {env.version}:\n{error.stdout[-2000:]}")
        env.sdks, env.note = False, ", without SDKs: they do not install here"
        _install(env, wheel)
    print(f"{env.folder.name} is ready after {time.monotonic() - began:.0f} s", flush=True)


def _install(env: Env, wheel: Path) -> None:
    requirements = _requirements(env)
    inputs = {"base": [env.base, env.version], "requirements": requirements}
    stamp = env.folder / "inputs.json"
    known = json.loads(stamp.read_text()) if stamp.exists() else {}
    pip = [env.program("python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    install = [*pip, "install", "-q", "--no-compile"]
    if {name: known.get(name) for name in inputs} != inputs:
        shutil.rmtree(env.folder, ignore_errors=True)
        _run([env.base, "-I", "-m", "venv", str(env.folder)])
        _run([*install, *requirements])
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if known.get("wheel") != digest or not stamp.exists():
        stamp.unlink(missing_ok=True)
        _run([*install, "--no-deps", "--force-reinstall", str(wheel)])
        _run([*pip, "check"])
    stamp.write_text(json.dumps({**inputs, "wheel": digest}))


def _requirements(env: Env) -> list[str]:
    """What is installed beside the wheel; pip learned `--group` only in 25.1."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, groups = pyproject["project"], pyproject["dependency-groups"]
    extras = (*EXTRAS, *SDK_EXTRAS) if env.sdks else EXTRAS
    chosen = (*GROUPS, *FULL_GROUPS) if env.minor == FULL else GROUPS
    lists = [
        project["dependencies"],
        *(project["optional-dependencies"][name] for name in extras),
        *(groups[name] for name in chosen),
    ]
    return [requirement for each in lists for requirement in each]


def jobs_of(env: Env, wheel: Path, pytest_arguments: list[str], is_traced: bool) -> list[Job]:
    """What is to run beside each other: lint and all tests on the full version, tests on the others."""
    if env.minor != FULL:
        few = ["-m", "not once" if env.is_newest else "not once and not outermost"]
        return [lambda: [_test(env, wheel, pytest_arguments or few)]]
    if pytest_arguments:
        return [lambda: _lint(env), lambda: [_test(env, wheel, pytest_arguments)]]
    return [
        lambda: [*_lint(env), _test(env, wheel, ["-m", "not untraced"], "main", is_traced)],
        lambda: [_test(env, wheel, ["-m", "untraced"])],
    ]


def _lint(env: Env) -> list[tuple[bool, str]]:
    report = []
    for words in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        code, _ = _echo(env, [env.program(words[0]), *words[1:]], ROOT, dict(os.environ))
        report.append((code == 0, f"{' '.join(words)}: {'passed' if code == 0 else 'FAILED'}"))
    return report


def _test(
    env: Env, wheel: Path, arguments: list[str], name: str = "run", is_traced: bool = False
) -> tuple[bool, str]:
    """
    Run pytest on the installed wheel, in a folder of this name.

    The working directory is not the source tree, so that neither the tests nor the programs that
    they start can import the package from there.
    """
    folder = env.folder / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environ |= {"HILT_TEST_WHEEL": str(wheel), "HILT_TEST_ENVS": str(VENVS)}
    where = subprocess.run(
        [env.program("python"), "-c", "import hilt_logging; print(hilt_logging.__file__)"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if not where.stdout.startswith(str(env.folder)):
        return False, f"CPython {env.version}: not the wheel: {where.stdout}{where.stderr}"
    command = _pytest(env, *arguments)
    if is_traced:
        command = [*_coverage(env, "run"), *command[1:]]
    code, closing = _echo(env, command, folder, environ)
    if is_traced:
        _echo(env, _coverage(env, "report"), folder, environ)
    passed = code == 0 and re.search(r"\d+ passed", closing) is not None
    verdict = "passed" if passed else f"FAILED (exit code {code})"
    return passed, f"pytest on CPython {env.version}{env.note}: {verdict}\n{closing}"


def _pytest(env: Env, *arguments: str) -> list[str]:
    config = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-p", "no:cacheprovider"]
    return [env.program("python"), "-m", "pytest", *config, str(ROOT / "tests"), *arguments]


def _coverage(env: Env, command: str) -> list[str]:
    rcfile = f"--rcfile={ROOT / 'pyproject.toml'}"
    return [env.program("python"), "-m", "coverage", command, rcfile]


def _echo(env: Env, command: list[str], folder: Path, environ: dict[str, str]) -> tuple[int, str]:
    """Run a command, show what it prints, and return its exit code and pytest's closing lines."""
    print(f"{env.minor}| ---- {' '.join(map(os.path.basename, command))}", flush=True)
    closing: list[str] = []
    with subprocess.Popen(
        ["timeout", "-k", "10", str(TESTS_MAY_TAKE_S), *command]
        if shutil.which("timeout")
        else command,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            print(f"{env.minor}| {line}", end="", flush=True)
            if _CLOSING.search(line):
                closing.append(line.rstrip())
    return running.returncode, "\n".join(closing)


def _run(command: list[str], what: str = "") -> None:
    """Run a command quietly; with *what* stop everything if it fails, else raise."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return
    if what:
        sys.exit(f"the {what} failed:\n{done.stdout}")
    raise subprocess.CalledProcessError(done.returncode, command, done.stdout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
