"""The service through a client: answers, refusals in one line of JSON, limits, keys, and hostile bodies."""

from __future__ import annotations

import base64
import io
import json
import random
import string
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kexue.pipelines.extractor import Extractor
from kexue.server.batcher import Batcher
from tests.extraction.tiny import TEXTS, tiny_checkpoint
from tests.server.conftest import Serve

JSON = {"content-type": "application/json"}


def documents(texts: list[str], threshold: float | None) -> list[dict[str, Any]]:
    """What the pipeline says."""
    extractor = Extractor(tiny_checkpoint(), device="cpu")
    if threshold is not None:
        extractor = extractor.with_threshold(threshold)
    return [document.to_json() for document in extractor.extract(texts)]


def assert_same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """The same facts; scores differ by rounding with the texts that stand beside them in a batch."""

    def rounded(value: Any) -> Any:
        if isinstance(value, float):
            return round(value, 4)
        if isinstance(value, dict):
            return {key: rounded(item) for key, item in value.items()}
        return [rounded(item) for item in value] if isinstance(value, list) else value

    assert rounded(ours) == rounded(theirs)


# --- extraction ---


@pytest.mark.parametrize("threshold", [None, 0.0, 0.6])
def test_the_service_says_what_the_pipeline_says(serve: Serve, threshold: float | None):
    answer = serve().post("/extract", json={"texts": list(TEXTS), "threshold": threshold})
    assert answer.status_code == 200
    assert answer.json()["model"] == "people"
    assert_same(answer.json()["documents"], documents(list(TEXTS), threshold))


def test_one_text_and_no_texts_are_fine(serve: Serve):
    client = serve()
    assert_same(client.post("/extract", json={"text": TEXTS[1]}).json()["documents"], documents([TEXTS[1]], None))
    assert client.post("/extract", json={"texts": []}).json()["documents"] == []
    assert client.post("/extract", json={"text": ""}).json()["documents"] == [
        {"text": "", "entities": [], "relations": []}
    ]


def test_many_clients_at_once_get_each_their_own_answer(serve: Serve):
    client = serve(latency=30.0)
    texts = [f"{text} {index}" for index in range(10) for text in TEXTS]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda text: client.post("/extract", json={"text": text}).json(), texts))
    assert [answer["documents"][0]["text"] for answer in answers] == texts
    assert_same([answer["documents"][0] for answer in answers], documents(texts, None))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "give either text or texts"),
        ({"text": "a", "texts": ["b"]}, "give either text or texts"),
        ({"text": 1}, "text: Input should be a valid string"),
        ({"text": "a", "model": "peple"}, "unknown model for extraction 'peple'. Did you mean 'people'?"),
        ({"text": "a", "model": "dots"}, "unknown model for extraction 'dots'"),
        ({"text": "a", "model": "../../etc/passwd"}, "Allowed: 'people'"),
        ({"text": "a", "threshold": 2}, "threshold: Input should be less than or equal to 1"),
        ({"text": "a", "treshold": 0.5}, "treshold: Extra inputs are not permitted"),
        ({"texts": ["a"] * 300}, "300 texts in one request; 256 are allowed"),
        ({"text": "a" * 300_000}, "300000 characters in one request; 200000 are allowed"),
        ([], "body: Input should be a valid dictionary"),
    ],
)
def test_a_wrong_request_is_refused_and_told_why(serve: Serve, body: Any, message: str):
    answer = serve().post("/extract", json=body)
    assert answer.status_code == 422
    assert message in answer.json()["error"]


def test_a_text_of_lone_surrogates_is_refused_in_words_that_can_be_sent(serve: Serve):
    answer = serve().post("/extract", content=b'{"text": "a \\ud800 b"}', headers=JSON)
    assert answer.status_code == 422
    assert "text" in answer.json()["error"]


def test_what_is_no_json_is_refused(serve: Serve):
    client = serve()
    for body in (b"", b"{", b'{"text": "\xff"}', b"[" * 100_000, b"\x00" * 100):
        answer = client.post("/extract", content=body, headers=JSON)
        assert answer.status_code in (400, 422)
        assert answer.json()["error"]


# --- limits ---


def test_a_body_that_is_too_large_is_refused_whether_or_not_it_says_so(serve: Serve):
    client = serve(max_bytes=1000)
    large = json.dumps({"text": "a" * 2000}).encode()
    assert client.post("/extract", content=large, headers=JSON).status_code == 413
    assert client.post("/extract", content=iter([large[:900], large[900:]]), headers=JSON).status_code == 413
    assert client.post("/extract", json={"text": "a"}).status_code == 200


