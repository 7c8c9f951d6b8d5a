"""The OpenAPI document of a service: beyond the types of its requests it says this service's names and limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kexue.diffusion.samplers import SAMPLERS
from kexue.server.drawings import GeneratorHost
from kexue.server.hosts import AnyHost, ExtractorHost
from kexue.server.settings import Settings

ONE_OF_BOTH = [
    {"required": ["text"], "properties": {"text": {"type": "string"}, "texts": {"type": "null"}}},
    {"required": ["texts"], "properties": {"texts": {"type": "array"}, "text": {"type": "null"}}},
]


def describe(document: dict[str, Any], hosts: Mapping[str, AnyHost], settings: Settings) -> dict[str, Any]:
    """The document with what its schemas cannot know."""
    schemas = document["components"]["schemas"]
    if "ExtractRequest" in schemas:
        _extract(schemas["ExtractRequest"], hosts, settings)
    if "GenerateRequest" in schemas:
        _generate(schemas["GenerateRequest"], hosts, settings)
    if settings.api_keys:
        _lock(document)
    return document


def _extract(schema: dict[str, Any], hosts: Mapping[str, AnyHost], settings: Settings) -> None:
    asked = schema["properties"]
    schema["oneOf"] = ONE_OF_BOTH
    _kind(asked["text"])["maxLength"] = settings.max_characters
    texts = _kind(asked["texts"])
    texts["maxItems"] = settings.max_texts
    texts["items"]["maxLength"] = settings.max_characters // settings.max_texts
    texts["description"] = f"of at most {settings.max_characters:,} characters together"
    _kind(asked["model"])["enum"] = [name for name, host in hosts.items() if isinstance(host, ExtractorHost)]


def _generate(schema: dict[str, Any], hosts: Mapping[str, AnyHost], settings: Settings) -> None:
    asked = schema["properties"]
    generators = {name: host for name, host in hosts.items() if isinstance(host, GeneratorHost)}
    asked["num"]["maximum"], asked["steps"]["maximum"] = settings.max_images, settings.max_steps
    asked["sampler"]["enum"] = list(SAMPLERS)
    _kind(asked["model"])["enum"] = list(generators)
    _kind(asked["label"])["enum"] = _labels(generators.values())


def _labels(generators: Iterable[GeneratorHost]) -> list[str]:
    return list(dict.fromkeys(label for host in generators for label in host.generator.label_names))


def _kind(schema: dict[str, Any]) -> dict[str, Any]:
    """Of "this or null" the first."""
    kind: dict[str, Any] = schema["anyOf"][0]
    return kind


def _lock(document: dict[str, Any]) -> None:
    """Where keys are needed, which are sent as `Authorization: Bearer KEY`."""
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for methods in document["paths"].values():
        for operation in methods.values():
            if "401" in operation["responses"]:
                operation["security"] = [{"key": []}]
