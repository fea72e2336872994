"""Every verb, as the command line runs it, and what it says when it cannot."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jaxtyping
import numpy as np
import pandas as pd
import pytest

from models import PRICES, prices_file
from unweave._version import __version__
from unweave.cli import main
from unweave.recipes import OF_TEXT, RECIPES
from unweave.run import load_run

pytestmark = pytest.mark.usefixtures("own_folder")

BEATS = ("heartbeats", "--samples", "32")
SMALL = ("--latents", "2", "--widths", "16", "--epochs", "2", "--quiet")
FITTED = {
    "recipe", "run", "seed", "n_train", "n_test", "latents", "epochs", "seconds",
    "explained_variance", "log_density", "density_kind", "kl_per_latent", "active_latents",
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of fitted runs, for verbs that only read them."""
    folder = tmp_path_factory.mktemp("runs")
    before = os.environ.get("UNWEAVE_CACHE")
    os.environ["UNWEAVE_CACHE"] = ""
    commands = {
        "beats": ("vae", *BEATS, *SMALL),
        "digits": ("vae", "digits", *SMALL),
        "mixture": ("gaussian-mixture", *BEATS, "--latents", "2", "--quiet"),
        "prices": ("pca", prices_file(folder), *PRICES, "--latents", "2", "--quiet"),
    }
    for name, words in commands.items():
        assert main(["fit", *words, "--out", str(folder / name), "--no-report"]) == 0
    if before is not None:
        os.environ["UNWEAVE_CACHE"] = before
    return folder


def only_json(text):
    """The one JSON object that is all of the text."""
    assert len(text.splitlines()) == 1
    result = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert isinstance(result, dict)
    return result


def test_fit_prints_one_object_and_leaves_a_run(unweave, tmp_path):
    result = only_json(unweave("fit", "vae", *BEATS, *SMALL, "--out", "run", "--json"))
    assert set(result) >= FITTED
    assert (result["recipe"], result["run"], result["seed"]) == ("vae", "run", 0)
    assert (result["latents"], result["epochs"], result["density_kind"]) == (2, 2, "bound")
    assert len(result["kl_per_latent"]) == 2
    assert result["n_train"] > result["n_test"] > 0
    names = {"run.toml", "model.safetensors", "metrics.jsonl", "result.json", "report.html"}
    assert names <= {path.name for path in (tmp_path / "run").iterdir()}
    assert Path(result["report"]).read_text().startswith("<!DOCTYPE html>")
    saved = json.loads((tmp_path / "run" / "result.json").read_text())
    assert saved["explained_variance"] == result["explained_variance"]


def test_fit_says_in_words_what_it_found(unweave, tmp_path):
    text = unweave("fit", "pca", *BEATS, "--latents", "2", "--quiet", "--no-report")
    explained = load_run("runs/pca-heartbeats").result["explained_variance"]
    assert f"explains {100 * explained:.2f} % of the held-out variance" in text
    assert "run: runs/pca-heartbeats" in text
    # a second run goes beside the first
    text = unweave("fit", "pca", *BEATS, "--latents", "2", "--quiet", "--no-report")
    assert "run: runs/pca-heartbeats-2" in text


def test_options_go_before_and_after_the_data(unweave):
    before = unweave("fit", "pca", "--latents", "3", "--samples", "32", "heartbeats", "--out", "a",
                     "--no-report", "--json")  # fmt: skip
    after = unweave("fit", "pca", "heartbeats", "--out", "b", "--no-report", "--latents", "3",
                    "--json", "--samples", "32")  # fmt: skip
    before, after = only_json(before), only_json(after)
    assert before["latents"] == after["latents"] == 3
    assert before["explained_variance"] == after["explained_variance"]
    assert Path("a/model.safetensors").read_bytes() == Path("b/model.safetensors").read_bytes()


def test_settings_repeat_a_run(unweave, runs):
    first = runs / "beats"
    unweave("fit", "--from", first / "run.toml", "--out", "again", "--quiet", "--no-report")
    for name in ("model.safetensors", "metrics.jsonl", "run.toml"):
        assert (first / name).read_bytes() == Path("again", name).read_bytes(), name
    # with one thing changed, by an option of the recipe and with a value that follows it
    unweave("fit", "--from", first / "run.toml", "--epochs", "1", "--out", "less", "--quiet",
            "--no-report")  # fmt: skip
    assert load_run("less").settings["options"]["epochs"] == 1
    assert load_run("less").settings["data"] == load_run(first).settings["data"]


