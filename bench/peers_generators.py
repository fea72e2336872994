"""The peer of the generators' benchmark: plain PyTorch loops over the same nets and losses.

`peers_generators.py serve FOLDER` answers `train KIND STEPS THREADS` with the seconds a step; data
are read from `data.npy`, images of shape (n, row, column).
"""

import importlib.metadata
import itertools
import json
import pathlib
import sys
import time

import numpy as np
import torch
from torch import nn

BATCH, LATENTS, RATE, GAMMA, DECAY = 128, 32, 5e-4, 0.1, 0.999
WIDTHS = (256, 256, 256)
DIM = 16


def dense(sizes, activation):
    layers = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), activation()]
    return layers[:-1]


def nets(kind, side):
    """A generator and a critic: of dense layers, or of two convolutions and two dense layers."""
    if kind == "dense":
        generator = [*dense((LATENTS, *WIDTHS, side * side), nn.ReLU), nn.Tanh()]
        critic = [nn.Flatten(), *dense((side * side, *WIDTHS, 1), nn.LeakyReLU)]
        return nn.Sequential(*generator, nn.Unflatten(1, (1, side, side))), nn.Sequential(*critic)
    inner = side // 4
    flat = 32 * inner * inner
    generator = [
        *dense((LATENTS, 256, 256, flat), nn.ReLU), nn.ReLU(),
        nn.Unflatten(1, (32, inner, inner)),
        nn.ConvTranspose2d(32, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1),
        nn.Tanh(),
    ]  # fmt: skip
    critic = [
        nn.Conv2d(1, 32, 4, 2, 1), nn.LeakyReLU(), nn.Conv2d(32, 32, 4, 2, 1), nn.LeakyReLU(),
        nn.Flatten(), *dense((flat, 256, 256, 1), nn.LeakyReLU),
    ]  # fmt: skip
    return nn.Sequential(*generator), nn.Sequential(*critic)


def slope(scores, x):
    (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    return gradient.flatten(1).pow(2).sum(1).mean()


class Batches:
    def __init__(self, data):
        torch.manual_seed(0)
        self.data, self.steps, self.order = data, 0, iter(())

    def batch(self):
        rows = next(self.order, None)
        if rows is None or len(rows) < BATCH:
            self.order = iter(torch.randperm(len(self.data)).split(BATCH))
            rows = next(self.order)
        return self.data[rows]


class Game(Batches):
    def __init__(self, kind, data):
        super().__init__(data)
        self.generator, self.critic = nets(kind, data.shape[-1])
        self.average = [p.detach().clone() for p in self.generator.parameters()]
        self.optimisers = [
            torch.optim.Adam(net.parameters(), RATE, betas=(0.0, 0.99))
            for net in (self.generator, self.critic)
        ]

    def run(self, steps):
        began = time.perf_counter()
        for _ in range(steps):
            real = self.batch().requires_grad_()
            fake = self.generator(torch.randn(BATCH, LATENTS)).detach().requires_grad_()
            on_real, on_fake = self.critic(real), self.critic(fake)
            loss = nn.functional.softplus(on_fake - on_real).mean()
            loss = loss + GAMMA / 2 * (slope(on_real, real) + slope(on_fake, fake))
            self.optimisers[1].zero_grad()
            loss.backward()
            self.optimisers[1].step()
            real = real.detach()
            scores = self.critic(self.generator(torch.randn(BATCH, LATENTS)))
            with torch.no_grad():
                on_real = self.critic(real)
            loss = nn.functional.softplus(on_real - scores).mean()
            self.optimisers[0].zero_grad()
            loss.backward()
            self.optimisers[0].step()
            decay = min(DECAY, (1 + self.steps) / (10 + self.steps))
            self.steps += 1
            with torch.no_grad():
                torch._foreach_lerp_(self.average, list(self.generator.parameters()), 1 - decay)
        return (time.perf_counter() - began) / steps


class Codes(Batches):
    """A vector-quantised autoencoder, its codebook kept by a moving average."""

    def __init__(self, kind, data):
        super().__init__(data)
        side = data.shape[-1]
        if kind == "codes-dense":
            self.encoder = nn.Sequential(
                nn.Flatten(), *dense((side * side, 256, 256, 16 * DIM), nn.ReLU),
                nn.Unflatten(1, (16, DIM)),
            )  # fmt: skip
            self.decoder = nn.Sequential(
                nn.Flatten(), *dense((16 * DIM, 256, 256, side * side), nn.ReLU),
                nn.Unflatten(1, (1, side, side)),
            )  # fmt: skip
        else:
            self.encoder = nn.Sequential(
                nn.Conv2d(1, 64, 4, 2, 1), nn.ReLU(), nn.Conv2d(64, 64, 4, 2, 1), nn.ReLU(),
                nn.Conv2d(64, 64, 3, 1, 1), nn.ReLU(), nn.Conv2d(64, DIM, 1),
            )  # fmt: skip
            self.decoder = nn.Sequential(
                nn.Conv2d(DIM, 64, 1), nn.ReLU(), nn.Conv2d(64, 64, 3, 1, 1), nn.ReLU(),
                nn.ConvTranspose2d(64, 64, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(64, 1, 4, 2, 1),
            )  # fmt: skip
        self.on_grid = kind != "codes-dense"
        self.codebook = torch.randn(64, DIM)
        self.counts, self.sums = torch.zeros(64), torch.zeros(64, DIM)
        own = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimiser = torch.optim.Adam(own, 1e-3)

    def run(self, steps):
        began = time.perf_counter()
        for _ in range(steps):
            x = (self.batch() + 1) / 2
            code = self.encoder(x)
            if self.on_grid:
                code = code.permute(0, 2, 3, 1)
            flat = code.reshape(-1, DIM)
            which = ((self.codebook**2).sum(1) - 2 * flat.detach() @ self.codebook.T).argmin(1)
            entries = self.codebook[which]
            passed = (flat + (entries - flat).detach()).reshape(code.shape)
            if self.on_grid:
                passed = passed.permute(0, 3, 1, 2)
            misfit = nn.functional.binary_cross_entropy_with_logits(
                self.decoder(passed), x, reduction="sum"
            )
            loss = (misfit + 0.25 * (flat - entries).pow(2).sum()) / BATCH
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            with torch.no_grad():
                self.move(flat, which)
        return (time.perf_counter() - began) / steps

    def move(self, flat, which):
        chosen = nn.functional.one_hot(which, 64).to(flat.dtype)
        self.counts = 0.99 * self.counts + 0.01 * chosen.sum(0)
        self.sums = 0.99 * self.sums + 0.01 * chosen.T @ flat
        share = len(flat) / 64
        fresh = flat[torch.randperm(len(flat))[:64]]
        again = self.counts < 0.1 * share
        self.counts = torch.where(again, share, self.counts)
        self.sums = torch.where(again[:, None], share * fresh, self.sums)
        self.codebook = self.sums / self.counts[:, None]


def serve(folder, answers):
    print(json.dumps({"torch": importlib.metadata.version("torch")}), file=answers, flush=True)
    data, games = torch.as_tensor(np.load(folder / "data.npy"))[:, None], {}
    for line in sys.stdin:
        _, kind, steps, threads = line.split()
        torch.set_num_threads(int(threads))
        if kind not in games:
            games[kind] = (Codes if kind.startswith("codes") else Game)(kind, data)
        answer = {"seconds": games[kind].run(int(steps))}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(pathlib.Path(sys.argv[2]), sys.stdout)
