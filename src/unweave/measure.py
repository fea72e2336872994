"""What `fit` reports of a fitted model, beside what needs no network."""

from dataclasses import asdict
from typing import Any

import equinox as eqx
import numpy as np

from ._many import many, real
from ._model import AbstractDecoder, AbstractPredictor
from ._rows import evenly
from .data import Split
from .evaluate import (
    NOTHING,
    asked,
    choice_use,
    explained_variance,
    observed_mean,
    reconstruction_score,
    summarise,
)
from .networks import fit_pca
from .networks.schemes import Classifier, DeepNet, Regressor, parameters, refinements, score
from .networks.schemes import verdict as depth_verdict
from .networks.series import SpanReader, likeliest_span, span_log_odds, span_overlap
from .train import Recipe, Row, Trained

# enough training data to fit PCA as a baseline, and to compare training with test
_ENOUGH = 2000
# test observations that are asked again on finer steps, 15 times the work of asking once
_REFINED = 500


def measure(
    recipe: Recipe,
    model: eqx.Module,
    data: Split,
    trained: Trained,
    seed: int,
    seconds: float,
    *,
    described: bool = False,
) -> dict[str, Any]:
    """The numbers of `unweave fit --json`, on the test part unless their names say otherwise.

    Where nothing was held out and the fit gave its own account (`described`), there is nothing
    for these measures to add.
    """
    # what a predictor gives back is an answer, and none of these measures is about that
    described = described or isinstance(model, AbstractPredictor)
    summary = NOTHING if described else summarise(model, data.test)
    seen = asked(model, data.train.thinned(_ENOUGH))
    latents = model.latents if isinstance(model, AbstractDecoder) else None
    size = latents.size if latents is not None else recipe.options.get("latents")
    return {
        "recipe": recipe.name,
        "run": None,
        "seed": seed,
        "n_train": len(data.stored or data.train),
        "n_validation": len(data.validation),
        "n_test": len(data.test),
        "n_test_measured": len(data.test) if summary.n is None else summary.n,
        "latents": size,
        "epochs": trained.epochs,
        "seconds": round(seconds, 3),
        "stopped": trained.stopped,
        "explained_variance": summary.explained_variance,
        "explained_variance_train": None if described else reconstruction_score(model, seen),
        "n_train_measured": len(seen),
        "baselines": {} if described else baselines(data, size or 1),
        "log_density": summary.log_density,
        "density_kind": summary.density_kind,
        "kl_per_latent": summary.kl_per_latent,
        "active": summary.active,
        "active_latents": summary.active_latents,
        "choices": choices(model, data),
        "prediction": prediction(model, data),
        "spans": spans(recipe, model, data),
        "split": data.how,
        "notes": list(data.train.notes),
    }


def choices(model: eqx.Module, data: Split) -> dict[str, Any] | None:
    """What use test data make of the values that latents choose among; None without such."""
    use = choice_use(model, data.test)
    return None if use is None else {**asdict(use), "sentence": use.sentence()}


def spans(recipe: Recipe, model: eqx.Module, data: Split) -> dict[str, Any] | None:
    """How well a reader of spans finds those of the test part, beside spans of the same lengths at
    any place; None of others."""
    if not isinstance(model, SpanReader) or recipe.plan is None:
        return None
    rows = recipe.plan.rows(data.test.thinned(_ENOUGH))
    codes = many(model.encode, rows.x, rows.condition)
    known = np.asarray(rows.answer, np.float64)
    strange = ~np.isnan(known).any(1)
    found, known = many(likeliest_span, codes[strange]), known[strange]
    length = known[:, 1] - known[:, 0]
    start = np.random.default_rng(0).uniform(size=len(known)) * (len(model.times) - length)
    chance = np.stack([start, start + length], 1).round()
    overlap, by_chance = span_overlap(found, known), span_overlap(chance, known)
    right = (many(span_log_odds, codes) > 0) == strange
    told = {
        "n": len(codes), "strange": int(strange.sum()), "right": float(right.mean()),
        "overlap": float(np.mean(overlap)), "chance": float(np.mean(by_chance)),
    }  # fmt: skip
    sentence = (
        f"says of {100 * told['right']:.1f} % of {told['n']} test series rightly whether anything "
        f"is strange; of {told['strange']} where something is, the span found and the true one "
        f"have a mean intersection over union of {told['overlap']:.2f} (as long a span at any "
        f"place: {told['chance']:.2f})"
    )
    return {**told, "sentence": sentence}


def prediction(model: eqx.Module, data: Split) -> dict[str, Any] | None:
    """How well a predictor answers on the test part, and what its depth is; None of others."""
    if not isinstance(model, Classifier | Regressor):
        return None
    test, classes = data.test.thinned(_ENOUGH), isinstance(model, Classifier)
    answers = test.labels if classes else test.factors
    assert answers is not None
    x = real(test.observations).astype(np.float32)
    some = evenly(len(x), _REFINED)
    deep = isinstance(model.net, DeepNet)
    found = refinements(model, x[some], answers[some]) if deep else ()
    codes = many(model.encode, x, test.conditions)
    told: dict[str, Any] = {
        "answers": list(model.names),
        "kind": "accuracy" if classes else "explained variance",
        "score": score(model, codes, answers),
        "n": len(test),
        "parameters": parameters(model),
        "refined": [asdict(one) for one in found],
        "refined_n": len(some),
        "verdict": depth_verdict(model, found) if deep else "",
    }
    if classes:
        seen = data.train.labels
        assert seen is not None
        n = len(model.names)
        most = int(np.bincount(seen, minlength=n).argmax())
        confusion = np.zeros((n, n), int)
        np.add.at(confusion, (answers, codes.argmax(1)), 1)
        right = codes[np.arange(len(codes)), answers]
        told |= {
            "most_frequent": float((answers == most).mean()),
            "log_loss": -float(right.mean(dtype=np.float64)),
            "confusion": confusion.tolist(),
        }
    else:
        error = np.sqrt(np.nanmean((codes - answers) ** 2, axis=0))
        told["root_mean_square"] = dict(zip(model.names, error.tolist(), strict=True))
    return told


def baselines(data: Split, latents: int) -> Row:
    """Explained variance on the test part of what needs no network: the mean observation, and
    PCA with as many latents.

    Where training observed nothing at an entry, the mean is that of the channel, and PCA, which
    knows nothing of such an entry, is left out.
    """
    train, test = data.train, data.test
    x, seen = real(test.observations), real(train.observations)
    pool = len(set(test.schema.units)) == 1
    mean = observed_mean(seen, 0)
    known = bool(np.isfinite(mean).all())
    if not known:
        every = observed_mean(seen, tuple(range(seen.ndim - 1)))
        mean = np.where(np.isnan(mean), every, mean)
    scores = {"mean": explained_variance(x, np.broadcast_to(mean, x.shape), pool_channels=pool)}
    some = train.thinned(_ENOUGH)
    if known and latents < min(len(some), train.schema.size):
        score = reconstruction_score(fit_pca(some.observations, latents), test)
        assert score is not None
        scores["pca"] = score
    return scores
