"""PyOD's and stumpy's scores of observations that `bench/anomalies.py` hands over in a file.

Runs in the interpreter of the peers: python peers_anomalies.py IN.npz NAME SEED OUT.npy
"""

import importlib
import sys

import numpy as np


def stumpy_profile(train, x):
    import stumpy

    length = max(8, x.shape[1] // 2)
    gap = np.nan
    known = np.pad(train, ((0, 0), (0, 1)), constant_values=gap).ravel()
    asked = np.pad(x, ((0, 0), (0, 1)), constant_values=gap).ravel()
    found = stumpy.stump(asked, m=length, T_B=known, ignore_trivial=False)[:, 0].astype(float)
    found = np.r_[found, np.full(length - 1, np.nan)].reshape(len(x), -1)
    found = found[:, : x.shape[1] - length + 1]
    return np.where(np.isfinite(found), found, 0).max(1)


#: Where each of PyOD's detectors lives; only the one that is asked for is imported.
MODULES = {
    "ECOD": "ecod", "COPOD": "copod", "HBOS": "hbos", "IForest": "iforest", "KNN": "knn",
    "LOF": "lof", "PCA": "pca", "OCSVM": "ocsvm", "AutoEncoder": "auto_encoder", "VAE": "vae",
    "DeepSVDD": "deep_svdd",
}  # fmt: skip


def pyod(name, train, x, seed):
    options = {
        "IForest": {"random_state": seed},
        "AutoEncoder": {"random_state": seed, "verbose": 0},
        "VAE": {"random_state": seed, "verbose": 0},
        "DeepSVDD": {"n_features": train.shape[1], "random_state": seed, "verbose": 0},
    }.get(name, {})
    made = getattr(importlib.import_module(f"pyod.models.{MODULES[name]}"), name)(**options)
    return made.fit(train).decision_function(x)


def main():
    path, name, seed, out = sys.argv[1:]
    data = np.load(path)
    train, x = (
        data[part].reshape(len(data[part]), -1).astype(np.float64) for part in ("train", "x")
    )
    scores = stumpy_profile(train, x) if name == "stumpy" else pyod(name, train, x, int(seed))
    np.save(out, np.asarray(scores, np.float64))


if __name__ == "__main__":
    main()
