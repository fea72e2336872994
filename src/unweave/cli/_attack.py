"""`unweave attack`: what withstands an adversary, of a fitted model."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from .. import targets
from .._latents import Latents
from .._many import precision
from .._model import AbstractDecoder, AbstractDensity, AbstractEncoder
from ..data import Dataset, Split, restore
from ..networks.schemes import Classifier
from ..robust import (
    APGD,
    L2,
    PGD,
    AbstractAttack,
    AbstractBudget,
    AbstractGoal,
    Boundary,
    CarliniWagner,
    DeepFool,
    Distillation,
    LInf,
    Robustness,
    Smooth,
    Square,
    Transfer,
    apgd_dlr,
    attack,
    budget_words,
    curve,
    fgsm,
    misclassify,
    move,
    standard,
    wilson,
)
from ..run import Run, load_run
from ..sources import Source, open_source
from ._attack_surrogates import MOST_ASKED, transfers
from ._keep import answered, between, figure_lines, figure_path, number, save_figure, share
from ._output import Result
from ._progress import is_silent, progress

if TYPE_CHECKING:
    from ..report import Answer, Picture

ATTACKS: Mapping[str, Callable[[], AbstractAttack]] = {
    "fgsm": fgsm, "pgd": PGD, "apgd": APGD, "apgd-dlr": apgd_dlr, "deepfool": DeepFool,
    "carlini-wagner": CarliniWagner, "square": Square, "boundary": Boundary,
}  # fmt: skip
# the curve is drawn at these multiples of the radius
_ALONG = (0.25, 0.5, 1.0, 2.0)
# the radius where none is given: of a range of bytes, of the inputs' spread, in prior scores
_TENTH, _SCORES = 0.1, 0.5
# of so many inputs the numbers are kept; a figure draws no more
_KEPT = 10


def attack_verb(options: argparse.Namespace) -> Result:
    """What withstands the strongest of several attacks on a fitted model."""
    fitted = load_run(options.run)
    if options.n < 1:
        raise ValueError(f"{options.n} inputs were asked for; give -n at least 1.")
    path = figure_path(options, fitted, "attack.svg")
    target = _target(options, fitted)
    of_latents = target is not None and target.of == "latents"
    parts = None if of_latents else _parts(fitted)
    data = None if parts is None else parts.test.thinned(options.n)
    goal, x = _subject(options, fitted, target, data)
    budget = _budget(options, fitted, x, of_latents=of_latents)
    surrogates, told = _surrogates(options, fitted, target, parts, budget)
    attacks = (*_attacks(options, budget), *surrogates)
    beside: dict[str, Any] = {
        "answers": data.labels if data is not None and target is None else None,
        "conditions": None if data is None else data.conditions,
        "attacks": attacks, "seed": options.seed, "quiet": is_silent(options),
    }  # fmt: skip
    with progress(options, "attacking"):
        verdict = attack(goal, x, budget=budget, **beside)
        radii = [float(budget.radius) * part for part in _ALONG]
        quick = {**beside, "attacks": _quick(attacks)}
        verdicts = curve(goal, x, budget=budget, radii=radii, **quick)
    figures, pictures = _drawn(path, fitted, verdict, verdicts, options, of_latents=of_latents)
    result = {"run": str(fitted.folder), **verdict.plain(), "figures": figures}
    result["distilled"] = [asdict(one) for one in told]
    result["curve"] = [
        {"radius": float(one.budget.radius), "robust": one.robust,
         "median_after": float(np.median(one.after))} for one in verdicts
    ]  # fmt: skip
    lines = [verdict.sentence()]
    if data is not None and target is None:
        worst = [f"{one.name} {100 * (one.accuracy or 0.0):.1f} %" for one in verdict.attacks]
        lines.append(f"left standing by each: {', '.join(worst)}")
    lines += [one.sentence() for one in told]
    answer = _answer(verdict, lines, pictures, options)
    lines += [f"warning: {one}" for one in verdict.warnings]
    return answered(result, [*lines, *figure_lines(*figures)], [(fitted, answer)], options)


def _answer(
    verdict: Robustness, lines: list[str], pictures: tuple["Picture", ...],
    options: argparse.Namespace,
) -> "Answer":  # fmt: skip
    """What is kept of a verdict."""
    from ..report import Answer, capital, sentence

    within = budget_words(verdict.budget)
    question = (
        f"What withstands an adversary within {within}?" if verdict.robust is not None
        else f"How far does an adversary move {verdict.what} within {within}?"
    )  # fmt: skip
    n = f"{verdict.n:,}"
    if verdict.robust is not None and verdict.interval is not None:
        rows = [
            ("stand as they are", share(verdict.clean), "", n, ""),
            ("stand against all attacks", share(verdict.robust), between(*verdict.interval), n,
             "Wilson's 95 % interval"),
        ]  # fmt: skip
    else:
        rows = [
            (f"{capital(verdict.what)}, {word}", number(float(np.median(values))),
             _quartiles(values), n, "median and quartiles")
            for word, values in (("as they are", verdict.before), ("attacked", verdict.after))
        ]  # fmt: skip
    for one in verdict.attacks:
        looks = ((one.gradients, "gradients"), (one.queries, "looks"))
        each = " and ".join(f"{spent:.0f} {word}" for spent, word in looks if spent)
        spent = f"{one.kind}, {each} each" if each else one.kind
        if one.accuracy is not None:
            low, high = wilson(round(one.accuracy * verdict.n), verdict.n)
            rows.append((one.name, share(one.accuracy), between(low, high), n, spent))
        else:
            rows.append((one.name, number(float(np.median(one.readings))),
                         _quartiles(one.readings), n, spent))  # fmt: skip
    asked = {
        name: getattr(options, name)
        for name in ("epsilon", "norm", "smooth", "attacks", "target", "down", "limit", "among",
                     "surrogates", "n", "seed")
    }  # fmt: skip
    return Answer(
        "attack", question, tuple(map(sentence, lines)), {**asked, "within": within},
        verdict.warnings, tuple(rows), pictures, _methods(verdict),
    )  # fmt: skip


def _quartiles(values: np.ndarray) -> str:
    low, high = np.quantile(values, (0.25, 0.75))
    return f"{number(float(low))} to {number(float(high))}"


def _methods(verdict: Robustness) -> tuple[str, ...]:
    """The words that the report knows the attacks by."""
    known = [
        "transfer" if one.kind == "transfer" else one.name.split("-")[0]
        for one in verdict.attacks
    ]  # fmt: skip
    return (*known, *(["wilson"] if verdict.robust is not None else []), "masked")


def _target(options: argparse.Namespace, fitted: Run) -> targets.Target | None:
    """The number that is attacked; None where a class is."""
    model = fitted.model
    if options.target is not None:
        return targets.read_target(options.target, model)
    if isinstance(model, Classifier):
        return None
    if isinstance(model, AbstractDensity):
        return targets.surprise(model)
    if isinstance(model, AbstractEncoder) and isinstance(model, AbstractDecoder):
        return targets.misfit(model)
    raise ValueError(
        f"the {fitted.result['recipe']} in {fitted.folder} is no classifier and has no density; "
        "say what to attack, such as --target output:10,0."
    )


def _parts(fitted: Run) -> Split:
    """The run's own data, parted as they were."""
    settings = dict(fitted.settings["data"])
    if not settings:
        raise ValueError(
            f"the run in {fitted.folder} does not say what its data were; attack it in Python: "
            "unweave.attack(run.model, x, budget=...)."
        )
    source = Source.from_settings(settings)
    return open_source(source, seed=int(fitted.settings["seed"]))


