"""Files that earlier versions wrote are read as they were meant (`golden/make.py` makes them)."""

import json
import shutil

import numpy as np
import pytest

from conftest import ROOT, script_of
from unweave._save import FORMAT, load_leaves
from unweave.run import fit, load_run

GOLDEN = ROOT / "tests" / "golden"
FORMATS = sorted(GOLDEN.glob("format-*"))
make = script_of(GOLDEN / "make.py")


def test_the_format_of_today_has_its_files():
    assert GOLDEN / f"format-{FORMAT}" in FORMATS


@pytest.mark.parametrize("folder", FORMATS, ids=lambda folder: folder.name)
def test_a_finished_run_is_read(folder):
    found = make.numbers(load_run(folder / "finished"))
    kept = json.loads((folder / "numbers.json").read_text())
    assert found.keys() == kept.keys()
    for name in ("examples", "rows", "explained_variance"):
        assert found[name] == kept[name]
    # another version of JAX may round otherwise
    for name in ("decoded", "encoded"):
        np.testing.assert_allclose(found[name], kept[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("folder", FORMATS, ids=lambda folder: folder.name)
def test_a_run_that_was_cut_off_goes_on(folder, tmp_path):
    out = shutil.copytree(folder / "cut-off", tmp_path / "run")
    assert len(load_run_rows(out)) == 1
    run = fit(make.recipe(), make.data(), out=out, resume=True, quiet=True)
    kept = json.loads((folder / "numbers.json").read_text())
    assert len(run.rows) == len(kept["rows"]) == 2
    for found, before in zip(run.rows, kept["rows"], strict=True):
        assert found.keys() == before.keys()
        for name, value in found.items():
            np.testing.assert_allclose(value, before[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("folder", FORMATS, ids=lambda folder: folder.name)
def test_a_checkpoint_is_read(folder):
    tree, header = load_leaves(folder / "leaves.safetensors", make.LEAVES)
    assert header == {"step": 3, "best": float("inf")}
    assert tree["at"] == (2, 0.25)
    for name in ("weight", "count", "seen"):
        np.testing.assert_array_equal(tree[name], make.LEAVES[name])
        assert tree[name].dtype == make.LEAVES[name].dtype


def load_run_rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
