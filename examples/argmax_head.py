"""A classifier whose last map is not softmax: argmax of scores plus noise, other noise (kexue.fm/archives/9085).

python examples/argmax_head.py [--quick]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor, nn

from kexue.diffusion.images import read_images
from kexue.distributions import Gumbel, Noise, Normal, PerturbedArgmax, Uniform, cross_entropy, fenchel_young

Loss = Callable[[Tensor, Tensor, Noise], Tensor]
HEADS: dict[str, tuple[Noise, Loss]] = {
    "Gumbel: softmax": (Gumbel(), cross_entropy),
    "Normal: probit": (Normal(), cross_entropy),
    "Uniform: sparse": (Uniform(scale=4.0), fenchel_young),  # p may be 0, where a cross entropy is infinite
}


def main() -> None:
    """Train the same network under three laws on handwritten digits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few steps")
    options = parser.parse_args()

    digits = read_images("digits")
    x = torch.from_numpy(digits.pixels).flatten(1).float() / 16 - 0.5
    y = torch.from_numpy(digits.labels).long()
    train, test = slice(0, 1200), slice(1200, None)
    for name, (noise, loss_of) in HEADS.items():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        optimizer = torch.optim.Adam(network.parameters(), 3e-3)
        for _ in range(10 if options.quick else 300):
            loss = loss_of(network(x[train]), y[train], noise).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            law = PerturbedArgmax(network(x[test]), noise)  # stands where torch's Categorical stands
            probs, drawn = law.probs, law.sample((5,))[:, 0].tolist()
        right = float((probs.argmax(1) == y[test]).float().mean())
        zeros = float((probs == 0).float().mean())
        print(f"{name}: right {right:.1%}, probabilities that are exactly 0 {zeros:.1%}, five draws {drawn}")


if __name__ == "__main__":
    main()
