"""The GAU encoder: gated attention units one after the other as a transformers model, `x <- norm(x + GAU(x))`.

By default it is set up as GAU-alpha (Su, kexue.fm/archives/9052, 2022): no biases, a norm without gain after each
sum, rotary positions, and for N layers weights begun at N^(-1/3) of the usual size, which spares the warm-up.
Importing this module makes `AutoConfig`, `AutoModel` and `AutoModelForMaskedLM` know the model type "gau".
"""

from __future__ import annotations

from typing import Any, ClassVar

from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, PretrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from kexue.errors import OptionError, unknown
from kexue.layers.gau import GatedAttentionUnit
from kexue.layers.global_pointer import TRUNCATED_STD
from kexue.layers.initialization import INITIALIZATIONS, UnitSizes
from kexue.layers.norm import NORMS
from kexue.ops.attention import ATTENTIONS
from kexue.ops.precision import exact_dtype
from kexue.ops.rotary import Turns

IGNORED = -100
"""The label of a token that is not to be predicted."""
PRESETS: dict[str, dict[str, int]] = {
    "gau-tiny": {"hidden_size": 256, "num_hidden_layers": 6},
    "gau-small": {"hidden_size": 384, "num_hidden_layers": 12},
    "gau-base": {"hidden_size": 768, "num_hidden_layers": 24},
}
"""Sizes by name; two layers do the work of one Transformer layer, and gau-base is as large as BERT-base."""


class GAUConfig(PretrainedConfig):
    """Sizes and choices of a `GAUModel`.

    Args:
        vocab_size: number of different tokens.
        hidden_size: width d of the states.
        num_hidden_layers: number N of units.
        expansion: width of the gate against `hidden_size`.
        key_dim: width s of queries and keys.
        attention: one of `ATTENTIONS`.
        causal: whether a token sees itself and those before it only.
        initialization: how the units' weights begin, one of `INITIALIZATIONS`.
        norm: one of `NORMS`.
        norm_position: "post", after each sum of state and branch, or "pre", before each unit.
        norm_tiny: what the norm adds to the variance.
        hidden_dropout: dropout after the embedding and each unit.
        attention_dropout: dropout of attention weights.
        rotary_base: base of the rotary angles; None for an encoder without positions.
        pad_token_id: the token that fills up a batch.
        type_vocab_size: number of different segments whose embedding is added to the tokens'; 0 for none.
        sparse_prediction: with labels given, score the labelled tokens alone (for masked language models).
        tie_word_embeddings: whether a masked language model's scores are products with the embeddings.

    Raises `OptionError` for an unknown attention or norm.
    """

    model_type = "gau"

    def __init__(
        self,
        vocab_size: int = 12000,
        hidden_size: int = 384,
        num_hidden_layers: int = 12,
        expansion: int = 2,
        key_dim: int = 128,
        attention: str = "entropy_invariant_softmax",
        causal: bool = False,
        initialization: str = "depth_scaled",
        norm: str = "rms",
        norm_position: str = "post",
        norm_tiny: float = 1e-6,
        hidden_dropout: float = 0.1,
        attention_dropout: float = 0.1,
        rotary_base: float | None = 10000.0,
        pad_token_id: int | None = 0,
        type_vocab_size: int = 0,
        sparse_prediction: bool = False,
        tie_word_embeddings: bool = True,
        **kwargs: Any,
    ) -> None:
        for kind, name, table in (
            ("attention", attention, ATTENTIONS),
            ("initialization", initialization, INITIALIZATIONS),
            ("norm", norm, NORMS),
            ("norm position", norm_position, ("post", "pre")),
        ):
            if name not in table:
                raise OptionError(unknown(kind, name, list(table)))
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.expansion = expansion
        self.key_dim = key_dim
        self.attention = attention
        self.causal = causal
        self.initialization = initialization
        self.norm = norm
        self.norm_position = norm_position
        self.norm_tiny = norm_tiny
        self.hidden_dropout = hidden_dropout
        self.attention_dropout = attention_dropout
        self.rotary_base = rotary_base
        self.type_vocab_size = type_vocab_size
        self.sparse_prediction = sparse_prediction
        self.tie_word_embeddings = tie_word_embeddings
        super().__init__(pad_token_id=pad_token_id, **kwargs)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> GAUConfig:
        """The configuration of a name in `PRESETS`; raises `OptionError` for another one."""
        if name not in PRESETS:
            raise OptionError(unknown("GAU preset", name, list(PRESETS)))
        return cls(**PRESETS[name] | changes)


