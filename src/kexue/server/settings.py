"""What a service allows; every limit has a working default."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits of a service.

    Attributes:
        latency: seconds within which a request is to be begun; more requests than that are refused with 503.
        timeout: seconds after which an answer is given up.
        max_texts: texts in one request.
        max_characters: characters in all texts of one request.
        max_bytes: bytes of a request's body.
        max_images: images in one request.
        max_steps: sampling steps of one request.
        api_keys: who may ask; nobody has to say who they are where empty.
        origins: sites whose pages may ask from a browser (CORS); none where empty.
        label_studio: whether Label Studio may ask for predictions.
    """

    latency: float = 1.0
    timeout: float = 30.0
    max_texts: int = 256
    max_characters: int = 200_000
    max_bytes: int = 4 * 2**20
    max_images: int = 64
    max_steps: int = 1000
    api_keys: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    label_studio: bool = False
