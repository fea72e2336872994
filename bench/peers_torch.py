"""The peers: a plain PyTorch loop and pythae's trainer, in an interpreter of their own.

`peers_torch.py serve FOLDER` reads lines `NAME` from standard input and answers each with one
line of JSON, the seconds and the steps of one pass over the data in FOLDER (`beats.npy`,
`images.npy`). `peers_torch.py command NAME FOLDER TRAIN VALIDATION EPOCHS OUT` is a whole
training run, from imports to the saved model, as a user's script would be.
"""

import itertools
import json
import pathlib
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

LATENTS, BATCH, RATE, CAPACITY, GAMMA, WARM_UP = 10, 64, 5e-4, 25.0, 100.0, 3500


def dense(sizes):
    layers = []
    for one, two in itertools.pairwise(sizes):
        layers += [nn.Linear(one, two), nn.ReLU()]
    return layers[:-1]


def mlp_body(size):
    return nn.Sequential(nn.Flatten(), *dense((size, 256, 256)), nn.ReLU())


def mlp_decoder(size):
    return nn.Sequential(*dense((LATENTS, 256, 256, size)))


def conv_body():
    layers = []
    for inputs in (1, 32, 32, 32):
        layers += [nn.Conv2d(inputs, 32, 4, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), *dense((512, 256, 256)), nn.ReLU())


