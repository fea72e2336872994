"""Answers that a run's folder keeps, and what its page and its article show of them."""

import argparse
import contextlib
import html
import io
import json
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape

from accounts import run as fitted_equation
from test_latex import NASTY
from test_report import Page
from unweave import plots
from unweave._files import write_whole
from unweave.cli import main
from unweave.cli._attack import ATTACKS
from unweave.cli._detect import DETECTORS
from unweave.cli._parser_questions import _METHODS
from unweave.cli._progress import progress
from unweave.report import Answer, keep, kept, picture, write_article, write_run_report
from unweave.report._citations import bibtex
from unweave.report._tools import _SENTENCES, keys_of_tools, sentences_of
from unweave.report._words import typeset
from unweave.run import load_run

pytestmark = pytest.mark.usefixtures("own_folder")


def waves():
    """Series of two kinds, as a file of UCR's, and the two numbers that made each."""
    rng = np.random.default_rng(0)
    known = np.column_stack([rng.uniform(0.5, 2, 240), rng.uniform(0, 1, 240)])
    time = np.linspace(0, 6, 24)
    x = known[:, :1] * np.sin(time) + known[:, 1:] * np.cos(2 * time)
    kinds = (known[:, 1] > 0.5).astype(float)
    np.savetxt("waves.txt", np.column_stack([kinds, x + 0.05 * rng.normal(size=x.shape)]))
    pd.DataFrame(known, columns=["height", "<b>shape</b>"]).to_csv("known.csv", index=False)


