"""What is written of a card: groups, marks, figures with their numbers, methods, an article."""

import csv
import io
import re
from dataclasses import replace

import numpy as np
import pytest

from test_latex import NASTY, compiled
from unweave import plots
from unweave.card import Card, Entry, Line, markdown, table, write_card, write_card_article
from unweave.card._groups import MEANING, best_of, groups_of
from unweave.card._methods import methods_of, references_of
from unweave.card._page import render
from unweave.card._pictures import drawn_of
from unweave.card._purposes import Purpose
from unweave.card._tables import overview_of, sections_of

# title, unit, which is better, group
MEASURES = {
    "repeated": ("error of a second measurement", "mV", "lower", "accuracy"),
    "error": ("held-out error", "mV", "lower", "accuracy"),
    "explained_variance": ("explained variance", "", "higher", "accuracy"),
    "log_density": ("log-density", "nats per observation", "higher", "accuracy"),
    "imputation": ("error on hidden values", "mV", "lower", "accuracy"),
    "identified": ("parameters identified", "", "higher", "interpretable"),
    "agreement": ("agreement of seeds (UDR)", "", "higher", "interpretable"),
    "labels": ("labels used", "", "lower", "supervision"),
    "reuse": ("error elsewhere, relative", "", "lower", "reuse"),
    "told_apart": ("samples told apart", "", "lower", "generation"),
    "arrives": ("set latents arrive", "", "higher", "manipulation"),
    "interval": ("coverage of 90 % intervals", "", "neither", "guarantee"),
    "worst_case": ("error in the worst case", "", "lower", "robustness"),
    "seconds": ("time to fit", "s", "lower", "cost"),
    "memory": ("memory to fit", "MB", "lower", "cost"),
}
NAMES = ("zoo:ecg", "beta-vae:latents=10,epochs=50", "flow", "mean", "autoregression")
RECIPES = dict(zip(NAMES, ("equation", "beta-vae", "flow", "mean", "autoregression"), strict=True))


def entry(*values, kind=""):
    return Entry(
        float(np.median(values)), min(values), max(values), len(values), 40, kind, tuple(values)
    )


def line(row, entries, **more):
    title, unit, better, group = MEASURES[row]
    found = {name: entries.get(name) for name in NAMES}
    return replace(Line(row, title, unit, better, 1, 1.0, 140, False, found, group), **more)


def card(**more):
    """Every measure for all but the last recipe, which has an error for none but the whole."""
    rng = np.random.default_rng(0)
    lines = [
        line(name, {n: entry(*rng.uniform(0.5, 1, size=5), kind="exact" * (name == "log_density"))
                    for n in NAMES[:4]})
        for name in MEASURES
    ]  # fmt: skip
    curve = [
        line("error", {n: entry(*rng.uniform(0.5, 1, size=5)) for n in NAMES[:4]}, name="curve",
             share=share, size=round(140 * share), curve=True, group="data needed")
        for share in (0.25, 1.0)
    ]  # fmt: skip
    given = Card(
        "heartbeats", "At random: 200 observations.", "beats", 40, 5, "training observations",
        NAMES, NAMES[3:], (*lines, *curve), ("zoo:ecg is ahead.",), ("A note.",), recipes=RECIPES,
    )  # fmt: skip
    return replace(given, **more)


# groups and marks


def test_rows_stand_under_the_headings_that_they_name_in_the_card_s_order():
    groups = groups_of(card())
    assert [group.name for group in groups] == list(MEANING)
    for group in groups:
        assert group.meaning.endswith(".")
        names = {line.name for line in group.lines} - {"curve"}
        assert names == {name for name, row in MEASURES.items() if row[3] == group.name}
    needed = groups[list(MEANING).index("data needed")]
    assert [line.size for line in needed.tables[0]] == [35, 140]
    # of a curve, the number with the least data stands for the group
    assert needed.chief.size == 35


def test_what_no_recipe_has_is_left_out():
    given = card()
    kept = {"repeated", "explained_variance", "seconds", "curve"}
    bare = [
        one if one.name in kept else replace(one, entries=dict.fromkeys(NAMES))
        for one in given.lines
    ]
    few = replace(given, lines=tuple(bare))
    assert [group.name for group in groups_of(few)] == ["accuracy", "data needed", "cost"]
    for written in (table(few), markdown(few), render(few, figures=())):
        assert "explained" in written
        assert "log-density" not in written
        assert "Robustness" not in written
    alone = replace(given, lines=given.lines[:2])
    assert overview_of(alone) is None
    assert "Overview" not in render(alone, figures=())


