// A file of texts through the service: some at a time, again later where it is busy, and back as JSONL or CSV.
const TEXTS = 32, CHARACTERS = 20000, AT_ONCE = 2, LAST_WAIT = 30;

export async function extractFile(file, { send, taken, signal, word }) {
  const parts = parted(textsOf(file.name, await file.text(), word));
  const total = parts.reduce((sum, part) => sum + part.length, 0);
  const answers = new Array(parts.length);
  let next = 0, given = 0, done = 0;
  const work = async () => {
    while (next < parts.length) {
      const index = next++;
      answers[index] = (await patiently(() => send(parts[index], signal), signal)).documents;
      while (given < parts.length && answers[given]) { // in the order of the file
        done += answers[given].length;
        taken(answers[given], done, total);
        answers[given++] = [];
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

// Lines of a text file, or the key "text" of lines of JSON.
function textsOf(name, content, word) {
  const lines = content.split(/\r?\n/).map((line, index) => [line, index + 1]).filter(([line]) => line.trim());
  if (!lines.length) throw new Error(word("empty"));
  if (!/\.jsonl?$/i.test(name)) return lines.map(([line]) => line);
  return lines.map(([line, number]) => {
    let text;
    try { text = JSON.parse(line).text; } catch { /* told below */ }
    if (typeof text !== "string") throw new Error(`${name}: ${word("badline")} ${number}`);
    return text;
  });
}

function parted(texts) {
  const parts = [];
  let size = Infinity;
  for (const text of texts) {
    if (!parts.length || parts.at(-1).length === TEXTS || size + text.length > CHARACTERS) { parts.push([]); size = 0; }
    parts.at(-1).push(text);
    size += text.length;
  }
  return parts;
}

async function patiently(action, signal) {
  for (let wait = 1; ; wait *= 2) {
    try { return await action(); } catch (error) {
      if (error.status !== 503 || wait > LAST_WAIT) throw error;
      const seconds = Math.max(wait, error.retryAfter || 0);
      await new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, 1000 * seconds);
        signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
      });
    }
  }
}

export const toJsonl = (documents) => documents.map((each) => JSON.stringify(each) + "\n").join("");

export function toCsv(documents) {
  const heading = ["text", "subject", "subject_type", "predicate", "object", "object_type", "score"];
  const lines = documents.flatMap((each) => each.relations.map((fact) => [
    each.text, fact.subject.text, fact.subject.label, fact.predicate, fact.object.text, fact.object.label, fact.score,
  ]));
  // Spreadsheets take a cell that begins with one of these for a formula.
  const safe = (value) => (/^[=+\-@\t\r]/.test(value) ? `'${value}` : value);
  const cell = (value) => (typeof value === "number" ? String(value) : `"${safe(String(value ?? "")).replaceAll('"', '""')}"`);
  return "\ufeff" + [heading, ...lines].map((line) => line.map(cell).join(",") + "\r\n").join("");
}
