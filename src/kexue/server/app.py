"""The service: what is asked is checked, handed to a model's queue, and answered when its batch is done.

    /extract    texts to documents         /models   what is served        /health   whether it works
    /generate   images as they come out    /metrics  for Prometheus        /         the page

Beyond what can be begun within the latency budget the answer is 503 with Retry-After, at once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from kexue.diffusion.configuration import part_from_json
from kexue.diffusion.samplers import SAMPLERS
from kexue.errors import LONGEST_NAME, KexueError, OptionError
from kexue.extraction.document import Document
from kexue.pipelines.generator import Condition
from kexue.server.answering import await_answers, check_size
from kexue.server.batcher import ClosedError, OverloadError
from kexue.server.description import describe
from kexue.server.drawings import Drawing, GeneratorHost
from kexue.server.hosts import AnyHost, ExtractorHost, Question, choose_host
from kexue.server.labelling import add_labelling
from kexue.server.metrics import Measures, Watched
from kexue.server.overload import Refusal, retry_after
from kexue.server.protection import ApiKeys, BodyLimit, BrowserHeaders
from kexue.server.requests import ExtractRequest, ExtractResponse, GenerateRequest, Health, Problem
from kexue.server.settings import Settings
from kexue.version import __version__

PAGE = Path(__file__).parent / "page"
SHOWN = 5  # mistakes of a request that are told at once
LOCKED: dict[int | str, dict[str, Any]] = {401: {"model": Problem, "description": "an API key is needed"}}
PROBLEMS = LOCKED | {
    400: {"model": Problem, "description": "the body cannot be read as JSON"},
    408: {"model": Problem, "description": "the body did not arrive in time"},
    413: {"model": Problem, "description": "the body is too large"},
    422: {"model": Problem, "description": "the request is wrong, and why"},
    500: {"model": Problem, "description": "the service failed; its log says why"},
    503: {"model": Problem, "description": "too much to do; try again after Retry-After seconds"},
    504: {"model": Problem, "description": "not answered in time"},
}


def create_app(hosts: Mapping[str, AnyHost], settings: Settings = Settings()) -> FastAPI:  # noqa: B008  (frozen)
    """The service of these models."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        for host in hosts.values():
            await asyncio.to_thread(host.close)

    app = FastAPI(
        title="kexue",
        version=__version__,
        description="Facts out of text, and images out of noise.",
        docs_url=None,  # it would load its scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # a redirection would repeat the host that the client names
        lifespan=lifespan,
    )
    _add_errors(app)
    _add_models(app, hosts)
    if any(isinstance(host, ExtractorHost) for host in hosts.values()):
        _add_extract(app, hosts, settings)
        if settings.label_studio:
            add_labelling(app, hosts, settings)
    if any(isinstance(host, GeneratorHost) for host in hosts.values()):
        _add_generate(app, hosts, settings)
    _add_page(app)
    _protect(app, hosts, settings)
    described = app.openapi
    app.openapi = lambda: describe(described(), hosts, settings)  # type: ignore[method-assign]
    return app


def _add_models(app: FastAPI, hosts: Mapping[str, AnyHost]) -> None:
    @app.get("/health")
    async def health() -> Health:
        """Whether the service works."""
        return Health(status="ok", version=__version__, models=list(hosts))

    @app.get("/models", responses=LOCKED)
    async def models() -> list[dict[str, Any]]:
        """What is served, with labels and thresholds."""
        return [host.describe() for host in hosts.values()]


def _add_extract(app: FastAPI, hosts: Mapping[str, AnyHost], settings: Settings) -> None:
    @app.post("/extract", responses=PROBLEMS)
    async def extract(asked: ExtractRequest, request: Request) -> ExtractResponse:
        """Entities and relations of texts, with character offsets and confidences."""
        host = choose_host(hosts, asked.model, ExtractorHost)
        texts = asked.all_texts
        check_size(texts, settings)
        futures = host.submit([Question(text, asked.threshold) for text in texts])
        documents: list[Document] = await await_answers(futures, request, settings.timeout)
        return ExtractResponse(model=host.name, documents=[document.to_json() for document in documents])


def _add_generate(app: FastAPI, hosts: Mapping[str, AnyHost], settings: Settings) -> None:
    lines = {200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}}

    @app.post("/generate", response_class=StreamingResponse, responses=PROBLEMS | lines)
    async def generate(asked: GenerateRequest) -> StreamingResponse:
        """Images as they come out of the noise: lines of JSON, `{"step", "steps", "image"}`, the last with `done`."""
        host = choose_host(hosts, asked.model, GeneratorHost)
        _check_drawing(asked, settings)
        condition = Condition(asked.label, asked.guidance)
        host.generator.denoiser(condition)  # refuses labels that it does not know, before the answer begins
        stream = _Stream(host, asked, part_from_json({"name": asked.sampler}, "sampler", SAMPLERS), condition)
        return StreamingResponse(stream.lines(), media_type="application/x-ndjson")


