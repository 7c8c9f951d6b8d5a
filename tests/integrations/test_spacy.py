"""A real spaCy says what the extractor says, whatever becomes of its docs: tokens, bytes, files, other processes."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

spacy = pytest.importorskip("spacy", reason="the spacy extra is not installed")

from spacy.language import Language  # noqa: E402
from spacy.tokens import Doc, DocBin  # noqa: E402

from kexue.errors import CheckpointError, DataError, OptionError  # noqa: E402
from kexue.extraction.document import Document, Relation, Span  # noqa: E402
from kexue.integrations.spacy import Annotating, KexuePipe  # noqa: E402
from kexue.pipelines.extractor import Extractor  # noqa: E402
from tests.training.tiny import sentences  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [item.text for item in sentences(10)]
HOSTILE = ["", "   ", "\n\t", "😀👩‍🔬🇫🇷", "a" * 3000, "e\u0301\u202e[SEP]<s>\u2028", *TEXTS[:2]]


def pipeline(model: object, language: str = "en", **config: Any) -> Language:
    nlp = spacy.blank(language)
    nlp.add_pipe("kexue", config={"model": str(model), **config})
    return nlp


def facts(doc: Doc) -> list[tuple[str, str, str]]:
    return [(fact.subject.text, fact.predicate, fact.object.text) for fact in doc._.relations]


def said(document: Document) -> list[tuple[str, str, str]]:
    return [
        (fact.subject.surface(document.text), fact.predicate, fact.object.surface(document.text))
        for fact in document.relations
    ]


# --- what is found ---


def test_entities_and_relations_are_those_of_the_extractor(fitted: Path, extractor: Extractor):
    nlp = pipeline(fitted)
    for text in TEXTS:
        doc, document = nlp(text), extractor(text)
        assert facts(doc) == said(document) != []
        assert [fact.score for fact in doc._.relations] == pytest.approx(
            [fact.score for fact in document.relations], abs=1e-4
        )
        assert [(span.text, span.label_) for span in doc.spans["kexue"]] == [
            (span.surface(text), span.label) for span in document.entities
        ]
        assert doc.spans["kexue"].attrs["scores"] == [span.score for span in document.entities]
        assert set(doc.ents) <= set(doc.spans["kexue"])
        assert [relation.subject.label_ for relation in doc._.relations] == [
            relation.subject.label for relation in document.relations
        ]


def test_a_stream_gives_the_docs_in_order_whatever_the_batch(fitted: Path):
    nlp = pipeline(fitted)
    expected = [facts(nlp(text)) for text in TEXTS]
    for batch_size in (1, 3, 100):
        docs = list(
            nlp.pipe(((text, index) for index, text in enumerate(TEXTS)), as_tuples=True, batch_size=batch_size)
        )
        assert [context for _, context in docs] == list(range(len(TEXTS)))
        assert [facts(doc) for doc, _ in docs] == expected


def test_strange_texts_are_annotated_within_their_tokens(fitted: Path):
    nlp = pipeline(fitted)
    for text, doc in zip(HOSTILE, nlp.pipe(HOSTILE), strict=True):
        assert doc.text == text
        assert doc._.extraction.text == text
        for span in (end for fact in doc._.relations for end in (fact.subject, fact.object)):
            assert 0 <= span.start < span.end <= len(doc)


def test_offsets_count_characters_behind_emoji(fitted: Path, extractor: Extractor):
    text = f"👩‍🔬😀 {TEXTS[0]}"
    doc = pipeline(fitted)(text)
    assert facts(doc) == said(extractor(text))
    for span in doc.spans["kexue"]:
        assert text[span.start_char : span.end_char] == span.text


def test_a_chinese_pipeline_has_a_token_for_every_character():
    nlp = spacy.blank("zh")
    text = "居里夫人😀出生于华沙。"
    person, place = Span(0, 4, "人物", 0.9), Span(8, 10, "地点", 0.8)
    document = Document(text, [person, place], [Relation(person, "出生地", place, 0.7)])
    doc = Annotating(alignment="strict")(nlp(text), document)
    assert facts(doc) == [("居里夫人", "出生地", "华沙")]
    assert [ent.text for ent in doc.ents] == ["居里夫人", "华沙"]
    assert doc._.unaligned == []


# --- characters and tokens ---

TEXT = "pre-mRNA10mg binds U2"
INSIDE, WHOLE = Span(4, 8, "gene", 0.9), Span(19, 21, "gene", 0.8)
DOCUMENT = Document(TEXT, [INSIDE, WHOLE], [Relation(INSIDE, "binds", WHOLE, 0.5)])


def tokenized(words: list[str], spaces: list[bool]) -> Doc:
    return Doc(spacy.blank("en").vocab, words=words, spaces=spaces)


@pytest.mark.parametrize(
    ("alignment", "found", "left"),
    [
        ("expand", [("mRNA10mg", "binds", "U2")], []),
        ("contract", [], [INSIDE]),
        ("strict", [], [INSIDE]),
    ],
)
def test_what_is_no_whole_token_is_widened_or_counted(alignment: str, found: list, left: list):
    doc = Annotating(alignment=alignment)(
        tokenized(["pre", "-", "mRNA10mg", "binds", "U2"], [False, False, True, True, False]), DOCUMENT
    )
    assert facts(doc) == found
    assert doc._.unaligned == left
    assert len(doc.spans["kexue"]) + len(left) == 2
    assert doc._.extraction == DOCUMENT  # nothing is lost either way


def test_contract_takes_the_tokens_that_are_wholly_inside():
    doc = tokenized(["a", "bc", "de", "f"], [False, True, True, False])
    annotated = Annotating(alignment="contract")(doc, Document(doc.text, [Span(0, 5, "x", 1.0)]))
    assert [span.text for span in annotated.spans["kexue"]] == ["abc"]


def test_a_span_of_white_space_alone_fits_no_token():
    doc = tokenized(["a", "b"], [True, False])
    annotated = Annotating()(doc, Document(doc.text, [Span(1, 2, "x", 1.0)]))
    assert (annotated._.unaligned, annotated.ents) == ([Span(1, 2, "x")], ())


def test_relations_follow_tokens_that_are_merged_afterwards():
    doc = Annotating()(spacy.blank("en")("Ann met Bob Lee."), MET)
    assert facts(doc) == [("Ann", "met", "Bob Lee")]
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[2:4])
    assert facts(doc) == [("Ann", "met", "Bob Lee")]
    assert len(doc._.relations[0].object) == 1


# --- beside other components ---

ANN, BOB, LEE = Span(0, 3, "person", 0.9), Span(8, 15, "person", 0.8), Span(12, 15, "name", 0.7)
MET = Document("Ann met Bob Lee.", [ANN, BOB, LEE], [Relation(ANN, "met", BOB, 0.6)])


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ("overwrite", [("Ann", "person"), ("Bob Lee", "person"), (".", "END")]),
        ("keep", [("Ann", "person"), ("met Bob", "OLD"), ("Lee", "name"), (".", "END")]),
        ("replace", [("Ann", "person"), ("Bob Lee", "person")]),
    ],
)
def test_entities_of_another_component_give_way_or_stay(existing: str, expected: list):
    doc = spacy.blank("en")(MET.text)
    doc.ents = [spacy.tokens.Span(doc, 1, 3, "OLD"), spacy.tokens.Span(doc, 4, 5, "END")]
    chosen = Annotating(existing=existing)(doc, MET)
    if existing == "keep":
        expected = [item for item in expected if item[0] != "Lee"]  # the longest of ours lost its place to OLD
    assert [(ent.text, ent.label_) for ent in chosen.ents] == expected
    assert [span.text for span in chosen.spans["kexue"]] == ["Ann", "Bob Lee", "Lee"]


def test_nested_entities_stand_in_the_group_and_the_longest_in_the_entities():
    doc = Annotating()(spacy.blank("en")(MET.text), MET)
    assert [ent.text for ent in doc.ents] == ["Ann", "Bob Lee"]
    assert doc.spans["kexue"].has_overlap
    bare = Annotating(ents=False, spans_key=None)(spacy.blank("en")(MET.text), MET)
    assert not bare.ents and not bare.spans and len(bare._.extraction.entities) == 3


def test_entities_without_a_type_are_shown_as_entities():
    document = Document("Ann met Bob Lee.", [Span(0, 3, "", 0.9)])
    doc = Annotating()(spacy.blank("en")(document.text), document)
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("Ann", "entity")]


# --- thresholds ---


def test_a_threshold_and_a_precision_choose_what_is_reported(fitted: Path, extractor: Extractor):
    assert facts(pipeline(fitted, threshold=0.0)(TEXTS[0])) == said(extractor.with_threshold(0.0)(TEXTS[0]))
    assert facts(pipeline(fitted, precision=0.95)(TEXTS[0])) == said(extractor.with_precision(0.95)(TEXTS[0]))
    assert not pipeline(fitted, threshold=1.0)(TEXTS[0])._.relations


# --- written and read again ---


def test_docs_keep_their_relations_in_a_docbin_and_in_bytes(fitted: Path, tmp_path: Path):
    nlp = pipeline(fitted)
    docs = list(nlp.pipe(TEXTS))
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "docs.spacy")
    again = DocBin().from_disk(tmp_path / "docs.spacy").get_docs(spacy.blank("en").vocab)
    for before, after in zip(docs, again, strict=True):
        assert facts(after) == facts(before) != []
        assert after.spans["kexue"].attrs["scores"] == pytest.approx(before.spans["kexue"].attrs["scores"])
    copy = Doc(nlp.vocab).from_bytes(docs[0].to_bytes())
    assert facts(copy) == facts(docs[0]) == facts(pickle.loads(pickle.dumps(docs[0]))) == facts(docs[0].copy())


def test_a_saved_pipeline_carries_its_model(fitted: Path, tmp_path: Path):
    nlp = pipeline(fitted, threshold=0.3)
    expected = [facts(doc) for doc in nlp.pipe(TEXTS)]
    moved = fitted.with_name("moved")
    nlp.to_disk(tmp_path / "saved")
    data = nlp.to_bytes()
    fitted.rename(moved)  # the folder that the configuration names is gone
    try:
        loaded = spacy.load(tmp_path / "saved")
        assert [facts(doc) for doc in loaded.pipe(TEXTS)] == expected
        other = type(nlp).from_config(nlp.config).from_bytes(data)
        assert [facts(doc) for doc in other.pipe(TEXTS)] == expected
    finally:
        moved.rename(fitted)


def test_what_is_saved_has_the_models_own_thresholds(fitted: Path, extractor: Extractor, tmp_path: Path):
    pipeline(fitted, threshold=1.0).to_disk(tmp_path / "saved")
    assert said(Extractor.from_pretrained(tmp_path / "saved" / "kexue", device="cpu")(TEXTS[0])) == said(
        extractor(TEXTS[0])
    )


def test_bytes_cannot_write_outside_their_model(fitted: Path, tmp_path: Path):
    import srsly

    component = pipeline(fitted).get_pipe("kexue")
    assert isinstance(component, KexuePipe)
    with pytest.raises(CheckpointError, match="outside the model"):
        component.from_bytes(srsly.msgpack_dumps({"../../escaped": b"x"}))


def test_a_component_can_be_sent_to_another_process(fitted: Path):
    nlp = pipeline(fitted)
    expected = [facts(doc) for doc in nlp.pipe(TEXTS)]
    component = pickle.loads(pickle.dumps(nlp.get_pipe("kexue")))
    assert [facts(doc) for doc in component.pipe(map(nlp.make_doc, TEXTS))] == expected


@pytest.mark.slow
def test_several_processes_find_the_same(installed: Path, fitted: Path):
    code = (
        "import spacy, sys\n"
        "nlp = spacy.blank('en')\n"
        "nlp.add_pipe('kexue', config={'model': sys.argv[1]})\n"
        "for doc in nlp.pipe(sys.argv[2:], n_process=2, batch_size=2): print(len(doc._.relations))\n"
    )
    counts = run(code, str(fitted), *TEXTS, path=installed).split()
    assert counts == [str(len(doc._.relations)) for doc in pipeline(fitted).pipe(TEXTS)]


# --- how it is found ---


def run(code: str, *arguments: str, path: Path | None = None) -> str:
    """What a Python of its own prints that has only heard of kexue's entry points."""
    paths = [str(item) for item in (path, ROOT / "src") if item is not None]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The metadata that an installation of this checkout has: its entry points."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    folder = tmp_path / "kexue-0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: kexue\nVersion: 0\n")
    groups = project["entry-points"].items()
    lines = [f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in names.items()) for group, names in groups]
    (folder / "entry_points.txt").write_text("\n".join(lines))
    return tmp_path


