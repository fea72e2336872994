"""What `attacks.py` found, as a page."""

import statistics


def page(results: dict) -> str:
    rows = results["rows"]
    lines = [
        "# Attacks and defences", "",
        f"Written by `bench/attacks.py`. {results['date']}, {results['machine']}. Other programs "
        "were running; seconds beside peers are those of the processor, one core for both, which "
        "were asked in turn.", "",
    ]  # fmt: skip
    for part, write in (
        ("peers", _peers), ("masked", _masked), ("defended", _defended), ("ecg", _beats),
    ):  # fmt: skip
        mine = [row for row in rows if row["part"] == part]
        lines += write(mine) if mine else []
    return "\n".join(lines) + "\n"


def _peers(rows: list[dict]) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in rows[0]["versions"].items())
    lines = [
        "## Beside torchattacks and foolbox", "",
        f"500 digits of MNIST, two models trained plainly on 7,000 others, the same weights and "
        f"budget (L∞, as a share of the range of pixels). {versions}. PGD: 40 steps of 1/16 of the "
        "radius from a random start; APGD: cross-entropy, 100 steps, one start (foolbox has none). "
        "Robust accuracy, median (smallest–largest) over seeds of the attack; times faster is "
        "theirs by ours, warm, over all calls, with `early_stop`, which leaves a digit where it "
        "fell (no option of the others, whose shares it equals), and without; cold is the "
        "first call, what is compiled included.",
        "",
        "| net | clean | radius | attack | seeds | ours | torchattacks | foolbox | times faster "
        "than torchattacks | than foolbox | without early stop | than foolbox | ours warm, s | "
        "cold, s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    keys = dict.fromkeys((row["net"], row["radius"], row["what"]) for row in rows)
    for net, radius, what in keys:
        mine = [
            row for row in rows if (row["net"], row["radius"], row["what"]) == (net, radius, what)
        ]
        cells = [
            net, f"{mine[0]['robust']['clean']:.3f}", str(radius), what.upper(), str(len(mine)),
            *(_spread([row["robust"][name] for row in mine if name in row["robust"]])
              for name in ("ours", "torchattacks", "foolbox")),
            *(_spread([r for row in mine for r in row["ratios"].get(f"{name} by {own}", [])],
                      "{:.2f}")
              for own in ("ours", "whole") for name in ("torchattacks", "foolbox")),
            _spread([row["warm"]["ours"] for row in mine], "{:.2f}"),
            _spread([row["cold"]["ours"] for row in mine], "{:.2f}"),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _masked(rows: list[dict]) -> list[str]:
    lines = [
        "## A model that hides its slope", "",
        "The MLP of above, its answers multiplied or its inputs rounded, which changes hardly a "
        "decision; L∞ 0.1, 500 digits. Transfer is from the same kind of net, trained from another "
        "seed. What is said of each:", "",
        "| model | clean | " + " | ".join(rows[0]["attacks"]) + " | verdict |",
        "|---|---|" + "---|" * (len(rows[0]["attacks"]) + 1),
    ]  # fmt: skip
    for row in rows:
        each = " | ".join(f"{one['accuracy']:.3f}" for one in row["attacks"].values())
        lines.append(f"| {row['model']} | {row['clean']:.3f} | {each} | {_interval(row)} |")
    lines.append("")
    for row in rows:
        lines.append(
            f"**{row['model'].capitalize()}:** {' '.join(row['warnings']) or 'no warning.'}"
        )
        lines.append("")
    return lines


def _defended(rows: list[dict]) -> list[str]:
    radii = list(rows[0]["robust"])
    lines = [
        "## Training against an adversary: digits", "",
        "Trained on 7,000 digits, plainly or within L∞ 0.1 (7 steps, the radius growing over the "
        "first quarter of the training; TRADES with a weight of 6), attacked on 500 others: the "
        "worst of APGD with cross-entropy (100 steps), APGD with the difference of logits ratio "
        "(100) and Square (1,000 queries) for each. Median (smallest–largest) over seeds of the "
        "training; the 95 % interval of one share of 500 is about ± 0.03.", "",
        "| net | trained | seeds | clean | " + " | ".join(f"robust, {r}" for r in radii)
        + " | APGD-CE alone, 0.1 | seconds to train |",
        "|---|---|---|---|" + "---|" * (len(radii) + 2),
    ]  # fmt: skip
    for net, trained in dict.fromkeys((row["net"], row["trained"]) for row in rows):
        mine = [row for row in rows if (row["net"], row["trained"]) == (net, trained)]
        cells = [
            net, _TRAINED[trained], str(len(mine)),
            _spread([row["robust"][radii[0]]["clean"] for row in mine]),
            *(_spread([row["robust"][r]["robust"] for row in mine]) for r in radii),
            _spread([row["robust"]["0.1"]["attacks"]["APGD-CE"]["accuracy"] for row in mine]),
            _spread([row["seconds"] for row in mine], "{:.0f}"),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    told = sorted({w for row in rows for one in row["robust"].values() for w in one["warnings"]})
    return [*lines, "", f"Warnings in these evaluations: {len(told)}.", *_listed(told), ""]


def _beats(rows: list[dict]) -> list[str]:
    radii = list(rows[0]["robust"])
    lines = [
        "## Training against an adversary: heartbeats", "",
        "ECG5000, normal against abnormal, a convolutional `resnet` (width 16, two blocks) "
        "trained on the 500 beats of its training part, attacked on 500 of its test part. The "
        "budget is L∞ in units of the beat's standard deviation, smoothed over 4 of 140 samples, "
        "so that no edge passes for physiology; beside it the same radius without smoothing. Worst "
        "of APGD with both losses (50 steps), Square (500) and noise. Trained within the smooth "
        "budget of 0.2.", "",
        "| trained | seeds | clean | " + " | ".join(f"smooth {r}" for r in radii) + " | "
        + " | ".join(f"with edges {r}" for r in radii) + " |",
        "|---|---|---|" + "---|" * (2 * len(radii)),
    ]  # fmt: skip
    for trained in dict.fromkeys(row["trained"] for row in rows):
        mine = [row for row in rows if row["trained"] == trained]
        cells = [
            _TRAINED[trained], str(len(mine)),
            _spread([row["robust"][radii[0]]["clean"] for row in mine]),
            *(_spread([row[kind][r]["robust"] for row in mine])
              for kind in ("robust", "square") for r in radii),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    told = sorted({w for row in rows for one in row["robust"].values() for w in one["warnings"]})
    return [*lines, "", f"Warnings within the smooth budget: {len(told)}.", *_listed(told), ""]


_TRAINED = {"none": "plainly", "pgd": "PGD", "trades": "TRADES"}


def _listed(told: list[str]) -> list[str]:
    return ["", *(f"- {one}" for one in told)] if told else []


def _interval(row: dict) -> str:
    low, high = row["interval"]
    return f"{row['robust']:.3f} ({low:.3f}–{high:.3f})"


def _spread(values: list[float], form: str = "{:.3f}") -> str:
    """Median and range."""
    if not values:
        return "none"
    middle, low, high = (form.format(f(values)) for f in (statistics.median, min, max))
    return middle if low == high else f"{middle} ({low}–{high})"
