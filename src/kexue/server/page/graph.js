// The facts as a small graph: nodes push each other away, relations pull.
import { colours, surface, svg } from "./marked.js";

const WIDTH = 400, HEIGHT = 300, ROUNDS = 300, LONGEST = 18;

export function drawGraph(box, found) {
  const colour = colours(found), nodes = new Map();
  const node = (span) => {
    const name = surface(found.text, span), key = `${name}\n${span.label ?? ""}`;
    if (!nodes.has(key)) {
      const angle = nodes.size * 2.4, radius = 30 + 12 * nodes.size ** 0.5; // a sunflower, so that none coincide
      nodes.set(key, { name, label: span.label ?? "", x: WIDTH / 2 + radius * Math.cos(angle), y: HEIGHT / 2 + radius * Math.sin(angle) });
    }
    return nodes.get(key);
  };
  const edges = found.relations.map((fact) => ({ from: node(fact.subject), to: node(fact.object), name: fact.predicate }));
  const all = [...nodes.values()];
  arrange(all, edges);
  const title = box.querySelector("title");
  box.replaceChildren(title, ...edges.flatMap(drawEdge), ...all.flatMap((each) => [
    svg("circle", { cx: each.x, cy: each.y, r: 7, fill: colour.get(each.label) ?? "#ccc" }),
    svg("text", { class: "node", x: each.x, y: each.y - 11 }, shortened(each.name)),
  ]));
  box.style.display = all.length ? "" : "none";
}

const shortened = (name) => (Array.from(name).length > LONGEST ? Array.from(name).slice(0, LONGEST - 1).join("") + "…" : name);

function arrange(nodes, edges) {
  const rest = Math.sqrt((WIDTH * HEIGHT) / Math.max(4, nodes.length)) * 0.75;
  for (let round = 0; round < ROUNDS; round++) {
    const heat = 12 * (1 - round / ROUNDS);
    for (const each of nodes) each.force = { x: (WIDTH / 2 - each.x) * 0.02, y: (HEIGHT / 2 - each.y) * 0.04 };
    nodes.forEach((a, index) => nodes.slice(index + 1).forEach((b) => push(a, b, rest)));
    for (const { from, to } of edges) pull(from, to, rest);
    for (const each of nodes) {
      const size = Math.hypot(each.force.x, each.force.y) || 1, step = Math.min(heat, size) / size;
      each.x = Math.min(WIDTH - 45, Math.max(45, each.x + each.force.x * step));
      each.y = Math.min(HEIGHT - 14, Math.max(26, each.y + each.force.y * step));
    }
  }
}

function push(a, b, rest) {
  const dx = a.x - b.x, dy = a.y - b.y, square = Math.max(25, dx * dx + dy * dy), strength = (rest * rest) / square / 2;
  a.force.x += dx * strength; a.force.y += dy * strength;
  b.force.x -= dx * strength; b.force.y -= dy * strength;
}

function pull(a, b, rest) {
  const dx = b.x - a.x, dy = b.y - a.y, strength = Math.hypot(dx, dy) / rest / 4;
  a.force.x += dx * strength; a.force.y += dy * strength;
  b.force.x -= dx * strength; b.force.y -= dy * strength;
}

function drawEdge({ from, to, name }) {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  const at = (distance) => [to.x - ((to.x - from.x) * distance) / length, to.y - ((to.y - from.y) * distance) / length];
  const [x, y] = at(9), [baseX, baseY] = at(16), [nx, ny] = [(to.y - from.y) / length, (from.x - to.x) / length];
  return [
    svg("line", { x1: from.x, y1: from.y, x2: x, y2: y }),
    svg("path", { d: `M${x},${y} L${baseX + nx * 3.5},${baseY + ny * 3.5} L${baseX - nx * 3.5},${baseY - ny * 3.5} Z`, fill: "currentColor", opacity: 0.6 }),
    svg("text", { class: "edge-name", x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 + 3 }, name),
  ];
}
