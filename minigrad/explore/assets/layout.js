// Where everything stands. Each open module is laid out by dagre by itself; to what holds it, it is
// one box. What enters or leaves it does so through ports on its left and right edges.

const CARD = 176;
const STRIP = 43; // a row of maps on a card
const CHIP = 20;
const HEAD = 30; // the title bar of an open module
const PAD = 18;

/** Whether ``node`` has maps to show on its card, of values and of gradients. */
const strips = (node) => {
  const { sample, gradient } = values[valueOf(node)];
  const large = (s) => s >= 0 && samples[s].size[1] * samples[s].size[2] > 1;
  return [large(sample), large(gradient)];
};

function sizeOf(node) {
  const tall = STRIP * strips(node).filter(Boolean).length;
  if (node.type === "call") return { width: CARD, height: 64 + tall };
  if (node.type === "leaf") return { width: CARD - 20, height: 48 + tall };
  return { width: CARD, height: 54 + tall + CHIP * chips(node).length };
}

/** Edges of the graph: from the node that makes a value to a run that takes it. */
const edges = [];
values.forEach((value, i) => {
  if (value.kind === "parameter" && consumers[i].length === 1) return;
  const from = nodes.get(value.kind === "result" ? `r${producer.get(i)}` : `v${i}`);
  if (!from) return;
  for (const [run, k] of consumers[i]) edges.push({ value: i, from, to: nodes.get(`r${run}`), k });
});

/** The child of ``group`` that holds ``node``, or null. */
function childOf(group, node) {
  for (let at = node; at && at.parent; at = at.parent) if (at.parent === group) return at;
  return null;
}

/** Lay ``group`` out; returns its size, its children's places, its ports and its lines. */
function arrange(group, open) {
  const inner = new Map();
  for (const child of group.children) {
    inner.set(child, child.type === "call" && open.has(child.key)
      ? arrange(child, open) : { ...sizeOf(child), node: child });
  }
  const g = new dagre.graphlib.Graph({ multigraph: true });
  g.setGraph({ rankdir: "LR", nodesep: 22, ranksep: 46, edgesep: 16, ranker: "network-simplex" });
  g.setDefaultEdgeLabel(() => ({}));
  inner.forEach((box, child) => g.setNode(child.key, { width: box.width, height: box.height }));
  const lines = new Map();
  const ports = { in: new Map(), out: new Map() };
  for (const edge of edges) {
    const from = childOf(group, edge.from);
    const to = childOf(group, edge.to);
    if ((!from && !to) || from === to) continue;
    if (group === root && !(from && to)) continue;
    const start = from ? from.key : `in${edge.value}`;
    const end = to ? to.key : `out${edge.value}`;
    if (!from) ports.in.set(edge.value, start);
    if (!to) ports.out.set(edge.value, end);
    const name = `${edge.value}`;
    const key = `${start} ${end} ${name}`;
    if (!lines.has(key)) lines.set(key, { start, end, name, value: edge.value, edges: [] });
    lines.get(key).edges.push(edge);
  }
  // Invisible ends with heavy edges draw the ports to the borders.
  const sides = [["in", "begin"], ["out", "end"]];
  for (const [side, anchor] of sides) {
    if (ports[side].size) g.setNode(anchor, { width: 0, height: 0 });
    for (const key of ports[side].values()) {
      g.setNode(key, { width: 0, height: 10 });
      const ends = side === "in" ? [anchor, key] : [key, anchor];
      g.setEdge(...ends, { weight: 50, minlen: 1 }, "port");
    }
  }
  for (const { start, end, name } of lines.values()) g.setEdge(start, end, { weight: 1 }, name);
  if (g.nodeCount()) dagre.layout(g);
  return placed(group, g, inner, lines, ports);
}

function placed(group, g, inner, lines, ports) {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const child of inner.keys()) {
    const { x, y, width, height } = g.node(child.key);
    left = Math.min(left, x - width / 2);
    right = Math.max(right, x + width / 2);
    top = Math.min(top, y - height / 2);
    bottom = Math.max(bottom, y + height / 2);
  }
  for (const line of lines.values()) {
    for (const { y } of g.edge(line.start, line.end, line.name).points) {
      top = Math.min(top, y - 6);
      bottom = Math.max(bottom, y + 6);
    }
  }
  const isRoot = group === root;
  const dx = PAD + (isRoot ? 10 : 22) - left;
  const dy = (isRoot ? PAD : HEAD + PAD - 4) - top;
  const box = {
    node: group, open: true, items: [], lines: [], in: new Map(), out: new Map(),
    width: right - left + 2 * PAD + (isRoot ? 20 : 44),
    height: bottom - top + (isRoot ? 2 * PAD : HEAD + 2 * PAD - 4),
  };
  inner.forEach((child, node) => {
    const { x, y } = g.node(node.key);
    box.items.push({ box: child, x: x - child.width / 2 + dx, y: y - child.height / 2 + dy });
  });
  const place = new Map(box.items.map((item) => [item.box.node.key, item]));
  for (const [value, key] of ports.in) box.in.set(value, g.node(key).y + dy);
  for (const [value, key] of ports.out) box.out.set(value, g.node(key).y + dy);
  for (const line of lines.values()) {
    const points = g.edge(line.start, line.end, line.name).points.slice(1, -1)
      .map(({ x, y }) => ({ x: x + dx, y: y + dy }));
    const first = end(place.get(line.start), line.value, "out") ?? { x: 0, y: box.in.get(line.value) };
    const last = end(place.get(line.end), line.value, "in") ?? { x: box.width, y: box.out.get(line.value) };
    box.lines.push({ ...line, points: [first, ...tidy(points, first, last), last] });
  }
  return box;
}

/** Where on ``item`` a line of ``value`` begins ("out") or ends ("in"). */
function end(item, value, side) {
  if (!item) return null;
  const { box, x, y } = item;
  const height = (box.open && box[side].get(value)) ?? box.height / 2;
  return { x: side === "out" ? x + box.width : x, y: y + (height || box.height / 2) };
}

/** The bends that are needed: between neighbours a curve needs none. */
function tidy(points, first, last) {
  return points.length <= 1 ? [] : points.filter(({ x }) => x > first.x + 8 && x < last.x - 8);
}

/** A smooth path through points, level at each. */
function curve(points) {
  let d = `M${points[0].x},${points[0].y}`;
  for (let i = 1; i < points.length; i += 1) {
    const [a, b] = [points[i - 1], points[i]];
    const middle = (a.x + b.x) / 2;
    d += ` C${middle},${a.y} ${middle},${b.y} ${b.x},${b.y}`;
  }
  return d;
}