def _subject(
    options: argparse.Namespace, fitted: Run, target: targets.Target | None, data: Dataset | None
) -> tuple[AbstractGoal, np.ndarray]:
    """What is attacked, and the inputs."""
    if target is None:
        if options.down or options.limit is not None:
            raise ValueError("--down and --limit are of a number; give a --target too.")
        assert data is not None
        return misclassify(fitted.model), data.observations
    up = not options.down
    if data is not None:
        return move(target, up=up, limit=options.limit), data.observations
    latents: Latents = fitted.model.latents
    among = tuple(part.strip() for part in (options.among or "").split(",") if part.strip())
    goal = move(target, up=up, limit=options.limit, latents=latents, among=among)
    with precision(fitted.model):
        keys = jax.random.split(jax.random.key(options.seed), options.n)
        return goal, np.asarray(jax.vmap(latents.sample)(keys))


def _budget(
    options: argparse.Namespace, fitted: Run, x: np.ndarray, *, of_latents: bool
) -> AbstractBudget:
    """The budget that was asked for, or the usual one of such inputs."""
    kind = options.norm
    if kind is None:
        kind = "smooth" if fitted.schema.is_series and not of_latents else "linf"
    radius = options.epsilon
    if radius is None and of_latents:
        radius = _SCORES
    elif radius is None:
        spread = 255.0 if x.dtype == np.uint8 else float(np.nanstd(x))
        radius = _TENTH * spread * (np.sqrt(x[0].size) if kind == "l2" else 1.0)
    if not radius > 0:
        raise ValueError(f"--epsilon {radius:g} allows nothing; give a positive number.")
    if kind == "smooth" and of_latents:
        raise ValueError("latents have no order to be smooth along; give --norm linf or l2.")
    if kind == "l2":
        return L2(float(radius))
    flat = LInf(float(radius))
    return Smooth(flat, options.smooth) if kind == "smooth" else flat


def _attacks(options: argparse.Namespace, budget: AbstractBudget) -> tuple[AbstractAttack, ...]:
    names = [part.strip() for part in (options.attacks or "").split(",") if part.strip()]
    for name in names:
        if name not in ATTACKS:
            raise ValueError(f"'{name}' is no attack; there are {', '.join(ATTACKS)}.")
    return tuple(ATTACKS[name]() for name in names) or standard(budget)


