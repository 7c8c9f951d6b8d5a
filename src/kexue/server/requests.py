"""What may be asked, and what comes back: the types behind the service's OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

EXAMPLE = "A 34-year-old woman developed a rash after taking 500 mg amoxicillin."
EXTRACT = [{"text": EXAMPLE}, {"texts": [EXAMPLE, "她服用阿司匹林后出现皮疹。"], "threshold": 0.5}]
MOST_KEYS = 32
GENERATE = [{"num": 16, "sampler": "ddim", "steps": 20}]


def _without_halves(text: str) -> str:
    """Halves of surrogate pairs are no characters: no answer could repeat them."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"holds half of a surrogate pair at character {error.start}") from None
    return text


def _is_whole_float(value: Any) -> bool:
    """JSON Schema and JavaScript know no other kind of number: 16.0 is the integer 16."""
    return type(value) is float and value.is_integer()


Text = Annotated[str, AfterValidator(_without_halves)]
Name = Annotated[str, Field(max_length=200)]
Whole = Annotated[int, BeforeValidator(lambda value: int(value) if _is_whole_float(value) else value)]


class Asked(BaseModel):
    """A request, whose keys are all known; of many that are not, one error is enough."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _few_keys(cls, values: Any) -> Any:
        if isinstance(values, dict) and len(values) > MOST_KEYS:
            raise ValueError(f"has {len(values)} keys; known are {', '.join(cls.model_fields)}")
        return values


class ExtractRequest(Asked):
    """One text or several."""

    model_config = ConfigDict(json_schema_extra={"examples": EXTRACT})

    text: Text | None = Field(None, description="one text")
    texts: list[Text] | None = Field(None, description="several texts, in place of `text`", fail_fast=True)
    model: Name | None = Field(None, description="one of /models; the first where left out")
    threshold: float | None = Field(
        None, ge=0, le=1, description="confidence from which facts are reported; the model's own where left out"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> ExtractRequest:
        if (self.text is None) == (self.texts is None):
            raise ValueError("give either text or texts")
        return self

    @property
    def all_texts(self) -> list[str]:
        """The texts, however they were given."""
        return self.texts if self.texts is not None else [self.text or ""]


class ExtractResponse(BaseModel):
    """A document for each text, in their order, in kexue's native format."""

    model: str
    documents: list[dict[str, Any]]


class GenerateRequest(Asked):
    """How many images, and how they are drawn."""

    model_config = ConfigDict(json_schema_extra={"examples": GENERATE})

    num: Whole = Field(16, ge=1, description="images")
    sampler: Name = Field("ddim", description="one of the model's samplers")
    steps: Whole = Field(20, ge=1, description="steps of the sampler")
    seed: Whole = Field(0, ge=0, le=2**53 - 1, description="image i is drawn with seed + i, whatever the others")
    label: Name | None = Field(None, description="class of the images; any where left out")
    guidance: float = Field(1.0, ge=-100, le=100, allow_inf_nan=False, description="how strongly the class decides")
    model: Name | None = Field(None, description="one of /models; the first generator where left out")


class Health(BaseModel):
    """Whether the service works."""

    status: str
    version: str
    models: list[str]


class Problem(BaseModel):
    """Why a request was not answered."""

    error: str

    @field_validator("error")
    @classmethod
    def _printable(cls, value: str) -> str:
        return value.encode("utf-8", "replace").decode()
