"""How training went, and how much each latent carries: single panels."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ._style import ACCENT, FAINT, INK, MUTED, plain, single_axes, styled

#: What a row of metrics calls each loss, what the figure calls it, and its colour.
LOSSES = (
    ("train_loss", "training", FAINT),
    ("held_out_loss", "held out", ACCENT),
)


@styled
def curves(
    rows: Sequence[Mapping[str, float | int]],
    *,
    unit: str = "nats per observation",
    axes: Axes | None = None,
) -> Figure:
    """Training and held-out loss against the epoch, with the lowest held-out loss marked.

    **Arguments:** `rows`, one mapping per epoch with `epoch`, `train_loss` and, where there is
    one, `held_out_loss`; other entries are left alone. The first spike may leave the frame:
    the end of training is what the figure is for.
    """
    axes, figure = single_axes(axes, 7.2, 2.5)
    seen = []
    for name, label, colour in LOSSES:
        points = [(r["epoch"], r[name]) for r in rows if "epoch" in r and name in r]
        finite = [(epoch, loss) for epoch, loss in points if np.isfinite(loss)]
        if not finite:
            continue
        epochs, losses = np.asarray(finite, dtype=float).T
        seen.append(losses)
        best = int(np.argmin(losses))
        if name == "held_out_loss":
            axes.plot(epochs[best], losses[best], "o", color=colour, markersize=4)
            label += f", lowest at epoch {epochs[best]:g}"
        axes.plot(epochs, losses, color=colour, linewidth=1.4, label=label)
    if seen:
        _frame(axes, np.concatenate(seen))
        axes.legend(loc="upper right", ncols=2, handlelength=1.6)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.grid(axis="y")
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"loss ({plain(unit)})")
    return figure


def _frame(axes: Axes, losses: np.ndarray) -> None:
    low, high = float(losses.min()), float(np.quantile(losses, 0.95))
    reach = max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-9)
    axes.set_ylim(low - 0.12 * reach, min(high + 0.3 * reach, losses.max() + 0.3 * reach))


@styled
def kl_bars(
    kl: np.ndarray,
    names: Sequence[str],
    *,
    active_above: float = 0.01,
    axes: Axes | None = None,
) -> Figure:
    """How many nats each latent carries on average, the most telling first.

    **Arguments:** `kl` `(latent,)` in nats; latents at or below `active_above` are drawn grey,
    as unused.
    """
    kl = np.asarray(kl, dtype=float)
    if kl.shape != (len(names),):
        raise ValueError(f"{len(names)} names were given for {kl.size} latents; give one each.")
    axes, figure = single_axes(axes, 7.2, 0.7 + 0.21 * len(kl))
    order = np.argsort(-np.nan_to_num(kl), kind="stable")
    colours = [ACCENT if kl[i] > active_above else MUTED for i in order]
    axes.barh(np.arange(len(kl)), kl[order], height=0.62, color=colours)
    longest = max(float(np.nan_to_num(kl).max()), 1e-9)
    for place, i in enumerate(order):
        axes.text(
            max(float(np.nan_to_num(kl[i])), 0.0) + 0.012 * longest, place, f"{kl[i]:.2f}",
            va="center", fontsize=7.5, color=MUTED,
        )  # fmt: skip
    axes.set_xlim(0, 1.1 * longest)
    axes.set_ylim(len(kl) - 0.4, -0.6)
    labels = [plain(str(names[i]), 16) for i in order]
    axes.set_yticks(np.arange(len(kl)), labels, parse_math=False)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("KL divergence from the prior (nats)")
    return figure
