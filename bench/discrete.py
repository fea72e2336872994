"""Discrete and parted latents: clusters of digits, use of a codebook, swapped content.

python bench/discrete.py --data ../shared/data

Writes `DISCRETE.md` and `discrete.json` beside this file, each seed as soon as it is there;
`--only` runs some of the parts and keeps what the others found before, `--resume` keeps the seeds
of these that are there.
"""

import argparse
import datetime
import gzip
import json
import os
import pathlib
import platform
import sys
import time
import warnings
from typing import Any

import jax
import numpy as np
import sklearn
from discrete_page import page
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neural_network import MLPClassifier, MLPRegressor

import unweave
from unweave._many import many
from unweave._schema import Schema
from unweave.data import Dataset, Split, dataset, split_at_random
from unweave.recipes import cluster_vae, content_style, vq_vae
from unweave.run import fit
from unweave.show import swap
from unweave.train import neighbour_clusters

HERE = pathlib.Path(__file__).resolve().parent
#: What is regressed from a sprite.
POSE = ("scale", "x", "y")
#: Of the swaps; dense nets, at a seventh of the work of convolutions.
SWAP: dict[str, Any] = {
    "content": 3, "style": 4, "adversary": 20.0, "beta": 1.0, "convolutional": False,
    "widths": (256, 256),
}  # fmt: skip


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def digits(folder: pathlib.Path) -> Dataset:
    """The 8,000 digits of MNIST that are there."""
    pixels, labels = (
        gzip.decompress((folder / "mnist" / f"mnist8000-{name}-ubyte.gz").read_bytes())
        for name in ("images-idx3", "labels-idx1")
    )
    x = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28, 1)
    y = np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)
    schema = Schema("images", ("row", "column", "channel"), (28, 28, 1), ("grey",), ("",))
    return dataset(x, schema, labels=y, label_names=tuple("0123456789"))


def accuracy(found: np.ndarray, known: np.ndarray) -> float:
    """The share that is right under the best naming of the clusters."""
    table = np.zeros((max(found.max(), known.max()) + 1,) * 2)
    np.add.at(table, (found, known), 1)
    return float(table[linear_sum_assignment(-table)].sum() / len(found))