def test_settings_are_repeated_on_other_data(unweave, runs):
    unweave("fit", "--from", runs / "digits" / "run.toml", *BEATS, "--epochs", "1", "--out", "run",
            "--quiet", "--no-report")  # fmt: skip
    run = load_run("run")
    assert run.settings["recipe"] == "vae"
    assert run.settings["data"]["paths"] == ["heartbeats"]
    assert run.schema.shape == (32, 1)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_options_that_do_not_collide(name, unweave, refused):
    text = unweave("fit", name, "--help")
    assert f"options of {name}" in text
    option = next(o for o in ("--starts", "--latents", "--epochs") if f"{o} " in text)
    assert option in text
    # the data are only looked for once all options were understood
    said = (name, "zoo:logistic") if name in OF_TEXT else (name,)
    said = said[1:] if name == "equation" else said
    assert "there is no file" in refused("fit", *said, "nothing.csv", option, "3")


def test_flags_of_a_recipe(unweave):
    words = ("--of-samples", "--no-convolutional", "--noise", "laplace", "--off-diagonal", "2.5")
    unweave("fit", "dip-vae", *BEATS, *SMALL, *words, "--out", "run", "--no-report")
    options = load_run("run").settings["options"]
    assert options["of_samples"] is True
    assert options["convolutional"] is False
    assert (options["noise"], options["off_diagonal"]) == ("laplace", 2.5)
    unweave("fit", "--from", "run/run.toml", "--out", "again", "--quiet", "--no-report")
    assert (
        Path("run/model.safetensors").read_bytes() == Path("again/model.safetensors").read_bytes()
    )


def test_recipes_are_listed(unweave):
    assert set(only_json(unweave("recipes", "--json"))["recipes"]) == set(RECIPES)
    assert "beta-vae" in unweave("recipes")


def test_look_reads_and_fits_nothing(unweave, tmp_path):
    result = only_json(unweave("look", "digits", "--json"))
    assert (result["n"], result["shape"], result["kind"]) == (1797, [8, 8, 1], "images")
    assert result["n_train"] + result["n_validation"] + result["n_test"] == 1797
    assert "1797 images of 8 rows × 8 columns × 1 channels" in unweave("look", "digits")
    assert list(tmp_path.iterdir()) == []


def test_samples_are_in_the_units_of_the_data(unweave, runs):
    result = only_json(unweave("sample", runs / "beats", "-n", 5, "-o", "s.csv", "--json"))
    assert result == {"run": str(runs / "beats"), "n": 5, "output": "s.csv", "seed": 0}
    table = pd.read_csv("s.csv")
    assert len(table) == 5 * 32
    unweave("sample", runs / "beats", "-n", 500, "-o", "s.npy")
    x = np.load("s.npy")
    assert x.shape == (500, 32, 1)
    # heartbeats in millivolts: an R wave at 0 s of the window, after 0.25 of its 0.7 s
    mean = x.mean(0)[:, 0]
    assert int(mean.argmax()) == pytest.approx(0.25 / 0.7 * 32, abs=1)
    assert 0.5 < mean.max() < 2


@pytest.mark.parametrize("name", ["s.csv", "s.tsv", "s.npy", "s.npz", "s.parquet"])
def test_samples_in_every_format(name, unweave, runs):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    Path(name).write_text("mine")
    unweave("sample", runs / "mixture", "-n", 3, "-o", name, "--force")
    assert Path(name).stat().st_size > 100


def test_samples_follow_their_seed(unweave, runs):
    for name, seed in (("a.npy", 1), ("b.npy", 1), ("c.npy", 2)):
        unweave("sample", runs / "beats", "-n", 3, "-o", name, "--seed", seed)
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))
    assert not np.array_equal(np.load("a.npy"), np.load("c.npy"))
    unweave("sample", runs / "beats", "-n", 3, "-o", "d.npy", "--seed", 1, "--no-noise")
    rough, smooth = (np.abs(np.diff(np.load(f), axis=1)).mean() for f in ("a.npy", "d.npy"))
    assert smooth < rough


