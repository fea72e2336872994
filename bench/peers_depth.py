"""The peers of the depth benchmark: torchdiffeq, and torchdyn where it is installed, in their own
interpreter.

`peers_depth.py serve FOLDER` reads a line from standard input and answers with a line of JSON:
`direct PROBLEM THREADS`, `adjoint PROBLEM THREADS` and the same after `torchdyn-` give the seconds
of one gradient by the weights and the start of `PROBLEM.npz`, and its loss. The first line says
the versions.
"""

import importlib.metadata
import importlib.util
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

    def forward(self, t, x, args=None):  # torchdyn hands over arguments too
        return self.net(x)


def gradient(folder, solve, problem, threads):
    torch.set_num_threads(threads)
    arrays = dict(np.load(folder / f"{problem}.npz"))
    field = Field(arrays)
    start = torch.as_tensor(arrays["start"]).requires_grad_()
    times = torch.as_tensor(arrays["times"])
    relative, absolute = arrays["tolerance"]
    began = time.perf_counter()
    states = solve(field, start, times, float(relative), float(absolute))
    loss = (states**2).mean()
    loss.backward()
    return {"seconds": time.perf_counter() - began, "loss": float(loss.detach())}


def by_torchdiffeq(solve):
    def states(field, start, times, relative, absolute):
        return solve(field, start, times, rtol=relative, atol=absolute, method="dopri5")

    return states


def by_torchdyn(sensitivity):
    """As its documentation has it: a NeuralODE, which gives times and states."""

    def states(field, start, times, relative, absolute):
        from torchdyn.core import NeuralODE

        model = NeuralODE(
            field, solver="dopri5", sensitivity=sensitivity, rtol=relative, atol=absolute,
            rtol_adjoint=relative, atol_adjoint=absolute,
        )  # fmt: skip
        return model(start, times)[1]

    return states


SOLVERS = {
    "direct": by_torchdiffeq(odeint),
    "adjoint": by_torchdiffeq(odeint_adjoint),
    "torchdyn-direct": by_torchdyn("autograd"),
    "torchdyn-adjoint": by_torchdyn("adjoint"),
}


def versions():
    names, found = ("torch", "torchdiffeq", "torchdyn"), {}
    for name in names:
        if importlib.util.find_spec(name) is not None:
            found[name] = importlib.metadata.version(name)
    return found


def main():
    folder = pathlib.Path(sys.argv[2])
    print(json.dumps(versions()), flush=True)
    for line in sys.stdin:
        word, problem, threads = line.split()
        print(json.dumps(gradient(folder, SOLVERS[word], problem, int(threads))), flush=True)


if __name__ == "__main__":
    main()