def test_more_than_can_be_done_in_time_is_503_at_once_with_retry_after(serve: Serve, monkeypatch: pytest.MonkeyPatch):
    client = serve(latency=0.2)
    batcher = client.app.state.hosts["people"].batcher
    answer, begun, go_on = batcher.work, threading.Event(), threading.Event()

    def wait(items: list[Any]) -> Any:
        begun.set()
        assert go_on.wait(60)
        return answer(items)

    monkeypatch.setattr(batcher, "work", wait)
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(client.post, "/extract", json={"text": "a" * 10_000})
        assert begun.wait(60)
        monkeypatch.setattr(batcher, "rate", 100.0)
        refused = client.post("/extract", json={"text": "b"})  # while the other is still being answered
        go_on.set()
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert busy.result().status_code == 200


def test_what_is_not_answered_in_time_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch):
    client = serve(timeout=0.2)
    monkeypatch.setattr(client.app.state.hosts["people"].batcher, "work", lambda items: time.sleep(0.8) or items)
    answer = client.post("/extract", json={"text": "a"})
    assert answer.status_code == 504
    assert "0.2 s" in answer.json()["error"]


def test_a_model_that_fails_says_nothing_of_its_inside(serve: Serve, monkeypatch: pytest.MonkeyPatch):
    def fail(items: list[Any]) -> list[Any]:
        raise RuntimeError("a secret")

    client = serve()
    monkeypatch.setattr(client.app.state.hosts["people"].batcher, "work", fail)
    answer = client.post("/extract", json={"text": "a"})
    assert answer.status_code == 500
    assert "secret" not in answer.text


# --- who may ask ---


def test_with_keys_nobody_may_ask_without_one(serve: Serve):
    client = serve(api_keys=("right", "also right"))
    for header in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic right"}, {"authorization": "right"}):
        for path in ("/models", "/metrics", "/openapi.json"):
            assert client.get(path, headers=header).status_code == 401
        assert client.post("/extract", json={"text": "a"}, headers=header).status_code == 401
    for key in ("right", "also right"):
        assert client.get("/models", headers={"authorization": f"Bearer {key}"}).status_code == 200
    assert client.get("/health").status_code == 200
    assert client.get("/").status_code == 200


def test_other_sites_may_ask_only_if_they_are_named(serve: Serve):
    here = {"origin": "https://a.example"}
    assert "access-control-allow-origin" not in serve().get("/models", headers=here).headers
    named = serve(origins=("https://a.example",))
    assert named.get("/models", headers=here).headers["access-control-allow-origin"] == "https://a.example"
    other = named.get("/models", headers={"origin": "https://b.example"})
    assert "access-control-allow-origin" not in other.headers


def test_browsers_are_told_to_load_nothing_from_elsewhere(serve: Serve):
    headers = serve().get("/").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/page/../app.py", "/page/%2e%2e/app.py", "/page/..%2fapp.py", "/page//etc/passwd"])
def test_the_page_gives_out_its_own_files_only(serve: Serve, path: str):
    assert serve().get(path).status_code == 404


# --- images ---


def lines(answer: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.text.splitlines()]


def picture(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def test_images_stream_as_they_come_out_of_the_noise(serve: Serve):
    asked = {"num": 4, "steps": 6, "seed": 3, "label": "bee", "guidance": 2}
    seen = lines(serve().post("/generate", json=asked))
    assert [line["step"] for line in seen] == [1, 2, 3, 4, 5, 6]
    assert [line.get("done", False) for line in seen] == [False] * 5 + [True]
    pictures = [picture(line["image"]) for line in seen]
    assert len({each.shape for each in pictures}) == 1
    assert not np.array_equal(pictures[0], pictures[-1])


def test_the_same_seed_draws_the_same_images(serve: Serve):
    client = serve()
    ask = {"num": 2, "steps": 3, "seed": 7}
    first, again = (lines(client.post("/generate", json=ask))[-1]["image"] for _ in range(2))
    assert first == again
    assert lines(client.post("/generate", json=ask | {"seed": 8}))[-1]["image"] != first


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"sampler": "dim"}, "Did you mean 'ddim'?"),
        ({"label": "bea"}, "Did you mean 'bee'?"),
        ({"num": 65}, "65 images in one request; 64 are allowed"),
        ({"steps": 1001}, "1001 steps in one request; 1000 are allowed"),
        ({"num": 0}, "num: Input should be greater than or equal to 1"),
        ({"guidance": "NaN"}, "guidance"),
        ({"model": "people"}, "unknown model for generation 'people'"),
    ],
)
def test_a_wrong_drawing_is_refused_before_it_begins(serve: Serve, body: dict[str, Any], message: str):
    answer = serve().post("/generate", json=body)
    assert answer.status_code == 422
    assert message in answer.json()["error"]


# --- what is served ---


def test_models_tell_their_labels_and_thresholds(serve: Serve):
    people, dots = serve().get("/models").json()
    assert people["entity_types"] == ["person", "place"]
    assert [relation["name"] for relation in people["relations"]] == ["born in", "died in"]
    assert 0 <= people["relations"][0]["threshold"] <= 1
    assert dots["labels"] == ["ant", "bee", "cat"]
    assert "ddim" in dots["samplers"]