def test_samples_of_returns_are_prices(unweave, runs):
    unweave("sample", runs / "prices", "-n", 200, "-o", "s.npy")
    prices = np.load("s.npy")
    assert prices.shape == (200, 20, 1)
    run = load_run(runs / "prices")
    closes = pd.read_csv(runs / "prices.csv")["close"].to_numpy()
    # each begins one step of a thousandth from the last price that was trained on
    last = run.schema.reference[0][0]
    assert np.abs(closes - last).min() < 0.01
    np.testing.assert_allclose(prices[:, 0, 0], last, rtol=6e-3)
    assert (prices > 0).all()
    np.testing.assert_allclose(np.log(prices[:, -1, 0] / last).std(), 1e-3 * 20**0.5, rtol=0.3)


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        ("sample", "samples.csv"),
        ("traverse", "traversal.svg"),
        ("interpolate", "interpolation.svg"),
        ("reconstruct", "reconstructions.svg"),
        ("encode", "codes.csv"),
        ("report", "report.html"),
    ],
)
def test_what_a_verb_writes_goes_into_the_run(verb, name, unweave, runs):
    path = runs / "digits" / name
    path.unlink(missing_ok=True)
    result = only_json(unweave(verb, runs / "digits", "--json"))
    assert (result["run"], result["output"]) == (str(runs / "digits"), str(path))
    assert path.stat().st_size > 100
    # the run's own files are made anew without a question
    assert str(path) in unweave(verb, runs / "digits")


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["traverse", "interpolate", "reconstruct"])
@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_figures_in_every_format(verb, kind, unweave, runs):
    unweave(verb, runs / "beats", "-o", f"figure.{kind}")
    start = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[kind]
    assert Path(f"figure.{kind}").read_bytes().startswith(start)


def test_a_report_of_every_kind_of_model(unweave, runs):
    for name in ("beats", "mixture", "prices"):
        unweave("report", runs / name, "-o", f"{name}.html")
        assert "<svg" in Path(f"{name}.html").read_text()


def test_codes_name_the_records(unweave, runs):
    result = only_json(unweave("encode", runs / "beats", "-o", "codes.csv", "--json"))
    table = pd.read_csv("codes.csv")
    assert list(table.columns) == ["record", "start", "z1", "z2"]
    kept = load_run(runs / "beats").result
    # all of the data: the gaps of a split lose nothing here
    assert len(table) == result["n"] >= kept["n_train"] + kept["n_validation"] + kept["n_test"]
    assert "patient 1" in set(table["record"])
    unweave("encode", runs / "prices", runs / "prices.csv", "-o", "codes.npy")
    assert np.load("codes.npy").shape == (49, 2)


def test_a_run_goes_on(unweave, runs, refused):
    unweave("fit", "vae", *BEATS, *SMALL, "--out", "run", "--no-report")
    assert "already holds a run" in refused("fit", "vae", *BEATS, *SMALL, "--out", "run")
    unweave("fit", "--resume", "run", "--quiet", "--no-report")
    unweave("fit", "vae", *BEATS, *SMALL, "--resume", "run", "--no-report")
    unweave("fit", "vae", *BEATS, *SMALL, "--out", "run", "--no-report", "--force")
    for name in ("model.safetensors", "metrics.jsonl"):
        assert Path("run", name).read_bytes() == (runs / "beats" / name).read_bytes()


