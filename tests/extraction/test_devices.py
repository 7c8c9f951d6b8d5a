"""Extraction on every device finds what it finds on the CPU."""

from __future__ import annotations

from torch.testing import assert_close

from kexue.extraction.inference import find_candidates
from tests.extraction.tiny import TEXTS, tiny_checkpoint


def test_the_candidates_of_a_text_are_the_same_on_every_device(device):
    checkpoint = tiny_checkpoint(window=8, overlap=2)
    tokenizer = checkpoint.text_tokenizer
    expected = {item.index: item for item in find_candidates(checkpoint.model, tokenizer, TEXTS, floor=-1.0)}
    found = list(find_candidates(checkpoint.model.to(device), tokenizer, TEXTS, floor=-1.0))
    assert len(found) == len(TEXTS)
    for item in found:
        theirs = expected[item.index].candidates
        assert item.candidates.spans.device.type == "cpu"
        assert item.candidates.spans.tolist() == theirs.spans.tolist()
        assert item.candidates.triples.tolist() == theirs.triples.tolist()
        assert_close(item.candidates.span_scores, theirs.span_scores, rtol=1e-4, atol=1e-4)
        assert_close(item.candidates.triple_scores, theirs.triple_scores, rtol=1e-4, atol=1e-4)
