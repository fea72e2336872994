"""The peer of the diffusion benchmark: a plain PyTorch loop over the same net and loss.

`peers_denoising.py serve FOLDER` answers `train SEED STEPS THREADS` with the seconds a step, and
leaves the weights' loss on fresh draws in the answer; data are read from `data.npy`.
"""

import importlib.metadata
import itertools
import json
import math
import pathlib
import sys
import time

import numpy as np
import torch
from torch import nn

BATCH, RATE, DECAY = 256, 1e-3, 0.999
MEAN, STD = -1.2 + math.log(2), 1.2


class Denoiser(nn.Module):
    """The preconditioning of Karras et al. (2022) about a multilayer perceptron."""

    def __init__(self, widths):
        super().__init__()
        sizes = (2 + 9, *widths, 2)
        layers = []
        for a, b in itertools.pairwise(sizes):
            layers += [nn.Linear(a, b), nn.SiLU()]
        self.net = nn.Sequential(*layers[:-1])
        nn.init.zeros_(self.net[-1].weight)
        nn.init.zeros_(self.net[-1].bias)
        self.register_buffer("rates", 0.5 * math.pi * 2.0 ** torch.arange(4))

    def forward(self, y, sigma):
        sigma = sigma[:, None]
        spread = (sigma**2 + 1).sqrt()
        noise = 0.25 * sigma.log()
        waves = self.rates * noise
        told = torch.cat([y / spread, noise, waves.sin(), waves.cos()], 1)
        return y / spread**2 + sigma / spread * self.net(told)


class Training:
    def __init__(self, seed, data, widths):
        torch.manual_seed(seed)
        self.data, self.model = data, Denoiser(widths)
        self.average = [p.detach().clone() for p in self.model.parameters()]
        self.optimiser = torch.optim.Adam(self.model.parameters(), RATE)
        self.order, self.steps = iter(()), 0

    def run(self, steps):
        began = time.perf_counter()
        for _ in range(steps):
            y = next(self.order, None)
            if y is None or len(y) < BATCH:
                self.order = iter(torch.randperm(len(self.data)).split(BATCH))
                y = next(self.order)
            y = self.data[y]
            sigma = (MEAN + STD * torch.randn(BATCH)).exp()
            self.optimiser.zero_grad()
            found = self.model(y + sigma[:, None] * torch.randn_like(y), sigma)
            ((1 / sigma**2 + 1) * ((found - y) ** 2).mean(1)).mean().backward()
            self.optimiser.step()
            decay = min(DECAY, (1 + self.steps) / (10 + self.steps))
            self.steps += 1
            with torch.no_grad():
                parameters = list(self.model.parameters())
                torch._foreach_lerp_(self.average, parameters, 1 - decay)
        return (time.perf_counter() - began) / steps


def serve(folder, answers):
    print(json.dumps({"torch": importlib.metadata.version("torch")}), file=answers, flush=True)
    data, training = torch.as_tensor(np.load(folder / "data.npy")), {}
    for line in sys.stdin:
        name, *numbers = line.split()
        assert name == "train"
        seed, steps, threads, *widths = (int(number) for number in numbers)
        torch.set_num_threads(threads)
        key = (seed, *widths)
        if key not in training:
            training[key] = Training(seed, data, widths)
        answer = {"seconds": training[key].run(steps)}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    # whatever a library prints must not mix with the answers
    answers, sys.stdout = sys.stdout, sys.stderr
    serve(pathlib.Path(sys.argv[2]), answers)