WRONG = {
    "fit": "no recipe was named",
    "fit nope heartbeats": "'nope' is no recipe; there are vae, beta-vae,",
    "fit vae": "no data were named",
    "fit vae nothing.csv": "there is no file 'nothing.csv'",
    "fit vae heartbeats --foo 3": "unrecognized arguments: --foo",
    "fit vae heartbeats --latents many": "invalid int value: 'many'",
    "fit vae heartbeats --latents 0": "0 ",
    "fit vae heartbeats --epochs 0": "epochs is 0; give at least 1",
    "fit vae heartbeats --batch 0": "batch is 0; give at least 1",
    "fit vae heartbeats --widths a,b": "'a,b' is no list of whole numbers",
    "fit vae heartbeats --noise loud": "invalid choice: 'loud'",
    "fit vae heartbeats --kind bad": "'bad' is no kind; there are beats, windows",
    "fit vae heartbeats --kind windows": "windows need a length in samples; give --length",
    "fit vae heartbeats --split odd": "'odd' is no split",
    "fit vae heartbeats --test 2": "test is 2.0; give a share",
    "fit vae prices.csv --kind windows --length 20 --columns open": "open",
    "fit vae prices.csv --kind windows --length 20 --time when": "when",
    "fit vae prices.csv --kind windows --length 9999": "no window of 9999 samples fits",
    "fit pca heartbeats --epochs 3": "unrecognized arguments: --epochs",
    "fit --resume nowhere": "run.toml",
    "fit --resume a --out b": "run.toml",
    "fit --from nowhere.toml": "nowhere.toml: No such file or directory",
    "fit --from prices.csv": "prices.csv is not a run's settings",
    "look": "the following arguments are required: data",
    "look nothing.csv": "there is no file 'nothing.csv'",
    "sample nowhere": "nowhere holds no run",
    "nope": "invalid choice: 'nope'",
    "recipes --foo": "unrecognized arguments: --foo",
}


@pytest.mark.parametrize("command", WRONG)
def test_what_is_wrong_is_said_in_a_line(command, refused, tmp_path):
    prices_file(tmp_path)
    assert WRONG[command] in refused(*command.split())
    assert [path.name for path in tmp_path.iterdir()] == ["prices.csv"]


WRONG_OF_A_RUN = {
    "sample {beats} -n 0": "0 samples were asked for",
    "sample {beats} -n many": "invalid int value",
    "sample {beats} -o s.doc": "'.doc' is no format",
    "sample {beats} -o there.csv": "there.csv exists; give another -o, or --force",
    "sample {beats} -o folder/s.csv": "make it: mkdir -p folder",
    "traverse {beats} --steps 1": "1 steps make no walk",
    "traverse {beats} --low 3 --high -3": "goes nowhere",
    "traverse {beats} -o t.doc": "cannot be written as 't.doc'",
    "traverse {mixture}": "traverse needs a model with a decoder",
    "interpolate {beats} --between 0 999": "--between 0 999 is out of range",
    "interpolate {mixture}": "interpolate needs a model with an encoder",
    "reconstruct {beats} -n 0": "0 reconstructions were asked for",
    "reconstruct {mixture}": "reconstruct needs a model with",
    "encode {mixture}": "encode needs a model with an encoder",
    "encode {beats} digits": "the observations have shape (8, 8, 1)",
    "fit --resume {beats} --epochs 9": "was begun with epochs 2, not 9",
    "fit pca --resume {beats}": "holds a run of vae, not of pca",
    "fit --resume {beats} --out other": "leave --out out",
    "fit pca digits --out {beats}": "already holds a run",
}


@pytest.fixture
def unchecked():
    """Without the types checked at every call, which would speak before the sentences do."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("command", WRONG_OF_A_RUN)
def test_what_a_run_cannot_is_said_in_a_line(command, refused, runs, tmp_path):
    (tmp_path / "there.csv").write_text("mine")
    words = [word.format(**{r: runs / r for r in ("beats", "mixture")}) for word in command.split()]
    assert WRONG_OF_A_RUN[command] in refused(*words)
    assert (tmp_path / "there.csv").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["there.csv"]


def test_an_error_is_an_object_too(capsys):
    assert main(["fit", "nope", "--json"]) == 2
    printed = capsys.readouterr()
    error = only_json(printed.out)["error"]
    assert error.startswith("'nope' is no recipe")
    assert printed.err == f"unweave: {error}\n"


def test_a_fit_that_diverges_says_so(refused):
    words = ("--latents", "2", "--widths", "16", "--epochs", "2", "--quiet")
    sentence = refused("fit", "vae", *BEATS, *words, "--learning-rate", "1e9", "--out", "run")
    assert "the loss was not finite" in sentence
    assert Path("run/model.safetensors").exists()


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["sample", "--help"], []])
def test_help_does_not_load_jax(words):
    program = (
        "import sys\n"
        "from unweave.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit:\n"
        "    pass\n"
        "heavy = {'jax', 'numpy', 'matplotlib', 'pandas', 'equinox'} & set(sys.modules)\n"
        "sys.exit(f'loaded {sorted(heavy)}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (__version__ if words == ["--version"] else "usage: unweave") in done.stdout
