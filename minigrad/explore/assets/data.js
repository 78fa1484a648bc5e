// What the page was given, and small helpers that all other parts use.

const data = JSON.parse(document.getElementById("data").textContent);
const { values, runs, calls, steps, definitions, samples, codes } = data;

const pictures = (() => {
  const text = atob(document.getElementById("pictures").textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return new Int16Array(bytes.buffer);
})();

/** An element; strings among its children are text, never markup. */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") element.style.cssText = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** MathML of a tree ["mfrac", {attributes}, child, …]. */
function math(tree, block = false) {
  if (typeof tree === "string") return document.createTextNode(tree);
  const [tag, ...rest] = tree;
  const element = document.createElementNS("http://www.w3.org/1998/Math/MathML", tag);
  if (rest.length && typeof rest[0] === "object" && !Array.isArray(rest[0])) {
    for (const [name, value] of Object.entries(rest.shift())) element.setAttribute(name, value);
  }
  if (block) element.setAttribute("display", "block");
  element.append(...rest.map((child) => math(child)));
  return element;
}

/** A line of a docstring: words and formulas. */
function line(parts) {
  const alone = parts.length === 1 && typeof parts[0] !== "string";
  return h("p", { class: alone ? "formula alone" : "formula" }, ...parts.map((part) =>
    typeof part === "string" ? part : math(part, alone)));
}

const $ = (id) => document.getElementById(id);

// ---------------------------------------------------------------- numbers and names

function bytes(count) {
  const units = ["B", "KB", "MB", "GB"];
  let i = 0;
  while (count >= 999.5 && i < units.length - 1) {
    count /= 1000;
    i += 1;
  }
  return `${i && count < 99.95 ? count.toFixed(1) : Math.round(count)} ${units[i]}`;
}

function time(seconds) {
  if (seconds === null) return "–";
  if (seconds < 1e-3) return `${(seconds * 1e6).toFixed(0)} µs`;
  return seconds < 1 ? `${(seconds * 1e3).toFixed(seconds < 0.1 ? 1 : 0)} ms` : `${seconds.toFixed(2)} s`;
}

/** A number in a few characters, with a true minus sign. */
function number(x, digits = 3) {
  if (typeof x === "string") return x.replace("-", "−").replace("inf", "∞");
  if (!Number.isFinite(x)) return "not finite";
  if (x === 0) return "0";
  const size = Math.abs(x);
  const text = size >= 1e4 || size < 1e-3 ? x.toExponential(digits - 1) : x.toPrecision(digits);
  const [mantissa, exponent] = text.split("e");
  const trimmed = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
  return (exponent ? `${trimmed}e${Number(exponent)}` : trimmed).replaceAll("-", "−");
}

/** A number in as few characters as a cell has room for. */
const brief = (x) => number(x, Math.abs(x) >= 0.001 && Math.abs(x) < 0.01 ? 1 : 2).replace(/^(−?)0\./, "$1.").replace(/\.\d+e/, "e");

const shape = (of) => (of.length ? of.join("×") : "scalar");
const plural = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;
const ordinal = (n) => ["first", "second", "third", "fourth", "fifth"][n] ?? `${n + 1}th`;

// ---------------------------------------------------------------- the tree of module calls

/** Calls, runs and leaves as nodes of one tree; key: "c3", "r12", "v5". */
const nodes = new Map();
const root = { key: "root", type: "call", children: [], parent: null, name: "", kind: "", depth: -1 };

const MANY = 64; // children of a module that are shown side by side
const PART = 32;

const definitionOf = (run) => definitions[run.definition];
const producer = new Map(runs.map((run, i) => [run.result, i]));
const consumers = values.map(() => []);
runs.forEach((run, i) => run.inputs.forEach((input, k) => {
  if (typeof input === "number") consumers[input].push([i, k]);
}));

(function grow() {
  calls.forEach(([name, kind, parent], i) => {
    const above = parent < 0 ? root : nodes.get(`c${parent}`);
    const node = { key: `c${i}`, type: "call", children: [], parent: above, name, kind };
    nodes.set(node.key, node);
    above.children.push(node);
  });
  runs.forEach((run, i) => {
    const above = run.call < 0 ? root : nodes.get(`c${run.call}`);
    const name = definitionOf(run).name;
    const node = { key: `r${i}`, type: "run", run: i, parent: above, name, kind: name, children: [] };
    nodes.set(node.key, node);
    above.children.push(node);
  });
  // A module that runs one operation and nothing else is that operation.
  for (const node of [...nodes.values()].reverse()) {
    if (node.type !== "call" || node.children.length !== 1 || node.children[0].type !== "run") continue;
    const inner = node.children[0];
    Object.assign(inner, { name: node.name, module: node.kind, parent: node.parent });
    node.parent.children[node.parent.children.indexOf(node)] = inner;
    nodes.delete(node.key);
  }
  // Modules that ran nothing, such as an Identity, are not shown.
  for (const node of [...nodes.values()].reverse()) {
    if (node.type === "call" && !node.children.length) {
      node.parent.children.splice(node.parent.children.indexOf(node), 1);
      nodes.delete(node.key);
    }
  }
  // A long list without modules, such as a loop's, is cut into parts, or it could not be laid out.
  let parts = 0;
  for (const above of [root, ...nodes.values()]) {
    while (above.children.length > MANY) {
      const cut = Math.ceil(above.children.length / Math.ceil(above.children.length / PART));
      const groups = [];
      for (let i = 0; i < above.children.length; i += cut) {
        const children = above.children.slice(i, i + cut);
        const node = { key: `g${parts}`, type: "call", children, parent: above, kind: "part of a list", part: true };
        parts += 1;
        children.forEach((child) => { child.parent = node; });
        nodes.set(node.key, node);
        groups.push(node);
      }
      above.children = groups;
    }
  }
  // A leaf that one operation alone uses, and is learnt, is part of its card.
  values.forEach((value, i) => {
    if (value.kind === "result" || !consumers[i].length) return;
    if (value.kind === "parameter" && consumers[i].length === 1) return;
    const users = consumers[i].map(([run]) => nodes.get(`r${run}`));
    const node = {
      key: `v${i}`, type: "leaf", value: i, children: [],
      parent: value.kind === "input" ? root : common(users), // what is given comes from outside
      name: value.name || (value.kind === "constant" ? "constant" : "leaf"), kind: value.kind,
    };
    nodes.set(node.key, node);
    node.parent.children.unshift(node);
  });
  // Operations of one name within a module are told apart by numbers.
  for (const above of [root, ...nodes.values()]) {
    const alike = new Map();
    for (const child of above.children) alike.set(child.name, [...(alike.get(child.name) ?? []), child]);
    for (const group of alike.values()) {
      if (group.length > 1) group.forEach((child, i) => { child.name += ` (${i + 1})`; });
    }
  }
  root.children.forEach(function deepen(node) {
    node.depth = node.parent.depth + 1;
    node.children.forEach(deepen);
  });
  root.children.forEach(function count(node) {
    node.children.forEach(count);
    node.runs = node.type === "run" ? [node.run] : node.children.flatMap((child) => child.runs ?? []);
    if (node.part) node.name = `operations ${node.runs[0]}–${node.runs[node.runs.length - 1]}`;
  });
})();

/** The deepest call that holds all of ``users``. */
function common(users) {
  let above = users[0].parent;
  while (!users.every((user) => within(user, above))) above = above.parent;
  return above;
}

function within(node, above) {
  for (let at = node; at; at = at.parent) if (at === above) return true;
  return false;
}

/** The dotted path of a node: "layer1.0.conv1". Of a single model its own name is left out. */
function path(node) {
  const names = [];
  for (let at = node; at && at !== root; at = at.parent) if (!at.part || at === node) names.unshift(at.name);
  const models = root.children.filter((child) => child.type === "call").length;
  return (models === 1 && names.length > 1 ? names.slice(1) : names).join(".");
}

/** A node's name where its parents are seen; of the nth part of a sequence, with its class. */
function title(node) {
  return /^\d+$/.test(node.name) ? `${node.name} ${node.module ?? node.kind}` : node.name;
}

/** The path of a node, with its class where it ends in a number alone. */
const called = (node) => (/(^|\.)\d+$/.test(path(node)) ? `${path(node)} ${node.module ?? node.kind}` : path(node));

/** What the docstring of an operation calls its input ``k``. */
function argument({ arguments: names }, k) {
  const name = names[Math.min(k, names.length - 1)];
  if (!name) return `input ${k}`;
  return name.endsWith("…") ? `${name.slice(0, -1)}${k - names.length + 1}` : name;
}

/** What a value is called: a leaf's name, or the operation that made it. */
function nameOf(value) {
  if (values[value].kind !== "result") return values[value].name || values[value].kind;
  const node = nodes.get(`r${producer.get(value)}`);
  return node ? called(node) : "result";
}

/** The value that a node stands for: a leaf, a result, or what the last operation of a module made. */
const valueOf = (node) => (node.type === "leaf" ? node.value : runs[node.runs[node.runs.length - 1]].result);

const chips = (node) => node.type !== "run" ? [] : runs[node.run].inputs
  .map((input, k) => ({ input, k }))
  .filter(({ input }) => typeof input === "number" && values[input].kind === "parameter"
    && consumers[input].length === 1);

const shortName = (value) => (values[value].name || "parameter").split(".").pop();