def test_metrics_count_requests_and_batches(serve: Serve):
    client = serve()
    for _ in range(3):
        client.post("/extract", json={"text": "a"})
    client.post("/extract", json={})
    client.get("/nowhere/at/all")
    told = client.get("/metrics").text
    assert 'kexue_requests_total{path="/extract",status="200"} 3.0' in told
    assert 'kexue_requests_total{path="/extract",status="422"} 1.0' in told
    assert 'kexue_requests_total{path="other",status="404"} 1.0' in told
    assert 'kexue_items_total{model="people"} 3.0' in told
    assert 'kexue_waiting_items{model="dots"} 0.0' in told


def test_the_openapi_document_has_examples_that_are_answered(serve: Serve):
    client = serve()
    told = client.get("/openapi.json").json()
    for name, path in (("ExtractRequest", "/extract"), ("GenerateRequest", "/generate")):
        for example in told["components"]["schemas"][name]["examples"]:
            assert client.post(path, json=example).status_code == 200


def test_a_service_that_ends_finishes_what_it_took(serve: Serve, monkeypatch: pytest.MonkeyPatch):
    closed = []
    close = Batcher.close
    monkeypatch.setattr(Batcher, "close", lambda self: (close(self), closed.append(self)))
    client = serve()
    client.__exit__(None, None, None)
    assert len(closed) == 2


# --- hostility ---


def hostile(chance: random.Random) -> bytes:
    """A body that no client should send."""
    kinds = [
        lambda: bytes(chance.randrange(256) for _ in range(chance.randrange(200))),
        lambda: json.dumps({"text": "".join(chr(chance.randrange(1, 0xD800)) for _ in range(50))}).encode(),
        lambda: json.dumps({"text": "".join(chr(chance.randrange(0xD800, 0xE000)) for _ in range(9))}).encode(),
        lambda: b'{"text": ' + b"[" * chance.randrange(5000) + b"]}",
        lambda: b'{"texts": [' + b'"\\u0000",' * chance.randrange(20) + b'""]}',
        lambda: json.dumps({chance.choice(["text", "texts", "threshold", "x"]): wild(chance)}).encode(),
        lambda: json.dumps({"text": "\u202e\u0301\ufeff" * 9, "threshold": wild(chance)}).encode("utf-16"),
    ]
    return chance.choice(kinds)()


def wild(chance: random.Random) -> Any:
    return chance.choice(
        [None, True, -1, 1e308, 10**40, "", "nan", [], {}, [[None]], {"a": [{}]}, string.printable, ["a", 1], "\x00"]
    )


@pytest.mark.parametrize("path", ["/extract", "/generate"])
def test_no_hostile_body_breaks_the_service(serve: Serve, path: str):
    client, chance = serve(), random.Random(0)
    for _ in range(300):
        answer = client.post(path, content=hostile(chance), headers=JSON)
        assert answer.status_code in (200, 400, 413, 422), answer.text
    assert client.post("/extract", json={"text": TEXTS[0]}).status_code == 200


def test_what_is_told_of_dev_is_measured_with_the_thresholds_that_are_told(serve: Serve):
    client = serve()
    extractor = client.app.state.hosts["people"].extractor
    measured = {"precision": 0.9, "recall": 0.8, "f1": 0.85}
    extractor.metrics |= {
        "dev": {"relations_f1": 0.5},
        "dev_report": {"documents": 4, "relations": measured | {"by_label": {"born in": measured}}},
    }
    assert client.get("/models").json()[0]["dev"] == {"relations": measured}


def test_measures_that_are_no_numbers_are_told_all_the_same(serve: Serve):
    client = serve()
    client.app.state.hosts["people"].extractor.metrics["dev_report"] = {"relations": {"f1": float("nan")}}
    answer = client.get("/models")
    assert answer.status_code == 200
    assert answer.json()[0]["dev"] == {"relations": {"f1": None}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"text": "a", "threshold": False}, "threshold: Input should be a valid number"),
        ({"text": "a", "model": "x" * 201}, "model: String should have at most 200 characters"),
        ({"texts": [0] * 100_000}, "texts.0: Input should be a valid string"),
        ({f"k{number}": 0 for number in range(1000)}, "has 1000 keys; known are text, texts, model, threshold"),
        ({f"k{number}": 0 for number in range(9)}, "and 4 more"),
    ],
)
def test_many_mistakes_are_told_in_few_words(serve: Serve, body: dict[str, Any], message: str):
    answer = serve().post("/extract", json=body)
    assert answer.status_code == 422
    assert message in answer.json()["error"]
    assert len(answer.text) < 1000


def test_a_whole_number_may_be_written_as_a_fraction_and_no_string_is_one(serve: Serve):
    client = serve()
    assert client.post("/generate", json={"num": 1.0, "steps": 2.0, "seed": 3.0}).status_code == 200
    for odd in ({"num": "1"}, {"steps": True}, {"seed": 2**53}, {"num": 1.5}):
        assert client.post("/generate", json=odd).status_code == 422