class GAULayer(GradientCheckpointingLayer):
    """What both kinds of layers are made of: a unit, dropout, a norm."""

    final_norm: ClassVar[bool]
    """Whether a stack of such layers needs a norm at its end."""

    def __init__(self, config: GAUConfig) -> None:
        super().__init__()
        self.unit = GatedAttentionUnit(
            config.hidden_size,
            expansion=config.expansion,
            key_dim=config.key_dim,
            attention=ATTENTIONS[config.attention](causal=config.causal),
            dropout=config.attention_dropout,
            rotary_base=config.rotary_base,
        )
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.norm = NORMS[config.norm](config.hidden_size, config.norm_tiny)


class PostNormLayer(GAULayer):
    """norm(x + dropout(GAU(x)))."""

    final_norm = False

    def forward(
        self, x: Float[Tensor, "batch seq dim"], mask: Bool[Tensor, "batch seq"] | None, turns: Turns
    ) -> Float[Tensor, "batch seq dim"]:
        return self.norm(x + self.dropout(self.unit(x, mask, turns=turns)))


class PreNormLayer(GAULayer):
    """x + dropout(GAU(norm(x)))."""

    final_norm = True

    def forward(
        self, x: Float[Tensor, "batch seq dim"], mask: Bool[Tensor, "batch seq"] | None, turns: Turns
    ) -> Float[Tensor, "batch seq dim"]:
        return x + self.dropout(self.unit(self.norm(x), mask, turns=turns))


LAYERS: dict[str, type[GAULayer]] = {"post": PostNormLayer, "pre": PreNormLayer}
"""By where the norm stands."""


class GAUPreTrainedModel(PreTrainedModel):
    """What encoder and masked language model share: how weights begin."""

    config_class = GAUConfig
    base_model_prefix = "gau"
    supports_gradient_checkpointing = True
    _no_split_modules = ["PostNormLayer", "PreNormLayer"]  # noqa: RUF012

    def _init_weights(self, module: nn.Module) -> None:
        """Units as the configuration says, everything else so that it keeps the variance."""
        if isinstance(module, GatedAttentionUnit):
            self._init_unit(module)
        elif isinstance(module, nn.Linear):
            _truncated_normal(module.weight, module.in_features**-0.5)
        elif isinstance(module, nn.Embedding):
            _truncated_normal(module.weight, module.embedding_dim**-0.5)
            if module.padding_idx is not None and not getattr(module.weight, "_is_hf_initialized", False):
                init.zeros_(module.weight[module.padding_idx])
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)

    def _init_unit(self, unit: GatedAttentionUnit) -> None:
        """After its two linear layers, which are visited before it."""
        sizes = UnitSizes(unit.input.in_features, unit.output.in_features, unit.key_dim, self.config.num_hidden_layers)
        deviations = INITIALIZATIONS[self.config.initialization]().deviations(sizes)
        if not getattr(unit.input.weight, "_is_hf_initialized", False):
            gates, keys = unit.input.weight.split([2 * sizes.inner, sizes.key_dim])
            _truncated_normal(gates, deviations.gate)
            _truncated_normal(keys, deviations.key)
        _truncated_normal(unit.output.weight, deviations.output)
        init.ones_(unit.scale)
        init.zeros_(unit.offset)