def test_a_group_of_the_user_s_own_comes_last():
    own = line("labels", {"flow": entry(1.0)}, name="own", title="my measure", group="my <group>")
    given = card()
    groups = groups_of(replace(given, lines=(own, *given.lines)))
    assert (groups[-1].name, groups[-1].title, groups[-1].meaning) == (
        "my <group>", "My <group>", "",
    )  # fmt: skip
    assert "My &lt;group&gt;" in render(replace(given, lines=(own, *given.lines)), figures=())


@pytest.mark.parametrize(
    ("name", "entries", "best"),
    [
        ("error", {"zoo:ecg": entry(0.2), "flow": entry(0.1), "mean": entry(0.3)}, {"flow"}),
        ("reuse", {"zoo:ecg": entry(2.0), "flow": entry(1.0)}, {"flow"}),
        ("arrives", {"zoo:ecg": entry(2.0), "flow": entry(1.0)}, {"zoo:ecg"}),
        # a baseline is no exception, and nobody sees the eighth digit
        ("error", {"flow": entry(0.1), "mean": entry(0.1 + 1e-9), "zoo:ecg": entry(1.0)},
         {"flow", "mean"}),
        # where all are the same, or alone, or neither end is better, none is best
        ("labels", {"flow": entry(0.0), "mean": entry(0.0)}, set()),
        ("error", {"flow": entry(0.1)}, set()),
        ("interval", {"flow": entry(0.1), "mean": entry(0.2)}, set()),
        ("error", {}, set()),
        # kinds of log-densities do not compare, and an unknown constant compares with nothing
        ("log_density", {"flow": entry(5.0, kind="exact"), "mean": entry(1.0, kind="exact"),
                         "zoo:ecg": entry(9.0, kind="bound")}, {"flow"}),
        ("log_density", {"flow": entry(5.0, kind="unnormalised"),
                         "mean": entry(1.0, kind="unnormalised")}, set()),
    ],
)  # fmt: skip
def test_the_best_is_marked(name, entries, best):
    given = line(name, entries)
    whole = card(lines=(given, line("seconds", {"flow": entry(1.0)})))
    assert best_of(whole, given) == best
    if entries:
        for written in (table(whole), markdown(whole)):
            assert len(re.findall(r"[\d.a-z] ★(?! the best of)", written)) == 2 * len(best)
        # the mark is a sign with a name, in the overview and in the group
        assert render(whole, figures=()).count('aria-label="best"') == 2 * len(best)


def test_ties_are_marked_where_the_card_tells_of_them():
    medians = {"zoo:ecg": entry(0.2), "flow": entry(0.1), "mean": entry(0.15)}
    whole, curve = line("repeated", medians), line("interval", medians)
    part = line("repeated", medians, name="curve", share=0.25, size=35, curve=True)
    told = (
        Purpose("to describe what was not seen", "repeated", "tie", "mean", ("flow", "mean"), ""),
        Purpose("with 35 training observations", "repeated", "ahead", "zoo:ecg", ("zoo:ecg",), ""),
        Purpose("to trust its 90 % intervals", "interval", "ahead", "mean", ("mean",), ""),
        Purpose("elsewhere", "reuse", "not enough", None, ("mean",), ""),
    )
    given = card(purposes=told)
    assert best_of(given, whole) == {"flow", "mean"}
    assert best_of(given, part) == {"zoo:ecg"}
    # all of the data is the measure itself; of a part between nothing was told
    assert best_of(given, replace(part, share=1.0, size=140)) == {"flow", "mean"}
    assert best_of(given, replace(part, share=0.5, size=70)) == {"flow"}
    assert best_of(given, curve) == {"mean"}
    assert best_of(given, line("reuse", medians)) == {"flow"}


