"""Captum on the weights of a file, for `explain.py`: run by the interpreter that has PyTorch.

python explain_peer.py WEIGHTS.npz OUT.npz
"""

import json
import sys
import time

import captum
import numpy as np
import torch
from captum.attr import InputXGradient, IntegratedGradients, Occlusion, Saliency


def network(weights, biases):
    layers = []
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
        layers += [layer] + ([torch.nn.ReLU()] if i + 1 < len(weights) else [])
    return torch.nn.Sequential(*layers).eval()


def timed(call, repeats):
    began = time.process_time()
    result = call()
    cold = time.process_time() - began
    seconds = []
    for _ in range(repeats):
        began = time.process_time()
        call()
        seconds.append(time.process_time() - began)
    return result.detach().numpy(), cold, seconds


def main():
    given = np.load(sys.argv[1])
    layers = int(given["layers"])
    net = network(*([given[f"{kind}{i}"] for i in range(layers)] for kind in ("w", "b")))
    x, repeats = torch.tensor(given["x"]), int(given["repeats"])
    nodes, window = int(given["nodes"]), int(given["window"])
    base = torch.zeros_like(x)
    calls = {
        "saliency": lambda: Saliency(net).attribute(x.requires_grad_(), target=0, abs=False),
        "gradient times input": lambda: InputXGradient(net).attribute(x.requires_grad_(), target=0),
        "integrated gradients": lambda: IntegratedGradients(net).attribute(
            x, base, target=0, n_steps=nodes, method="gausslegendre"
        ),
        "occlusion": lambda: Occlusion(net).attribute(
            x, sliding_window_shapes=(window,), strides=(window,), target=0, baselines=0,
            perturbations_per_eval=16,
        ),
    }  # fmt: skip
    found, times = {}, {}
    # one core for both sides
    torch.set_num_threads(1)
    for name, call in calls.items():
        found[name], cold, warm = timed(call, repeats)
        times[name] = {"cold": cold, "warm": warm}
    versions = {"torch": torch.__version__, "captum": captum.__version__}
    np.savez(sys.argv[2], times=json.dumps({"times": times, "versions": versions}), **found)


if __name__ == "__main__":
    main()
