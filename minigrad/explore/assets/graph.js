// The graph on the page: cards, lines, folding, moving about.

const state = { step: 0, selected: null, open: new Set(), scale: 1, focus: null };
const graph = $("graph");
const scene = $("scene");
const shownNodes = new Map(); // key: { node, element, box, x, y }
let shownLines = [];

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** When each run's two passes are over, as numbers of steps; Infinity if never. */
const doneForward = runs.map(() => Infinity);
const doneBackward = runs.map(() => Infinity);
let landing = steps.length;
steps.forEach(([kind, run], i) => {
  if (kind === "forward") doneForward[run] = i + 1;
  else if (kind === "backward") doneBackward[run] = i + 1;
  else landing = i + 1;
});
const turn = steps.findIndex(([kind]) => kind !== "forward");

/** How many gradients have come to a value after ``step`` steps. */
const arrived = (value, step) =>
  values[value].terms.filter(([run]) => doneBackward[run] <= step).length;

function firstFolding() {
  const total = root.children.reduce((sum, node) => sum + node.runs.length, 0);
  for (const node of nodes.values()) {
    if (node.type !== "call") continue;
    const small = total <= 40 || (node.depth === 0 && !node.part);
    if (small) state.open.add(node.key);
  }
}

function draw() {
  const held = document.activeElement?.closest?.("[role=treeitem]");
  const top = arrange(root, state.open);
  shownNodes.clear();
  shownLines = [];
  const boxes = [];
  const cards = [];
  const lines = svg("svg", { width: top.width, height: top.height, class: "lines", "aria-hidden": "true" });
  (function place(box, left, up) {
    for (const item of box.items) {
      const [x, y] = [left + item.x, up + item.y];
      const { node } = item.box;
      const open = Boolean(item.box.open);
      const element = open ? header(node, item.box, x, y) : card(node, item.box, x, y);
      if (open) boxes.push(frame(node, item.box, x, y));
      cards.push([order(node), element]);
      shownNodes.set(node.key, { node, element, box: item.box, x, y });
      if (open) place(item.box, x, y);
    }
    for (const line of box.lines) {
      const points = line.points.map((p) => ({ x: p.x + left, y: p.y + up }));
      const element = svg("path", { d: curve(points), class: "line" });
      const dot = svg("circle", { r: 4, class: "dot" });
      lines.append(element, dot);
      shownLines.push({ ...line, element, dot });
    }
  })(top, 0, 0);
  cards.sort(([a], [b]) => a - b);
  scene.replaceChildren(...boxes, lines, ...cards.map(([, element]) => element));
  scene.style.width = `${top.width}px`;
  scene.style.height = `${top.height}px`;
  scene.dataset.width = top.width;
  scene.dataset.height = top.height;
  zoom(state.scale);
  if (!shownNodes.has(state.focus)) state.focus = cards.length ? cards[0][1].dataset.key : null;
  shownNodes.get(state.focus)?.element.setAttribute("tabindex", "0");
  if (held) shownNodes.get(held.dataset.key)?.element.focus({ preventScroll: true });
  showStep();
  showSelection();
}

/** The place of a node in the order of the keyboard: that of its first operation. */
function order(node) {
  if (node.type === "leaf") return consumers[node.value][0][0] - (node.kind === "input" ? 0.5 : 0.3) + node.depth / 1e4;
  return node.runs[0] + (node.type === "call" ? -0.4 : 0) + node.depth / 1e4;
}

const status = () => h("span", { class: "status" },
  h("span", { class: "sign forward", title: "forward has run" }, "→"),
  h("span", { class: "sign backward", title: "backward has run" }, "←"));

function item(node, attributes, ...children) {
  const call = node.type === "call";
  const open = call && state.open.has(node.key);
  return h("div", {
    role: "treeitem", tabindex: "-1", "data-key": node.key, "aria-level": node.depth + 1,
    "aria-expanded": call ? String(open) : undefined, "aria-selected": "false",
    "aria-label": `${title(node)}, ${describe(node)}`,
    onclick: () => choose(node), ...attributes,
  }, ...children);
}

function describe(node) {
  if (node.type === "call") return `${node.kind}, ${plural(node.runs.length, "operation")}`;
  if (node.type === "leaf") return `${node.kind} ${shape(values[node.value].shape)}`;
  return `${definitionOf(runs[node.run]).name}, result ${shape(values[runs[node.run].result].shape)}`;
}

