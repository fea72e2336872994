"""The mixture of all models, and what the formula misses, in sentences."""

from ._missed import Missed
from ._stacking import Stacking
from ._trial import Trial
from ._words import listed, number, with_unit


def of_stacking(trial: Trial, found: Stacking | None) -> tuple[str, ...]:
    """What a mixture of all models wants of each, and whether it is worth having."""
    if found is None:
        return ()
    order = sorted(found.weights.items(), key=lambda item: -item[1][0])
    some = [(name, w, error) for name, (w, error) in order if w >= 0.005]
    weights = listed([f"{trial.called(name)} {w:.2f} ± {error:.2f}" for name, w, error in some])
    gain = f"{number(found.gain, 2)} ± {number(found.gain_error, 2)} nats an observation"
    if found.gain > 2 * found.gain_error:
        worth = f"is ahead of {trial.called(found.best)} alone by {gain}, so each adds something"
    else:
        worth = f"gains nothing that counts on {trial.called(found.best)} alone ({gain})"
    bound = ""
    if "bound" in " ".join(found.kinds):
        bound = " A bound is never more than the density, so a model with a bound may merit more."
    return (f"A mixture that finds the test data most likely weighs {weights}; it {worth}.{bound}",)


def of_missed(trial: Trial, found: Missed | None) -> tuple[str, ...]:
    """What the best formula leaves over and the best network finds."""
    if found is None:
        return ()
    network, formula = trial.called(found.network), trial.called(found.formula)
    interval = f"95 % interval {found.low:.0%} to {found.high:.0%}"
    if not found.is_something:
        return (
            f"What {formula} leaves over is noise to {network}, which explains "
            f"{found.share:.0%} of it ({interval}).",
        )
    words = f"Of what {formula} leaves over, {network} explains {found.share:.0%} ({interval})"
    if not found.times:
        return (f"{words}.",)
    first, last = (with_unit(number(t, 3), found.time_unit) for t in (found.first, found.last))
    before, after = (
        with_unit(number(found.rms(v), 2), found.unit) for v in (found.before, found.after)
    )
    return (f"{words}: half of that between {first} and {last}, where {before} become {after}.",)
