"""What Label Studio asks of a machine learning backend, for each extractor that is served.

    /label-studio/MODEL/health   /setup   /predict   /versions   /webhook

In a project's settings the address of the model is `http://HOST:PORT/label-studio/MODEL`. A prediction's score is the
probability that all facts in doubt turn out as expected, so "sample by uncertainty" asks for the lowest first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field

from kexue.errors import OptionError
from kexue.integrations.label_studio import Project
from kexue.server.answering import await_answers, check_size
from kexue.server.hosts import AnyHost, ExtractorHost, Question, choose_host
from kexue.server.settings import Settings

PREFIX = "/label-studio"
NO_TRAINING = "this service does not train: export the project as JSON, kexue train export.json, and serve the result"


class SetupRequest(BaseModel):
    """A project that is connected; fields beside these are not looked at."""

    model_config = ConfigDict(extra="ignore")

    label_schema: str = Field("", alias="schema", description="the labelling interface, XML")


class PredictRequest(BaseModel):
    """Tasks of a project; fields beside these are not looked at."""

    model_config = ConfigDict(extra="ignore")

    tasks: list[dict[str, Any]]
    label_config: str = Field("", description="the labelling interface, XML")


class Event(BaseModel):
    """Something that happened in a project."""

    model_config = ConfigDict(extra="ignore")

    action: str = ""


def add_labelling(app: FastAPI, hosts: Mapping[str, AnyHost], settings: Settings) -> None:
    """The routes of all extractors."""
    router = APIRouter(prefix=PREFIX + "/{name}", tags=["Label Studio"])

    @router.get("/health")
    async def health(name: str) -> dict[str, str]:
        """Whether the model can be asked."""
        choose_host(hosts, name, ExtractorHost)
        return {"status": "UP", "model_class": "kexue"}

    @router.post("/setup")
    async def setup(name: str, asked: SetupRequest) -> dict[str, Any]:
        """The version of the model, if the project labels text at all; and what the project has no labels for."""
        host = choose_host(hosts, name, ExtractorHost)
        if not asked.label_schema:
            return {"model_version": host.version}
        project = Project.from_config(asked.label_schema)
        return {"model_version": host.version, "without_label": without_label(host, project)}

    @router.post("/predict")
    async def predict(name: str, asked: PredictRequest, request: Request) -> dict[str, Any]:
        """A prediction for each task, in their order."""
        host = choose_host(hosts, name, ExtractorHost)
        project = Project.from_config(asked.label_config)
        texts = [project.text(task) for task in asked.tasks]
        check_size(texts, settings)
        futures = host.submit([Question(text, weigh=True) for text in texts])
        documents = await await_answers(futures, request, settings.timeout)
        results = [
            project.prediction(document, version=host.version, score=2.0 ** -document.meta["uncertainty"])
            for document in documents
        ]
        return {"results": results, "model_version": host.version}

    @router.get("/versions")
    async def versions(name: str) -> dict[str, list[str]]:
        """The one version that is served."""
        return {"versions": [choose_host(hosts, name, ExtractorHost).version]}

    @router.post("/webhook")
    async def webhook(name: str, event: Event) -> dict[str, str]:
        """Nothing is learnt while it is served: events are taken note of, and a wish to train is refused."""
        choose_host(hosts, name, ExtractorHost)
        if event.action == "START_TRAINING":
            raise OptionError(NO_TRAINING)
        return {"status": "ignored"}

    app.include_router(router)


def without_label(host: ExtractorHost, project: Project) -> list[str]:
    """The labels of the model that the project lacks."""
    schema = host.extractor.schema
    offered = [(name, project.labels) for name in schema.entity_types]
    offered += [(name, project.relations) for name in schema.predicates]
    return [name for name, known in offered if known and name not in known]