function card(node, box, x, y) {
  const place = `left:${x}px;top:${y}px;width:${box.width}px;height:${box.height}px`;
  if (node.type === "leaf") {
    return item(node, { class: `card leaf ${node.kind}`, style: place },
      h("span", { class: "name" }, node.name),
      h("span", { class: "under" }, scalarOf(node.value) ?? shape(values[node.value].shape)), rows(node), badge());
  }
  if (node.type === "call") {
    return item(node, { class: "card folded", style: place },
      h("span", { class: "name" }, h("span", { class: "chevron" }, "▸"), title(node)),
      h("span", { class: "under" }, /^\d+$/.test(node.name) || node.name === node.kind ? "" : `${node.kind} · `,
        plural(node.runs.length, "operation")), rows(node),
      h("span", { class: "progress" }, h("i", { class: "forward" }), h("i", { class: "backward" })));
  }
  const run = runs[node.run];
  const name = definitionOf(run).name;
  return item(node, { class: "card run", style: place },
    h("span", { class: "name" }, title(node)),
    h("span", { class: "under" }, title(node).replace(/ \(\d+\)$/, "") === name ? "" : `${name} · `,
      scalarOf(run.result) ?? shape(values[run.result].shape)),
    status(), rows(node), badge(),
    chips(node).map(({ input }) => h("span", { class: "chip", "data-value": input },
      h("b", {}, shortName(input)), ` ${shape(values[input].shape)}`,
      h("span", { class: "sign backward", title: "its gradient has come" }, "←"))));
}

/** The number that a value is, and its gradient, each shown once it is known; null of larger ones. */
function scalarOf(value) {
  const { sample, gradient, shape: of } = values[value];
  if (of.length || sample < 0) return null;
  const text = (s) => number(maps(s)[0][0], 4);
  return [h("span", { class: "number", hidden: true }, text(sample)),
    gradient >= 0 && h("span", { class: "number slope", hidden: true }, ` ← ${text(gradient)}`)].filter(Boolean);
}

/** Places for the maps of the value and of its gradient. */
const rows = (node) => strips(node).map((has, k) => has && h("canvas", {
  class: `strip ${k ? "gradient" : "value"}${!k && isPhoto(valueOf(node)) ? " photo" : ""}`, width: "1", height: "1",
})).filter(Boolean);

const badge = () => h("span", { class: "badge", hidden: true });

function header(node, box, x, y) {
  const place = `left:${x}px;top:${y}px;width:${box.width}px;height:${HEAD}px`;
  return item(node, { class: "card header", style: place },
    h("span", { class: "name" }, h("span", { class: "chevron" }, "▾"), title(node)),
    node.name === node.kind || /^\d+$/.test(node.name) ? null : h("span", { class: "under" }, node.kind));
}

function frame(node, box, x, y) {
  return h("div", {
    class: `frame depth${node.depth % 2}`,
    style: `left:${x}px;top:${y}px;width:${box.width}px;height:${box.height}px`,
  });
}

// ---------------------------------------------------------------- choosing, folding, moving

function choose(node) {
  state.focus = node.key;
  if (node.type === "call") fold(node);
  select(node.key);
}

function fold(node, open = !state.open.has(node.key)) {
  state.open[open ? "add" : "delete"](node.key);
  const before = shownNodes.get(node.key);
  draw();
  const after = shownNodes.get(node.key);
  if (before && after) { // what was clicked stays where it is
    graph.scrollLeft += (after.x - before.x) * state.scale;
    graph.scrollTop += (after.y - before.y) * state.scale;
  }
  after?.element.focus({ preventScroll: true });
}

/** Unfold all that hides ``node``. */
function reveal(node) {
  let changed = false;
  for (let at = node.parent; at && at !== root; at = at.parent) {
    if (!state.open.has(at.key)) {
      state.open.add(at.key);
      changed = true;
    }
  }
  if (changed) draw();
  scrollTo(node);
}

/** The card that stands for ``node``: its own or that of the folded module around it. */
function standIn(node) {
  for (let at = node; at; at = at.parent) if (shownNodes.has(at.key)) return shownNodes.get(at.key);
  return null;
}