class GAUModel(GAUPreTrainedModel):
    """Tokens to hidden states through a stack of gated attention units; texts of any length."""

    def __init__(self, config: GAUConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        if config.type_vocab_size:
            self.segment_embedding = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = NORMS[config.norm](config.hidden_size, config.norm_tiny)
        self.dropout = nn.Dropout(config.hidden_dropout)
        layer = LAYERS[config.norm_position]
        self.layers = nn.ModuleList(layer(config) for _ in range(config.num_hidden_layers))
        self.final_norm = (
            NORMS[config.norm](config.hidden_size, config.norm_tiny) if layer.final_norm else nn.Identity()
        )
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embedding

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embedding = value

    def forward(
        self,
        input_ids: Int[Tensor, "batch seq"] | None = None,
        attention_mask: Shaped[Tensor, "batch seq"] | None = None,
        token_type_ids: Int[Tensor, "batch seq"] | None = None,
        inputs_embeds: Float[Tensor, "batch seq dim"] | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutput:
        """Hidden states float[batch, seq, dim] of the tokens, or of `inputs_embeds` given in their place.

        `attention_mask` is nonzero for tokens, all of them where left out; `token_type_ids` are the tokens'
        segments, 0 where left out. With `output_hidden_states` the states before the first and after every layer
        are returned too.
        """
        embedded = self.embedding(input_ids) if inputs_embeds is None else inputs_embeds
        if self.config.type_vocab_size:
            embedded = embedded + self._segments(token_type_ids)
        mask = None if attention_mask is None else attention_mask.bool()
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        state = self.dropout(self.norm(embedded))
        states = [state]
        turns = self.layers[0].unit.turns(state)
        for layer in self.layers:
            state = layer(state, mask, turns)
            if wanted:
                states.append(state)
        return BaseModelOutput(self.final_norm(state), hidden_states=tuple(states) if wanted else None)

    def _segments(self, ids: Tensor | None) -> Tensor:
        """Embeddings of the tokens' segments, float[batch, seq, dim] or float[dim]."""
        return self.segment_embedding.weight[0] if ids is None else self.segment_embedding(ids)


class GAUForMaskedLM(GAUPreTrainedModel):
    """The encoder with the head of GAU-alpha: the scores of a token are the products with all embeddings.

    There is no layer between, no bias, and no parameter beside the encoder's, as in its published code.
    """

    _tied_weights_keys = {"decoder.weight": "gau.embedding.weight"}  # noqa: RUF012

    def __init__(self, config: GAUConfig) -> None:
        super().__init__(config)
        self.gau = GAUModel(config)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        return self.decoder

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        self.decoder = new_embeddings

    def forward(
        self,
        input_ids: Int[Tensor, "batch seq"] | None = None,
        attention_mask: Shaped[Tensor, "batch seq"] | None = None,
        labels: Int[Tensor, "batch seq"] | None = None,
        **kwargs: Any,
    ) -> MaskedLMOutput:
        """Logits float[batch, seq, vocab] and, with `labels` given, the mean cross-entropy where they are not -100.

        With `sparse_prediction` in the configuration and labels given, the logits are those of the labelled
        tokens alone, float[labelled, vocab], in the order of the flattened batch. Without any label the loss is 0.
        """
        encoded = self.gau(input_ids, attention_mask, **kwargs)
        state = encoded.last_hidden_state
        if labels is not None and self.config.sparse_prediction:
            state, labels = state[labels != IGNORED], labels[labels != IGNORED]
        logits = self.decoder(self.dropout(state))
        loss = None if labels is None else _masked_cross_entropy(logits, labels)
        return MaskedLMOutput(loss=loss, logits=logits, hidden_states=encoded.hidden_states)


def _masked_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over the labelled tokens, in float32 at least; 0 where there is none."""
    exact = logits.flatten(0, -2).to(exact_dtype(logits))
    total = nn.functional.cross_entropy(exact, labels.flatten(), ignore_index=IGNORED, reduction="sum")
    return total / (labels != IGNORED).sum().clamp(min=1)


def _truncated_normal(weight: Tensor, std: float) -> None:
    """Fill with a normal law cut off at two standard deviations, so that `std` is what remains of it."""
    wide = std / TRUNCATED_STD
    init.trunc_normal_(weight, std=wide, a=-2 * wide, b=2 * wide)


AutoConfig.register("gau", GAUConfig, exist_ok=True)
AutoModel.register(GAUConfig, GAUModel, exist_ok=True)
AutoModelForMaskedLM.register(GAUConfig, GAUForMaskedLM, exist_ok=True)
