r"""How a generative training is going, by what the model generates, and in words.

After some epochs the monitor draws observations and compares them with those the model is trained
on and with held-out ones. No loss of an adversarial game, and no bound either, says when a model
begins to give training observations back or to leave some kinds out; these numbers do.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._many import many
from .._model import (
    AbstractDecoder,
    AbstractSampler,
    Condition,
    Key,
)
from .._programs import give_back
from .._rows import evenly
from ._objectives import Conditioned, Rows
from ._supervised import Answered

# how many are drawn, and of how many training observations the nearest is looked for
_DRAWN, _SEEN = 256, 4096
# the neighbour whose distance is the radius of a held-out observation's ball (Naeem et al. 2020)
_NEIGHBOUR = 5
# a held-out part of fewer observations tells nothing
_FEWEST = 20
# standard normal steps to either side by which a latent is turned to see what it does
_TURN = 1.5


class Look(NamedTuple):
    r"""What was seen of a model after an epoch.

    `spread`: the generated observations' total variance over that of training. `coverage`: the
    share of held-out observations with a generated one in the ball that reaches to their fifth
    held-out neighbour (Naeem et al. 2020, equation 4), over the share that as many training
    observations reach. `copied`: with $p$ the share of generated observations whose nearest
    observation is one of training and not a held-out one, and $p_0$ training's share of both
    together, $(p - p_0) / (1 - p_0)$; 0 for a model that knows neither, 1 for one that gives
    training back. `nearness`: the median distance to the nearest training observation, over that
    from one of these to the next. `unused`: the share of latents that change nothing, NaN for a
    model without. `distance`: the energy distance of generated to held-out observations, in units
    of the training data's deviation, and `floor` that of training ones. `alike`: the share of
    held-out observations that training reaches; where it is under a half, as for other patients,
    `coverage` is that of one half of training instead, beside what the other half reaches.
    """

    spread: float
    coverage: float
    copied: float
    nearness: float
    unused: float
    distance: float
    floor: float
    alike: float


class Monitor:
    """Training and held-out observations that a model's own are compared with."""

    def __init__(self, train: Rows, held_out: Rows, key: Key):
        self.key, self.has_looked = key, False
        seen, held = observations_of(train), observations_of(held_out)
        some = evenly(len(seen), _SEEN)
        flat = _flat(seen[some])
        self.offset = np.nanmean(flat, axis=0)
        # one measure for all entries, so that distances are those of the user's own units
        apart = flat.astype(np.float64) - self.offset  # squares of large numbers are larger still
        self.unit = float(np.sqrt(np.nanmean(apart**2))) or 1.0
        self.seen, self.held = self._standard(flat), self._standard(_flat(held))
        self.conditions = _conditions_of(train, _DRAWN)
        if self.can_tell:
            self._know_the_data()

    @property
    def can_tell(self) -> bool:
        """Whether there are enough observations to compare with."""
        return min(len(self.seen), len(self.held)) >= _FEWEST

    def draw(self, model: AbstractSampler, n: int = _DRAWN) -> np.ndarray:
        """Observations of the model, by the same chance each time."""
        keys = jax.random.split(self.key, n)
        kind = str(jax.random.key_impl(keys))
        rows = jax.tree.map(lambda part: np.resize(part, (n, *part.shape[1:])), self.conditions)
        return many(eqx.Partial(_drawn, model, kind), np.asarray(jax.random.key_data(keys)), rows)

    def look(self, model: AbstractSampler, drawn: np.ndarray) -> Look:
        """What `drawn` observations of the model, and turning its latents, say of it."""
        x = self._standard(_flat(drawn))
        # finite whatever happens: a model that has lost its mind is for the loop to report
        x = np.nan_to_num(x, nan=0.0, posinf=1e6, neginf=-1e6)
        near_seen, near_held = _nearest(x, self.seen), _nearest(x, self.held)
        share = float((near_seen < near_held).mean() + 0.5 * (near_seen == near_held).mean())
        fair = len(self.seen) / (len(self.seen) + len(self.held))
        unused = _unused(model, self.unit)
        if not self.has_looked:
            # what compiled all this has left memory behind
            give_back()
            self.has_looked = True
        return Look(
            spread=float(x.var(axis=0).sum() / max(self.seen.var(axis=0).sum(), 1e-12)),
            coverage=_reached(self.targets, self.radius, x[: self.count]) / max(self.fair, 1e-12),
            copied=(share - fair) / (1 - fair),
            nearness=float(np.median(near_seen) / max(self.among, 1e-12)),
            unused=unused,
            distance=_energy_distance(x, self.held),
            floor=self.floor,
            alike=self.alike,
        )

    def _know_the_data(self) -> None:
        """What the data say of themselves, once."""
        self.among = float(np.median(_nearest(self.seen, self.seen, own=True)))
        self.count = min(_DRAWN, len(self.seen))
        some = self.seen[evenly(len(self.seen), self.count)]
        self.floor = _energy_distance(some, self.held)
        self.targets, self.radius = self.held, _radius(self.held)
        self.fair = self.alike = _reached(self.held, self.radius, some)
        if self.alike < 0.5:
            first, second = self.seen[::2], self.seen[1::2]
            self.targets = first[evenly(len(first), _SEEN // 8)]
            self.radius, self.count = _radius(self.targets), min(_DRAWN, len(second))
            self.fair = _reached(self.targets, self.radius, second[evenly(len(second), self.count)])

    def _standard(self, flat: np.ndarray) -> np.ndarray:
        # what was not observed stands at the mean on both sides
        scaled = (flat - self.offset) / self.unit
        return np.nan_to_num(scaled).astype(np.float32)


def observations_of(rows: Rows) -> np.ndarray:
    """The observations among the rows that a plan trains on."""
    return np.asarray(rows.x if isinstance(rows, Answered | Conditioned) else rows)


def _conditions_of(rows: Rows, n: int) -> Condition:
    told = None
    if isinstance(rows, Answered | Conditioned):
        told = rows.answer if isinstance(rows, Answered) else rows.condition
    return jax.tree.map(lambda part: np.asarray(part)[:n], told)


def _drawn(model: AbstractSampler, kind: str, data: Array, condition: Condition) -> Array:
    return model.sample(jax.random.wrap_key_data(data, impl=kind), condition)


def _unused(model: AbstractSampler, unit: float) -> float:
    """The share of latents that, turned, move no entry by a hundredth of the data's deviation."""
    if not isinstance(model, AbstractDecoder):
        return float("nan")
    return float((np.asarray(_effects(model)) < 0.01 * unit).mean())


@eqx.filter_jit
def _effects(model: AbstractDecoder) -> Float[Array, " latent"]:
    """By how much each latent moves the entry that it moves most."""
    size = model.latents.size
    turned = _TURN * jnp.eye(size)

    def change(step: Array) -> Array:
        high, low = (model.decode(model.latents.from_normal(s * step)) for s in (1.0, -1.0))
        return jnp.abs(high.astype(jnp.float32) - low.astype(jnp.float32)).max()

    return jax.lax.map(change, turned, batch_size=64)


def _flat(x: np.ndarray) -> np.ndarray:
    return np.asarray(x, np.float32).reshape(len(x), -1)


def _radius(points: np.ndarray) -> np.ndarray:
    """How far it is from each to its fifth neighbour among them."""
    among = _distances(points, points)
    np.fill_diagonal(among, np.inf)
    k = min(_NEIGHBOUR, len(points) - 1)
    return np.partition(among, k - 1, axis=1)[:, k - 1]


def _reached(targets: np.ndarray, radius: np.ndarray, points: np.ndarray) -> float:
    """The share of targets with a point in their ball."""
    return float((_distances(targets, points).min(1) <= radius).mean())


def _energy_distance(a: np.ndarray, b: np.ndarray) -> float:
    """As `energy_distance`, of at most so many of each, on the host."""
    a, b = a[evenly(len(a), 2 * _DRAWN)], b[evenly(len(b), 2 * _DRAWN)]

    def within(u: np.ndarray) -> float:
        inner = _distances(u, u)
        np.fill_diagonal(inner, 0)
        return float(inner.sum() / (len(u) * (len(u) - 1)))

    return float(2 * _distances(a, b).mean()) - within(a) - within(b)


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.sqrt(np.maximum(squared, 0))


def _nearest(a: np.ndarray, b: np.ndarray, *, own: bool = False) -> np.ndarray:
    """The distance of each of `a` to the nearest of `b`; `own` if both are the same points."""
    parts = []
    for first in range(0, len(a), 512):
        block = _distances(a[first : first + 512], b)
        if own:
            rows = np.arange(len(block))
            block[rows, first + rows] = np.inf
        parts.append(block.min(1))
    return np.concatenate(parts)


#: What a look must show for each alarm, in the row's own names.
_ALARMS = ("collapsed", "leaving out", "memorising", "critic saturated")
# in so many looks one after the other: one alone may be chance
_LOOKS = 2
# looks at the very beginning are of a model that has not begun yet
_FIRST_SHARE = 0.1


def alarms(rows: Sequence[Mapping[str, Any]], epochs: int) -> dict[str, int]:
    """What is wrong at the last look, and since which epoch it has been."""
    looked = [row for row in rows if "look_spread" in row]
    looked = [row for row in looked if row["epoch"] > _FIRST_SHARE * epochs or row is looked[-1]]
    found = {}
    for name in _ALARMS:
        wrong = [_is_wrong(name, row) for row in looked]
        run = 0
        while run < len(wrong) and wrong[-1 - run]:
            run += 1
        if run >= _LOOKS:
            found[name] = int(looked[-run]["epoch"])
    # a collapsed model leaves nearly all out: one alarm for one thing
    if "collapsed" in found:
        found.pop("leaving out", None)
    return found


def _is_wrong(name: str, row: Mapping[str, Any]) -> bool:
    if name == "collapsed":
        return row["look_spread"] < 0.1
    if name == "leaving out":
        return row["look_coverage"] < 0.4
    if name == "memorising":
        return row["look_copied"] > 0.5 and row["look_nearness"] < 0.5
    return row.get("held_out_critic_wins", 0.5) > 0.98


def health_words(rows: Sequence[Mapping[str, Any]], epochs: int) -> list[str]:
    """What the looks of a training of so many epochs say, in sentences; empty where there were
    none."""
    looked = [row for row in rows if "look_spread" in row]
    if not looked:
        return []
    last, found = looked[-1], alarms(rows, epochs)
    words = [_ALARM_WORDS[name](last, since) for name, since in found.items()]
    if not words:
        words.append(
            f"No alarm: what is generated has {last['look_spread']:.2f} of the data's variance and "
            f"reaches {min(last['look_coverage'], 1):.0%} of what as many training observations "
            "reach."
        )
    if last["look_alike"] < 0.5:
        words.append(
            "Held-out observations are not like those of training, which reach "
            f"{last['look_alike']:.0%} of them, so that copies are told by their distance alone."
        )
    elif last["look_copied"] > 0.5 and "memorising" not in found:
        words.append(
            f"{last['look_copied']:.0%} of what is generated lies nearer to a training observation "
            "than chance would have it, but no nearer than these are to each other."
        )
    if last["look_unused"] > 0:
        words.append(f"{last['look_unused']:.0%} of the latents change nothing.")
    best = min(looked, key=lambda row: row["look_distance"])
    of_game = any("held_out_critic_wins" in row for row in rows)
    words.append(
        (
            "The losses of the two players do not say when to stop, for each is measured by the "
            "other; the distance to held-out data does: it "
            if of_game
            else "The energy distance to held-out data "
        )
        + f"was least in epoch {best['epoch']}, {best['look_distance']:.3g}, and is "
        f"{last['look_distance']:.3g} in the last that was looked at; training observations are at "
        f"{last['look_floor']:.3g}."
    )
    return words


_ALARM_WORDS = {
    "collapsed": lambda row, since: (
        f"Collapsed since epoch {since}: what is generated has {row['look_spread']:.1%} of the "
        "data's variance. Lower the learning rates, or use a relativistic loss with R1 and R2."
    ),
    "leaving out": lambda row, since: (
        f"Leaving kinds out since epoch {since}: what is generated reaches "
        f"{row['look_coverage']:.0%} of what as many training observations reach of held-out ones. "
        "Train longer, or use a relativistic loss with R1 and R2."
    ),
    "memorising": lambda row, since: (
        f"Memorising since epoch {since}: {row['look_copied']:.0%} of what is generated lies "
        "nearer to a training observation than chance would have it, at "
        f"{row['look_nearness']:.2f} of the distance between two of these. Stop earlier, take a "
        "smaller net, or get more data."
    ),
    "critic saturated": lambda row, since: (
        f"The critic is saturated since epoch {since}: it tells held-out observations from "
        f"generated ones in {row['held_out_critic_wins']:.1%} of pairs, so that its slope teaches "
        "the generator little. Raise its penalty, or lower its learning rate."
    ),
}
