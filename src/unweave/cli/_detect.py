"""`unweave detect`: how strange observations are, by models and baselines in one call."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os.path import isdir
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import detect
from .._model import AbstractDecoder, AbstractDensity, AbstractEncoder
from ..data import Dataset, Stored
from ..detect import Calibrated, Detector, Score
from ..networks.series import SpanReader
from ..run import Run, load_run
from ..sources import Source
from ..targets import surprise
from ._detect_data import (
    Watched,
    read_watched,
    watched_on_disk,
    watched_settings,
)
from ._detect_figure import draw_strange
from ._detect_stream import Judge, by_one, by_the_others, drawn_of, scores_of, tables
from ._keep import answered, between, figure_lines, number
from ._output import Result, check_free
from ._pieces import counted, write_tables
from ._progress import progress

if TYPE_CHECKING:
    from ..report import Answer

#: The detectors that need no run, by the word of the command line.
DETECTORS: Mapping[str, Callable[[], Detector]] = {
    "mean": detect.distance_to_mean,
    "sub-pca": detect.sub_pca,
    "neighbours": detect.neighbours,
    "shape-neighbours": lambda: detect.neighbours(normalised=True),
    "local-density": detect.local_density,
    "isolation-forest": detect.isolation_forest,
    "together": lambda: detect.together(
        [detect.sub_pca(), detect.neighbours(), detect.local_density()], name="together"
    ),
}
#: What is asked of a run, by the word after its folder.
OF_RUNS = ("reconstruction", "by-sample", "surprise", "latents", "prior", "joint", "critic",
           "confidence", "entropy", "energy", "spans")  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Found:
    """What one judge says of all observations, or of those that are `drawn` out of more."""

    score: Score
    scores: np.ndarray
    held: np.ndarray | None
    run: Run | None
    drawn: Watched | None = None


def detect_verb(options: argparse.Namespace) -> Result:
    """Scores, p-values and places of what does not fit."""
    rate = options.false_alarms
    runs = {word: load_run(_parts(word)[0]) for word in options.judges if isdir(_parts(word)[0])}
    path = _path(options)
    first = next(iter(runs.values()), None)
    settings = watched_settings(options, first)
    with progress(options, f"reading {options.data[0]}") as say:
        if Source.from_settings(settings).on_disk:
            return _on_disk(options, runs, path, *watched_on_disk(options, first, settings))
        watched = read_watched(options, settings, first)
        found, columns, accounts, lines = {}, _identity(watched.data), {}, []
        for word in options.judges:
            say(f"judging by {word}")
            found[word] = one = _judge(word, runs.get(word), watched, options)
            account, more, line = _account(word, one, watched, rate)
            accounts[word] = account
            columns |= more
            lines.append(line)
    import pandas as pd  # a quarter of a second that most verbs need not wait for

    write_tables(path, [pd.DataFrame(columns)])
    return _told(options, found, accounts, lines, path, watched, len(watched.data))


def _on_disk(
    options: argparse.Namespace, runs: Mapping[str, Run], path: Path, data: Stored, watched: Watched
) -> Result:
    """The same of data that stay on the disk."""
    rate = options.false_alarms
    learned = {word: _learned(word, runs.get(word), data, watched, options)
               for word in options.judges}  # fmt: skip
    scores = scores_of({word: judge for word, (_, judge) in learned.items()}, data)
    held = None if watched.held is None else watched.held.take(watched.apart)
    watched = replace(watched, apart=slice(None))
    found, accounts, lines, places = {}, {}, [], {}
    for word, (score, _) in learned.items():
        mine = scores[word] if held is None else score(held.observations, held.conditions)
        drawn, part = drawn_of(data, scores[word], watched)
        run = runs.get(word)
        found[word] = one = _Found(score, part, mine[np.isfinite(mine)], run, drawn)
        calibrated = _calibrated(one, watched)
        accounts[word], line = _summary(word, score, scores[word], calibrated, watched, rate)
        lines.append(f"{line}.")
        level = _level(score, watched)
        places[word] = partial(_places, word, one, watched.normal, level=level)
    by = {word: _calibrated(one, watched) for word, one in found.items()}
    write_tables(path, counted(tables(data, scores, by, places, rate), len(data), "writing"))
    return _told(options, found, accounts, lines, path, watched, len(data))


def _told(
    options: argparse.Namespace, found: Mapping[str, _Found], accounts: dict[str, Any],
    lines: list[str], path: Path, watched: Watched, n: int,
) -> Result:  # fmt: skip
    """What was found, with its figure, kept with the runs that were asked."""
    from .. import plots  # Matplotlib is only loaded where something is drawn

    rate = options.false_alarms
    drawn = _draw(next(iter(found.values())), watched, rate)
    file = None if drawn is None else str(plots.save(drawn[0], path.with_suffix(".svg")))
    result: dict[str, Any] = {
        "n": n, "n_normal": len(watched.normal), "rate": rate,
        "known": watched.known, "detectors": accounts, "output": str(path), "figure": file,
        "notes": list(watched.notes),
    }  # fmt: skip
    answers = _answers(options, found, watched, result, lines)
    lines = [*lines, *watched.notes, f"scores: {path}"]
    return answered(result, [*lines, *figure_lines(file)], answers, options)


def _draw(one: _Found, watched: Watched, rate: float) -> Any:
    seen = one.drawn or watched
    return draw_strange(one.score, one.scores, seen, _calibrated(one, watched), rate)


def _answers(
    options: argparse.Namespace, found: Mapping[str, _Found], watched: Watched,
    result: dict[str, Any], lines: Sequence[str],
) -> list[tuple[Run, "Answer"]]:  # fmt: skip
    """What each run that was a judge keeps: beside its own figure the numbers of all judges."""
    from ..report import Answer, picture

    rows = [row for word, one in result["detectors"].items() for row in _rows(word, one, result)]
    asked = {
        name: value for name, value in vars(options).items()
        if name not in ("verb", "json", "quiet", "force", "no_report", "output", "words")
    }  # fmt: skip
    answers, seen = [], set()
    for one in found.values():
        if one.run is None or one.run.folder is None or one.run.folder in seen:
            continue
        seen.add(one.run.folder)
        drawn = _draw(one, watched, options.false_alarms)
        name = Path(options.data[0]).name
        answer = Answer(
            "detect", f"What in {name} does not fit?", (*lines, *watched.notes), asked, (),
            tuple(rows), () if drawn is None else (picture(one.run, *drawn),),
            _methods(found, watched),
        )  # fmt: skip
        answers.append((one.run, answer))
    return answers


def _methods(found: Mapping[str, _Found], watched: Watched) -> tuple[str, ...]:
    """The words that the report knows the detectors by."""
    words = []
    for word, one in found.items():
        asked = word if one.run is None else _parts(word)[1] or one.score.name.split()[0]
        words.append(asked.partition(":")[0].removeprefix("shape-"))
    held = any(one.held is not None for one in found.values())
    return (*words, *(["conformal-p"] if held else []),
            *(["volume"] if watched.samples is not None else []))  # fmt: skip


def _rows(word: str, account: Mapping[str, Any], result: dict[str, Any]) -> list[tuple[str, ...]]:
    """The numbers of one judge, each with how many observations it is from."""
    n, rows = f"{result['n']:,}", []
    if "flagged" in account:
        low, high = account["achieved"]
        kind = "held-out normal" if result["known"] else "other"
        rate = between(low, high, f" expected, by {account['calibrated_on']} {kind} observations")
        rows.append((f"{word}: flagged", f"{account['flagged']:,}", "", n, rate))
    for name, key in (("AUROC", "auroc"), ("AUPR", "aupr"), ("VUS-ROC", "vus_roc"),
                      ("VUS-PR", "vus_pr"), ("AUROC of samples", "sample_auroc")):  # fmt: skip
        if key in account:
            rows.append((f"{word}: {name}", number(account[key], digits=3), "", n, "by labels"))
    return rows or [(f"{word}: scores", "", "", n, "no normal observation was held out")]


def _judge(word: str, run: Run | None, watched: Watched, options: argparse.Namespace) -> _Found:
    data, normal, held = watched.data, watched.normal, watched.held
    if run is not None:
        _check_shape(word, run, data.schema.shape)
        score = score_of_run(run, _parts(word)[1], normal)
        beside = None if held is None else score(held.observations, held.conditions)
        return _Found(score, score(data.observations, data.conditions), beside, run)
    detector = _detector(word)
    seed = options.seed
    score = detector.fit(normal.observations, normal.conditions, seed=seed)
    if not watched.known:
        own = detect.out_of_fold(detector, data.observations, data.conditions, seed=seed)
        return _Found(score, own, own, None)
    beside = None if held is None else score(held.observations, held.conditions)
    return _Found(score, score(data.observations, data.conditions), beside, None)


def _learned(
    word: str, run: Run | None, data: Stored, watched: Watched, options: argparse.Namespace
) -> tuple[Score, Judge]:
    """The score by which a judge says where, and what judges each piece of data on disk."""
    if run is not None:
        _check_shape(word, run, data.schema.shape)
        score = score_of_run(run, _parts(word)[1], watched.normal)
        return score, by_one(score)
    detector, normal = _detector(word), watched.normal
    if not watched.known:
        return by_the_others(detector, normal, len(data), seed=options.seed)
    score = detector.fit(normal.observations, normal.conditions, seed=options.seed)
    return score, by_one(score)


def _check_shape(word: str, run: Run, shape: tuple[int, ...]) -> None:
    if shape != run.schema.shape:
        raise ValueError(
            f"the observations have shape {shape}, and the model of {word} takes "
            f"{run.schema.shape}; read them as the run did (see its run.toml)."
        )


def score_of_run(run: Run, word: str, normal: Dataset) -> Score:
    """What the word asks of a run's model; without a word the first of spans, reconstruction,
    surprise and entropy that the model has."""
    model, x, beside = run.model, normal.observations, normal.conditions
    both = isinstance(model, AbstractEncoder) and isinstance(model, AbstractDecoder)
    if not word and isinstance(model, SpanReader):
        word = "spans"
    if not word:
        word = "reconstruction" if both else (
            "surprise" if isinstance(model, AbstractDensity) else "entropy")  # fmt: skip
    asked: dict[str, Callable[[], Score]] = {
        "reconstruction": lambda: detect.reconstruction(model, x, beside),
        "by-sample": lambda: detect.reconstruction(model, x, beside, by_entry=True),
        "surprise": lambda: detect.attributed(surprise(model), np.nanmean(x, axis=0)),
        "latents": lambda: detect.latent_surprise(model, x, beside),
        "prior": lambda: detect.latent_surprise(model),
        "joint": lambda: detect.joint_surprise(model, x, beside),
        "critic": lambda: detect.critic(model),
        "confidence": lambda: detect.confidence(model),
        "entropy": lambda: detect.entropy(model),
        "energy": lambda: detect.energy(model),
        "spans": lambda: detect.spans(model),
    }
    if word not in asked:
        raise ValueError(f"'{word}' is nothing to ask of a run; there are {', '.join(OF_RUNS)}.")
    return asked[word]()


def _detector(word: str) -> Detector:
    name, _, number = word.partition(":")
    if name == "matrix-profile" and number.isdecimal():
        return detect.matrix_profile(int(number))
    if word not in DETECTORS:
        raise ValueError(
            f"{word} is neither the folder of a run nor a detector; there are "
            f"{', '.join(DETECTORS)} and matrix-profile:SAMPLES."
        )
    return DETECTORS[word]()


def _account(
    word: str, one: _Found, watched: Watched, rate: float
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """What is said of one judge: for the object, for the table, and in a sentence."""
    columns: dict[str, Any] = {f"{word} score": one.scores}
    calibrated = _calibrated(one, watched)
    account, sentence = _summary(word, one.score, one.scores, calibrated, watched, rate)
    n = len(one.scores)
    if calibrated is not None:
        flags = calibrated.flags(one.scores, rate)
        columns |= {f"{word} p": calibrated.p_values(one.scores), f"{word} flagged": flags}
    level = _level(one.score, watched)
    columns |= _places(word, one, watched.normal, watched.data, level=level)
    if watched.truth is not None and 0 < watched.truth.sum() < n:
        area, precision = detect.auroc(one.scores, watched.truth), detect.aupr(
            one.scores, watched.truth)  # fmt: skip
        account |= {"auroc": area, "aupr": precision}
        sentence += f"; AUROC {area:.3f}, AUPR {precision:.3f}"
    if watched.samples is not None:
        volume = watched.volume(one.scores)
        account |= {"vus_roc": volume.roc, "vus_pr": volume.pr, "sample_auroc": volume.auroc}
        sentence += f"; VUS-PR {volume.pr:.3f}, VUS-ROC {volume.roc:.3f}"
    return account, columns, sentence + "."


def _summary(
    word: str, score: Score, scores: np.ndarray, calibrated: Calibrated | None, watched: Watched,
    rate: float,
) -> tuple[dict[str, Any], str]:  # fmt: skip
    """How many are flagged, and at which rate of false alarms: for the object, and in words."""
    account: dict[str, Any] = {"score": score.name, "unit": score.unit}
    sentence, n = f"{word} ({score.name}): ", len(scores)
    if calibrated is None:
        return account, (
            sentence + f"{n} scores without p-values, since no normal observation was held out"
        )
    flags = calibrated.flags(scores, rate)
    low, high = calibrated.achieved(rate)
    account |= {
        "flagged": int(flags.sum()), "threshold": calibrated.threshold(rate),
        "calibrated_on": len(calibrated.scores), "achieved": [low, high],
    }  # fmt: skip
    return account, sentence + (
        f"{int(flags.sum())} of {n} flagged at {100 * rate:.3g} % false alarms "
        f"({len(calibrated.scores)} {'held-out normal' if watched.known else 'other'} "
        f"observations put the rate between {100 * low:.2g} and {100 * high:.2g} %)"
    )


def _level(score: Score, watched: Watched) -> float | None:
    """What a sample's part of a score is at most in most normal observations, if it has parts."""
    parts = score.within is not None and watched.normal.schema.is_series
    return watched.usual_part(score) if parts else None


