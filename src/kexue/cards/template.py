"""The words of a card: one list of sections for each kind of model, everything from the folder's facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from kexue.cards.facts import Facts
from kexue.cards.quoting import as_string, as_text, as_toml, as_word

UNKNOWN = "not recorded"
MOST_FILES = 20
"""Data files that are listed one by one; the digests of all are in kexue.json."""
WEAK = 0.5
"""F1 below which a relation is named among the limits."""
FEW = 20
"""Dev facts below which a threshold or a score says little."""

Section = Callable[[Facts], Iterable[str]]


def card_text(facts: Facts) -> str:
    """The card's own part, without front matter."""
    lines = [f"# {as_text(facts.name)}", "", *_summary(facts)]
    for title, section in SECTIONS[facts.kind].items():
        body = list(section(facts))
        if body:
            lines += ["", f"## {title}", "", *body]
    text = "\n".join(lines) + "\n"
    return text.encode("utf-8", errors="replace").decode()  # a label may hold half of a surrogate pair


def provenance_lines(facts: Facts) -> list[str]:
    """Where a model comes from, in lines for a terminal."""
    origin = facts.provenance
    if not origin:
        return [f"provenance: {UNKNOWN} by kexue {facts.content.get('kexue')}"]
    versions = ", ".join(f"{name} {number}" for name, number in origin["versions"].items())
    lines = [f"begun: {origin['begun']} on {origin['machine']}", f"with: {versions}"]
    lines += [
        f"data ({entry['role']}): {entry['name']}{_size(entry)}{_licence(entry, ', ')}, sha256 {entry['sha256']}"
        if "sha256" in entry
        else f"data ({entry['role']}): {entry['name']}"
        for entry in origin["data"][:MOST_FILES]
    ]
    if len(origin["data"]) > MOST_FILES:
        lines.append(f"and {len(origin['data']) - MOST_FILES} more files, listed in kexue.json")
    return [*lines, f"digest of what was read: {origin['content']}"]


# --- what all have ---


def _summary(facts: Facts) -> Iterator[str]:
    size = f"{facts.parameters / 1e6:.1f} million parameters"
    if facts.kind == "generator":
        network = (facts.content.get("network") or {}).get("kind", "diffusion")
        yield f"A diffusion model ({network}, {size}) that draws images, trained with kexue."
        return
    if facts.kind == "pre-trained encoder":
        yield f"A text encoder ({facts.config.get('model_type')}, {size}), pre-trained with kexue on plain text."
        return
    encoder = (facts.config.get("encoder") or {}).get("model_type")
    head = facts.config.get("head", "gplinker")
    yield f"Finds {_what(facts)} in text. Encoder {encoder}, head {head}, {size}, trained with kexue."


def _what(facts: Facts) -> str:
    schema = facts.config.get("schema") or {}
    counts = (
        (len([name for name in schema.get("entity_types", ()) if name]), "types of entities"),
        (len(schema.get("relation_types", ())), "types of relations"),
        (len(schema.get("event_types", ())), "types of events"),
    )
    return " and ".join(f"{count} {kind}" for count, kind in counts if count) or "facts"


def _data(facts: Facts) -> Iterator[str]:
    origin = facts.provenance
    if not origin:
        yield f"{UNKNOWN.capitalize()} by kexue {facts.content.get('kexue')}."
        return
    yield from _files(origin["data"])
    yield ""
    yield f"Digest of all that was read from them: `{origin['content']}`."
    if any("sha256" in entry and "licence" not in entry for entry in origin["data"]):
        yield ""
        yield "The licence of the files without one above is not known to kexue; state it below this part."


