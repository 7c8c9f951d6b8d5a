"""Run as a program, since shapes that are checked in tests cannot be compiled: a compiled extractor against itself.

    python compiled.py BACKEND MODEL

Texts of every length, one by one and together, from another thread too; prints how many graphs there are after loading,
how many in the end, how many breaks there were, and whether the facts are the same.
"""

from __future__ import annotations

import sys
from threading import Thread

import torch
from torch._dynamo.utils import counters

from kexue.encoders import graph
from kexue.pipelines.extractor import Extractor
from tests.pipelines.test_export import assert_same_facts
from tests.training.tiny import sentences


def main(backend: str, model: str) -> None:
    graph.BACKEND = backend
    torch.set_num_threads(1)
    texts = [item.text for item in sentences(40)]
    texts = [text[:length] for length in (1, 5, 20, 60, 90, 120) for text in texts[:6]]
    plain = Extractor.from_pretrained(model, device="cpu")
    compiled = Extractor.from_pretrained(model, device="cpu", compile=True)
    print("loaded", counters["stats"]["unique_graphs"])
    found = [compiled.extract(texts), [compiled(text) for text in texts], compiled.extract(texts, batch_size=4)]
    thread = Thread(target=lambda: found.append(compiled.with_threshold(0.0).extract(texts[:20])))
    thread.start()
    thread.join()
    for documents in found[:3]:
        assert_same_facts(documents, plain.extract(texts))
    assert_same_facts(found[3], plain.with_threshold(0.0).extract(texts[:20]))
    print("graphs", counters["stats"]["unique_graphs"], "breaks", sum(counters["graph_break"].values()))


if __name__ == "__main__":
    main(*sys.argv[1:])
