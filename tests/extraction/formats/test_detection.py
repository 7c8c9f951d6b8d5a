"""The front door: which format a file has, and what is said of files that cannot be read."""

from __future__ import annotations

import gzip
import json

import pytest

from kexue.errors import DataError, OptionError
from kexue.extraction.document import Document
from kexue.extraction.formats import FORMATS, brat, detect, read_documents, write_documents

from .samples import BORN, CONLL, OTHERS, PERSON, RECORDS, TEXT, write_lines, write_sample

TEXT_FORMATS = [*RECORDS, *OTHERS, "conll"]


def test_every_reader_of_the_table_is_tried_here():
    readable = {name for name, format in FORMATS.items() if format.read is not None}
    assert readable == {*TEXT_FORMATS, "brat", "spacy_docbin"}
    assert all(name == format.name and format.description for name, format in FORMATS.items())


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_a_sample_of_each_format_is_detected_as_itself_and_by_no_format_before_it(name, tmp_path):
    path = write_sample(name, tmp_path)
    assert detect(path) == name
    document = read_documents(path).documents[0]
    assert document.text == TEXT
    assert PERSON in document.entities or name == "triples" or document.events
    assert document.unaligned == []


@pytest.mark.parametrize("name", RECORDS)
def test_the_same_fact_is_read_from_every_format_of_relations(name, tmp_path):
    (relation,) = read_documents(write_sample(name, tmp_path)).documents[0].relations
    assert [relation.subject.surface(TEXT), relation.predicate, relation.object.surface(TEXT)] == [
        "Marie Curie",
        "born in",
        "Warsaw",
    ]
    assert name == "triples" or relation == BORN


@pytest.mark.parametrize("told", [*TEXT_FORMATS, "brat", "spacy_docbin"])
@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_a_file_of_another_format_than_told_is_refused_with_the_one_it_has(name, told, tmp_path):
    path = write_sample(name, tmp_path)
    if told == name or (told, name) == ("doccano", "char_span"):  # whose entities doccano of 2018 writes alike
        return
    if told == "spacy_docbin":
        pytest.importorskip("spacy")
    with pytest.raises(DataError, match=f"to be read as {told}, but {path.name} looks like {name}$") as error:
        read_documents(path, told)
    assert error.value.path == path


@pytest.mark.parametrize("told", ["native", "doccano", "cluener", "duee"])
def test_annotations_that_only_another_format_has_are_refused_where_nothing_need_be_annotated(told, tmp_path):
    path = write_lines(tmp_path / "x.json", {"text": "a"}, {"text": "a", "triples": [["a", "b", "c"]]})
    with pytest.raises(DataError, match=r"x.json:2: the record has no '.*, but 'triples', which is not read"):
        read_documents(path, told)
    bare = write_lines(tmp_path / "bare.json", {"text": "a"}, {"text": "b", "id": 3})
    assert [document.text for document in read_documents(bare, told).documents] == ["a", "b"]


@pytest.mark.parametrize("name", RECORDS)
def test_an_array_over_several_lines_and_a_compressed_file_are_read_alike(name, tmp_path):
    record = RECORDS[name]
    array, packed = tmp_path / "array.json", tmp_path / "lines.jsonl.gz"
    array.write_text(json.dumps([record, record], indent=1))
    packed.write_bytes(gzip.compress((json.dumps(record) + "\n").encode() * 2))
    assert read_documents(array) != read_documents(packed)  # the paths differ
    assert read_documents(array).documents == read_documents(packed).documents
    assert read_documents(array).format == read_documents(packed).format == name


def test_brat_and_spacy_are_detected_by_their_paths(tmp_path):
    brat.write([Document(TEXT, [PERSON], id="a")], tmp_path / "folder")
    assert detect(tmp_path / "folder") == "brat"
    (tmp_path / "x.spacy").write_bytes(b"\x78\x9c\xff")
    assert detect(tmp_path / "x.spacy") == "spacy_docbin"


