import json
import re
import time
from html.parser import HTMLParser

from kexue.extraction.document import Argument, Document, Event, Relation, Span, Unaligned
from kexue.extraction.metrics import evaluate, page

HOSTILE = "</script><script>alert(1)</script><!--{{data}}\u2028\u202e<img src=x onerror=alert(2)>"


class Elements(HTMLParser):
    """Which elements a browser would see, and what each script holds."""

    def __init__(self):
        super().__init__()
        self.tags, self.scripts = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script" and self.scripts:
            self.scripts[-1] += data


def page_of(gold, predicted):
    return page(evaluate(gold, predicted, bootstrap_samples=20), gold, predicted)


def elements(html):
    parser = Elements()
    parser.feed(html)
    return parser


def data(html):
    return json.loads(elements(html).scripts[0])


def pair(text, gold, predicted, **fields):
    return [Document(text, relations=gold, **fields)], [Document(text, relations=predicted)]


def test_hostile_text_is_data_and_never_markup():
    relation = Relation(Span(0, 9, HOSTILE), HOSTILE, Span(9, len(HOSTILE), HOSTILE))
    hostile = elements(page_of(*pair(HOSTILE, [relation], [], id=HOSTILE)))
    harmless = elements(page_of(*pair("a b", [Relation(Span(0, 1), "p", Span(2, 3))], [])))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in harmless.tags]
    assert hostile.scripts[1] == harmless.scripts[1]
    (record,) = json.loads(hostile.scripts[0])
    assert record["text"] == record["id"] == record["facts"][0]["label"] == HOSTILE


def test_the_page_stands_alone_and_forbids_itself_to_load_anything():
    html = page_of(*pair("a b", [Relation(Span(0, 1), "p", Span(2, 3))], []))
    assert not re.search(r"https?:|//[a-z]|\burl\(|@import|\bsrc=|\bhref=|innerHTML|insertAdjacentHTML", html)
    policies = [values for tag, values in elements(html).tags if tag == "meta" and "http-equiv" in values]
    assert policies[0]["content"].startswith("default-src 'none'")
    assert "{{" not in html


def test_only_documents_with_errors_are_shown_with_their_number_and_id():
    right = Document("a b", relations=[Relation(Span(0, 1), "p", Span(2, 3))], id="right")
    wrong = Document("c d", relations=[Relation(Span(0, 1), "p", Span(2, 3))], id="wrong")
    shown = data(page_of([right, wrong], [right, Document("c d", id="wrong")]))
    assert [(record["number"], record["id"]) for record in shown] == [(2, "wrong")]


def test_missed_spurious_and_right_facts_carry_their_spans_and_scores():
    text = "😀Aspirin caused rash"
    drug, effect = Span(1, 8, "drug"), Span(16, 20, "effect")
    both, missed = Relation(drug, "causes", effect), Relation(drug, "cures", effect)
    gold = [both, missed]
    predicted = [Relation(drug, "causes", effect, 0.98765), Relation(effect, "causes", drug, 0.5)]
    (record,) = data(page_of(*pair(text, gold, predicted)))
    facts = {(fact["state"], fact["label"]): fact for fact in record["facts"]}
    assert set(facts) == {("right", "causes"), ("missed", "cures"), ("spurious", "causes")}
    assert facts["right", "causes"]["score"] == 0.9877
    assert facts["missed", "cures"]["score"] is None
    assert facts["spurious", "causes"]["ends"] == [
        ["subject", "rash", [[16, 20]], "effect"],
        ["object", "Aspirin", [[1, 8]], "drug"],
    ]
    assert record["marks"] == [[1, 8, "right", "drug"], [16, 20, "right", "effect"]]


def test_spans_are_marked_by_who_holds_them():
    text = "a b c"
    gold = [Document(text, entities=[Span(0, 1, "x"), Span(2, 3, "x")])]
    predicted = [Document(text, entities=[Span(2, 3, "y"), Span(2, 5, "x", 0.25)])]
    (record,) = data(page_of(gold, predicted))
    assert record["marks"] == [[0, 1, "missed", "x"], [2, 3, "right", "x, y"], [2, 5, "spurious", "x"]]
    found = [(f["state"], f["label"], f["why"], f["score"]) for f in record["facts"]]
    assert found == [
        ("missed", "x", "nothing near", None),
        ("missed", "x", "wrong entity type", None),
        ("spurious", "y", "wrong entity type", None),
        ("spurious", "x", "wrong boundaries", 0.25),
    ]


def test_gold_without_a_place_and_events_are_shown_too():
    lost = [
        Unaligned("relation", "p", ("x", "y"), "not in the text"),
        Unaligned("entity", "drug", ("x",), "not in the text"),
        Unaligned("event", "say", ("x", "y", "z"), "not in the text"),
    ]
    event = Event("meet", (Argument("who", Span(0, 1)), Argument("where", Span(2, 3))))
    (record,) = data(page_of([Document("a b", events=[event], unaligned=lost)], [Document("a b")]))
    found = [(f["kind"], f["state"], f["why"], [end[:2] for end in f["ends"]]) for f in record["facts"]]
    assert found == [
        ("relation", "missed", "not placed", [["subject", "x"], ["object", "y"]]),
        ("entity", "missed", "not placed", [["", "x"]]),
        ("event", "missed", "", [["who", "a"], ["where", "b"]]),
        ("event", "missed", "not placed", [["", "x"], ["", "y"], ["", "z"]]),
    ]


def test_errors_shown_are_as_many_as_errors_counted():
    text = "a b c d"
    a, b, c = Span(0, 1), Span(2, 3), Span(4, 5)
    lost = Unaligned("relation", "p", ("x", "y"), "not in the text")
    gold = [Document(text, relations=[Relation(a, "p", b), Relation(a, "p", b)], unaligned=[lost, lost])]
    predicted = [Document(text, relations=[Relation(a, "q", b), Relation(b, "p", c), Relation(b, "p", c)])]
    counts = evaluate(gold, predicted, bootstrap_samples=0).relations.headline.counts
    facts = [fact for record in data(page_of(gold, predicted)) for fact in record["facts"]]
    states = [fact["state"] for fact in facts if fact["kind"] == "relation"]
    assert states.count("missed") == counts.gold - counts.correct == 2
    assert states.count("spurious") == counts.predicted - counts.correct == 2


def test_half_a_surrogate_pair_does_not_break_the_page_nor_move_its_offsets():
    gold, predicted = pair("\ud800 b c", [Relation(Span(2, 3), "p", Span(4, 5))], [])
    html = page_of(gold, predicted)
    html.encode("utf-8")
    (record,) = data(html)
    assert record["text"] == "? b c"


def test_the_scores_can_be_read_without_the_program():
    html = page_of(*pair("a b", [Relation(Span(0, 1), "p & q", Span(2, 3))], []))
    assert "F1 of relations" in html
    assert "<bdi>p &amp; q</bdi>" in html
    assert "<noscript>" in html


def test_five_thousand_documents_with_errors_make_a_page_quickly():
    text = "Aspirin caused a rash in adults. " * 5
    relation = Relation(Span(0, 7, "drug"), "causes", Span(17, 21, "effect"))
    gold, predicted = [Document(text, relations=[relation])] * 5000, [Document(text)] * 5000
    evaluation = evaluate(gold, predicted, bootstrap_samples=0)
    start = time.process_time()
    html = page(evaluation, gold, predicted)
    assert time.process_time() - start < 5
    assert len(data(html)) == 5000
