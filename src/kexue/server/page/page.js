// The page: asks the service, and shows what it says. Every text from outside is set as text, never as markup.
import { WORDS } from "./words.js";
import { drawGraph } from "./graph.js";
import { drawMarked, surface } from "./marked.js";
import { extractFile, toCsv, toJsonl } from "./bulk.js";

const $ = (id) => document.getElementById(id);
const state = { language: navigator.language.startsWith("zh") ? "zh" : "en", models: [], document: null, bulk: null, results: [] };
const word = (name) => WORDS[state.language][name];
const model = () => state.models[$("model").selectedIndex];

// --- asking ---

async function ask(path, body, options = {}) {
  const headers = { "content-type": "application/json" };
  if ($("key").value) headers.authorization = `Bearer ${$("key").value}`;
  let answer;
  try {
    answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(word("gone"));
  }
  if (answer.ok) return answer;
  if (answer.status === 401) $("key-field").hidden = false;
  const problem = await answer.json().catch(() => ({ error: answer.statusText }));
  throw Object.assign(new Error(problem.error), { status: answer.status, retryAfter: Number(answer.headers.get("retry-after")) });
}

function say(error) {
  $("problem").textContent = error ? error.message : "";
  $("problem").hidden = !error;
}

const guarded = (action) => async (event) => {
  event?.preventDefault();
  say(null);
  try { await action(event); } catch (error) { if (error.name !== "AbortError") say(error); }
};

// --- words and models ---

function speak() {
  document.documentElement.lang = state.language;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  const other = state.language === "en" ? "zh" : "en";
  Object.assign($("language"), { textContent: other === "zh" ? "中文" : "English", lang: other });
  $("text").placeholder = word("example");
  if ($("label").options.length) $("label").options[0].textContent = word("any");
  show();
}

async function loadModels() {
  state.models = await (await ask("models")).json();
  $("model").replaceChildren(...state.models.map((each) => new Option(each.name)));
  chooseModel();
}

function chooseModel() {
  const chosen = model();
  $("extraction").hidden = chosen?.job !== "extraction";
  $("generation").hidden = chosen?.job !== "generation";
  state.document = null;
  show();
  if (chosen?.job !== "generation") return;
  $("sampler").replaceChildren(...chosen.samplers.map((name) => new Option(name)));
  $("sampler").value = "ddim";
  $("label").replaceChildren(new Option(word("any"), ""), ...chosen.labels.map((name) => new Option(name)));
  $("label-field").hidden = $("guidance-field").hidden = !chosen.labels.length;
}

// --- one text ---

const extract = guarded(async () => {
  const text = $("text").value || $("text").placeholder;
  $("text").value = text;
  const answer = await (await ask("extract", { text, model: model().name, threshold: 0 })).json();
  state.document = answer.documents[0];
  show();
});

// What passes the slider, or the model's own thresholds; ends of a shown relation are shown too.
function passing(found) {
  const own = $("own").checked, limit = Number($("threshold").value), known = model();
  const thresholds = new Map(known.relations.map((each) => [each.name, each.threshold]));
  const relations = found.relations.filter((fact) => fact.score >= (own ? thresholds.get(fact.predicate) : limit));
  const place = (span) => `${span.start}:${span.end}:${span.label ?? ""}`;
  const ends = new Set(relations.flatMap((fact) => [place(fact.subject), place(fact.object)]));
  const entities = found.entities.filter((span) => span.score >= (own ? known.entity_threshold : limit) || ends.has(place(span)));
  return { ...found, entities, relations };
}

function show() {
  $("shown").textContent = Number($("threshold").value).toFixed(2);
  $("threshold").disabled = $("own").checked;
  $("result").hidden = !state.document;
  if (!state.document) return;
  const shown = passing(state.document);
  const highlight = (index) => {
    for (const each of document.querySelectorAll("[data-fact]")) each.classList.toggle("on", Number(each.dataset.fact) === index);
    for (const each of document.querySelectorAll("mark")) each.classList.toggle("on", each.dataset.facts.split(" ").includes(String(index)));
  };
  drawMarked($("marked"), shown);
  $("facts").replaceChildren(...shown.relations.map((fact, index) => row(shown.text, fact, index, highlight)));
  $("none").hidden = shown.relations.length > 0;
  drawGraph($("graph"), shown);
}