def test_a_first_record_longer_than_the_sample_is_still_seen(tmp_path):
    record = RECORDS["token_span"] | {"tokens": ["長い"] * 60_000}
    assert detect(write_lines(tmp_path / "long.json", record)) == "token_span"


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_a_file_cut_short_is_refused_with_path_and_line(name, tmp_path):
    path = write_sample(name, tmp_path)
    whole = path.read_text()
    path.write_text(whole + whole[: len(whole) * 2 // 3].removesuffix("\n"))
    if name == "conll":
        path.write_text(CONLL + "\nNext\tO\nWars")
    with pytest.raises(DataError, match="a file cut short ends like this") as error:
        list(FORMATS[name].read(path))
    assert (error.value.path, error.value.line) == (path, 8 if name == "conll" else 2)
    assert str(error.value).startswith(f"{path}:{error.value.line}: ")


@pytest.mark.parametrize("name", RECORDS)
def test_an_array_cut_short_is_refused_with_path_and_line(name, tmp_path):
    path = tmp_path / "cut.json"
    path.write_text(json.dumps([RECORDS[name]], indent=1)[:-2])
    with pytest.raises(DataError, match="cut short") as error:
        list(FORMATS[name].read(path))
    assert error.value.path == path
    assert error.value.line == path.read_text().count("\n") + 1


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_another_encoding_is_named_with_its_line_and_the_command_that_mends_it(name, tmp_path):
    path = write_sample(name, tmp_path)
    path.write_bytes(path.read_bytes() + path.read_text().replace("Warsaw", "华沙").encode("gb18030"))
    line = 9 if name == "conll" else 2
    for reading in (lambda: list(FORMATS[name].read(path)), lambda: detect(path)):
        with pytest.raises(DataError, match=r"is not UTF-8 .*iconv -f GB18030 -t UTF-8") as error:
            reading()
        assert (error.value.path, error.value.line) == (path, line)


@pytest.mark.parametrize(
    ("encoding", "named"), [("utf-16", "UTF-16"), ("utf-16-le", "UTF-16LE"), ("utf-16-be", "UTF-16BE")]
)
@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_utf16_is_called_so_and_not_an_encoding_of_chinese(name, encoding, named, tmp_path):
    path = write_sample(name, tmp_path)
    path.write_bytes(path.read_text().replace("Warsaw", "华沙").encode(encoding))
    for reading in (lambda: list(FORMATS[name].read(path)), lambda: detect(path)):
        with pytest.raises(DataError, match=rf"{path.name}:1: is UTF-16 and not UTF-8.*iconv -f {named} -t UTF-8"):
            reading()


@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff"])
@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_an_empty_file_is_refused_by_name(name, content, tmp_path):
    path = tmp_path / "empty.json"
    path.write_text(content)
    if content != "\ufeff":
        with pytest.raises(DataError, match=r"empty\.json: is empty"):
            list(FORMATS[name].read(path))
    with pytest.raises(DataError, match=r"empty\.json"):
        read_documents(path)


def test_a_file_without_documents_or_that_does_not_exist_is_refused(tmp_path):
    path = tmp_path / "none.json"
    path.write_text("[]")
    with pytest.raises(DataError, match="holds no documents"):
        read_documents(path, "native")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        detect(tmp_path / "absent.json")


def test_what_fits_no_format_is_told_the_formats_and_the_keys_found(tmp_path):
    path = write_lines(tmp_path / "x.json", {"text": "a", "happenings": [{"event_type": "b"}]})
    with pytest.raises(
        DataError,
        match=r"none of the formats brat, .*keys \['happenings', 'text'\].*--format \(`kexue convert` has --from",
    ):
        detect(path)
    (tmp_path / "prose.txt").write_text("Marie Curie left Warsaw.\nShe studied.\n")
    with pytest.raises(DataError, match="none of the formats"):
        detect(tmp_path / "prose.txt")


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (
            '{"text": "a", "entities": []}\n{"text": "a\n',
            2,
            "is not a JSON record (Unterminated string starting at column 10)",
        ),
        ('{"text": "a", "entities": [}\n{"text": "a"}\n', 1, "is not a JSON record (Expecting value at column 28)"),
        ('\n{"text": "a"\n{"text": "a", "entities": []}\n', 2, "is not a JSON record (Expecting ',' delimiter"),
        ('[\n{"text": "a",\n}]', 3, "is not a JSON array (Expecting property name"),
        ('{"text": 1, "entities": []}\n{"text": "a", "entities": []}\n', 1, "'text' must be a string, got int"),
        (
            '{"text": "a", "spo_list": {}}\n{"text": "a", "spo_list": []}\n',
            1,
            "'spo_list' of the record must be a list",
        ),
        ('{"text": "' + "a" * 70_000 + '", "entities": [}\n', 1, "is not a JSON record"),
        (CONLL + "left\nWarsaw\tB-LOC\n", 6, "has 1 column(s) ['left'], line 1 has 2"),
        ("left\n" + CONLL, 1, "has 1 column(s) ['left']"),
    ],
)
def test_a_file_whose_beginning_is_damaged_is_told_line_and_damage(content, line, said, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(DataError) as error:
        read_documents(path)
    assert str(error.value).startswith(f"{path}:{line}: {said}")


@pytest.mark.parametrize("content", ["[1] Marie Curie left Warsaw.\n", "O\nB-PER\n"])
def test_prose_is_told_nothing_of_json_or_tags(content, tmp_path):
    (tmp_path / "prose.txt").write_text(content)
    with pytest.raises(DataError, match="none of the formats"):
        detect(tmp_path / "prose.txt")


def test_a_bare_text_is_native(tmp_path):
    path = write_lines(tmp_path / "x.json", {"text": "a", "url": "b"})
    reading = read_documents(path)
    assert reading.format == "native"
    assert reading.documents == [Document("a", meta={"url": "b"})]


def test_a_misspelt_format_gets_the_right_one_back(tmp_path):
    path = write_sample("native", tmp_path)
    with pytest.raises(OptionError, match="Did you mean 'native'"):
        read_documents(path, "nativ")
    with pytest.raises(OptionError, match="Did you mean 'parquet'"):
        write_documents([], tmp_path / "x", "parket")
    with pytest.raises(OptionError, match=r"no format is known for the suffix '.xls'; known: .*\.csv"):
        write_documents([], tmp_path / "x.xls")


@pytest.mark.parametrize(
    ("file", "format"),
    [("x.jsonl", "native"), ("x.JSON", "native"), ("x.csv", "csv"), ("x.parquet", "parquet"), ("x", "brat")],
)
def test_the_suffix_chooses_the_format_to_write(file, format, tmp_path):
    if format == "parquet":
        pytest.importorskip("pyarrow")
    assert write_documents([Document(TEXT, [PERSON], [])], tmp_path / file) == format
    assert (tmp_path / file).exists()


@pytest.mark.parametrize("name", [n for n, f in FORMATS.items() if f.write and f.read])
def test_what_a_format_writes_it_detects_and_reads_back(name, tmp_path):
    documents = [Document(TEXT, [PERSON, BORN.object], [BORN], id="a")]
    write_documents(documents, tmp_path / "out", name)
    reading = read_documents(tmp_path / "out")
    assert reading.format == name
    assert [d.text for d in reading.documents] == [TEXT]
    assert [(d.entities, [r.subject for r in d.relations]) for d in reading.documents] == [
        ([PERSON, BORN.object], [PERSON])
    ]