def clusters(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Digits parted without labels: the model on training and test images, and baselines on the
    same training images."""
    data = split_at_random(digits(options.data), seed=seed)
    began = time.perf_counter()
    run = fit(cluster_vae(clusters=10, epochs=options.epochs), data, quiet=True, seed=seed)
    seconds = time.perf_counter() - began
    train, test = data.train, data.test
    found = [many(run.model.choices, part.observations)[:, 0] for part in (train, test)]
    result = {
        "cluster-vae, training images": accuracy(found[0], train.labels),
        "cluster-vae, test images": accuracy(found[1], test.labels),
        "its start, the graph of neighbours": accuracy(
            neighbour_clusters(train.observations, 10), train.labels
        ),
    }
    rows = train.observations.reshape(len(train), -1) / 255.0
    axes = PCA(30, random_state=seed).fit_transform(rows)
    kinds = {
        "k-means": lambda: KMeans(10, n_init=3, random_state=seed).fit_predict(rows),
        "Gaussian mixture, full, PCA-30": lambda: GaussianMixture(
            10, n_init=1, random_state=seed
        ).fit_predict(axes),
        "spectral clustering": lambda: SpectralClustering(
            10, affinity="nearest_neighbors", n_neighbors=10, random_state=seed, n_init=3
        ).fit_predict(axes),
    }
    for name, kind in kinds.items():
        result[f"{name} (scikit-learn)"] = accuracy(kind(), train.labels)
    return {
        "accuracy": result,
        "seconds": seconds,
        "explained_variance": run.result["explained_variance"],
        "log_density": run.result["log_density"],
        "n": [len(train), len(test)],
        "epochs": options.epochs,
    }


def codes(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """How many codes test images use."""
    data = split_at_random(digits(options.data), seed=seed)
    result = {}
    for size in options.codes:
        began = time.perf_counter()
        run = fit(vq_vae(codes=size, epochs=options.code_epochs), data, quiet=True, seed=seed)
        use = run.result["choices"]
        result[str(size)] = {
            "used": use["used"] / use["values"],
            "perplexity": use["perplexity"],
            "explained_variance": run.result["explained_variance"],
            "seconds": time.perf_counter() - began,
        }
    return {"sizes": result, "n": [len(data.train), len(data.test)], "epochs": options.code_epochs}


def sprites(folder: pathlib.Path, *, turned: bool = False) -> Dataset:
    """dSprites at 32 x 32 pixels: 3 shapes, 6 scales and 16 x 16 positions, all upright, or 8 x 8
    positions in 10 orientations."""
    held = np.load(folder / "dsprites" / "dsprites_grid_3x6x10x16x16.npz")
    classes = held["latents_classes"]
    if turned:
        # every second of the positions that are there
        places = [np.unique(classes[:, i], return_inverse=True)[1] for i in (4, 5)]
        inner = np.flatnonzero((places[0] % 2 == 0) & (places[1] % 2 == 0))
    else:
        inner = np.flatnonzero(classes[:, 3] == 0)
    x = held["imgs"][inner].reshape(-1, 32, 2, 32, 2).sum((2, 4)).astype(np.uint8)[..., None]
    schema = Schema("images", ("row", "column", "channel"), (32, 32, 1), ("grey",), ("",))
    return dataset(
        x,
        schema,
        labels=classes[inner, 1].astype(np.int64),
        label_names=("square", "ellipse", "heart"),
        factors=held["latents_values"][inner][:, [2, 4, 5]],
        factor_names=POSE,
    )


class Judges:
    """A classifier of shape and a regressor of pose, trained on real images: both see the sprite
    cut out about its centre of mass, with that centre and its area beside."""

    def __init__(self, data: Dataset, seed: int):
        seen = self.features(data.observations)
        assert data.factors is not None
        self.low, self.range = data.factors.min(0), np.ptp(data.factors, axis=0)
        with warnings.catch_warnings():
            # a fixed number of passes is what is wanted
            warnings.simplefilter("ignore")
            self.shape = MLPClassifier(
                hidden_layer_sizes=(128,), max_iter=25, random_state=seed
            ).fit(seen, data.labels)
            self.pose = MLPRegressor(hidden_layer_sizes=(128,), max_iter=40, random_state=seed).fit(
                seen, (data.factors - self.low) / self.range
            )

    def features(self, images: np.ndarray) -> np.ndarray:
        x = np.asarray(images, np.float64)[..., 0] / 4
        mass, place = np.maximum(x.sum((1, 2)), 1e-6), np.arange(32.0)
        centre = np.stack([(x.sum(2) * place).sum(1), (x.sum(1) * place).sum(1)], 1) / mass[:, None]
        near = np.round(centre).astype(int)
        wide = np.pad(x, ((0, 0), (12, 12), (12, 12)))
        cut = [
            w[i + 2 : i + 22, j + 2 : j + 22].ravel() for w, (i, j) in zip(wide, near, strict=True)
        ]
        size = np.sqrt(mass)[:, None] / 5
        return np.concatenate([cut, centre / 8 - 2, centre - near, size], axis=1)

    def __call__(self, images: np.ndarray, shapes: np.ndarray, poses: np.ndarray) -> dict[str, Any]:
        seen = self.features(images)
        error = np.abs(self.pose.predict(seen) - (poses - self.low) / self.range)
        return {
            "content": float((self.shape.predict(seen) == shapes).mean()),
            "error": dict(zip(POSE, error.mean(0).tolist(), strict=True)),
            "within": dict(zip(POSE, (error < 0.1).mean(0).tolist(), strict=True)),
        }


def swaps(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Sprites with the content of one and the style of another, judged by what real ones taught."""
    return swapped(options, seed, placed=True)


def unplaced(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """The same with a decoder that has to draw each sprite anew at each place."""
    return swapped(options, seed, placed=False)


def turned(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """The same in ten orientations, of which style has to know too."""
    return swapped(options, seed, placed=True, turned=True)


def swapped(
    options: argparse.Namespace, seed: int, *, placed: bool, turned: bool = False
) -> dict[str, Any]:
    data: Split = split_at_random(sprites(options.data, turned=turned), seed=seed)
    judges, test = Judges(data.train, seed), data.test
    other = np.random.default_rng(seed).permutation(len(test))
    assert test.labels is not None
    assert test.factors is not None
    began = time.perf_counter()
    epochs = options.turned_epochs if turned else options.swap_epochs
    recipe = content_style(**SWAP, placed=placed, epochs=epochs)
    run = fit(recipe, data, quiet=True, seed=seed)
    seconds = time.perf_counter() - began
    mixed = swap(run.model, test.observations[other], test.observations)
    again = many(run.model.decode, many(run.model.encode, test.observations))
    differ = test.labels[other] != test.labels
    apart = judges(mixed[differ], test.labels[other][differ], test.factors[differ])
    return {
        "rows": {
            "real images": judges(test.observations, test.labels, test.factors),
            "reconstructions": judges(again, test.labels, test.factors),
            "swapped": {
                **judges(mixed, test.labels[other], test.factors),
                "content_where_shapes_differ": apart["content"],
            },
        },
        "seconds": seconds,
        "explained_variance": run.result["explained_variance"],
        "n": [len(data.train), len(data.validation), len(test)],
        "epochs": epochs,
        "settings": SWAP,
    }


PARTS = {
    "clusters": clusters, "codes": codes, "swaps": swaps, "unplaced": unplaced, "turned": turned,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Discrete and parted latents.")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="the folder of data sets")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=15, help="of the clusters")
    parser.add_argument("--codes", type=int, nargs="+", default=[64])
    parser.add_argument("--code-epochs", type=int, default=3)
    parser.add_argument("--swap-epochs", type=int, default=40)
    parser.add_argument("--turned-epochs", type=int, default=25)
    parser.add_argument(
        "--resume", action="store_true", help="keep the seeds of these parts that are there"
    )
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    options = parser.parse_args()
    file = options.out / "discrete.json"
    results: dict = json.loads(file.read_text()) if file.exists() else {"parts": {}}
    for name in options.only:
        seeds: list[dict] = results["parts"].get(name, []) if options.resume else []
        for seed in sorted(set(range(options.seeds)) - {found["seed"] for found in seeds}):
            seeds.append({"seed": seed, **PARTS[name](options, seed)})
            say(f"{name}: {seeds[-1]}")
            seeds.sort(key=lambda found: found["seed"])
            results["parts"][name] = seeds
            results |= {
                "date": datetime.date.today().isoformat(),
                "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
                f"{platform.python_version()}, {jax.devices()[0].platform}",
                "versions": {
                    "unweave": unweave.__version__, "jax": jax.__version__,
                    "numpy": np.__version__, "scikit-learn": sklearn.__version__,
                },
            }  # fmt: skip
            file.write_text(json.dumps(results, indent=1) + "\n")
            (options.out / "DISCRETE.md").write_text(page(results))


if __name__ == "__main__":
    main()