def new_run(out, *words):
    """A run of a closed form, whose data the verbs can read again."""
    waves()
    fitted = ("fit", "pca", "waves.txt", "--latents", "3", "--out", out)
    assert main([*fitted, "--no-report", "--quiet", *words]) == 0


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A run of which every tool was asked, and what each printed as an object."""
    folder, found = tmp_path_factory.mktemp("asked"), {}
    questions = {
        "explain": ("pca", "--orders", "5"),
        "sensitivity": ("pca", "--target", "output:10,0"),
        "attack": ("pca", "--attacks", "pgd", "-n", "5"),
        "detect": ("waves.txt", "pca", "mean", "--normal", "waves.txt", "--normal-class", "0",
                   "--false-alarms", "0.1"),
        "disentangle": ("pca", "--permutations", "1", "--factors", "known.csv"),
        "bound": ("pca",),
    }  # fmt: skip
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNWEAVE_CACHE", "")
        with contextlib.redirect_stdout(io.StringIO()):
            new_run("pca")
        for name, words in questions.items():
            verb = "explain" if name == "sensitivity" else name
            page = () if name == "bound" else ("--no-report",)
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                assert main([verb, *words, *page, "--json"]) == 0
            found[name] = json.loads(out.getvalue())
    return folder, found


def test_every_answer_has_a_section_with_its_words_and_its_figure(asked):
    folder, found = asked
    text = (folder / "pca" / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith(("#", "data:", "report-figures/")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert not re.search(r"(src|href)=\"https?:", text)
    assert found["explain"]["reports"] == []
    assert found["bound"]["reports"] == ["pca/report.html"]
    for name, result in found.items():
        (file,) = result["answers"]
        words = json.loads((folder / file).read_text())
        part = text[text.index(f'<article id="{Path(file).stem}">') :].partition("</article>")[0]
        for sentence in (words["question"], *words["sentences"]):
            assert str(escape(typeset(sentence))) in part
        assert part.count("<svg") == len(words["figures"]) == (
            {"attack": 2}.get(name, 1)
        )  # fmt: skip
        assert "<table>" in part
        for one in words["figures"]:
            assert len(pd.read_csv(folder / "pca" / "questions" / f"{one['file']}.csv")) > 1
    assert "<b>shape" not in text
    for paper in ("sundararajan2017", "madry2018", "bates2023", "chen2018", "clopper1934"):
        assert f"{{{paper},\n" in html.unescape(text)


def test_the_kept_numbers_are_those_of_the_figure(asked):
    folder, found = asked
    explained = found["explain"]
    (file,) = explained["answers"]
    table = pd.read_csv(folder / file.replace(".json", ".csv"))
    np.testing.assert_allclose(
        table.iloc[:, 2], np.asarray(explained["values"])[:, 0], rtol=1e-6, atol=1e-12
    )
    curve = pd.read_csv(folder / found["attack"]["answers"][0].replace(".json", "-2.csv"))
    middle = [one["median_after"] for one in found["attack"]["curve"]]
    np.testing.assert_allclose(curve["middle"][1:], middle, rtol=1e-6)


def test_a_question_asked_twice_is_there_once(unweave, tmp_path):
    new_run("pca")
    for confidence in ("0.9", "0.90", "0.8"):
        text = unweave("bound", "pca", "--confidence", confidence)
        assert text.endswith("report: pca/report.html\n")
    page = (tmp_path / "pca" / "report.html").read_text()
    assert page.count("<article") == 2
    assert page.count("What is promised of it, with 90 % confidence?") == 2  # in the list, too
    assert "unweave bound pca --confidence 0.90" in page
    # another model in the same folder was asked nothing
    new_run("pca", "--seed", "1", "--force")
    assert kept(load_run("pca")) == ((), ())
    assert list((tmp_path / "pca" / "questions").iterdir()) == []


def test_a_folder_that_cannot_be_written_costs_no_answer(unweave, tmp_path):
    new_run("pca")
    (tmp_path / "pca" / "questions").write_text("in the way")
    (tmp_path / "pca" / "explanation.svg").mkdir()
    words = ("explain", "pca", "--target", "output:10,0")
    text = unweave(*words)
    assert "for one spread of a latent it changes by" in text
    assert "figure:" not in text
    assert text.endswith("the answer is not kept.\n")
    found = json.loads(unweave(*words, "--json"))
    assert found["answers"] == found["reports"] == []
    assert "pca cannot be written" in found["not_kept"][0]
    assert found["output"] is None


def hostile(run):
    figure = plots.shares(np.eye(2), rows=(NASTY, "b"), columns=("a", NASTY), title=NASTY)
    drawn = picture(run, figure, NASTY, {NASTY: ["=1+1", NASTY], "b": [1.0, np.nan]})
    row = (NASTY, "1", "± 0.1", "9", NASTY)
    return Answer(
        "explain", NASTY, (NASTY, "<script>alert(1)</script>"), {"a": NASTY}, (NASTY,), (row,),
        (drawn,), ("lime", "order"), f"unweave explain '{NASTY}'", {"x": np.inf},
    )  # fmt: skip


@pytest.fixture
def equation_run(tmp_path):
    (tmp_path / "fit").mkdir()
    base = fitted_equation()
    return replace(
        base, folder=tmp_path / "fit", result={**base.result, "model_hash": "one", "run": "fit"}
    )


def test_what_users_write_stays_text(equation_run, tmp_path):
    path = keep(equation_run, hostile(equation_run))
    assert json.loads(path.read_text())["result"] == {"x": None}
    text = write_run_report(equation_run).read_text()
    page = Page(text)
    assert page.open == []
    assert "<script>alert" not in text
    assert "<d>" not in text
    article = write_article(tmp_path / "article", equation_run).read_text()
    assert r"\input{secret}" not in article
    assert r"\cite{ribeiro2016}" in article
    assert "ribeiro2016," in (tmp_path / "article" / "references.bib").read_text()
    pictures = re.findall(r"\{(figures/explain-[0-9a-f]+-1\.pdf)\}", article)
    assert len(pictures) == 1
    assert (tmp_path / "article" / pictures[0]).read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    "inside",
    [
        '<script>alert(1)</script>', '<path onload="alert(1)"/>', '<foreignObject/>',
        '<image href="https://example.org/a.png"/>', '<style>*{display: none}</style>',
        '<g style="fill:url(https://example.org)"/>', "<unclosed>",
    ],
)  # fmt: skip
def test_a_figure_from_elsewhere_is_not_trusted(equation_run, inside):
    answer = hostile(equation_run)
    svg = f'<svg xmlns="http://www.w3.org/2000/svg">{inside}</svg>'
    drawn = replace(answer.pictures[0], svg=svg)
    keep(equation_run, replace(answer, pictures=(drawn,)))
    ((one,), notes) = kept(equation_run)
    assert notes == ()
    assert one.pictures == ()
    assert "missing or not the one that was drawn" in one.warnings[-1]


def test_what_is_broken_or_of_another_model_is_left_out(equation_run):
    answer = hostile(equation_run)
    path = keep(equation_run, answer)
    path.with_suffix(".svg").write_text("<svg/>")
    assert kept(equation_run)[0][0].pictures == ()
    path.with_name("explain-0.json").write_text('{"model": "one"')
    path.with_name("explain-1.json").write_text('{"model": "one"}')
    answers, notes = kept(equation_run)
    assert len(answers) == 1
    assert [note.split()[0] for note in notes] == [
        "questions/explain-0.json", "questions/explain-1.json",
    ]  # fmt: skip
    assert "questions/explain-0.json cannot be read" in write_run_report(equation_run).read_text()
    other = replace(equation_run, result={**equation_run.result, "model_hash": "two"})
    assert kept(other)[0] == ()
    assert "<article" not in write_run_report(other).read_text()


def test_a_crash_between_figure_and_words_leaves_no_wrong_figure(equation_run, monkeypatch):
    answer = hostile(equation_run)
    path = keep(equation_run, answer)
    other = picture(equation_run, plots.shares(np.ones((1, 1)), rows=("a",), columns=("b",)), "b",
                    {"a": [1.0]})  # fmt: skip

    def cut_off(path, pieces):
        if path.suffix == ".json":
            raise KeyboardInterrupt
        write_whole(path, pieces)

    monkeypatch.setattr("unweave.report._answers.write_whole", cut_off)
    with pytest.raises(KeyboardInterrupt):
        keep(equation_run, replace(answer, pictures=(other,)))
    ((one,), _) = kept(equation_run)
    assert one.pictures == ()
    assert {p.suffix for p in path.parent.iterdir()} == {".json", ".svg", ".csv", ".pdf"}


def test_every_method_has_its_sentence_and_its_papers():
    for name, papers in zip(_SENTENCES, map(keys_of_tools, zip(_SENTENCES)), strict=True):
        (sentence,) = sentences_of([name])
        assert sentence.endswith(".")
        assert "{" not in sentence
        assert len(bibtex(papers)) == len(papers)
    assert sentences_of(["MIG", "MIG", "no such thing"]) == [
        "MIG compares the two latents that know most of a factor (Chen et al. 2018)."
    ]
    assert "(Spearman 1910; Brown 1910)" in sentences_of(["reliability"])[0]
    assert "(Clopper and Pearson 1934)" in sentences_of(["exact-interval"])[0]
    known = set(_SENTENCES)
    assert set(_METHODS) <= known
    assert {make().name.split("-")[0] for make in ATTACKS.values()} <= known
    # the distance to the mean is nobody's
    assert {word.removeprefix("shape-") for word in DETECTORS} - known == {"mean"}


def test_an_answer_s_rows_and_columns_fit(equation_run):
    with pytest.raises(ValueError, match="give 5: measure, value, spread"):
        Answer("explain", "?", (), {}, rows=(("a", "b"),))
    figure = plots.shares(np.eye(2), rows="ab", columns="ab")
    with pytest.raises(ValueError, match="differ in length"):
        picture(equation_run, figure, "", {"a": [1], "b": [1, 2]})


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("quiet", "terminal"), [(False, True), (True, True), (False, False)])
def test_what_takes_long_says_so_on_a_terminal(quiet, terminal, monkeypatch):
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    options = argparse.Namespace(quiet=quiet, json=False)
    with progress(options, "reading", patience=0.0, pace=0.001) as say:
        for step in ("reading", "scoring"):
            say(step)
            until = time.monotonic() + 5
            while step not in stream.getvalue() and not quiet and terminal:
                assert time.monotonic() < until
    written = stream.getvalue()
    if quiet or not terminal:
        assert written == ""
    else:
        assert "\rreading … 0 s" in written
        assert written.endswith("\r\x1b[K")
    with progress(options, "quick"):
        pass
    assert stream.getvalue() == written
