"""The row of the parameters that the data determine."""

import numpy as np

from ._row import Fitted, Reading, Row

# a neural equation's latents are where its courses begin, and not parameters
_NO_FORMULA = ("neural-ode",)
# so many of those that are not determined are named
_NAMED = 3


def identified(fitted: Fitted) -> Reading | None:
    """The share of a formula's fitted latents that the data determine, by the fit's own account.

    A latent counts where its standard error is below half of its estimate and below the width of
    its prior, and it does not lie at an end of its range; one that every record has of its own
    counts by the share of records in which that holds. The kind names those that fail in most.
    None of models without a formula.
    """
    if fitted.account is None or fitted.recipe in _NO_FORMULA:
        return None
    found: dict[str, list[bool]] = {}
    for row in fitted.account["latents"]:
        if row["status"] != "fixed":
            found.setdefault(row["name"], []).append(row["status"] == "determined")
    if not found:
        return None
    share = float(np.mean([np.mean(held) for held in found.values()]))
    weak = [name for name, held in found.items() if np.mean(held) < 0.5]
    named = f", not {', '.join(weak[:_NAMED])}" if weak else ""
    more = f" and {len(weak) - _NAMED} more" if len(weak) > _NAMED else ""
    return Reading(share, kind=f"of {len(found)}{named}{more}")


IDENTIFIED = Row("identified", "parameters identified", identified, "higher", group="interpretable")
