"""An encoder and a head: texts of any length to a loss, or to spans and triples.

Texts longer than a window are cut into overlapping windows, encoded apart, and put together again before the head
looks at them, so the encoder's cost is linear in the number of windows and a relation may join two of them.
Importing this module makes `AutoConfig` and `AutoModel` know the model type "kexue_extraction".
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel

from kexue.encoders.loading import build_encoder
from kexue.encoders.windows import WindowBatch, merge_windows
from kexue.errors import OptionError, unknown
from kexue.extraction.decoding import Bounds, Candidates
from kexue.extraction.heads import HEADS
from kexue.extraction.heads.head import PairScoring
from kexue.extraction.reach import Reach
from kexue.extraction.said import SaidOfTexts
from kexue.extraction.schema import Schema

ENCODED_TOKENS = 16_384  # tokens in one pass through the encoder where no gradients are kept


class ExtractionConfig(PretrainedConfig):
    """What an `ExtractionModel` is made of.

    `encoder` is the encoder's own configuration and `schema` the labels, both as plain values; `window` counts tokens
    of text in one window (without special tokens) and `overlap` the tokens that two neighbours share. `span_width`,
    `link_distance`, `sentence_distance` and `sentences` are the model's `Reach`.
    """

    model_type = "kexue_extraction"

    def __init__(
        self,
        encoder: dict[str, Any] | None = None,
        schema: dict[str, Any] | None = None,
        head: str = "gplinker",
        head_dim: int = 64,
        efficient: bool = True,
        span_rotary: bool = True,
        link_rotary: bool = False,
        casrel: str = "all",
        hidden_dropout: float = 0.1,
        window: int = 254,
        overlap: int = 64,
        span_width: int | None = None,
        link_distance: int | None = None,
        sentence_distance: int | None = None,
        sentences: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.encoder = encoder or {}
        self.schema = schema or {}
        self.head = head
        self.head_dim = head_dim
        self.efficient = efficient
        self.span_rotary = span_rotary
        self.link_rotary = link_rotary
        self.casrel = casrel
        self.hidden_dropout = hidden_dropout
        self.window = window
        self.overlap = overlap
        self.span_width = span_width
        self.link_distance = link_distance
        self.sentence_distance = sentence_distance
        self.sentences = sentences
        super().__init__(**kwargs)


class ExtractionModel(PreTrainedModel):
    """Encoder, dropout, head. `forward` gives the loss, `extract` the candidates of each text.

    The encoder is any module with a `config` that is called with `input_ids` and `attention_mask`, both
    [windows, width], and returns an object with `last_hidden_state`.
    """

    config_class = ExtractionConfig
    base_model_prefix = "encoder"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True

    def __init__(self, config: ExtractionConfig, encoder: nn.Module | None = None) -> None:
        super().__init__(config)
        made: Any = build_encoder(encoder_config(config)) if encoder is None else encoder
        self.encoder = made
        self.dropout = nn.Dropout(config.hidden_dropout)
        _check_choices(config)
        head = HEADS[config.head]
        labels = head.task.labels(Schema.from_json(config.schema))
        self.head = head.from_config(made.config.hidden_size, config, labels)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        """Weights initialise themselves when their modules are made."""

    def with_schema(self, schema: Schema) -> ExtractionModel:
        """A model that shares every weight with this one and decodes under other constraints on the same labels."""
        other = copy.copy(self)
        other.config = copy.deepcopy(self.config)
        other.config.schema = schema.to_json()
        head = copy.copy(self.head)
        head.labels = head.task.labels(schema)
        other._modules = self._modules | {"head": head}
        return other

    def hidden_states(self, batch: WindowBatch) -> Tensor:
        """Hidden states of the documents, [documents, length, dim].

        Without gradients many windows are encoded some at a time, so a text may be as long as its hidden states allow.
        """
        windows, width = batch.input_ids.shape
        size = windows if torch.is_grad_enabled() else max(1, ENCODED_TOKENS // width)
        parts = [
            self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            for input_ids, attention_mask in zip(
                batch.input_ids.split(size), batch.attention_mask.split(size), strict=True
            )
        ]
        return merge_windows(torch.cat(parts), batch)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, gather: Tensor, mask: Tensor, **targets: Tensor
    ) -> dict[str, Any]:
        """The loss of a batch of windows and its positives: summed over labels, averaged over documents.

        A head whose loss is made of token-pair scores adds what it `said`, as `SaidOfTexts`.
        """
        hidden = self.dropout(self.hidden_states(WindowBatch(input_ids, attention_mask, gather, mask)))
        if not isinstance(self.head, PairScoring):
            return {"loss": self.head.loss(hidden, mask, targets).mean()}
        scores = self.head.scores(hidden)
        return {"loss": self.head.loss_of(scores, mask, targets).mean(), "said": SaidOfTexts(scores, mask)}

    @torch.inference_mode()
    def extract(self, batch: WindowBatch, *, floor: float = 0.0, bounds: Bounds | None = None) -> list[Candidates]:
        """Spans and triples of each document whose scores all exceed `floor`."""
        batch, config = batch.to(self.device), self.config
        reach = Reach(
            config.span_width,
            config.link_distance,
            config.sentence_distance,
            config.sentences,
            batch.sentences,
            batch.parts,
        )
        return self.head.decode(self.hidden_states(batch), batch.mask, floor=floor, bounds=bounds, reach=reach)


def _check_choices(config: ExtractionConfig) -> None:
    """Raise `OptionError` for a head that there is not, and for lengths that are none."""
    if config.head not in HEADS:
        raise OptionError(unknown("head", str(config.head), list(HEADS)))
    for name in ("window", "overlap", "span_width", "link_distance", "sentence_distance", "sentences"):
        value, needed = getattr(config, name), name in ("window", "overlap")
        if not (type(value) is int and value >= (name == "window")) and (needed or value is not None):
            raise OptionError(f"{name} must be a number of tokens or sentences, got {value!r}")


def encoder_config(config: ExtractionConfig) -> PretrainedConfig:
    """The configuration of the encoder as its own class."""
    values = dict(config.encoder)
    return AutoConfig.for_model(values.pop("model_type"), **values)


AutoConfig.register(ExtractionConfig.model_type, ExtractionConfig, exist_ok=True)
AutoModel.register(ExtractionConfig, ExtractionModel, exist_ok=True)
