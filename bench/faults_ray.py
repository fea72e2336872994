"""What fits on a Ray cluster lose with a machine of it: counts, and exit code 1 if anything.

    python bench/faults_ray.py --fits 60 --kills 10 [--page]

A cluster of two nodes on this machine. One of them is killed at random moments while fits run, and
added again. Every fit must have its result, be told of once, and equal bit for bit what one process
makes. The cluster is this script's own and ends with it.
"""

import argparse
import os
import pathlib
import random
import sys
import tempfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# every fit is of the same programs: they are compiled once, and kept for all workers
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{tempfile.gettempdir()}/unweave-faults")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# it lives for minutes, on this machine alone, and tells nobody
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from unweave.data import heartbeats, split_at_random
from unweave.recipes import vae
from unweave.run import fit
from unweave.spread import HERE, Lost, OnRay, spread


def fitted(seed: int, epochs: int) -> bytes:
    """The bytes of the model of a small fit."""
    data = split_at_random(heartbeats(60, samples=16))
    recipe = vae(latents=2, widths=(8,), epochs=epochs, batch=8)
    with tempfile.TemporaryDirectory() as out:
        fit(recipe, data, seed=seed, quiet=True, out=out)
        return (pathlib.Path(out) / "model.safetensors").read_bytes()


def storm(cluster, kills: int, within: float, seed: int, over: threading.Event) -> int:
    """Kills the second node so many times, after it has worked for a while, and adds it again."""
    rng = random.Random(seed)
    node, struck = cluster.add_node(num_cpus=1), 0
    while struck < kills and not over.wait(rng.uniform(3, within)):
        cluster.remove_node(node, allow_graceful=False)
        struck += 1
        time.sleep(1)
        node = cluster.add_node(num_cpus=1)
    return struck


def hit(fits: int, kills: int, *, within: float, epochs: int, seed: int) -> tuple[str, int]:
    """The counts in a sentence, and how many things went wrong."""
    import ray
    from ray.cluster_utils import Cluster

    alone = spread(lambda item: fitted(item, epochs), range(fits), on=HERE)
    told: list[int] = []
    with warnings.catch_warnings():
        # Ray leaves its own pipes and processes for the collector
        warnings.simplefilter("ignore", ResourceWarning)
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
        )
        try:
            ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
            began, over = time.monotonic(), threading.Event()

            def work() -> list[bytes | Lost]:
                try:
                    return spread(
                        lambda item: fitted(item, epochs), range(fits), on=OnRay(2),
                        done=lambda item, result: told.append(item),
                    )  # fmt: skip
                finally:
                    over.set()

            # Ray starts nodes from the main thread only
            with ThreadPoolExecutor(1) as beside:
                working = beside.submit(work)
                struck = storm(cluster, kills, within, seed, over)
                found = working.result()
            took = time.monotonic() - began
        finally:
            ray.shutdown()
            cluster.shutdown()
    lost = sum(isinstance(result, Lost) for result in found)
    equal = sum(a == b for a, b in zip(alone, found, strict=True))
    once = sum(told.count(item) == 1 for item in range(fits))
    sentence = (
        f"{fits} fits on a cluster of two nodes, one of which was killed {struck} times: "
        f"{equal} of {fits} models byte-equal to those of one process, {once} of {fits} told of "
        f"once, {lost} lost; all in {took:.0f} s"
    )
    return sentence, (fits - equal) + (fits - once) + lost + (struck < kills)


def main(arguments: list[str] | None = None) -> int:
    """Strikes, counts, tells."""
    parser = argparse.ArgumentParser(description="Kills machines of a cluster, and counts.")
    parser.add_argument("--fits", type=int, default=60)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--within", type=float, default=12.0, help="seconds of a node at most")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", action="store_true", help="write the counts into FAULTS.md")
    options = parser.parse_args(arguments)
    told, bad = hit(
        options.fits, options.kills, within=options.within, epochs=options.epochs,
        seed=options.seed,
    )  # fmt: skip
    if options.page:
        from faults_keep import keep

        keep("ray", [f"{told}."])
    else:
        print(told)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
