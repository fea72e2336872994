"""The peers of the attacks' benchmark: torchattacks and foolbox on the same weights.

`peers_attacks.py serve FOLDER` reads questions from standard input, one object of JSON a line, and
answers each with one; weights are in `port-mlp.npz` and `port-cnn.npz`, digits, from 0 to 1, in
`port-digits.npz`, all of FOLDER.
"""

import functools
import importlib.metadata
import json
import os
import pathlib
import sys
import time

import numpy as np
import torch
from torch.nn import functional


class Ported(torch.nn.Module):
    """The net of `attacks.py`: convolutions of stride 2, if any, and dense layers between them and
    the logits."""

    def __init__(self, file: pathlib.Path):
        super().__init__()
        kept = {name: torch.from_numpy(np.load(file)[name]) for name in np.load(file).files}
        self.dense = [(kept[f"w{i}"], kept[f"b{i}"]) for i in range(9) if f"w{i}" in kept]
        self.conv = [
            (kept[f"cw{i}"].permute(0, 3, 1, 2).contiguous(), kept[f"cb{i}"])
            for i in range(9)
            if f"cw{i}" in kept
        ]
        # a parameter, for libraries that ask where a model's are
        self.nothing = torch.nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, x):
        for weight, bias in self.conv:
            x = functional.relu(functional.conv2d(x, weight, bias, stride=2, padding=1))
        # ours has its channels last
        x = x.permute(0, 2, 3, 1).flatten(1)
        for weight, bias in self.dense[:-1]:
            x = functional.relu(functional.linear(x, weight, bias))
        return functional.linear(x, *self.dense[-1])


@functools.cache
def model_of(folder: pathlib.Path, kind: str) -> Ported:
    return Ported(folder / f"port-{kind}.npz").eval()


@functools.cache
def digits_of(folder: pathlib.Path):
    kept = np.load(folder / "port-digits.npz")
    x = torch.from_numpy(kept["x"]).permute(0, 3, 1, 2).contiguous()
    return x, torch.from_numpy(kept["y"]).long()


def robust_share(model: Ported, x, y) -> float:
    with torch.no_grad():
        return float((model(x).argmax(1) == y).float().mean())


def answer(folder: pathlib.Path, question: dict) -> dict:
    model, (x, y) = model_of(folder, question["kind"]), digits_of(folder)
    if question["what"] == "answers":
        with torch.no_grad():
            return {"answers": functional.log_softmax(model(x[:50]), 1).tolist()}
    radius, steps, seed = question["radius"], question["steps"], question["seed"]
    torch.manual_seed(seed)
    began = time.process_time()
    if question["library"] == "foolbox":
        import foolbox

        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
        attack = foolbox.attacks.LinfPGD(steps=steps, rel_stepsize=question["step"])
        _, moved, _ = attack(wrapped, x, y, epsilons=radius)
    else:
        import torchattacks

        if question["what"] == "pgd":
            attack = torchattacks.PGD(
                model, eps=radius, alpha=question["step"] * radius, steps=steps
            )
        else:
            attack = torchattacks.APGD(
                model, norm="Linf", eps=radius, steps=steps, n_restarts=1, seed=seed, loss="ce"
            )
        moved = attack(x, y)
    seconds = time.process_time() - began
    assert float((moved - x).detach().abs().max()) <= radius + 1e-5
    return {"seconds": seconds, "robust": robust_share(model, moved, y)}


def main() -> None:
    folder = pathlib.Path(sys.argv[2])
    # as many threads as the benchmark left this process cores
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    names = ("torch", "torchattacks", "foolbox")
    # what the libraries print must not stand among the answers
    out, sys.stdout = sys.stdout, sys.stderr
    print(
        json.dumps({name: importlib.metadata.version(name) for name in names}), file=out, flush=True
    )
    for line in sys.stdin:
        print(json.dumps(answer(folder, json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main()