function scrollTo(node, soft = true) {
  const at = standIn(node);
  if (!at) return;
  const [x, y] = [at.x * state.scale, at.y * state.scale];
  const [w, t] = [at.box.width * state.scale, (at.box.open ? HEAD : at.box.height) * state.scale];
  const seen = x >= graph.scrollLeft + 20 && y >= graph.scrollTop + 20
    && Math.min(x + w, x + 240) <= graph.scrollLeft + graph.clientWidth - 20
    && y + t <= graph.scrollTop + graph.clientHeight - 20;
  if (seen) return;
  graph.scrollTo({
    left: x + Math.min(w, 240) / 2 - graph.clientWidth / 2,
    top: y + t / 2 - graph.clientHeight / 2,
    behavior: soft && !still() ? "smooth" : "auto",
  });
}

function zoom(scale) {
  state.scale = Math.min(2, Math.max(0.15, scale));
  scene.style.transform = `scale(${state.scale})`;
  $("extent").style.width = `${scene.dataset.width * state.scale}px`;
  $("extent").style.height = `${scene.dataset.height * state.scale}px`;
  $("zoomed").textContent = `${Math.round(state.scale * 100)} %`;
}

/** Zoom and keep what is in the middle there, or what is under the pointer. */
function zoomBy(factor, at = { x: graph.clientWidth / 2, y: graph.clientHeight / 2 }) {
  const before = state.scale;
  zoom(state.scale * factor);
  const grown = state.scale / before;
  graph.scrollLeft = (graph.scrollLeft + at.x) * grown - at.x;
  graph.scrollTop = (graph.scrollTop + at.y) * grown - at.y;
}

function fit() {
  const wide = (graph.clientWidth - 4) / scene.dataset.width;
  const tall = (graph.clientHeight - 4) / scene.dataset.height;
  zoom(Math.min(1, Math.max(Math.min(wide, tall), 0.15)));
}

graph.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  const box = graph.getBoundingClientRect();
  zoomBy(Math.exp(-event.deltaY / 300), { x: event.clientX - box.left, y: event.clientY - box.top });
}, { passive: false });

graph.addEventListener("pointerdown", (event) => {
  if (event.target.closest("[role=treeitem]") || event.button || event.pointerType === "touch") return;
  const from = { x: event.clientX + graph.scrollLeft, y: event.clientY + graph.scrollTop };
  if (event.offsetX > graph.clientWidth || event.offsetY > graph.clientHeight) return;
  const move = (now) => graph.scrollTo(from.x - now.clientX, from.y - now.clientY);
  graph.classList.add("dragged");
  addEventListener("pointermove", move);
  addEventListener("pointerup", () => {
    graph.classList.remove("dragged");
    removeEventListener("pointermove", move);
  }, { once: true });
});

scene.addEventListener("keydown", (event) => {
  const here = event.target.closest("[role=treeitem]");
  if (!here) return;
  const all = [...scene.querySelectorAll("[role=treeitem]")];
  const i = all.indexOf(here);
  const to = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to !== undefined) focusOn(all[to]);
  else if (event.key === "Enter") select(here.dataset.key);
  else if (event.key === " ") choose(nodes.get(here.dataset.key));
  else return;
  event.preventDefault();
  event.stopPropagation();
});

function focusOn(element) {
  if (!element) return;
  shownNodes.get(state.focus)?.element.setAttribute("tabindex", "-1");
  state.focus = element.dataset.key;
  element.setAttribute("tabindex", "0");
  element.focus({ preventScroll: true });
  scrollTo(nodes.get(state.focus), false);
}

// ---------------------------------------------------------------- what the step and the choice change

function showSelection() {
  for (const { node, element } of shownNodes.values()) {
    element.setAttribute("aria-selected", String(node.key === state.selected));
  }
}

function showStep() {
  const { step } = state;
  const [kind, current] = step ? steps[step - 1] : ["start", -1];
  const here = current >= 0 ? standIn(nodes.get(`r${current}`))?.node : null;
  for (const { node, element } of shownNodes.values()) {
    element.classList.toggle("now", node === here);
    element.dataset.pass = node === here ? kind : "";
    if (node.type === "call") showProgress(node, element, step);
    else showMarks(node, element, step);
    showMaps(node, element, step);
  }
  for (const line of shownLines) showLine(line, step, kind, current);
}

