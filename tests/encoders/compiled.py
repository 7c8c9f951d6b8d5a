"""Run as a program, since shapes that are checked in tests cannot be compiled: a compiled model against the same.

    python compiled.py BACKEND DEVICE ATTENTION...

A layer of each attention in one model, in which any break in the graph is an error, forward and backward, with dropout;
prints their names if loss and gradients agree. Only the plain backend draws the same numbers for dropout, so others go
without.
"""

from __future__ import annotations

import sys

import torch
from torch import nn
from torch.testing import assert_close

from kexue.encoders.gau import GAUConfig, GAUForMaskedLM


def run(model: GAUForMaskedLM, call, ids: torch.Tensor) -> list[torch.Tensor]:
    model.zero_grad()
    torch.manual_seed(0)
    loss = call(ids, attention_mask=ids != 0, labels=ids).loss
    loss.backward()
    return [loss.detach(), *(weight.grad.clone() for weight in model.parameters())]


def main(backend: str, device: str, *attentions: str) -> None:
    rate = 0.1 if backend == "aot_eager" else 0.0
    ids = torch.tensor([[3, 4, 5, 6, 7, 8], [9, 8, 7, 0, 0, 0]], device=device)
    torch.manual_seed(0)
    models = [
        GAUForMaskedLM(
            GAUConfig(
                vocab_size=20,
                hidden_size=16,
                num_hidden_layers=1,
                key_dim=8,
                attention=attention,
                hidden_dropout=rate,
                attention_dropout=rate,
            )
        )
        for attention in attentions
    ]
    model = models[0]
    model.gau.layers = nn.ModuleList(each.gau.layers[0] for each in models)
    model.to(device).train()
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    assert_close(run(model, compiled, ids), run(model, model, ids), atol=1e-5, rtol=1e-4)
    print(*attentions)


if __name__ == "__main__":
    main(*sys.argv[1:])