def _surrogates(
    options: argparse.Namespace, fitted: Run, target: targets.Target | None, parts: Split | None,
    budget: AbstractBudget,
) -> tuple[tuple[Transfer, ...], tuple[Distillation, ...]]:  # fmt: skip
    """The transfers that were asked for."""
    if not options.surrogates:
        return (), ()
    if parts is None:
        raise ValueError("--surrogates read observations, and latents are attacked; leave it out.")

    def read(other: Run) -> targets.Target | None:
        return None if target is None else _target(options, other)

    asked = parts.train.thinned(MOST_ASKED)
    return transfers(options, fitted, target, asked, budget, read)


def _quick(attacks: tuple[AbstractAttack | Transfer, ...]) -> tuple[AbstractAttack | Transfer, ...]:
    """Of these the attacks within a budget that see gradients, or all where there is none."""
    kept = tuple(
        one for one in attacks
        if isinstance(one, AbstractAttack) and one.within_budget and one.sees_gradients
    )  # fmt: skip
    return kept or attacks


def _drawn(
    path: Path, fitted: Run, verdict: Robustness, verdicts: tuple[Robustness, ...],
    options: argparse.Namespace, *, of_latents: bool,
) -> tuple[list[str], tuple["Picture", ...]]:  # fmt: skip
    """Where the figures are, and what is kept of them."""
    from .. import plots  # Matplotlib is only loaded where something is drawn
    from ..report import picture

    unit = "prior standard scores" if of_latents else _unit(fitted)
    words = budget_words(verdict.budget).replace(f" {float(verdict.budget.radius):.4g}", "", 1)
    radii = [0.0, *(float(one.budget.radius) for one in verdicts)]
    if verdict.robust is None:
        every = [verdict.before, *(one.after for one in verdicts)]
        middle, low, high = (
            np.array([np.quantile(v, q) for v in every]) for q in (0.5, 0.25, 0.75)
        )
        label = f"{verdict.what}, median"
    else:
        bands = [(one.robust, *(one.interval or (0.0, 1.0))) for one in verdicts]
        clean = verdict.clean or 0.0
        middle, low, high = np.array([(clean, clean, clean), *bands], float).T
        label = "share that stands"
    figure = plots.withstood(
        np.asarray(radii), middle, low, high, budget=f"{words} ({unit})", label=label
    )
    files = [save_figure(figure, path.with_stem(path.stem + "-curve"), options)]
    numbers = {f"radius ({unit})": radii, "middle": middle, "low": low, "high": high}
    shown = "The share that stands, with its 95 % interval"
    if verdict.robust is None:
        shown = "The median, with quartiles"
    pictures = [
        picture(
            fitted,
            figure,
            f"{shown}, at several radii, by the attacks that see gradients.",
            numbers,
        )
    ]
    if not of_latents:
        order = np.argsort(verdict.by < 0, kind="stable")
        x, moved = (restore(part[order], fitted.schema) for part in (verdict.x, verdict.perturbed))
        figure = plots.attacked(x, moved, fitted.schema, titles=_titles(fitted, verdict, order))
        files.insert(0, save_figure(figure, path, options))
        label = "Inputs as they were, grey, and attacked, blue."
        if not fitted.schema.is_series:
            label = "Inputs as they were, attacked, and what was changed."
        pictures.insert(0, picture(fitted, figure, label, _columns(x, moved, fitted)))
    return [file for file in files if file is not None], tuple(pictures)


def _columns(x: np.ndarray, moved: np.ndarray, fitted: Run) -> dict[str, Any]:
    """Of the first few inputs each entry before and after."""
    x, moved = x[:_KEPT], moved[:_KEPT]
    places = np.indices(x.shape).reshape(x.ndim, -1)
    names = ("input", *fitted.schema.axes)
    return {**dict(zip(names, places, strict=True)), "before": x.ravel(), "after": moved.ravel()}


def _titles(fitted: Run, verdict: Robustness, order: np.ndarray) -> list[str]:
    """What became of each: the number, or the classes."""
    before, after = verdict.before[order], verdict.after[order]
    if verdict.robust is None or not isinstance(fitted.model, Classifier):
        return [f"{a:.3g} → {b:.3g}".replace("-", "−") for a, b in zip(before, after, strict=True)]
    predict = fitted.model.predict
    names = fitted.model.names
    said = [np.asarray(predict(jax.numpy.asarray(part[order], np.float32))).argmax(1)
            for part in (verdict.x[:, ...], verdict.perturbed)]  # fmt: skip
    return [names[a] if a == b else f"{names[a]} → {names[b]}" for a, b in zip(*said, strict=True)]


def _unit(fitted: Run) -> str:
    units = {unit for unit in fitted.schema.units if unit}
    return next(iter(units)) if len(units) == 1 else "the data's units"
