"""Peers' services, each as its users run it. This file is run by the Python of their environment and knows no kexue.

    python -P serving.py SETTINGS.json

The settings (see `kexue.benchmarks.peers.launch`) name the peer. Its model is built and called with one text after the
other and in batches, its service is started, and one line of JSON on stdout says where it listens, how it is asked,
what was measured and with what settings. It serves until this process is told to end.

    GLiNER      0.2.29 (Apache-2, github.com/urchade/GLiNER): its own `python -m gliner.serve`, Ray Serve with dynamic
                batches, on its relation model (token level, all pairs) over the encoder of a folder. The heads are
                random, so nothing is above the threshold: it decodes no fact, which is to its advantage
    bert4torch  0.6.0 (MIT, github.com/Tongjilibo/bert4torch): a route of sanic that calls the model once a request, as
                its examples/serving/sanic_server; encoder and Efficient GlobalPointer heads have the weights of our
                checkpoint; subjects, objects and links above 0 are looked up pair by pair, as in its GPLinker example
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

Settings = dict[str, Any]
Seconds = float
BATCH = 32
PATIENCE = 180.0
"""Seconds that a service may take to load its model."""


def run(command: Sequence[str], settings: Settings, environment: dict[str, str], **found: object) -> None:
    """Start a service, say so once it answers (the line that `launch` waits for), and keep it until told to end."""
    address = f"http://127.0.0.1:{settings['port']}"
    body = json.dumps({"text": settings["texts"][0], **found["fields"]}).encode()
    request = urllib.request.Request(f"{address}{found['path']}", body, {"content-type": "application/json"})
    with subprocess.Popen(command, stdout=sys.stderr, env=os.environ | environment) as server:
        signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        try:
            wait_for(request, server)
        except BaseException:
            server.terminate()
            raise
        print(json.dumps({"address": address, **found}), flush=True)


def wait_for(request: urllib.request.Request, server: subprocess.Popen[bytes]) -> None:
    """Until a request is answered with JSON; raises if the server ends or takes too long."""
    end = time.monotonic() + PATIENCE
    while server.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                json.load(answer)
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
    raise RuntimeError(f"the service ended with {server.returncode}")


def texts_a_second(call: Callable[[list[str]], object], texts: Sequence[str], size: int, seconds: Seconds) -> float:
    """Of the bare model, so many texts a call; sorted by length where a call takes more than one."""
    if size > 1:
        texts = sorted(texts, key=len)
    batches = [list(texts[start : start + size]) for start in range(0, len(texts), size)]
    for batch in (batches[0], batches[-1]):
        call(batch)
    began, done, number = time.monotonic(), 0, 0
    while time.monotonic() < began + seconds:
        batch = batches[number % len(batches)]
        call(batch)
        done, number = done + len(batch), number + 1
    return done / (time.monotonic() - began)


def rates(call: Callable[[list[str]], object], settings: Settings) -> dict[str, float]:
    """Texts a second of the bare model, one at a time and in batches."""
    measured = partial(texts_a_second, call, settings["texts"], seconds=settings["seconds"])
    return {"alone": measured(1), "batched": measured(BATCH)}


def prepare_gliner(settings: Settings, folder: Path, fields: dict[str, object]) -> dict[str, float]:
    """Save a model with random heads into the folder; texts a second of it."""
    import torch
    from gliner import GLiNER
    from gliner.config import GLiNERConfig

    torch.manual_seed(settings["seed"])
    torch.set_num_threads(settings["threads"])
    config = GLiNERConfig(
        model_name=settings["encoder"],
        hidden_size=settings["hidden_size"],
        span_mode="token_level",
        relations_layer="none",
        max_types=100,
        max_len=512,
        subtoken_pooling="first",
    )
    GLiNER.from_config(config, backbone_from_pretrained=True).save_pretrained(str(folder))
    model = GLiNER.from_pretrained(str(folder), map_location="cpu", dtype=torch.float32).eval()
    return rates(lambda batch: model.inference(batch, batch_size=BATCH, **fields), settings)


def serve_gliner(settings: Settings) -> None:
    """GLiNER's server on a model that is built and saved first."""
    folder = Path(settings["folder"]) / "gliner"
    labels = {"labels": settings["entities"], "relations": settings["relations"]}
    fields = {**labels, "threshold": 0.9, "relation_threshold": 0.9}
    found = prepare_gliner(settings, folder, fields)
    options = settings["options"]
    command = [sys.executable, "-m", "gliner.serve", "--model", str(folder), "--device", "cpu", "--dtype", "float32"]
    command += ["--num-gpus-per-replica", "0", "--no-compile", "--ray-address", "local"]
    command += ["--port", str(settings["port"])]
    command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
    environment = {"OMP_NUM_THREADS": str(options["tokenizer-threads"]), "RAY_USAGE_STATS_ENABLED": "0"}
    about = f"GLiNER {version('gliner')}, ray {version('ray')}, {' '.join(command[command.index('--device') :])}"
    run(command, settings, environment, path="/gliner", fields=fields, about=about, **found)