def test_the_overview_has_the_first_number_of_each_group():
    given = card()
    overview = overview_of(given)
    assert overview is not None
    assert [title for title, _ in overview.heads] == [group.title for group in groups_of(given)]
    for column, group in enumerate(groups_of(given)):
        for (name, cells), recipe in zip(overview.rows, NAMES, strict=True):
            found = group.chief.entries[recipe]
            assert name.startswith(recipe)
            assert (cells[column].text == "—") == (found is None)
            if found is not None:
                assert cells[column].text == f"{found.median:.4g}"


# text


def test_the_table_fits_a_terminal():
    long = "beta-vae:latents=10,epochs=50,widths=128,64,32,learning_rate=0.001,name_without_any_end"
    given = card()
    renamed = tuple(
        replace(one, entries={long if n == "flow" else n: e for n, e in one.entries.items()})
        for one in given.lines
    )
    whole = replace(given, lines=renamed, names=(long, *(n for n in NAMES if n != "flow")))
    text = table(whole)
    assert max(map(len, text.splitlines())) <= 100
    # every number is there: what did not fit stands below, beside the names again
    for section in sections_of(whole):
        for part in section.tables:
            for _, cells in part.rows:
                for cell in cells:
                    assert cell.text in text
                    assert cell.range in text
    joined = re.sub(r"\s", "", text)
    for piece in ("beta-vae:latents=10,", "learning_rate=0.001,", "name_without_any_end"):
        assert piece in joined
    assert table(given).index("zoo:ecg is ahead.") > table(given).index("COST")


def test_markdown_has_a_table_for_each_group():
    given = card()
    text = markdown(given)
    tables = [part for part in text.split("\n\n") if part.startswith("|")]
    assert len(tables) == 1 + sum(len(section.tables) for section in sections_of(given))
    for part in tables:
        lines = part.splitlines()
        assert len({one.count("|") for one in lines}) == 1
        assert len(lines) == 2 + len(NAMES)
    for section in sections_of(given):
        assert f"**{section.title}.** {section.meaning}" in text
    odd = replace(given, data="a|b", names=("a|b", *NAMES[1:]), lines=())
    assert "Medians of 5 seeds" in markdown(odd)


# figures


