"""How every test runs: JAX strict, shapes and types checked, real data where it is there."""

import importlib.metadata
import importlib.util
import os
import pathlib
import types

# Compiling is most of what the tests do, and a program runs a few times: fewer passes halve their
# time. A jaxlib that does not know one of these flags would not start, so only the known ones get
# them; programs that the tests start inherit both.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if importlib.metadata.version("jaxlib").startswith("0.10."):
    _FLAGS = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAGS}".strip()

# every core has a worker of its own: threads of linear algebra that wait for each other took a
# hundred times as long
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import jax
import pytest
import threadpoolctl
from jaxtyping import install_import_hook

# of the libraries that were there before
threadpoolctl.threadpool_limits(1)

# shapes and types are checked at every call, in the tests only
_hook = install_import_hook("unweave", "beartype.beartype")

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
_LONGEST = {"test_examples", "test_fit_equation", "test_zoo", "test_stochastic", "test_training"}

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
# compiled programs persist within the run and from one run to the next
jax.config.update(
    "jax_compilation_cache_dir", os.environ.get("UNWEAVE_CACHE", str(ROOT / ".cache" / "jax"))
)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


@pytest.fixture(scope="module", autouse=True)
def _few_programs():
    """A worker holds the programs of one file at a time."""
    from unweave._programs import drop_programs  # not before the hook above is there

    yield
    drop_programs(only_if_many=False)


def pytest_collection_modifyitems(items):
    """The longest files first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.path.stem not in _LONGEST)


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """The folder of real recordings; tests that need it skip where it is missing."""
    if not DATA.is_dir():
        pytest.skip("the real data folder ../shared/data is not there")
    return DATA


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """Runs where nothing is overwritten, with the tests' own cache of compiled programs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNWEAVE_CACHE", "")
    monkeypatch.delenv("UNWEAVE_TRACEBACK", raising=False)


@pytest.fixture
def unweave(own_folder, capsys):
    """Runs a command that must succeed, and gives what it printed."""

    def run(*words):
        status, printed = _run(words), capsys.readouterr()
        assert status == 0, printed.err
        assert not printed.err or "--quiet" not in words
        return printed.out

    return run


@pytest.fixture
def refused(own_folder, capsys):
    """Runs a command that must not succeed: exit code 2 and one sentence, without a traceback."""

    def run(*words):
        status, printed = _run(words), capsys.readouterr()
        assert status == 2
        assert printed.out == ""
        before, marker, sentence = printed.err.partition("unweave: ")
        assert marker
        assert not before or before.endswith("\n")
        assert "unweave: " not in sentence
        assert "Traceback" not in printed.err
        return sentence.strip()

    return run


def script_of(path: pathlib.Path) -> types.ModuleType:
    """A script that stands outside of the package, as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def _run(words):
    from unweave.cli import main  # not before the hook above is there

    return main([str(word) for word in words])
