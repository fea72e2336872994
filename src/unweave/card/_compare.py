"""The verb: fit every recipe to the same data, share by share and seed by seed."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
    shares: Sequence[float] | None = None,
    elsewhere: Split | Callable[[int], Split] | None = None,
    name: str = "data given in memory",
    quiet: bool = False,
) -> Card:
    r"""Fits each recipe, and trivial baselines, to the same data and says what they are worth.

    Every recipe sees the same split, the same nested parts of its training data ($N/16$ to $N$)
    and the same seeds. Each number is the median over seeds with the smallest and the largest. A
    recipe is called ahead of another only where a bootstrap in pairs, over seeds and test
    observations (whole groups, where groups were held out), leaves chance out with a confidence
    of 95 %; otherwise they tie.

    **Arguments:** `data`, one split, or a function from a seed to a split that is drawn with it;
    `recipes` by the names that the card gives them; `seeds`, how many: 0, 1, …; `out`, a folder
    in which every fit is kept as soon as it is finished, so that the same call goes on where it
    stopped; `rows`, the measures; `shares` of the training data, the whole among them;
    `elsewhere`, other data of the same kind (another patient, another year, simulated ones), on
    which each model is measured without being fitted again, beside one that was fitted there;
    `name` of the data. A recipe that raises becomes a note.

    **Raises:** `ValueError` where there is nothing to compare, the parts of a split share an
    observation, or the data elsewhere are of another shape; `Interrupted` on Ctrl-C, with
    everything finished kept in `out`.
    """
    _check(recipes, seeds)
    splits, others = _drawn(data, seeds), _drawn(elsewhere, seeds)
    for split in (*splits, *others):
        check_apart(split)
    first = splits[0]
    _check_elsewhere(first, others)
    trivial = baselines(first.train, recipes)
    _check_names(recipes, trivial)
    everyone = {**recipes, **trivial}
    parts = shares_of(first, shares)
    kept = None if out is None else Path(out) / "fits"
    cells = _run(_tasks(everyone, splits, others, parts, rows), kept, quiet)
    trial = Trial(
        schema=first.test.schema,
        names=tuple(everyone),
        baselines=frozenset(trivial),
        sizes={share: _size(subset(first, share, seed=0)) for share in parts},
        size_noun="training samples a course" if is_within(first) else "training observations",
        units=tuple(units_of(split) for split in splits),
        unit_noun=_unit_noun(first),
        cells={(t.name, t.share, t.seed): cell for t, cell in cells.items() if not t.away},
        elsewhere={(t.name, t.seed): cell for t, cell in cells.items() if t.away},
        recipes={name: recipe.name for name, recipe in everyone.items()},
        forecasts=is_within(first),
    )
    how = first.how
    if any(split.how != how for split in splits):
        how = f"{how} So for the first seed; each of the {seeds} draws its own."
    return make_card(trial, rows, data=name, split=how)


@dataclass(frozen=True, eq=False)
class _Task:
    """One cell to be made; `away` where the recipe is fitted to the data elsewhere."""

    name: str
    share: float
    seed: int
    away: bool
    recipe: Recipe
    data: Split
    elsewhere: Split | None
    rows: tuple[Row, ...]

    def __call__(self, kept: Path | None) -> Cell:
        """The cell."""
        return run_cell(
            self.recipe, self.data, seed=self.seed, share=self.share, rows=self.rows, kept=kept,
            elsewhere=self.elsewhere,
        )  # fmt: skip

    def __str__(self) -> str:
        where = "elsewhere" if self.away else f"share {self.share:g}"
        return f"{self.name}, {where}, seed {self.seed}"


def _tasks(
    recipes: Mapping[str, Recipe],
    splits: Sequence[Split],
    others: Sequence[Split],
    shares: Sequence[float],
    rows: Sequence[Row],
) -> list[_Task]:
    """Every cell. The cheap ends come first: after the first seed every recipe has a number."""
    always = tuple(row for row in rows if row.curve or row.everywhere)
    beside = tuple(row.beside for row in rows if row.beside is not None)
    away = tuple({row.key: row for row in (*always, *beside)}.values())
    tasks = []
    for seed, split in enumerate(splits):
        other = others[seed] if others else None
        for share in shares:
            part, asked = subset(split, share, seed=seed), tuple(rows) if share == 1 else always
            there = other if share == 1 else None
            tasks += [
                _Task(name, share, seed, False, recipe, part, there, asked)
                for name, recipe in recipes.items()
            ]
        if other is not None:
            tasks += [
                _Task(name, 1.0, seed, True, recipe, other, None, away)
                for name, recipe in recipes.items()
            ]
    return tasks


def _run(tasks: Sequence[_Task], kept: Path | None, quiet: bool) -> dict[_Task, Cell]:
    """Every cell by its task."""
    cells: dict[_Task, Cell] = {}
    pace = 0.1 if sys.stderr.isatty() else 10.0
    bar = tqdm(
        total=len(tasks), unit="fit", disable=quiet, leave=False, mininterval=pace,
        dynamic_ncols=True,
    )  # fmt: skip
    try:
        with bar:
            for task in tasks:
                bar.set_postfix_str(str(task))
                cells[task] = task(kept)
                bar.update()
    except KeyboardInterrupt:
        left = "nothing is kept without a folder (out=...)"
        if kept is not None:
            left = f"they are kept in {kept.parent}, and the same command goes on from there"
        raise Interrupted(f"stopped after {len(cells)} of {len(tasks)} fits; {left}.") from None
    return cells


def _drawn(data: Split | Callable[[int], Split] | None, seeds: int) -> list[Split]:
    """A split for each seed; none where there are no data."""
    if data is None:
        return []
    return [data(seed) for seed in range(seeds)] if callable(data) else [data] * seeds


def _check(recipes: Mapping[str, Recipe], seeds: int) -> None:
    if not recipes:
        raise ValueError(
            "no recipe was given to compare; give at least one, such as {'pca': uw.pca()}."
        )
    if seeds < 1:
        raise ValueError(f"{seeds} seeds were asked for; give at least 1.")


def _check_elsewhere(first: Split, others: Sequence[Split]) -> None:
    for other in others:
        if _looks(other) != _looks(first):
            raise ValueError(
                f"an observation elsewhere is {_looks(other)}, here it is {_looks(first)}; cut "
                "both in the same way, into the same channels and units."
            )


def _looks(split: Split) -> str:
    schema = split.test.schema
    axes = " by ".join(f"{n} {axis}" for axis, n in zip(schema.axes, schema.shape, strict=True))
    named = zip(schema.channels, schema.units, strict=True)
    return f"{axes} of {', '.join(' '.join(filter(None, pair)) for pair in named)}"


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