def _places(
    word: str, one: _Found, normal: Dataset, data: Dataset, *, level: float | None
) -> dict[str, Any]:
    """Where each observation is strangest, and which latent moved most."""
    columns = {}
    if level is not None:
        times = np.asarray(data.schema.times)
        spans = one.score.spans(data.observations, data.conditions, level=level)
        columns |= {
            f"{word} from": times[spans[:, 0]],
            f"{word} to": times[np.minimum(spans[:, 1], len(times)) - 1],
        }
    model = None if one.run is None or one.score.places is not None else one.run.model
    if isinstance(model, AbstractEncoder):
        moved = detect.moved_latents(
            model, data.observations, normal.observations, data.conditions,
            normal_conditions=normal.conditions,
        )  # fmt: skip
        most = np.argmax(np.abs(moved), axis=1)
        names = detect.latent_names(model, moved.shape[1])
        columns |= {
            f"{word} latent": [names[i] for i in most],
            f"{word} moved": moved[np.arange(len(most)), most],
        }
    return columns


def _calibrated(one: _Found, watched: Watched) -> Calibrated | None:
    if one.held is None:
        return None
    return Calibrated(one.held[watched.apart])


def _identity(data: Dataset) -> dict[str, Any]:
    return {"record": data.records, "start": data.spans[:, 0], "end": data.spans[:, 1]}


def _parts(word: str) -> tuple[str, str]:
    """The folder of a run and what is asked of it."""
    folder, colon, asked = word.rpartition(":")
    return (folder, asked) if colon and isdir(folder) else (word, "")


def _path(options: argparse.Namespace) -> Path:
    if options.output is None:
        stem = Path(options.data[0]).name.split(".")[0] or "data"
        return Path(f"{stem}-anomalies.csv")
    path = Path(options.output)
    check_free(path, force=options.force)
    return path


def describe_judges(words: Sequence[str] = OF_RUNS) -> str:
    """For the help text."""
    return f"{', '.join(DETECTORS)}, matrix-profile:SAMPLES; RUN or RUN:{'|'.join(words)}"
