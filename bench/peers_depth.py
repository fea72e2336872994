"""The peer of the depth benchmark: torchdiffeq, in its own interpreter.

`peers_depth.py serve FOLDER` reads a line from standard input and answers with a line of JSON:
`direct PROBLEM THREADS` and `adjoint PROBLEM THREADS` give the seconds of one gradient by the
weights and the start of `PROBLEM.npz`, and its loss. The first line says the versions.
"""

import importlib.metadata
import json
import pathlib
import sys
import time

import numpy as np
import torch
from torch import nn
from torchdiffeq import odeint, odeint_adjoint


class Field(nn.Module):
    """The perceptron of the problem, as torchdiffeq's examples write a field."""

    def __init__(self, arrays):
        super().__init__()
        layers, count = [], sum(name.startswith("weight") for name in arrays)
        for i in range(count):
            weight = torch.as_tensor(arrays[f"weight{i}"])
            layer = nn.Linear(weight.shape[1], weight.shape[0])
            layer.weight.data, layer.bias.data = weight, torch.as_tensor(arrays[f"bias{i}"])
            layers += [layer, nn.Tanh()]
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, t, x):
        return self.net(x)


def gradient(folder, solve, problem, threads):
    torch.set_num_threads(threads)
    arrays = dict(np.load(folder / f"{problem}.npz"))
    field = Field(arrays)
    start = torch.as_tensor(arrays["start"]).requires_grad_()
    times = torch.as_tensor(arrays["times"])
    relative, absolute = arrays["tolerance"]
    began = time.perf_counter()
    states = solve(field, start, times, rtol=float(relative), atol=float(absolute), method="dopri5")
    loss = (states**2).mean()
    loss.backward()
    return {"seconds": time.perf_counter() - began, "loss": float(loss.detach())}


def main():
    folder = pathlib.Path(sys.argv[2])
    names = ("torch", "torchdiffeq")
    print(json.dumps({name: importlib.metadata.version(name) for name in names}), flush=True)
    for line in sys.stdin:
        word, problem, threads = line.split()
        solve = odeint if word == "direct" else odeint_adjoint
        print(json.dumps(gradient(folder, solve, problem, int(threads))), flush=True)


if __name__ == "__main__":
    main()
