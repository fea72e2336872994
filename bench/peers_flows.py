"""The peers of the flows' benchmark: torchdiffeq and torchcfm, in their own interpreter.

`peers_flows.py serve FOLDER` reads a line from standard input and answers with a line of JSON:
`density` and `gradient`, with a number of threads, give the seconds of a pass over the points of
`density.npz` with the weights that are there; `train SEED STEPS` the seconds a step of training,
and leaves samples in `samples.npy`.
"""

import importlib.metadata
import json
import pathlib
import sys
import time
import warnings

import numpy as np
import torch
from torch import nn
from torchdiffeq import odeint

BATCH, RATE, TOLERANCE = 256, 1e-3, 1e-5


class Augmented(nn.Module):
    """Velocity and minus its trace, which a sum over output coordinates' gradients gives."""

    def __init__(self, arrays):
        super().__init__()
        layers = []
        for i in range(4):
            weight = torch.as_tensor(arrays[f"weight{i}"])
            layer = nn.Linear(weight.shape[1], weight.shape[0])
            layer.weight.data, layer.bias.data = weight, torch.as_tensor(arrays[f"bias{i}"])
            layers += [layer, nn.Tanh()]
        self.net, self.evaluations = nn.Sequential(*layers[:-1]), 0

    def forward(self, t, state):
        self.evaluations += 1
        with torch.enable_grad():
            x = state[0]
            x = x if x.requires_grad else x.requires_grad_()
            v = self.net(torch.cat([x, t.to(x.dtype).expand(len(x), 1)], 1))
            trace = 0
            for i in range(x.shape[1]):
                slope = torch.autograd.grad(v[:, i].sum(), x, create_graph=True)[0]
                trace = trace + slope[:, i]
        return v, -trace


def log_density(field, x, tolerance=TOLERANCE):
    times = torch.tensor([1.0, 0.0], dtype=x.dtype)
    start = (x.clone(), torch.zeros(len(x), dtype=x.dtype))
    z, change = odeint(field, start, times, rtol=tolerance, atol=tolerance, method="dopri5")
    normal = -0.5 * (z[-1] ** 2 + np.log(2 * np.pi)).sum(1)
    # the augmented state holds the change of log-density on the way back
    return normal - change[-1]


def density_pass(folder, gradient, threads):
    torch.set_num_threads(threads)
    arrays = np.load(folder / "density.npz")
    field, x = Augmented(arrays), torch.as_tensor(arrays["x"])
    began = time.perf_counter()
    if gradient:
        value = log_density(field, x)
        value.mean().backward()
        value = value.detach()
    else:
        with torch.no_grad():
            value = log_density(field, x)
    seconds = time.perf_counter() - began
    error = (value.double() - torch.as_tensor(arrays["exact"])).abs()
    return {
        "seconds": seconds, "evaluations": field.evaluations, "error": float(error.max()),
    }  # fmt: skip


def reference(folder):
    """The same in double precision at a tolerance of 1e-10."""
    arrays = dict(np.load(folder / "density.npz"))
    double = {name: array.astype(np.float64) for name, array in arrays.items()}
    with torch.no_grad():
        exact = log_density(Augmented(double), torch.as_tensor(double["x"]), 1e-10)
    np.savez(folder / "density.npz", **{**arrays, "exact": exact.numpy()})
    return {}


class Training:
    """The loop of torchcfm's own examples."""

    def __init__(self, seed):
        from torchcfm.conditional_flow_matching import ExactOptimalTransportConditionalFlowMatcher
        from torchcfm.models.models import MLP

        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - what torchdyn draws from
        self.model = MLP(dim=2, time_varying=True)
        self.optimiser = torch.optim.Adam(self.model.parameters(), RATE)
        self.matcher = ExactOptimalTransportConditionalFlowMatcher(sigma=0.0)

    def run(self, steps):
        from torchcfm.utils import sample_8gaussians, sample_moons

        began = time.perf_counter()
        for _ in range(steps):
            self.optimiser.zero_grad()
            x0, x1 = sample_8gaussians(BATCH), sample_moons(BATCH)
            t, xt, ut = self.matcher.sample_location_and_conditional_flow(x0, x1)
            vt = self.model(torch.cat([xt, t[:, None]], dim=-1))
            torch.mean((vt - ut) ** 2).backward()
            self.optimiser.step()
        return time.perf_counter() - began

    def samples(self, start):
        def field(t, x):
            return self.model(torch.cat([x, t.expand(len(x), 1)], 1))

        with torch.no_grad():
            times = torch.tensor([0.0, 1.0])
            path = odeint(field, start, times, rtol=TOLERANCE, atol=TOLERANCE, method="dopri5")
        return path[-1]


def judged_data(folder, size):
    """Draws of both sides from torchcfm's own generators, and two more of the target."""
    from torchcfm.utils import sample_8gaussians, sample_moons

    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    np.save(folder / "start.npy", sample_8gaussians(size).numpy())
    np.save(folder / "target.npy", sample_moons(size).numpy())
    np.save(folder / "again.npy", sample_moons(size).numpy())
    return {}


def serve(folder, answers):
    names = ("torch", "torchdiffeq", "torchcfm", "POT")
    versions = {name: importlib.metadata.version(name) for name in names}
    print(json.dumps(versions), file=answers, flush=True)
    training = {}
    for line in sys.stdin:
        name, *numbers = line.split()
        numbers = [int(number) for number in numbers]
        if name == "reference":
            answer = reference(folder)
        elif name == "data":
            answer = judged_data(folder, *numbers)
        elif name in ("density", "gradient"):
            answer = density_pass(folder, name == "gradient", *numbers)
        elif name == "train":
            seed, steps, threads = numbers
            torch.set_num_threads(threads)
            training.setdefault(seed, Training(seed))
            answer = {"seconds": training[seed].run(steps) / steps}
        else:
            start = torch.as_tensor(np.load(folder / "start.npy"))
            np.save(folder / "samples.npy", training[numbers[0]].samples(start).numpy())
            answer = {}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    # whatever a library prints must not mix with the answers
    answers, sys.stdout = sys.stdout, sys.stderr
    serve(pathlib.Path(sys.argv[2]), answers)
