"""A real transformers pipeline answers as the extractor does: texts, lists, streams, data sets, devices, precision."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, pipeline

from kexue.errors import CheckpointError, OptionError
from kexue.extraction.document import Document
from kexue.integrations.transformers import BATCH_SIZE, TASK, RelationExtractionPipeline
from kexue.pipelines.extractor import Extractor
from tests.extraction.tiny import tiny_checkpoint
from tests.training.tiny import sentences

TEXTS = [item.text for item in sentences(10)]


def answer(document: Document) -> dict:
    record = document.to_json()
    return {key: record[key] for key in ("entities", "relations", "events", "meta") if key in record}


def texts_of(answers: list[dict]) -> list[list[tuple[str, str, str]]]:
    """The facts without their scores, which differ by rounding with the texts beside them."""
    return [
        [(fact["subject"]["text"], fact["predicate"], fact["object"]["text"]) for fact in item["relations"]]
        for item in answers
    ]


@pytest.fixture(scope="module")
def find(fitted: Path) -> RelationExtractionPipeline:
    return pipeline(TASK, model=str(fitted), device="cpu")


def test_a_text_is_answered_as_the_extractor_answers(find: RelationExtractionPipeline, extractor: Extractor):
    for text in TEXTS:
        assert find(text) == answer(extractor(text))
    assert find(TEXTS[0])["relations"]


def test_a_list_gives_a_list_and_a_stream_a_stream_in_order(find: RelationExtractionPipeline):
    expected = texts_of([find(text) for text in TEXTS])
    assert texts_of(find(TEXTS)) == texts_of(find(tuple(TEXTS))) == expected
    for batch_size in (1, 3, 100):
        stream = find((text for text in TEXTS), batch_size=batch_size)
        assert isinstance(stream, Iterator)
        assert texts_of(list(stream)) == expected
        assert texts_of(find(TEXTS, batch_size=batch_size)) == expected


def test_a_stream_is_read_as_it_is_answered(find: RelationExtractionPipeline):
    read = 0

    def texts() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield TEXTS[read % len(TEXTS)]

    stream = find(texts())
    for _ in range(BATCH_SIZE + 1):
        next(stream)
    assert read <= 2 * BATCH_SIZE + 1


class Numbered(torch.utils.data.Dataset):
    """A data set that can only be counted and asked by number."""

    def __len__(self) -> int:
        return len(TEXTS)

    def __getitem__(self, index: int) -> str:
        return TEXTS[index]


def test_a_data_set_is_answered_in_its_order(find: RelationExtractionPipeline):
    assert texts_of(list(find(Numbered()))) == texts_of(find(TEXTS))


def test_no_texts_and_strange_ones_are_fine(find: RelationExtractionPipeline):
    assert find([]) == []
    assert list(find(text for text in [])) == []
    strange = ["", "   ", "😀👩‍🔬🇫🇷", "\x00\ud800", "[SEP] <s> \u202e"]
    for text, found in zip(strange, find(strange), strict=True):
        for entity in found["entities"]:
            assert text[entity["start"] : entity["end"]] == entity["text"]


def test_thresholds_are_chosen_for_the_pipeline_or_a_call(fitted: Path, extractor: Extractor):
    expected = answer(extractor.with_threshold(0.0)(TEXTS[0]))
    assert pipeline(TASK, model=str(fitted), device="cpu", threshold=0.0)(TEXTS[0]) == expected
    find = pipeline(TASK, model=str(fitted), device="cpu")
    assert find(TEXTS[0], threshold=0.0) == expected != find(TEXTS[0])
    assert find(TEXTS[0], precision=0.95) == answer(extractor.with_precision(0.95)(TEXTS[0]))
    with pytest.raises(OptionError, match="Did you mean 'threshold'"):
        find(TEXTS[0], treshold=0.5)


def test_a_network_and_its_tokenizer_are_taken_with_the_thresholds_of_their_folder(fitted: Path, extractor: Extractor):
    model, tokenizer = AutoModel.from_pretrained(fitted), AutoTokenizer.from_pretrained(fitted)
    find = pipeline(TASK, model=model, tokenizer=tokenizer, device="cpu")
    assert find.extractor.decision == extractor.decision
    assert find(TEXTS[0]) == answer(extractor(TEXTS[0]))


def test_bfloat16_is_what_the_extractor_calls_bfloat16(fitted: Path):
    find = pipeline(TASK, model=str(fitted), device="cpu", dtype=torch.bfloat16)
    assert find.extractor.dtype == "bfloat16"
    assert find.model.dtype == torch.float32  # the heads compute in it
    assert texts_of(find(TEXTS[:2])) != []
    with pytest.raises(OptionError, match=r"float32 or bfloat16, got torch\.float16"):
        pipeline(TASK, model=str(fitted), device="cpu", dtype=torch.float16)


@pytest.mark.gpu
def test_the_device_is_the_extractors_too(fitted: Path, cuda: str):
    find = pipeline(TASK, model=str(fitted), device=cuda)
    assert next(find.extractor.model.parameters()).device.type == "cuda"
    assert find(TEXTS[0])["relations"]


def test_what_is_saved_is_a_model_of_ours_without_code(find: RelationExtractionPipeline, tmp_path: Path):
    find.save_pretrained(tmp_path / "saved")
    assert not list((tmp_path / "saved").glob("*.py"))
    assert texts_of([answer(Extractor.from_pretrained(tmp_path / "saved", device="cpu")(TEXTS[0]))]) == texts_of(
        [find(TEXTS[0])]
    )
    assert pipeline(TASK, model=str(tmp_path / "saved"), device="cpu")(TEXTS[0])["relations"]


def test_where_the_model_comes_from_is_kept(find: RelationExtractionPipeline, extractor: Extractor):
    assert (find.extractor.provenance, find.extractor.fingerprint) == (extractor.provenance, extractor.fingerprint)
    assert extractor.provenance and extractor.fingerprint


def test_a_folder_that_was_changed_is_refused(find: RelationExtractionPipeline, tmp_path: Path):
    find.save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "kexue.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no kexue\.json"):
        pipeline(TASK, model=str(tmp_path / "saved"), device="cpu")


def test_an_untrained_network_follows_the_rule_of_the_article():
    checkpoint = tiny_checkpoint()
    find = RelationExtractionPipeline(checkpoint.model, checkpoint.tokenizer, device="cpu")
    assert find.extractor.decision == checkpoint.decision


def test_other_models_are_refused(minilm: str):
    with pytest.raises(OptionError, match="takes a model that kexue trained, got BertModel"):
        pipeline(
            TASK, model=AutoModel.from_pretrained(minilm), tokenizer=AutoTokenizer.from_pretrained(minilm), device="cpu"
        )
