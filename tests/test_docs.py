"""The documentation says what the code does: names, options, numbers, and code that runs."""

import argparse
import json
import os
import re
import subprocess
import sys

import jax
import pytest

import unweave as uw
from conftest import ROOT, script_of
from unweave.cli._parser import _parser

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def page(name):
    return (DOCS / name).read_text()


def code(text):
    return re.findall(r"```python\n(.*?)```", text, re.S)


def verbs():
    parser = _parser()
    return next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices


@pytest.mark.parametrize("name", [n for n in uw.__all__ if n != "__version__"])
def test_every_public_name_is_in_the_api_page(name):
    assert f"`{name}`" in page("api.md")


def test_the_api_page_names_nothing_else():
    rows = re.findall(r"^\| (`.*?) \|", page("api.md"), re.M)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named <= set(uw.__all__)


@pytest.mark.parametrize("verb", verbs())
def test_every_option_is_in_the_command_line_page(verb):
    text = page("cli.md")
    assert f"| `{verb}` |" in text
    options = [o for action in verbs()[verb]._actions for o in action.option_strings]
    missing = [o for o in options if not re.search(rf"`{re.escape(o)}[` ]", text)]
    assert not missing


def test_the_command_line_page_names_no_other_option():
    known = {o for p in verbs().values() for a in p._actions for o in a.option_strings}
    assert set(re.findall(r"`(--[a-z0-9-]+)", page("cli.md"))) <= known | {"--version"}


@pytest.mark.parametrize("name", uw.RECIPES)
def test_every_recipe_is_in_the_readme_and_can_be_chosen(name):
    assert f"`{name}`" in (ROOT / "README.md").read_text()
    assert f"`{name}`" in page("how-to-choose-a-model.md")


def test_numbers_are_those_of_the_script():
    numbers = json.loads((DOCS / "numbers.json").read_text())
    comparison, tutorial = page("how-to-read-a-comparison.md"), page("tutorial-heartbeats.md")
    for name in ("vae-10", "vae-2", "beta-vae-10"):
        m = numbers["time"][name]
        assert f"{m['median']:.4f} ({m['low']:.4f}–{m['high']:.4f})" in comparison
    for name in ("pca-10", "pca-2"):
        assert f"{numbers['time'][name]:.4f} |" in comparison
    for text in (comparison, tutorial, (ROOT / "README.md").read_text()):
        assert f"{numbers['record_mean']:.4f}" in text
    assert f"{numbers['turned']['explained_variance']:.4f}" in tutorial
    for i, nats in enumerate(numbers["turned"]["kl_per_latent"][:5]):
        assert f"| z{i + 1} | {nats:.2f} |" in tutorial
    for row in numbers["patients"].values():
        cells = [f"{row[name]['of_deviation']:.3f}" for name in ("vae-10", "pca-10")]
        assert f"| {row['n_test']} | {cells[0]} | {cells[1]} |" in tutorial


def test_links_between_pages_lead_somewhere():
    for file in [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", file.read_text()):
            assert (file.parent / target).exists(), f"{file.name}: {target}"


def test_every_page_is_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text()
    assert all(f": {file.name}" in menu for file in PAGES)


def test_examples_of_extending_run(tmp_path):
    blocks = code(page("extending.md"))
    assert len(blocks) == 4
    program = "\n\n".join(blocks)
    cache = {"JAX_COMPILATION_CACHE_DIR": str(jax.config.jax_compilation_cache_dir)}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, env=os.environ | cache, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert re.fullmatch(r"Pulse \(sampler, decoder\): (\d+) of \1 checks passed", lines[0])
    assert lines[-1] == "10 ('mV',)"


def test_python_in_the_other_pages_is_python():
    for file in [*PAGES, ROOT / "README.md"]:
        for block in code(file.read_text()):
            compile(block, file.name, "exec")
            for name in re.findall(r"\buw\.(\w+)", block):
                assert name in uw.__all__, f"{file.name} uses uw.{name}"


def test_the_page_of_the_gallery_is_that_of_the_script():
    script = script_of(DOCS / "gallery.py")
    assert page("gallery.md") == script.page()
    for example, file, *_ in script.FIGURES:
        assert script.image_of(example, file).is_file()
        assert file in (DOCS.parent / "examples" / f"{example}.py").read_text()


def test_the_page_of_the_comparisons_is_that_of_the_script():
    script = script_of(DOCS / "comparisons.py")
    results = json.loads((DOCS / "comparisons.json").read_text())
    assert page("comparisons.md") == script.page(results)
    for name, study in results.items():
        assert study["command"] == script.COMMANDS[name]
        assert study["card"]["seeds"] == 5
        assert "mean" in study["card"]["baselines"]
        assert study["card"]["purposes"]


def test_the_table_of_games_is_what_the_benchmark_found():
    page = (ROOT / "docs" / "adversarial.md").read_text().splitlines()
    found = (ROOT / "bench" / "GAMES.md").read_text().splitlines()
    cells = [
        " | ".join(cell.strip() for cell in line.strip("|").split("|")[1:6])
        for line in found
        if line.startswith("| 25 Gaussians")
    ]
    assert [line.strip("| ") for line in page if line.startswith("| `") and " (" in line] == cells


def test_the_table_of_windows_is_what_the_benchmark_found():
    page = (ROOT / "docs" / "fidelity.md").read_text().splitlines()
    found = (ROOT / "bench" / "WINDOWS.md").read_text()
    rows = [line for line in page if line.startswith("| ") and "–" in line]
    assert len(rows) == 8
    for row in rows:
        name, *cells = (cell.strip() for cell in row.strip("|").split("|"))
        for cell in cells:
            if name == "floor of the test":
                assert f"Floor of the test {cell}" in found
            else:
                assert any(
                    line.startswith(f"| {name} |") and f"| {cell} |" in line
                    for line in found.splitlines()
                )