def test_the_figure_draws_every_seed():
    values = {"vae $x$": [0.3, 0.1, 0.2], "mean": [0.5, np.nan], "none": []}
    figure = plots.over_seeds(
        values, baselines=("mean",), label="held-out error", unit="mV", reference=0.9
    )
    axes = figure.axes[0]
    points = [one for one in axes.lines if one.get_marker() == "o"]
    assert [sorted(one.get_xdata()) for one in points] == [[0.1, 0.2, 0.3], [0.5]]
    assert [list(one.get_ydata()) for one in points] == [[0, 0, 0], [1]]
    assert points[0].get_color() != points[1].get_color() == plots.MUTED
    strokes = [one for one in axes.lines if one.get_marker() == "|"]
    assert [list(one.get_xdata()) for one in strokes] == [[0.2], [0.5]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["vae $x$", "mean", "none"]
    assert axes.get_xlabel() == "held-out error (mV)"
    assert 0.9 in [one.get_xdata()[0] for one in axes.lines]
    assert axes.get_xscale() == "linear"
    assert plots.svg(figure) == plots.svg(figure)
    far = plots.over_seeds({"a": [0.1], "b": [5.0]})
    assert far.axes[0].get_xscale() == "log"
    assert plots.over_seeds({"a": [-0.1], "b": [5.0]}).axes[0].get_xscale() == "linear"
    assert len(plots.over_seeds({}).axes[0].lines) == 0
    with pytest.raises(ValueError, match=r"'a' have shape \(1, 2\); give one number for each"):
        plots.over_seeds({"a": np.ones((1, 2))})


def test_each_figure_lies_beside_the_page_with_its_numbers(tmp_path):
    given = card()
    page = write_card(given, tmp_path).read_text()
    figures = {one.name: one for one in drawn_of(given)}
    assert set(figures) == {"repeated", "curve", "told_apart", "interval"}
    for name in figures:
        assert f'href="figures/{name}.csv"' in page
        assert f'href="figures/{name}.svg"' in page
        assert (tmp_path / f"figures/{name}.svg").read_text().startswith("<?xml")
        assert (tmp_path / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF")
    for link in re.findall(r'href="([^"#]+)"', page):
        assert (tmp_path / link).is_file(), link
    for anchor in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{anchor}"' in page
    rows = list(csv.DictReader(io.StringIO((tmp_path / "figures/repeated.csv").read_text())))
    expected = [(n, v) for n in NAMES[:4] for v in given.lines[0].entries[n].values]
    assert [
        (row["recipe"], float(row["error of a second measurement (mV)"])) for row in rows
    ] == expected
    assert {row["recipe"] for row in rows if row["baseline"] == "True"} == {"mean"}
    rows = list(csv.DictReader(io.StringIO((tmp_path / "figures/curve.csv").read_text())))
    sizes = {int(row["training observations"]) for row in rows}
    assert (len(rows), sizes) == (8, {35, 140})
    first = given.curves[0].entries["zoo:ecg"]
    assert [float(rows[0][head]) for head in ("held-out error (mV)", "smallest", "largest")] == [
        first.median, first.low, first.high,
    ]  # fmt: skip


def test_the_same_card_is_written_in_the_same_bytes(tmp_path):
    for folder in ("one", "two"):
        write_card(card(), tmp_path / folder)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 6 + 3 * 4
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


# methods


def test_methods_are_those_that_were_used_and_no_others():
    given = card()
    words = methods_of(given)
    assert "zoo:ecg (Levenberg 1944; Marquardt 1963; Varah 1982)" in words
    assert "beta-vae:latents=10,epochs=50 (Burgess et al. 2018;" in words
    assert "and, as baselines, mean, autoregression." in words
    assert "seeds 0 to 4, with 35 and 140 training observations" in words
    for name in ("Efron and Tibshirani 1993", "Duan et al. 2020", "Dempster et al. 2020", "PGD"):
        assert name in words
    few = replace(given, lines=given.lines[2:3], names=("flow", "mean"), baselines=("mean",))
    words = methods_of(few)
    assert "bootstrap" not in words
    assert "UDR" not in words
    keys = re.findall(r"@\w+\{(\w+),", "\n".join(references_of(few)))
    assert keys == ["lipman2023", "tong2024", "kingma2015"]
    # two seeds say nothing of chance, so nothing was drawn
    assert "bootstrap" not in methods_of(replace(given, seeds=2))


def hostile():
    given = card()
    lines = tuple(
        replace(one, title=NASTY, unit=NASTY, group=NASTY if one.group == "cost" else one.group,
                entries={NASTY if n == "flow" else n: e for n, e in one.entries.items()})
        for one in given.lines
    )  # fmt: skip
    return replace(
        given, data=NASTY, split=NASTY, size_noun=NASTY, notes=(NASTY,), verdict=(NASTY,),
        lines=lines, names=tuple(NASTY if n == "flow" else n for n in NAMES),
    )  # fmt: skip


def test_the_article_cites_what_its_references_hold(tmp_path):
    for folder, given in (("plain", card()), ("nasty", hostile())):
        path = write_card_article(given, tmp_path / folder)
        text = path.read_text()
        assert text.isascii()
        assert "\\input" not in text
        cited = set(",".join(re.findall(r"\\cite\{([^}]*)\}", text)).split(","))
        entries = (path.parent / "card.bib").read_text()
        assert cited == set(re.findall(r"@\w+\{(\w+),", entries))
        for file in re.findall(r"\{(figures/[^}]*)\}", text):
            assert (path.parent / file).is_file()
    text = (tmp_path / "plain" / "card.tex").read_text()
    assert r"\cite{levenberg1944,marquardt1963,varah1982}, beta-vae" in text
    assert r"\toprule" in text


@pytest.mark.parametrize("make", [card, hostile], ids=["plain", "hostile"])
def test_latex_compiles_it(make, tmp_path):
    log = compiled(write_card_article(make(), tmp_path))
    assert not re.search(r"(Citation|Reference)[^\n]*undefined", log)
    assert "Missing character" not in log
    if make is card:
        assert "Overfull" not in log


def test_the_hostile_page_stands_alone():
    page = render(hostile())
    assert "<d>" not in page
    assert "&lt;d&gt;" in page
    assert set(re.findall(r"https?://[^\"'\s<]+", page)) <= {
        "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink",
    }  # fmt: skip