def conv_decoder():
    layers = [*dense((LATENTS, 256, 256, 512)), nn.ReLU(), nn.Unflatten(1, (32, 4, 4))]
    for _ in range(3):
        layers += [nn.ConvTranspose2d(32, 32, 4, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(32, 1, 4, 2, 1))


class PlainVAE(nn.Module):
    def __init__(self, body, decoder, *, bernoulli):
        super().__init__()
        self.body, self.decoder, self.bernoulli = body, decoder, bernoulli
        self.mean, self.log_variance = nn.Linear(256, LATENTS), nn.Linear(256, LATENTS)
        self.log_scale = nn.Parameter(torch.zeros(1))

    def forward(self, x, step):
        h = self.body(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        eta = self.decoder(z)
        if self.bernoulli:
            misfit = functional.binary_cross_entropy_with_logits(eta, x, reduction="sum")
        else:
            residual = (x - eta) * torch.exp(-self.log_scale)
            misfit = 0.5 * residual.square().sum() + x.numel() * self.log_scale.sum()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        target = CAPACITY * min(step / WARM_UP, 1.0)
        return misfit / len(x) + GAMMA * (kl - target).abs()


class PlainLoop:
    """A pass: a permutation, and for each batch loss, gradient and Adam."""

    def __init__(self, body, decoder, data, *, bernoulli):
        self.model = PlainVAE(body, decoder, bernoulli=bernoulli)
        self.optimiser = torch.optim.Adam(self.model.parameters(), RATE)
        self.data, self.step = torch.as_tensor(data), 0

    def run(self):
        began, steps = time.perf_counter(), len(self.data) // BATCH
        for rows in torch.randperm(len(self.data))[: steps * BATCH].split(BATCH):
            self.optimiser.zero_grad(set_to_none=True)
            self.model(self.data[rows].float(), self.step).backward()
            self.optimiser.step()
            self.step += 1
        return time.perf_counter() - began, steps


def pythae_trainer(body, decoder, data, *, bernoulli, epochs, out, validation=None):
    """pythae's β-VAE with a capacity, its networks given as its documentation advises."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import DisentangledBetaVAE, DisentangledBetaVAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.body = body
            self.mean, self.log_variance = nn.Linear(256, LATENTS), nn.Linear(256, LATENTS)

        def forward(self, x):
            h = self.body(x)
            return ModelOutput(embedding=self.mean(h), log_covariance=self.log_variance(h))

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.body = decoder

        def forward(self, z):
            eta = self.body(z)
            return ModelOutput(reconstruction=torch.sigmoid(eta) if bernoulli else eta)

    class Timed(BaseTrainer):
        def train_step(self, epoch):
            began = time.perf_counter()
            loss = super().train_step(epoch)
            self.seconds = time.perf_counter() - began
            return loss

    config = DisentangledBetaVAEConfig(
        input_dim=tuple(data.shape[1:]),
        latent_dim=LATENTS,
        reconstruction_loss="bce" if bernoulli else "mse",
        beta=GAMMA,
        C=CAPACITY,
        warmup_epoch=max(1, round(0.7 * epochs)),
    )

    def dataset(rows):
        rows = torch.as_tensor(rows).float()
        return BaseDataset(rows, torch.zeros(len(rows)))

    return Timed(
        DisentangledBetaVAE(config, Encoder(), Decoder()),
        dataset(data),
        eval_dataset=None if validation is None else dataset(validation),
        training_config=BaseTrainerConfig(
            output_dir=str(out),
            num_epochs=epochs,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=512,
            learning_rate=RATE,
            optimizer_cls="Adam",
            no_cuda=True,
        ),
    )


def serve(folder, answers):
    import logging

    import pythae

    logging.getLogger("pythae").setLevel(logging.ERROR)
    beats, images = np.load(folder / "beats.npy"), np.load(folder / "images.npy")[:, None]
    size = beats.shape[1]
    steps = {"mlp": len(beats), "conv": len(images)}
    loops = {
        "plain mlp": PlainLoop(mlp_body(size), mlp_decoder(size), beats, bernoulli=False),
        "plain conv": PlainLoop(conv_body(), conv_decoder(), images, bernoulli=True),
    }
    out = {"epochs": 1, "out": folder / "pythae"}
    trainers = {
        "pythae mlp": pythae_trainer(
            mlp_body(size), mlp_decoder(size), beats, bernoulli=False, **out
        ),
        "pythae conv": pythae_trainer(conv_body(), conv_decoder(), images, bernoulli=True, **out),
    }
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)

    def answer(**line):
        print(json.dumps(line), file=answers, flush=True)

    pythae_version = getattr(pythae, "__version__", "0.1.2")
    answer(torch=torch.__version__, pythae=pythae_version, threads=torch.get_num_threads())
    for line in sys.stdin:
        name = line.strip()
        if name == "product":
            began = time.perf_counter()
            for _ in range(10):
                torch.mm(a, b)
            answer(seconds=time.perf_counter() - began, steps=10)
        elif name in loops:
            seconds, count = loops[name].run()
            answer(seconds=seconds, steps=count)
        else:
            trainers[name].train()
            count = -(-steps[name.split()[1]] // BATCH)
            answer(seconds=trainers[name].seconds, steps=count)


def command(name, folder, train, validation, epochs, out):
    beats = np.load(folder / "beats.npy")
    size = beats.shape[1]
    data, held_out = beats[:train], beats[train : train + validation]
    if name == "pythae":
        pythae_trainer(
            mlp_body(size), mlp_decoder(size), data,
            bernoulli=False, epochs=epochs, out=out, validation=held_out,
        ).train()  # fmt: skip
        return
    loop = PlainLoop(mlp_body(size), mlp_decoder(size), data, bernoulli=False)
    for _ in range(epochs):
        loop.run()
        with torch.no_grad():
            loop.model(torch.as_tensor(held_out), WARM_UP)
    torch.save(loop.model.state_dict(), out / "model.pt")


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    torch.manual_seed(0)
    if verb == "serve":
        # whatever a library prints must not mix with the answers
        answers, sys.stdout = sys.stdout, sys.stderr
        serve(pathlib.Path(rest[0]), answers)
    else:
        name, folder, train, validation, epochs, out = rest
        pathlib.Path(out).mkdir(parents=True, exist_ok=True)
        command(
            name,
            pathlib.Path(folder),
            int(train),
            int(validation),
            int(epochs),
            pathlib.Path(out),
        )