function showProgress(node, element, step) {
  const bars = element.querySelectorAll(".progress i");
  [doneForward, doneBackward].forEach((done, k) => {
    const part = node.runs.filter((run) => done[run] <= step).length / node.runs.length;
    if (bars[k]) bars[k].style.width = `${part * 100}%`;
  });
}

function showMarks(node, element, step) {
  const leaf = node.type === "leaf";
  const value = valueOf(node);
  const after = leaf ? landing : doneBackward[node.run];
  element.classList.toggle("forward-done", leaf ? step > 0 : doneForward[node.run] <= step);
  element.classList.toggle("backward-done", (!leaf || values[value].terms.length > 0) && after <= step);
  const due = values[value].terms.length;
  const have = arrived(value, step);
  const mark = element.querySelector(".badge");
  mark.hidden = !(have && due > 1);
  mark.textContent = `Σ ${have} of ${due}`;
  for (const chip of element.querySelectorAll(".chip")) {
    const count = arrived(Number(chip.dataset.value), step);
    chip.classList.toggle("backward-done", count > 0);
    chip.querySelector(".sign").textContent = landing <= step ? "grad" : "←";
  }
}

/** Show values and gradients that are known by now. */
function showMaps(node, element, step) {
  const value = valueOf(node);
  const due = values[value].terms.length;
  // A gradient is whole once all its terms are there, before its own derivative runs.
  const whole = due ? arrived(value, step) === due : value === data.loss && step > turn;
  const known = node.type === "leaf" || doneForward[node.runs[node.runs.length - 1]] <= step;
  for (const part of element.querySelectorAll(".number")) {
    part.hidden = part.classList.contains("slope") ? !(whole && known) : !known;
  }
  show(element.querySelector(".strip.value"), values[value].sample, known);
  show(element.querySelector(".strip.gradient"), values[value].gradient, whole);
}

/** Paint the first maps of a sample side by side, or nothing yet. */
function show(canvas, sample, now) {
  if (!canvas || canvas.dataset.sample === `${now && sample}`) return;
  canvas.dataset.sample = now && sample;
  canvas.classList.toggle("filled", now);
  if (!now) {
    canvas.width = canvas.height = 1;
    return;
  }
  const [count, tall, wide] = samples[sample].size;
  const across = samples[sample].across;
  if (canvas.classList.contains("photo")) {
    paintPhoto(canvas, sample);
    return;
  }
  const parts = maps(sample).filter((_, k) => !across || k % across === 0).slice(0, 4);
  const most = Math.max(...parts.map(largest), 0);
  const gap = count > 1 ? 3 : 0;
  const side = count > 1 ? 38 : canvas.parentElement.clientWidth - 20;
  canvas.width = count > 1 ? 4 * side + 3 * gap : side;
  canvas.height = 38;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  const one = document.createElement("canvas");
  parts.forEach((numbers, k) => {
    paint(one, numbers, tall, wide, most);
    context.drawImage(one, k * (side + gap), 0, side, 38);
  });
}

function showLine({ edges: held, element, dot, value }, step, kind, current) {
  const forward = held.some(({ to }) => doneForward[to.run] <= step);
  const sent = held.some(({ to, k }) => doneBackward[to.run] <= step
    && values[value].terms.some(([run, input]) => run === to.run && input === k));
  const moving = held.some(({ to }) => to.run === current) && (kind === "forward" || sent);
  element.classList.toggle("forward-done", forward);
  element.classList.toggle("backward-done", sent);
  element.classList.toggle("moving", moving);
  dot.classList.toggle("moving", moving);
  dot.classList.toggle("back", kind === "backward");
  if (moving) travel(element, dot, kind === "backward");
}

/** Let a dot run along a line, and stay at its end. */
function travel(line, dot, back) {
  const length = line.getTotalLength();
  const put = (t) => {
    const { x, y } = line.getPointAtLength(length * (back ? 1 - t : t));
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", y);
  };
  const stamp = (dot.stamp = {});
  if (still()) {
    put(1);
    return;
  }
  const began = performance.now();
  const lasts = Math.min(420, pace() * 0.7);
  (function go(now) {
    if (dot.stamp !== stamp) return;
    const t = Math.min(1, (now - began) / lasts);
    put(Math.max(0, 1 - (1 - t) ** 2));
    if (t < 1) requestAnimationFrame(go);
  })(began);
}