def _check_drawing(asked: GenerateRequest, settings: Settings) -> None:
    for kind, wanted, most in (
        ("images", asked.num, settings.max_images),
        ("steps", asked.steps, settings.max_steps),
    ):
        if wanted > most:
            raise OptionError(f"{wanted} {kind} in one request; {most} are allowed")


class _Stream:
    """A drawing in another thread, line by line."""

    def __init__(self, host: GeneratorHost, asked: GenerateRequest, sampler: Any, condition: Condition) -> None:
        self.host, self.asked = host, asked
        self.loop = asyncio.get_running_loop()
        self.queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.drawing = Drawing(asked.num, sampler, asked.steps, asked.seed, condition, show=self._show)
        (self.future,) = host.submit([self.drawing])
        self.future.add_done_callback(lambda future: self.loop.call_soon_threadsafe(self.queue.put_nowait, None))

    def _show(self, step: int, images: Any) -> None:
        line = {"step": step, "steps": self.asked.steps, "image": self.host.grid(images)}
        self.loop.call_soon_threadsafe(self.queue.put_nowait, line)

    async def lines(self) -> AsyncIterator[str]:
        """What is seen after some steps, then the images; ends the drawing where nobody reads on."""
        try:
            while (line := await self.queue.get()) is not None:
                yield json.dumps(line) + "\n"
            yield json.dumps(self._last()) + "\n"
        finally:
            self.drawing.given_up.set()
            self.future.cancel()

    def _last(self) -> dict[str, Any]:
        error = self.future.exception()
        if error is not None:
            return {"error": str(error) if isinstance(error, KexueError) else "the drawing failed"}
        steps = self.asked.steps
        return {"step": steps, "steps": steps, "image": self.host.picture(self.future.result()), "done": True}


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    app.mount("/page", StaticFiles(directory=PAGE), name="page")


def _add_errors(app: FastAPI) -> None:
    """Every error is one line of JSON, without what was sent."""

    def problem(error: str, status: int, headers: dict[str, str] | None = None) -> JSONResponse:
        return JSONResponse(Problem(error=error).model_dump(), status, headers)

    answers: dict[type[Exception], Callable[[Any], JSONResponse]] = {
        OverloadError: lambda error: problem(str(error), 503, retry_after(error)),
        ClosedError: lambda error: problem(str(error), 503, {"retry-after": "5"}),
        KexueError: lambda error: problem(str(error), 422),
        RequestValidationError: lambda error: problem(_explain(error), 422),
        HTTPException: lambda error: problem(str(error.detail), error.status_code, error.headers),
        Exception: lambda error: problem("the service failed; its log says why", 500),
    }

    def answering(answer: Callable[[Any], JSONResponse]) -> Callable[[Request, Any], Awaitable[Response]]:
        async def handler(request: Request, error: Any) -> Response:
            return answer(error)

        return handler

    for kind, answer in answers.items():
        app.add_exception_handler(kind, answering(answer))


def _explain(error: RequestValidationError) -> str:
    """Where the request is wrong, and how."""
    mistakes = error.errors()
    told = [
        f"{'.'.join(str(part)[:LONGEST_NAME] for part in item['loc'][1:]) or 'body'}: {item['msg']}"
        for item in mistakes[:SHOWN]
    ]
    return "; ".join(told + ([f"and {len(mistakes) - SHOWN} more"] if len(mistakes) > SHOWN else []))


def _protect(app: FastAPI, hosts: Mapping[str, AnyHost], settings: Settings) -> None:
    """The last one added is asked first."""
    jobs = {"/extract": ExtractorHost, "/generate": GeneratorHost}
    batchers = {
        path: [host.batcher for host in hosts.values() if isinstance(host, kind)] for path, kind in jobs.items()
    }
    app.add_middleware(Refusal, batchers=batchers)
    app.add_middleware(BodyLimit, max_bytes=settings.max_bytes)
    if settings.api_keys:
        app.add_middleware(ApiKeys, keys=settings.api_keys)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
        )
    app.add_middleware(BrowserHeaders)
    app.state.hosts, measures = hosts, Measures(hosts)
    paths = ("/", "/extract", "/generate", "/models", "/health", "/metrics")
    app.add_middleware(Watched, measures=measures, paths=paths)

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(measures.text(), media_type="text/plain; version=0.0.4")
