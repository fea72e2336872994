"""What `windows.py` found, as a page."""

import statistics

COLUMNS = (
    ("accuracy", "told apart", "{:.3f}"),
    ("mmd", "MMD², thousandths", "{:.2f}"),
    ("p", "p of it", "{:.3f}"),
    ("fid", "legacy Context-FID", "{:.3f}"),
    ("fid_seen", "the same against what trained", "{:.3f}"),
    ("discriminative", "legacy TimeGAN discriminative", "{:.3f}"),
    ("predictive", "legacy TimeGAN predictive", "{:.4f}"),
    ("seconds", "seconds", "{:.0f}"),
)
FACTORS = {"mmd": 1000.0}


def spread(rows: list[dict], name: str, form: str) -> str:
    """Median and range over seeds."""
    values = [FACTORS.get(name, 1.0) * row[name] for row in rows if name in row]
    if not values:
        return "not measured"
    middle, low, high = (form.format(f(values)) for f in (statistics.median, min, max))
    return f"{middle} ({low}–{high})"


def page(results: dict) -> str:
    lines = [
        "# Generators of windows of 24 samples", "",
        f"Written by `bench/windows.py`. {results['date']}, {results['machine']}. Other programs "
        "were running, so seconds are for their order alone.", "",
        "Stocks (Google, six columns a day) and ETTh1 (seven columns an hour) are cut into blocks "
        "of 120 rows that train and test in turn, with 24 rows between two that are left out, and "
        "the windows within a block; of five sines every window is drawn anew. Median "
        "(smallest–largest) over seeds.", "",
        "**Told apart** is the accuracy of `two_sample` on held-out windows, 0.5 being a guess. "
        "Its floor, real training windows against the held-out ones, is what an honest model can "
        "hope for; white noise is told apart always. The legacy scores are for comparison with "
        "published figures alone; `evaluate/_legacy.py` says what is wrong with them.",
        "",
        f"Flow and diffusion: {results['settings']}.", "",
    ]  # fmt: skip
    for name in dict.fromkeys(row["set"] for row in results["fits"]):
        mine = [row for row in results["fits"] if row["set"] == name]
        sizes = mine[0]["sizes"]
        lines += [
            f"## {name}", "",
            f"{sizes[0]:,} windows train, {sizes[1]:,} choose when to stop, {sizes[2]:,} test, of "
            f"which {mine[0]['n']:,} are compared with as many drawn. Floor of the test "
            f"{spread(mine, 'floor', '{:.3f}')}, ceiling {spread(mine, 'ceiling', '{:.3f}')}; MMD² "
            f"of training against held-out windows {spread(mine, 'mmd_floor', '{:.4f}')}, legacy "
            f"Context-FID {spread(mine, 'fid_floor', '{:.3f}')}.", "",
            "| | seeds | " + " | ".join(title for _, title, _ in COLUMNS) + " |",
            "|---|---|" + "---|" * len(COLUMNS),
        ]  # fmt: skip
        for maker in dict.fromkeys(row["maker"] for row in mine):
            rows = [row for row in mine if row["maker"] == maker]
            cells = [spread(rows, key, form) for key, _, form in COLUMNS]
            lines.append(f"| {maker} | {len(rows)} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)
