"""The verb: fit every recipe to the same data, share by share and seed by seed."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .._files import sweep
from .._held import held
from ..data import Split
from ..run import settings_of
from ..spread import HERE, Lost, Place, spread
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
    on: Place = HERE,
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
    `name` of the data; `on`, where the fits run (`Processes(4)`, `OnRay()`), by which no number
    changes but the seconds. A recipe that raises, or is killed twice, becomes a note.

    **Raises:** `ValueError` where there is nothing to compare, the parts of a split share an
    observation, or the data elsewhere are of another shape; `FolderInUse`, an `OSError`, where
    another process works in `out`; `Interrupted` on Ctrl-C, with everything finished kept in
    `out`; what `spread` does where workers cannot begin.
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
    fits = _Fits(everyone, tuple(splits), tuple(others), tuple(rows), kept)
    with nullcontext() if out is None else held(Path(out)):
        if out is not None:
            sweep(Path(out))
        cells = _run(_tasks(everyone, seeds, parts, bool(others)), fits, on, quiet)
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


@dataclass(frozen=True)
class _Task:
    """One cell to be made; `away` where the recipe is fitted to the data elsewhere."""

    name: str
    share: float
    seed: int
    away: bool

    def __str__(self) -> str:
        where = "elsewhere" if self.away else f"share {self.share:g}"
        return f"{self.name}, {where}, seed {self.seed}"


@dataclass(frozen=True, eq=False)
class _Fits:
    """Makes cells: all that they share, which reaches each worker once."""

    recipes: Mapping[str, Recipe]
    splits: tuple[Split, ...]
    others: tuple[Split, ...]
    rows: tuple[Row, ...]
    kept: Path | None

    def __call__(self, task: _Task) -> Cell:
        """The cell of a task."""
        seed, whole = task.seed, task.share == 1 and not task.away
        rows = tuple(row for row in self.rows if whole or row.curve or row.everywhere)
        if task.away:
            beside = [row.beside for row in self.rows if row.beside is not None]
            rows = tuple({row.key: row for row in (*rows, *beside)}.values())
        data = (self.others if task.away else self.splits)[seed]
        return run_cell(
            self.recipes[task.name], subset(data, task.share, seed=seed), seed=seed,
            share=task.share, rows=rows, kept=self.kept,
            elsewhere=self.others[seed] if self.others and whole else None,
        )  # fmt: skip

    def place(self, task: _Task) -> str:
        """The same for two tasks only where they would work in the same folder."""
        if self.kept is None:
            return str(task)
        settings = settings_of(self.recipes[task.name], None, task.seed)
        return json.dumps([settings, task.share, task.away], sort_keys=True, default=str)


def _tasks(
    names: Iterable[str], seeds: int, shares: Sequence[float], elsewhere: bool
) -> list[_Task]:
    """Every cell. The cheap ends come first: after the first seed every recipe has a number."""
    return [
        _Task(name, share, seed, away)
        for seed in range(seeds)
        for share, away in [*((share, False) for share in shares), *[(1.0, True)] * elsewhere]
        for name in names
    ]


def _run(tasks: Sequence[_Task], fits: _Fits, on: Place, quiet: bool) -> dict[_Task, Cell]:
    """Every cell by its task."""
    cells: dict[_Task, Cell] = {}
    pace = 0.1 if sys.stderr.isatty() else 10.0
    bar = tqdm(
        total=len(tasks), unit="fit", disable=quiet, leave=False, mininterval=pace,
        dynamic_ncols=True,
    )  # fmt: skip
    alone = {fits.place(task): task for task in reversed(tasks)}
    first = [task for task in tasks if alone[fits.place(task)] is task]
    again = [task for task in tasks if alone[fits.place(task)] is not task]

    def work(some: list[_Task], on: Place) -> None:
        def done(i: int, cell: Cell | Lost) -> None:
            # that a worker was killed says nothing of the recipe, and is not kept
            cells[some[i]] = Cell(failed=cell.sentence) if isinstance(cell, Lost) else cell
            bar.update()

        spread(fits, some, on=on, begun=lambda i: bar.set_postfix_str(str(some[i])), done=done)

    try:
        with bar:
            work(first, on)
            # two recipes that are one share a folder, in which two workers never meet
            work(again, HERE)
    except KeyboardInterrupt:
        left = "nothing is kept without a folder (out=...)"
        if fits.kept is not None:
            left = f"they are kept in {fits.kept.parent}, and the same command goes on from there"
        raise Interrupted(f"stopped after {len(cells)} of {len(tasks)} fits; {left}.") from None
    return {task: cells[task] for task in tasks}


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
