// A text with its entities marked and its relations as arcs over them.
export const PALETTE = ["#ffd8a8", "#b2f2bb", "#a5d8ff", "#eebefa", "#ffc9c9", "#ffec99", "#c3fae8", "#d0bfff"];
const SVG = "http://www.w3.org/2000/svg";

export function colours(document_) {
  const labels = [...new Set(document_.entities.map((span) => span.label ?? ""))].sort();
  return new Map(labels.map((label, index) => [label, PALETTE[index % PALETTE.length]]));
}

export function svg(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Offsets count characters, JavaScript counts UTF-16 units.
export const surface = (text, span) => Array.from(text).slice(span.start, span.end).join("");

const place = (span) => `${span.start}:${span.end}:${span.label ?? ""}`;

export function drawMarked(box, found) {
  const characters = Array.from(found.text), colour = colours(found), marks = new Map();
  const pieces = [];
  let position = 0;
  // Of overlapping entities the first and longest is marked; the table has all.
  for (const span of [...found.entities].sort((a, b) => a.start - b.start || b.end - a.end)) {
    if (span.start < position) continue;
    const mark = document.createElement("mark");
    mark.textContent = characters.slice(span.start, span.end).join("");
    mark.style.background = colour.get(span.label ?? "");
    mark.dataset.facts = "";
    mark.title = `${span.label ?? ""} ${span.score?.toFixed(2) ?? ""}`.trim();
    if (span.label) mark.append(Object.assign(document.createElement("small"), { textContent: span.label }));
    pieces.push(characters.slice(position, span.start).join(""), mark);
    marks.set(place(span), mark);
    position = span.end;
  }
  const canvas = svg("svg", { "aria-hidden": "true" });
  box.replaceChildren(...pieces, characters.slice(position).join(""), canvas);
  found.relations.forEach((fact, index) => {
    const ends = [fact.subject, fact.object].map((span) => marks.get(place(span)));
    if (!ends[0] || !ends[1]) return;
    for (const mark of ends) mark.dataset.facts += ` ${index}`;
    canvas.append(...arc(box, ...ends, fact.predicate, index));
  });
}

function arc(box, from, to, name, index) {
  const origin = box.getBoundingClientRect();
  const [a, b] = [from, to].map((mark) => {
    const area = mark.getClientRects()[0];
    return { x: area.x + area.width / 2 - origin.x, y: area.y - origin.y };
  });
  const lift = Math.min(34, 12 + Math.abs(a.x - b.x) / 14);
  const top = Math.min(a.y, b.y) - lift, middle = (a.x + b.x) / 2;
  const path = `M${a.x},${a.y} C${a.x},${top} ${b.x},${top} ${b.x},${b.y}`;
  const head = `M${b.x - 4},${b.y - 6} L${b.x},${b.y} L${b.x + 4},${b.y - 6}`;
  const height = (a.y + 6 * top + b.y) / 8; // of the curve at its middle
  return [
    svg("path", { class: "arc", d: path, "data-fact": index }),
    svg("path", { class: "arc", d: head, "data-fact": index }),
    svg("text", { class: "arc-name", x: middle, y: height + 3 }, name),
  ];
}
