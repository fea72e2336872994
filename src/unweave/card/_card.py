"""The card: every number of a comparison with its range, its kind, and what they say."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from .._version import __version__
from ._missed import Missed, missed
from ._needed import needed
from ._purposes import Purpose, purposes
from ._row import Better, Row
from ._said import of_missed, of_stacking
from ._stacking import Stacking, stacking
from ._trial import Entry, Trial
from ._verdict import verdict


@dataclass(frozen=True)
class Line:
    """A row of the card with its numbers, by name of the recipe; of a curve one for each share.

    `size` is what the share of the training data comes to, `group` the heading that it stands
    under.
    """

    name: str
    title: str
    unit: str
    better: Better
    version: int
    share: float
    size: int
    curve: bool
    entries: Mapping[str, Entry | None]
    group: str = "accuracy"


@dataclass(frozen=True)
class Card:
    """What `compare` found.

    `names` of the recipes in order, `baselines` those that are trivial; `lines`, the rows with
    their numbers; `purposes`, whom to believe for what; `verdict` and `notes`, sentences;
    `stacking`, the weights of a mixture of all; `missed`, what the best formula leaves over;
    `split`, how test data were held out, of which there are `n_test` for each of the `seeds`;
    `size_noun`, what the training data are counted in; `recipes`, which recipe each name is;
    `runs`, by name, the folder of the fit to all training data with seed 0, seen from the card's
    own, where fits are kept.
    """

    data: str
    split: str
    kind: str
    n_test: int
    seeds: int
    size_noun: str
    names: tuple[str, ...]
    baselines: tuple[str, ...]
    lines: tuple[Line, ...]
    verdict: tuple[str, ...]
    notes: tuple[str, ...]
    purposes: tuple[Purpose, ...] = ()
    stacking: Stacking | None = None
    missed: Missed | None = None
    runs: Mapping[str, str] = field(default_factory=dict)
    spread: str = "smallest and largest over seeds"
    unweave: str = __version__
    recipes: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `unweave compare --json` prints them."""
        return asdict(self)

    @property
    def sentences(self) -> tuple[str, ...]:
        """For what to believe whom, then what that rests on, then notes."""
        return (*(one.sentence for one in self.purposes), *self.verdict, *self.notes)

    @property
    def measures(self) -> tuple[Line, ...]:
        """The lines at the whole training part."""
        return tuple(line for line in self.lines if not line.curve)

    @property
    def curves(self) -> tuple[Line, ...]:
        """The lines of learning curves, from the smallest share to the whole."""
        return tuple(line for line in self.lines if line.curve)


def make_card(trial: Trial, rows: Sequence[Row], *, data: str, split: str) -> Card:
    """The card of a trial."""
    shares = sorted(trial.sizes)
    lines = [
        Line(
            row.name,
            row.title,
            row.unit(trial.schema),
            row.better,
            row.version,
            share,
            trial.sizes[share],
            row.curve,
            {name: trial.entry(name, row, share) for name in trial.names},
            row.group,
        )
        for row in rows
        for share in (shares if row.curve else shares[-1:])
        if (not row.curve or len(shares) > 1) and not row.hidden
    ]
    if any(row.curve for row in rows):
        lines += _needed(trial)
    mixed, left = stacking(trial), missed(trial)
    return Card(
        data,
        split,
        trial.schema.kind,
        trial.n_test,
        trial.seeds,
        trial.size_noun,
        trial.names,
        tuple(name for name in trial.names if name in trial.baselines),
        tuple(line for line in lines if any(line.entries.values())),
        (*verdict(trial), *of_stacking(trial, mixed), *of_missed(trial, left)),
        (*_notes(trial), *_not_finite(trial, rows), *_unread(trial, rows), *_remarks(trial, rows)),
        purposes(trial, rows),
        mixed,
        left,
        {name: run for name in trial.names if (run := trial.cells[name, shares[-1], 0].run)},
        recipes=dict(trial.recipes),
    )


def _needed(trial: Trial) -> list[Line]:
    """The line of the training data that each recipe needs, where there is a curve."""
    if len(trial.sizes) < 2:
        return []
    entries = {name: needed(trial, name) for name in trial.names}
    title = f"{trial.size_noun} for nine tenths of the gain"
    return [
        Line(
            "needed",
            title,
            "",
            "lower",
            1,
            1.0,
            max(trial.sizes.values()),
            False,
            entries,
            "data needed",
        )
    ]


def _notes(trial: Trial) -> tuple[str, ...]:
    """What failed, once for each sentence."""
    failed: dict[tuple[str, str], list[float]] = {}
    for (name, share, _), cell in trial.cells.items():
        if cell.failed:
            failed.setdefault((name, cell.failed), []).append(share)
    return tuple(
        f"Failed in {len(shares)} of {len(trial.sizes) * trial.seeds} fits, "
        f"{trial.called(name)}, with {' and '.join(map(trial.size, sorted(set(shares))))}: "
        f"{sentence}"
        for (name, sentence), shares in failed.items()
    )


def _not_finite(trial: Trial, rows: Sequence[Row]) -> tuple[str, ...]:
    """Which numbers are left out because they are none."""
    notes = []
    for row in (row for row in rows if not row.curve):
        for name in trial.names:
            found = [
                cell.readings.get(row.key) for key, cell in trial.cells.items() if key[0] == name
            ]
            lost = sum(r is not None and not np.isfinite(r.value) for r in found)
            if lost:
                notes.append(
                    f"The {row.title} of {trial.called(name)} is not finite in {lost} of "
                    f"{len(found)} fits, which are left out of it."
                )
    return tuple(notes)


def _unread(trial: Trial, rows: Sequence[Row]) -> tuple[str, ...]:
    """Which numbers are missing because their measure failed, once for each sentence."""
    failed: dict[tuple[str, str, str], int] = {}
    for (name, _, _), cell in trial.cells.items():
        for row in rows:
            if row.key in cell.unread:
                told = (name, row.title, cell.unread[row.key])
                failed[told] = failed.get(told, 0) + 1
    return tuple(
        f"The {title} of {trial.called(name)} could not be measured in {times} of its fits: "
        f"{sentence}"
        for (name, title, sentence), times in failed.items()
    )


def _remarks(trial: Trial, rows: Sequence[Row]) -> tuple[str, ...]:
    """What rows say of all their numbers together."""
    return tuple(filter(None, (trial.remark(row) for row in rows if not row.hidden)))
