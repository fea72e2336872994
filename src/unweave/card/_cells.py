"""Cells: one recipe fitted to one share of the data with one seed, kept once it is finished."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .._files import sweep, write_whole
from .._held import held
from ..data import Split
from ..run import Run, fit, load_run, settings_of
from ..train import Recipe, fingerprint
from ._peak import watched
from ._row import Fitted, Reading, Row

_READINGS, _MEMORY, _PARTS = "readings.json", "memory.json", "parts.npz"
# a worker whose comparison was killed, or whose machine was lost, ends within so many seconds
_PATIENCE = 60.0


@dataclass(frozen=True, eq=False)
class Cell:
    """What the rows read off one fitted model: `readings` by `Row.key`, None where a model has
    no such number; or `failed`, the sentence that says why there is no model. `unread` has the
    sentence of every row that could not be measured, by its key; `run` is the folder of the fit,
    seen from the card's, where there is one."""

    readings: Mapping[str, Reading | None] = field(default_factory=dict)
    failed: str = ""
    unread: Mapping[str, str] = field(default_factory=dict)
    run: str = ""


def run_cell(
    recipe: Recipe,
    data: Split,
    *,
    seed: int,
    share: float,
    rows: Sequence[Row],
    kept: Path | None = None,
    elsewhere: Split | None = None,
) -> Cell:
    """Fits `recipe` to `data` and reads every row, or takes from the folder `kept` what is
    already there.

    A fit that was interrupted goes on; one that raised is a cell that says so, on the next call
    as well. Errors of the operating system, such as a full disk, say nothing of the recipe and
    are raised.
    """
    if kept is None:
        return _cell(recipe, data, seed, rows, None, elsewhere)
    place = kept / cell_key(recipe, data, seed, share, elsewhere)
    with held(place, patience=_PATIENCE):
        sweep(place)
        return _cell(recipe, data, seed, rows, place, elsewhere)


def _cell(
    recipe: Recipe,
    data: Split,
    seed: int,
    rows: Sequence[Row],
    place: Path | None,
    elsewhere: Split | None,
) -> Cell:
    before = Cell() if place is None else _read(place)
    missing = [row for row in rows if row.key not in before.readings]
    if before.failed or not missing:
        return _placed(before, place)
    try:
        fitted = replace(_fitted(recipe, data, seed, place), elsewhere=elsewhere)
        cell = _measured(fitted, missing, before)
    except OSError:
        raise
    except Exception as error:  # whatever a recipe raises belongs to its cell, not to the card
        cell = Cell(before.readings, _sentence(error), before.unread)
    if place is not None:
        _write(place, cell)
    return _placed(cell, place)


def _placed(cell: Cell, place: Path | None) -> Cell:
    if place is None or not (place / "result.json").exists():
        return cell
    return replace(cell, run=f"{place.parent.name}/{place.name}")


def _measured(fitted: Fitted, rows: Sequence[Row], before: Cell) -> Cell:
    """The cell with these rows too; one that cannot be measured takes no other with it."""
    readings, unread = dict(before.readings), dict(before.unread)
    for row in rows:
        try:
            readings[row.key] = row.measure(fitted)
        except OSError:
            raise
        except Exception as error:
            readings[row.key], unread[row.key] = None, _sentence(error)
    return Cell(readings, "", unread)


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def cell_key(
    recipe: Recipe, data: Split, seed: int, share: float, elsewhere: Split | None = None
) -> str:
    """The name of a cell's folder: a hash of all that its numbers depend on."""
    digest = hashlib.sha256()
    asked = {**settings_of(recipe, None, seed), "share": share}
    digest.update(json.dumps(asked, sort_keys=True, default=str).encode())
    digest.update(repr(data.test.schema).encode())
    parts = (data.train, data.validation, data.test)
    for part in parts if elsewhere is None else (*parts, elsewhere.test):
        digest.update(fingerprint(part).encode())
        for leaf in jax.tree.leaves(part.conditions):
            digest.update(np.ascontiguousarray(leaf).data)
    return digest.hexdigest()[:24]


def _fitted(recipe: Recipe, data: Split, seed: int, place: Path | None) -> Fitted:
    resumed, memory = False, None
    if place is not None and (place / "result.json").exists():
        run, memory = load_run(place), _read_memory(place)
    else:
        begun = place is not None and (place / "run.toml").exists()
        # a closed form starts anew, so its time is whole
        resumed = begun and recipe.plan is not None
        with watched() as peak:
            run = _fit(recipe, data, seed, place, begun)
        if not resumed:
            memory = peak.megabytes
        if place is not None:
            write_whole(place / _MEMORY, [json.dumps({"megabytes": memory}).encode()])
    seconds = None if resumed else float(run.result["seconds"])
    return Fitted(
        run.model, recipe.name, data, seconds, seed, memory=memory, made_by=recipe,
        account=run.result.get("equation"),
    )  # fmt: skip


def _read_memory(place: Path) -> float | None:
    file = place / _MEMORY
    return json.loads(file.read_text())["megabytes"] if file.exists() else None


def _fit(recipe: Recipe, data: Split, seed: int, place: Path | None, begun: bool) -> Run:
    return fit(recipe, data, out=place, resume=begun, quiet=True, seed=seed)


def _write(place: Path, cell: Cell) -> None:
    place.mkdir(parents=True, exist_ok=True)
    readings = {key: _plain(reading) for key, reading in cell.readings.items()}
    kept = {"failed": cell.failed, "readings": readings, "unread": dict(cell.unread)}
    text = json.dumps(kept, allow_nan=False)
    parts = {key: r.parts for key, r in cell.readings.items() if r is not None}
    _write_parts(place / _PARTS, {key: part for key, part in parts.items() if part is not None})
    # what names a cell finished comes last
    write_whole(place / _READINGS, [text.encode()])


def _write_parts(file: Path, parts: Mapping[str, np.ndarray]) -> None:
    if not parts:
        return
    out = io.BytesIO()
    np.savez_compressed(
        out, allow_pickle=False, **{key.replace("/", ":"): part for key, part in parts.items()}
    )
    write_whole(file, [out.getvalue()])


def _plain(reading: Reading | None) -> dict[str, Any] | None:
    if reading is None:
        return None
    # JSON has no NaN and no infinity, and has them as text
    return {"value": _text(reading.value), "each": _text(reading.each), "kind": reading.kind}


def _text(value: Any) -> Any:
    """Numbers as JSON has them."""
    if value is None:
        return None
    if np.ndim(value) > 0:
        return [_text(part) for part in value]
    return float(value) if np.isfinite(value) else str(value)


def _read(place: Path) -> Cell:
    file = place / _READINGS
    if not file.exists():
        return Cell()
    kept, parts = json.loads(file.read_text()), {}
    if (place / _PARTS).exists():
        with np.load(place / _PARTS, allow_pickle=False) as arrays:
            parts = {name.replace(":", "/"): arrays[name] for name in arrays.files}
    readings = {key: _reading(r, parts.get(key)) for key, r in kept["readings"].items()}
    return Cell(readings, kept["failed"], kept.get("unread", {}))


def _reading(kept: dict[str, Any] | None, parts: np.ndarray | None) -> Reading | None:
    if kept is None:
        return None
    each = None if kept["each"] is None else np.asarray(kept["each"], dtype=np.float64)
    return Reading(float(kept["value"]), each, kept["kind"], parts)
