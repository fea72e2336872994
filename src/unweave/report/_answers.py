"""Answers that a run folder keeps: what was asked of a model, what was found, and its figures."""

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from matplotlib.figure import Figure

from .. import plots
from .._files import write_whole
from ..run import Run

#: What a row of an answer's table holds.
HEAD = ("measure", "value", "spread", "n", "kind or check")
_FOLDER = "questions"
_ORDER = ("explain", "attack", "detect", "disentangle", "dictionary", "bound")
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
# what a figure is drawn with; a file that holds anything else is not put into the page
_TAGS = {
    "svg", "g", "path", "text", "tspan", "use", "defs", "clipPath", "style", "image", "rect",
    "title", "desc", "linearGradient", "stop", "pattern", "mask", "marker", "circle", "line",
    "polyline", "polygon", "ellipse", "symbol",
}  # fmt: skip
_STYLE = re.compile(r"\s*\*\s*\{\s*(stroke-[a-z]+:\s*[a-z]+;?\s*)*\}\s*")


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure of an answer: the few words that it shows, as SVG and, for an article, as PDF, and
    the numbers that it is drawn from, columns of one length by their names."""

    label: str
    svg: str
    pdf: bytes = b""
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Answer:
    """What a tool found of a model, in words, numbers and figures, and no model.

    `verb` is the tool's; `question` and `sentences` are in words, `warnings` what speaks against
    believing them. `asked` are the plain values that make two questions equal, `command` asks
    again. `rows` hold measure, value, spread, number of observations, and kind or check, each as
    text; `methods` are words that `methods_of` knows, and `result` is what `--json` prints.
    `name` is the answer's in the folder, which `keep` gives it.
    """

    verb: str
    question: str
    sentences: tuple[str, ...]
    asked: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    pictures: tuple[Picture, ...] = ()
    methods: tuple[str, ...] = ()
    command: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self):
        for row in self.rows:
            if len(row) != len(HEAD):
                raise ValueError(
                    f"a row of {len(row)} cells was given; give {len(HEAD)}: {', '.join(HEAD)}."
                )


def picture(
    run: Run, figure: Figure, label: str, columns: Mapping[str, Sequence[Any] | np.ndarray]
) -> Picture:
    """A figure to be kept with an answer of `run`, with the numbers it is drawn from.

    Raises `ValueError` where the columns differ in length.
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns of a figure differ in length: {lengths}.")
    # only the run of an equation has an article, which needs the figure as PDF
    vector = plots.pdf(figure) if run.result.get("equation") else b""
    return Picture(label, plots.svg(figure), vector, columns)


def keep(run: Run, answer: Answer) -> Path:
    """Writes an answer into the folder of its run, over one to an equal question.

    The figures come first and the words, which tell their hashes, last: a crash between them
    leaves an answer without a figure, never one with another's. Raises `OSError` where the folder
    cannot be written.
    """
    assert run.folder is not None
    folder = run.folder / _FOLDER
    folder.mkdir(exist_ok=True)
    asked = json.dumps([answer.verb, finite(dict(answer.asked))], sort_keys=True)
    name = f"{answer.verb}-{hashlib.sha256(asked.encode()).hexdigest()[:10]}"
    figures = []
    for number, one in enumerate(answer.pictures, 1):
        stem = name if number == 1 else f"{name}-{number}"
        svg = one.svg.encode()
        write_whole(folder / f"{stem}.csv", [_table(one.columns).encode()])
        write_whole(folder / f"{stem}.svg", [svg])
        if one.pdf:
            write_whole(folder / f"{stem}.pdf", [one.pdf])
        digests = {"svg": _digest(svg), "pdf": _digest(one.pdf) if one.pdf else ""}
        figures.append({"file": stem, "label": one.label, **digests})
    words = {
        "version": 1, "model": run.result.get("model_hash", ""), "verb": answer.verb,
        "question": answer.question, "sentences": answer.sentences, "warnings": answer.warnings,
        "rows": answer.rows, "methods": answer.methods, "command": answer.command,
        "asked": dict(answer.asked), "figures": figures, "result": dict(answer.result),
    }  # fmt: skip
    path = folder / f"{name}.json"
    text = json.dumps(finite(words), indent=1, allow_nan=False, ensure_ascii=False)
    write_whole(path, [text.encode() + b"\n"])
    return path


