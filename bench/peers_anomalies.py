"""PyOD's and stumpy's scores of observations that `bench/anomalies.py` hands over in a file.

Runs in the interpreter of the peers: python peers_anomalies.py IN.npz NAME SEED OUT.npy
"""

import sys
import time

import numpy as np


def stumpy_profile(train, x, seed):
    import stumpy

    length = max(8, x.shape[1] // 2)
    gap = np.nan
    known = np.pad(train, ((0, 0), (0, 1)), constant_values=gap).ravel()
    asked = np.pad(x, ((0, 0), (0, 1)), constant_values=gap).ravel()
    found = stumpy.stump(asked, m=length, T_B=known, ignore_trivial=False)[:, 0].astype(float)
    found = np.r_[found, np.full(length - 1, np.nan)].reshape(len(x), -1)
    found = found[:, : x.shape[1] - length + 1]
    return np.where(np.isfinite(found), found, 0).max(1)


def pyod(name, seed):
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(2)
    from pyod.models.auto_encoder import AutoEncoder
    from pyod.models.copod import COPOD
    from pyod.models.deep_svdd import DeepSVDD
    from pyod.models.ecod import ECOD
    from pyod.models.hbos import HBOS
    from pyod.models.iforest import IForest
    from pyod.models.knn import KNN
    from pyod.models.lof import LOF
    from pyod.models.ocsvm import OCSVM
    from pyod.models.pca import PCA
    from pyod.models.vae import VAE

    def scored(train, x, _):
        models = {
            "ECOD": ECOD, "COPOD": COPOD, "HBOS": HBOS, "OCSVM": OCSVM, "PCA": PCA,
            "KNN": lambda: KNN(n_neighbors=5), "LOF": lambda: LOF(n_neighbors=20),
            "IForest": lambda: IForest(random_state=seed),
            "AutoEncoder": lambda: AutoEncoder(verbose=0),
            "VAE": lambda: VAE(verbose=0),
            "DeepSVDD": lambda: DeepSVDD(n_features=train.shape[1], random_state=seed, verbose=0),
        }  # fmt: skip
        return models[name]().fit(train).decision_function(x)

    return scored


def main():
    path, name, seed, out = sys.argv[1:]
    data = np.load(path)
    train, x = (
        data[part].reshape(len(data[part]), -1).astype(np.float64) for part in ("train", "x")
    )
    run = stumpy_profile if name == "stumpy" else pyod(name, int(seed))
    began = time.perf_counter()
    scores = run(train, x, int(seed))
    np.save(out, np.asarray(scores, np.float64))
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
