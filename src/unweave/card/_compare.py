"""The verb: fit every recipe to the same data, share by share and seed by seed."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..data import Split
from ..train import Interrupted, Recipe
from ._baselines import baselines
from ._card import Card, make_card
from ._cells import Cell, run_cell
from ._row import Row
from ._rows import ROWS
from ._subsets import check_apart, is_within, samples_of, shares_of, subset, units_of
from ._trial import Trial


def compare(
    data: Split | Callable[[int], Split],
    recipes: Mapping[str, Recipe],
    *,
    seeds: int = 5,
    out: str | Path | None = None,
    rows: Sequence[Row] = ROWS,
    name: str = "data given in memory",
    quiet: bool = False,
) -> Card:
    r"""Fits each recipe, and trivial baselines, to the same data and says what they are worth.

    Every recipe sees the same split, the same nested parts of its training data ($N/8$, $N/4$,
    $N/2$ and $N$) and the same seeds. Each number is the median over seeds with the smallest
    and the largest. A recipe is called ahead of another only where a bootstrap in pairs, over
    seeds and test observations (whole groups, where groups were held out), leaves chance out
    with a confidence of 95 %; otherwise they tie.

    **Arguments:** `data`, one split, or a function from a seed to a split that is drawn with it;
    `recipes` by the names that the card gives them; `seeds`, how many: 0, 1, …; `out`, a folder
    in which every fit is kept as soon as it is finished, so that the same call goes on where it
    stopped; `rows`, the measures; `name` of the data. A recipe that raises becomes a note.

    **Raises:** `ValueError` where there is nothing to compare or the parts of a split share an
    observation; `Interrupted` on Ctrl-C, with everything finished kept in `out`.
    """
    _check(recipes, seeds)
    splits = [data(seed) for seed in range(seeds)] if callable(data) else [data] * seeds
    for split in splits:
        check_apart(split)
    first = splits[0]
    trivial = baselines(first.train, recipes)
    _check_names(recipes, trivial)
    everyone = {**recipes, **trivial}
    shares = shares_of(first)
    kept = None if out is None else Path(out) / "fits"
    trial = Trial(
        schema=first.test.schema,
        names=tuple(everyone),
        baselines=frozenset(trivial),
        sizes={share: _size(subset(first, share, seed=0)) for share in shares},
        size_noun="training samples a course" if is_within(first) else "training observations",
        units=tuple(units_of(split) for split in splits),
        unit_noun=_unit_noun(first),
        cells=_run(everyone, splits, shares, rows, kept, quiet),
    )
    how = first.how
    if any(split.how != how for split in splits):
        how = f"{how} So for the first seed; each of the {seeds} draws its own."
    return make_card(trial, rows, data=name, split=how)


def _run(
    recipes: Mapping[str, Recipe],
    splits: Sequence[Split],
    shares: Sequence[float],
    rows: Sequence[Row],
    kept: Path | None,
    quiet: bool,
) -> dict[tuple[str, float, int], Cell]:
    """Every cell. The cheap ends come first: after the first seed every recipe has a number."""
    cells: dict[tuple[str, float, int], Cell] = {}
    total = len(recipes) * len(splits) * len(shares)
    pace = 0.1 if sys.stderr.isatty() else 10.0
    bar = tqdm(
        total=total, unit="fit", disable=quiet, leave=False, mininterval=pace, dynamic_ncols=True
    )
    try:
        with bar:
            for seed, split in enumerate(splits):
                for share in shares:
                    part = subset(split, share, seed=seed)
                    for name, recipe in recipes.items():
                        bar.set_postfix_str(f"{name}, share {share:g}, seed {seed}")
                        cells[name, share, seed] = run_cell(
                            recipe, part, seed=seed, share=share, rows=rows, kept=kept
                        )
                        bar.update()
    except KeyboardInterrupt:
        left = "nothing is kept without a folder (out=...)"
        if kept is not None:
            left = f"they are kept in {kept.parent}, and the same command goes on from there"
        raise Interrupted(f"stopped after {len(cells)} of {total} fits; {left}.") from None
    return cells


def _check(recipes: Mapping[str, Recipe], seeds: int) -> None:
    if not recipes:
        raise ValueError(
            "no recipe was given to compare; give at least one, such as {'pca': uw.pca()}."
        )
    if seeds < 1:
        raise ValueError(f"{seeds} seeds were asked for; give at least 1.")


def _check_names(recipes: Mapping[str, Recipe], trivial: Mapping[str, Recipe]) -> None:
    for name in recipes:
        if name in trivial:
            raise ValueError(f"a recipe is called '{name}', as a baseline is; call it otherwise.")


def _size(split: Split) -> int:
    if not is_within(split):
        return len(split.train)
    return int(np.median(samples_of(split.train)))


def _unit_noun(split: Split) -> str:
    if is_within(split):
        return "test course"
    names = units_of(split)
    return "test observation" if len(np.unique(names)) == len(names) else "test group"