def kept(run: Run) -> tuple[tuple[Answer, ...], tuple[str, ...]]:
    """The answers in the folder of `run` that are of its model, by their tools and names, and a
    sentence for each file that cannot be read. What was asked of another model that was there
    before is left out."""
    answers, notes = [], []
    folder = None if run.folder is None else run.folder / _FOLDER
    if folder is None or not folder.is_dir():
        return (), ()
    for file in sorted(folder.glob("*.json")):
        try:
            words = json.loads(file.read_text(encoding="utf-8"))
            if words["model"] == run.result.get("model_hash", ""):
                answers.append(_read(file, words))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            notes.append(f"{_FOLDER}/{file.name} cannot be read and is left out; ask again.")
    answers.sort(key=lambda one: _ORDER.index(one.verb) if one.verb in _ORDER else len(_ORDER))
    return tuple(answers), tuple(notes)


def _read(file: Path, words: Mapping[str, Any]) -> Answer:
    """An answer with those of its figures that are whole."""
    pictures, warnings = [], [str(w) for w in words["warnings"]]
    for one in words["figures"]:
        label, path = str(one["label"]), file.with_name(Path(str(one["file"])).name + ".svg")
        try:
            svg = path.read_bytes()
            if _digest(svg) != one["svg"]:
                raise ValueError
            found = Picture(label, _clean(svg.decode()))
        except (OSError, ValueError):
            warnings.append(f"The figure {path.name} is missing or not the one that was drawn.")
            continue
        pdf = path.with_suffix(".pdf")
        if one["pdf"] and pdf.is_file() and _digest(pdf.read_bytes()) == one["pdf"]:
            found = replace(found, pdf=pdf.read_bytes())
        pictures.append(found)
    said, methods = (tuple(str(part) for part in words[k]) for k in ("sentences", "methods"))
    rows = tuple(tuple(str(cell) for cell in row) for row in words["rows"])
    return Answer(
        str(words["verb"]), str(words["question"]), said, dict(words["asked"]), tuple(warnings),
        rows, tuple(pictures), methods, str(words["command"]), {}, file.stem,
    )  # fmt: skip


def _clean(svg: str) -> str:
    """A figure written anew, so that it holds what a figure is drawn with and nothing else.

    Raises `ValueError` where it holds anything more: a run folder may come from elsewhere.
    """
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise ValueError(f"this is no SVG: {error}.") from None
    for part in root.iter():
        space, _, tag = part.tag[1:].partition("}")
        inside = part.attrib.values()
        links = [v for k, v in part.attrib.items() if k.rpartition("}")[2].lower() == "href"]
        if (
            space != _SVG
            or tag not in _TAGS
            or any(k.rpartition("}")[2].lower().startswith("on") for k in part.attrib)
            or any(not v.startswith(("#", "data:image/png;base64,")) for v in links)
            or (tag == "style" and not _STYLE.fullmatch(part.text or ""))
            or any("@" in v or "\\" in v or re.search(r"url\((?!#)", v) for v in inside)
        ):
            raise ValueError(f"a figure is not drawn with {tag}.")
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _table(columns: Mapping[str, Any]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(
        [f"{v:.8g}" if isinstance(v, float) else v for v in row]
        for row in zip(*(np.asarray(c).tolist() for c in columns.values()), strict=True)
    )
    return out.getvalue()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def finite(data: Any) -> Any:
    """JSON has no infinity: null stands for it."""
    if isinstance(data, Mapping):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
