"""A deep stack of gated attention units trains without warm-up (kexue.fm/archives/8990), then serves as an encoder.

python examples/pretrain_gau.py [--quick] [--output runs/gau]
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import torch
from transformers import AutoModelForMaskedLM

from kexue.data import demo_path
from kexue.encoders import GAUConfig, GAUModel
from kexue.encoders.loading import load_tokenizer
from kexue.training.pretraining.recipe import PretrainingRecipe
from kexue.training.pretraining.run import pretrain


@torch.no_grad()
def branch_sizes(num_layers: int, length: int = 128) -> list[float]:
    """rms(x_{l+1} - x_l) of each unit at the beginning: how little a unit changes what comes in."""
    config = GAUConfig(vocab_size=2, hidden_size=128, num_hidden_layers=num_layers, initialization="depth_scaled")
    model = GAUModel(config).eval()
    states = model(inputs_embeds=torch.randn(1, length, 128), output_hidden_states=True).hidden_states
    return [float((after - before).square().mean().sqrt()) for before, after in itertools.pairwise(states)]


def main() -> None:
    """Look at the stack as it begins, pre-train it, and let it fill in a word."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fraction of an epoch")
    parser.add_argument("--output", type=Path, default=Path("runs/gau"))
    options = parser.parse_args()

    torch.manual_seed(0)
    for num_layers in (4, 24):
        sizes = branch_sizes(num_layers)
        print(f"{num_layers} units: the first changes its input by {sizes[0]:.3f}, the last by {sizes[-1]:.3f} of 1")

    texts, epochs = (demo_path("phee", "dev"), 0.2) if options.quick else (demo_path("phee", "train"), 20)
    values = {"texts": [texts], "output": options.output / "encoder", "encoder": "gau-tiny", "warmup": 0}
    lengths = {"max_length": 64, "min_length": 64, "epochs": epochs}
    folder = pretrain(PretrainingRecipe.from_values(values | lengths), overwrite=True)
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(folder), load_tokenizer(folder)
    batch = tokenizer(f"The patient developed a {tokenizer.mask_token} after treatment.", return_tensors="pt")
    scores = model(batch["input_ids"]).logits[0, batch["input_ids"][0] == tokenizer.mask_token_id]
    print("most likely:", *tokenizer.convert_ids_to_tokens(scores[0].topk(5).indices.tolist()))
    print(f"kexue train train.jsonl --encoder {folder} --output runs/mine")


if __name__ == "__main__":
    main()