class GPLinker:
    """bert4torch's encoder and heads with the weights of our checkpoint, called with one text at a time."""

    def __init__(self, settings: Settings) -> None:
        import torch
        from bert4torch.layers import EfficientGlobalPointer
        from bert4torch.models import build_transformer_model
        from bert4torch.tokenizers import Tokenizer
        from safetensors.torch import load_file

        weights = load_file(str(Path(settings["checkpoint"]) / "model.safetensors"))
        self.tokenizer = Tokenizer(str(Path(settings["encoder"]) / "vocab.txt"), do_lower_case=True)
        self.bert = build_transformer_model(str(_config_file(settings))).eval()
        names = {ours.replace("bert.", "encoder.", 1): theirs for theirs, ours in self.bert.variable_mapping().items()}
        state = {names[name]: tensor for name, tensor in weights.items() if name in names}
        missing = self.bert.load_state_dict(state, strict=False).missing_keys
        if [name for name in missing if name in names.values()]:
            raise RuntimeError(f"the checkpoint lacks {missing}")
        self.names, self.predicates = settings["entities"], settings["relations"]
        self.subjects = {self.names.index(name) for name in settings["subjects"]}
        self.objects = {self.names.index(name) for name in settings["objects"]}
        self.heads = []
        for name, labels, rotary, ordered in (
            ("spans", self.names, settings["span_rotary"], True),
            ("starts", self.predicates, settings["link_rotary"], False),
            ("ends", self.predicates, settings["link_rotary"], False),
        ):
            ours = {key: weights[f"head.{name}.{key}"] for key in _PARTS}
            size = ours["project.weight"].shape[0] // 2
            head = EfficientGlobalPointer(settings["hidden_size"], len(labels), size, RoPE=rotary, tril_mask=ordered)
            with torch.no_grad():  # its row and column terms lie one after the other for each label
                head.p_dense.weight.copy_(ours["project.weight"])
                head.p_dense.bias.copy_(ours["project.bias"])
                head.q_dense.weight.copy_(torch.stack((ours["row.weight"], ours["column.weight"]), 1).flatten(0, 1))
                head.q_dense.bias.copy_(torch.stack((ours["row.bias"], ours["column.bias"]), 1).flatten())
            self.heads.append(head.eval())

    def __call__(self, text: str) -> dict[str, object]:
        """Entities and triples of a text."""
        import numpy as np
        import torch

        tokens = self.tokenizer.tokenize(text, maxlen=512)
        places = self.tokenizer.rematch(text, tokens)
        ids, segments = self.tokenizer.encode(text, maxlen=512)
        with torch.no_grad():
            inputs = torch.tensor([ids]), torch.tensor([segments])
            hidden = self.bert(inputs)
            mask = inputs[0].gt(0).long()
            spans, starts, ends = (head(hidden, mask)[0].numpy() for head in self.heads)
        spans[:, [0, -1]] = spans[:, :, [0, -1]] = -np.inf
        found = list(zip(*(part.tolist() for part in np.where(spans > 0)), strict=True))

        def surface(start: int, end: int) -> str:
            return text[places[start][0] : places[end][-1] + 1]

        facts = []
        for subject, subject_start, subject_end in found:
            for object, object_start, object_end in found:
                if subject not in self.subjects or object not in self.objects:
                    continue
                by_start = np.where(starts[:, subject_start, object_start] > 0)[0]
                by_end = np.where(ends[:, subject_end, object_end] > 0)[0]
                facts += [
                    (surface(subject_start, subject_end), self.predicates[each], surface(object_start, object_end))
                    for each in sorted({*by_start.tolist()} & {*by_end.tolist()})
                ]
        entities = [{"label": self.names[label], "text": surface(start, end)} for label, start, end in found]
        return {"entities": entities, "relations": facts}


def _config_file(settings: Settings) -> Path:
    """The name under which bert4torch looks for its configuration."""
    return Path(settings["folder"]) / "bert4torch_config.json"


_PARTS = ("project.weight", "project.bias", "row.weight", "row.bias", "column.weight", "column.bias")


def make_app(settings: Settings) -> Any:
    """A route that calls the model, which each worker loads when it starts."""
    import torch
    from sanic import Request, Sanic, response

    app = Sanic("bert4torch")

    async def load(app: Any) -> None:
        torch.set_num_threads(threads_of_a_worker(settings))
        app.ctx.model = GPLinker(settings)

    async def extract(request: Request) -> Any:
        return response.json(app.ctx.model(request.json["text"]))

    app.register_listener(load, "before_server_start")
    app.add_route(extract, "/extract", methods={"POST"})
    return app


def prepare_bert4torch(settings: Settings) -> dict[str, float]:
    """Write its configuration; texts a second of the model."""
    import torch

    torch.set_num_threads(settings["threads"])
    _config_file(settings).write_text(json.dumps(settings["bert"]), "utf-8")
    model = GPLinker(settings)
    return {"alone": texts_a_second(lambda batch: model(batch[0]), settings["texts"], 1, settings["seconds"])}


def serve_bert4torch(settings: Settings) -> None:
    """A sanic server in a process of its own, which runs its workers."""
    found = prepare_bert4torch(settings)
    command = [sys.executable, "-P", __file__, sys.argv[1], "sanic"]
    workers, threads = settings["options"]["workers"], threads_of_a_worker(settings)
    about = (
        f"bert4torch {version('bert4torch')}, sanic {version('sanic')}, workers {workers}, threads of each {threads}"
    )
    run(command, settings, {}, path="/extract", fields={}, about=about, **found)


def threads_of_a_worker(settings: Settings) -> int:
    """As many as all of them have together, divided."""
    return max(1, settings["threads"] // settings["options"]["workers"])


def run_sanic(settings: Settings) -> None:
    """Until told to end."""
    from sanic import Sanic
    from sanic.worker.loader import AppLoader

    loader = AppLoader(factory=partial(make_app, settings))
    app = loader.load()
    app.prepare("127.0.0.1", settings["port"], workers=settings["options"]["workers"], access_log=False, motd=False)
    Sanic.serve(primary=app, app_loader=loader)


PEERS = {"gliner": serve_gliner, "bert4torch": serve_bert4torch}

if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    (run_sanic if "sanic" in sys.argv[2:] else PEERS[given["peer"]])(given)