function row(text, fact, index, highlight) {
  const line = document.createElement("tr");
  const cells = [surface(text, fact.subject), fact.predicate, surface(text, fact.object), fact.score.toFixed(2)];
  line.append(...cells.map((cell) => Object.assign(document.createElement("td"), { textContent: cell, dir: "auto" })));
  line.dataset.fact = index;
  line.tabIndex = 0;
  line.onmouseenter = line.onfocus = () => highlight(index);
  line.onmouseleave = line.onblur = () => highlight(-1);
  return line;
}

const copy = guarded(async () => {
  await navigator.clipboard.writeText(JSON.stringify(passing(state.document), null, 2));
  $("copy").textContent = word("copied");
  setTimeout(() => { $("copy").textContent = word("copy"); }, 1500);
});

// --- a file ---

const readFile = (file) => guarded(async () => {
  $("bulk").hidden = false;
  state.results = [];
  state.bulk = new AbortController();
  const save = [$("save-jsonl"), $("save-csv")];
  for (const button of save) button.disabled = true;
  $("stop").disabled = false;
  const own = $("own").checked ? undefined : Number($("threshold").value);
  let facts = 0;
  try {
    await extractFile(file, {
      word,
      signal: state.bulk.signal,
      send: (texts, signal) => ask("extract", { texts, model: model().name, threshold: own }, { signal }).then((answer) => answer.json()),
      taken: (documents, done, total) => {
        state.results.push(...documents);
        facts += documents.reduce((sum, each) => sum + each.relations.length, 0);
        $("progress").value = done / total;
        $("counted").textContent = `${done} ${word("of")} ${total}, ${facts} ${word("facts")}`;
      },
    });
  } finally {
    for (const button of save) button.disabled = !state.results.length;
    $("stop").disabled = true;
  }
})();

function download(name, content, type) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

// --- images ---

let drawing = null;

const draw = guarded(async () => {
  drawing?.abort();
  drawing = new AbortController();
  $("halt").disabled = false;
  const number = (id) => Number($(id).value);
  const body = { model: model().name, num: number("num"), sampler: $("sampler").value, steps: number("steps"), seed: number("seed") };
  if ($("label").value) Object.assign(body, { label: $("label").value, guidance: number("guidance") });
  try {
    const answer = await ask("generate", body, { signal: drawing.signal });
    for await (const line of linesOf(answer.body)) {
      const seen = JSON.parse(line);
      if (seen.error) throw new Error(seen.error);
      $("image").src = seen.image;
      $("image").alt = `${word("step")} ${seen.step} ${word("of")} ${seen.steps}`;
      $("drawn").value = seen.step / seen.steps;
    }
  } finally {
    $("halt").disabled = true;
  }
});

async function* linesOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    yield* parts;
  }
  if (rest) yield rest;
}

// --- beginning ---

$("language").onclick = () => { state.language = state.language === "en" ? "zh" : "en"; speak(); };
$("model").onchange = chooseModel;
$("key").onchange = $("key-field").onsubmit = guarded(loadModels);
$("extract").onclick = extract;
$("text").onkeydown = (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) extract(event); };
$("own").onchange = $("threshold").oninput = show;
$("copy").onclick = copy;
$("file").onchange = () => { if ($("file").files.length) readFile($("file").files[0]); $("file").value = ""; };
$("drop").ondragover = (event) => { event.preventDefault(); $("drop").classList.add("over"); };
$("drop").ondragleave = () => $("drop").classList.remove("over");
$("drop").ondrop = (event) => { event.preventDefault(); $("drop").classList.remove("over"); readFile(event.dataTransfer.files[0]); };
$("stop").onclick = () => state.bulk?.abort();
$("save-jsonl").onclick = () => download("facts.jsonl", toJsonl(state.results), "application/jsonl");
$("save-csv").onclick = () => download("facts.csv", toCsv(state.results), "text/csv");
$("drawing").onsubmit = draw;
$("halt").onclick = () => drawing?.abort();
addEventListener("resize", () => { if (state.document) drawMarked($("marked"), passing(state.document)); });
speak();
guarded(loadModels)();