def test_spacy_finds_the_component_without_an_import_and_without_reading_models(installed: Path, fitted: Path):
    code = (
        "import spacy, sys\n"
        "nlp = spacy.blank('en')\n"
        "nlp.add_pipe('kexue', config={'model': sys.argv[1]})\n"
        "print('transformers' in sys.modules)\n"
        "print(len(nlp(sys.argv[2])._.relations))\n"
    )
    assert run(code, str(fitted), TEXTS[0], path=installed).split() == ["False", "1"]


# --- mistakes ---


def test_a_component_without_a_model_says_what_it_needs():
    with pytest.raises(OptionError, match=r"needs a model: nlp\.add_pipe"):
        spacy.blank("en").add_pipe("kexue")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(CheckpointError, match="nowhere: there is no such folder"):
        pipeline(tmp_path / "nowhere")("A text.")


def test_wrong_values_are_refused_by_spacy():
    with pytest.raises(Exception, match="alignment"):
        pipeline("anything", alignment="widen")


def test_a_failing_batch_goes_to_the_error_handler_of_spacy(tmp_path: Path):
    failed: list[str] = []
    nlp = pipeline(tmp_path / "nowhere")
    nlp.set_error_handler(lambda name, component, docs, error: failed.extend(doc.text for doc in docs))
    assert list(nlp.pipe(["a", "b"])) == []
    assert failed == ["a", "b"]
    nlp("c")
    assert failed == ["a", "b", "c"]


def test_an_attribute_of_another_component_is_not_taken_away(fitted: Path):
    own = Doc.get_extension("relations")
    Doc.set_extension("relations", default=None, force=True)
    try:
        with pytest.raises(OptionError, match=r"doc\._\.relations belongs to another component"):
            pipeline(fitted)
        doc = pipeline(fitted, extension="kexue_relations")(TEXTS[0])
        assert len(doc._.kexue_relations) == 1 and doc._.relations is None
    finally:
        Doc.set_extension("relations", getter=own[2], force=True)
        Doc.remove_extension("kexue_relations")


def test_data_that_belong_to_another_text_are_refused():
    doc = Annotating()(spacy.blank("en")(MET.text), MET)
    part = doc[2:].as_doc(copy_user_data=True)
    with pytest.raises(DataError, match=r"is not a span of its text|but characters"):
        part._.extraction  # noqa: B018
    assert doc[2:].as_doc()._.extraction is None