def _files(entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    rows = [
        (
            entry["role"],
            entry["name"],
            f"{entry['bytes']:,}" if "bytes" in entry else "",
            entry.get("sha256", UNKNOWN),
            entry.get("licence", ""),
        )
        for entry in entries[:MOST_FILES]
    ]
    yield from _table(("used for", "file", "bytes", "SHA-256", "licence"), rows)
    if len(entries) > MOST_FILES:
        yield ""
        yield f"And {len(entries) - MOST_FILES:,} more files; `kexue.json` lists all."


def _making(facts: Facts) -> Iterator[str]:
    origin, metrics = facts.provenance, facts.metrics
    if origin:
        seconds = metrics.get("training_seconds")
        took = f"; training took {seconds:,.0f} s" if seconds is not None else ""
        yield f"- begun {origin['begun']} on {as_text(origin['machine'])}{took}"
        yield "- " + ", ".join(f"{name} {number}" for name, number in origin["versions"].items())
    if "steps" in metrics:
        yield f"- {metrics['steps']:,} steps"
    yield ""
    yield "The recipe, with which `kexue train` or `kexue pretrain` makes it again:"
    yield ""
    yield "```toml"
    for key, value in facts.recipe.items():
        if key != "output":
            yield f"{key} = {as_toml(value)}"
    yield "```"


# --- extractors ---


def _labels(facts: Facts) -> Iterator[str]:
    schema, decision = facts.config.get("schema") or {}, facts.content.get("decision") or {}
    thresholds = decision.get("thresholds") or {}
    types = [name for name in schema.get("entity_types", ()) if name]
    if types:
        yield f"Entities, from a confidence of {decision.get('entity_threshold', 0.5):.2f}: {_list(types)}."
    rows = [
        (
            relation["name"],
            ", ".join(relation.get("subject_types") or ()) or "any",
            ", ".join(relation.get("object_types") or ()) or "any",
            f"{thresholds.get(relation['name'], 0.5):.2f}",
        )
        for relation in schema.get("relation_types", ())
    ]
    if rows:
        yield ""
        yield from _table(("relation", "subject", "object", "threshold"), rows)
    for name, roles in schema.get("event_types", ()):
        yield ""
        yield f"Event {as_text(name)}: {_list(roles)}."


def _extraction_results(facts: Facts) -> Iterator[str]:
    report = facts.dev_report
    if report:
        yield (
            "On dev, on which epoch, confidences and thresholds were chosen, so that it is somewhat optimistic"
            + (f" ({report['documents']:,} texts):" if "documents" in report else ":")
        )
        yield ""
        yield from _scores(report)
    for evaluation in facts.evaluations:
        yield ""
        names = _list(entry["name"] for entry in evaluation["data"])
        yield f"On {names} ({evaluation['documents']:,} texts{_settings(evaluation)}), measured by `kexue evaluate`:"
        yield ""
        yield from _scores(evaluation)
        yield ""
        yield from _measured_on(facts, evaluation)
    errors = facts.metrics.get("dev_calibration_error") or {}
    if errors:
        yield ""
        yield "Expected calibration error on dev: " + "; ".join(
            f"{kind} {error['after']:.3f} ({error['before']:.3f} before calibration)" for kind, error in errors.items()
        )


def _scores(report: dict[str, Any]) -> Iterator[str]:
    rows = []
    for part in ("relations", "entities", "events"):
        scores = report.get(part)
        if scores:
            rows.append((f"all {part}", *_row(scores)))
            rows += [(name, *_row(own)) for name, own in scores.get("by_label", {}).items()]
    yield from _table(("", "precision", "recall", "F1", "95% interval of F1", "gold"), rows)


def _row(scores: dict[str, Any]) -> tuple[str, ...]:
    interval = scores.get("interval")
    shown = f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else ""
    gold = f"{scores['gold']:,}" if "gold" in scores else ""
    measured = (f"{scores[key]:.3f}" if key in scores else "" for key in ("precision", "recall", "f1"))
    return (*measured, shown, gold)


def _settings(evaluation: dict[str, Any]) -> str:
    return "".join(f", {name} {value}" for name, value in (evaluation.get("settings") or {}).items())


def _measured_on(facts: Facts, evaluation: dict[str, Any]) -> Iterator[str]:
    """The files of an evaluation as what they were to the model, and a warning where it has seen them."""
    roles = [facts.used_for(entry) for entry in evaluation["data"]]
    yield from _files([entry | {"role": ", ".join(own)} for entry, own in zip(evaluation["data"], roles, strict=True)])
    seen = {role for own in roles for role in own} - {"test"}
    if seen == {"dev"}:
        yield ""
        yield "**These are dev files, on which choices of the training were made: they are no test.**"
    elif seen:
        yield ""
        yield f"**These are files that it was trained on ({_list(sorted(seen))}): this says nothing of others.**"


def _extraction_limits(facts: Facts) -> Iterator[str]:
    yield "- It knows the labels above and no others, and text like that it was trained on."
    yield "- It finds contiguous spans; of a discontinuous mention it can find a part."
    if facts.config.get("sentence_distance") == 0:
        yield "- Its training data join nothing across sentences, so it does not either."
    yield "- A confidence means what it says for text like dev, on which it was calibrated."
    latest = facts.evaluations[-1] if facts.evaluations else facts.dev_report
    labels = (latest.get("relations") or {}).get("by_label", {})
    weak = [name for name, scores in labels.items() if scores["f1"] < WEAK and scores.get("gold", 0)]
    few = [name for name, scores in labels.items() if scores.get("gold", FEW) < FEW]
    if weak:
        yield f"- Weak relations, with an F1 below {WEAK}: {_list(weak)}."
    if few:
        yield f"- Relations of which fewer than {FEW} were there to measure, so that little is known: {_list(few)}."


def _extraction_use(facts: Facts) -> Iterator[str]:
    yield from (
        "```python",
        "from kexue import Extractor",
        f"extractor = Extractor.from_pretrained({as_string(facts.name)})",
        'document = extractor("Your text.")  # document.entities, document.relations, document.events',
        "```",
        "",
        f"```\nkexue extract {as_word(facts.name)} notes.txt --output facts.jsonl\n```",
    )


# --- generators ---


def _generation_results(facts: Facts) -> Iterator[str]:
    dev = facts.metrics.get("dev") or {}
    if "loss" in dev:
        yield f"Loss on images that were held out: {dev['loss']:.4f}."
    for evaluation in facts.evaluations:
        names = _list(entry["name"] for entry in evaluation["data"])
        yield ""
        yield f"Against {names}{_settings(evaluation)}, measured by `kexue evaluate`:"
        yield ""
        rows = [
            (name.replace("_", " "), f"{value:.4f}" if isinstance(value, float) else str(value))
            for name, value in evaluation.items()
            if isinstance(value, int | float)
        ]
        bits = evaluation.get("bits_per_dim")
        if bits:
            rows.append(
                ("bits per value", f"{bits['mean']:.4f} +- {bits['standard_error']:.4f} ({bits['num']} images)")
            )
        yield from _table(("measure", "value"), rows)
        yield ""
        yield from _files(evaluation["data"])


def _drawing(facts: Facts) -> Iterator[str]:
    content = facts.content
    predicted = as_toml(content.get("parameterization"))
    yield f"- noise: {as_toml(content.get('schedule'))}; the network predicts {predicted}"
    yield f"- pixels from 0 to {content.get('max_value')}"
    if content.get("label_names"):
        yield f"- classes: {_list(content['label_names'])}"


def _generation_limits(facts: Facts) -> Iterator[str]:
    yield "- It draws what it was shown, in its size, with whatever is one-sided in that."
    yield "- It may repeat training images: `kexue evaluate --neighbours` shows the nearest ones."
    if not facts.evaluations:
        yield "- Nobody has compared its images with real ones by `kexue evaluate` yet."


def _generation_use(facts: Facts) -> Iterator[str]:
    yield from (
        "```python",
        "from kexue import Generator",
        f"generator = Generator.from_pretrained({as_string(facts.name)})",
        "images = generator.sample(16, num_steps=20)  # float[16, channels, height, width] in [-1, 1]",
        "```",
        "",
        f"```\nkexue generate {as_word(facts.name)} --num 64 --steps 20 --output grid.png\n```",
    )


# --- encoders ---


def _encoder_results(facts: Facts) -> Iterator[str]:
    dev, guess = facts.metrics.get("dev") or {}, facts.metrics.get("guess") or {}
    rows = [
        (name, f"{100 * own['accuracy']:.1f}%", f"{own['perplexity']:.2f}")
        for name, own in (("this encoder", dev), ("guessing by frequency", guess))
        if own
    ]
    yield "Hidden words of text that was held out:"
    yield ""
    yield from _table(("", "right", "perplexity"), rows)


def _encoder_limits(facts: Facts) -> Iterator[str]:
    yield "- It has been measured at guessing hidden words, which is not what it will be used for."
    yield "- It knows the kind of text above and the tokens of its vocabulary."


def _encoder_use(facts: Facts) -> Iterator[str]:
    yield from (
        "```python",
        "import kexue.encoders  # makes transformers know encoders of gated attention units",
        "from transformers import AutoModel, AutoTokenizer",
        f"encoder, tokenizer = (each.from_pretrained({as_string(facts.name)}) for each in (AutoModel, AutoTokenizer))",
        "```",
        "",
        f"```\nkexue train train.jsonl --encoder {as_word(facts.name)} --output runs/mine\n```",
    )


SECTIONS: dict[str, dict[str, Section]] = {
    "extractor": {
        "How to use it": _extraction_use,
        "What it finds": _labels,
        "How well it does": _extraction_results,
        "Limits and known failures": _extraction_limits,
        "Data": _data,
        "How it was made": _making,
    },
    "generator": {
        "How to use it": _generation_use,
        "What it draws": _drawing,
        "How well it does": _generation_results,
        "Limits and known failures": _generation_limits,
        "Data": _data,
        "How it was made": _making,
    },
    "pre-trained encoder": {
        "How to use it": _encoder_use,
        "How well it does": _encoder_results,
        "Limits and known failures": _encoder_limits,
        "Data": _data,
        "How it was made": _making,
    },
}

# --- Markdown ---


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(heading) + " |"
    yield "|" + "---|" * len(heading)
    for row in rows:
        yield "| " + " | ".join(as_text(cell) for cell in row) + " |"


def _list(names: Iterable[str]) -> str:
    return ", ".join(as_text(name) for name in names)


def _size(entry: dict[str, Any]) -> str:
    return f", {entry['bytes']:,} bytes" if "bytes" in entry else ""


def _licence(entry: dict[str, Any], before: str) -> str:
    return f"{before}{entry['licence']}" if "licence" in entry else ""
