// The panel: all that is known of the operation, the leaf or the module that was chosen.

const panel = $("details");

let waiting = null;

/** Choose a node; ``later``: its details are drawn once nothing else is chosen for a moment. */
function select(key, quiet = false, later = false) {
  clearTimeout(waiting);
  if (!quiet) document.body.classList.add("asked");
  if (state.selected === key && panel.dataset.key === key) return;
  state.selected = key;
  showSelection();
  if (later) waiting = setTimeout(showDetails, 160);
  else showDetails();
  remember();
}

function showDetails() {
  const node = nodes.get(state.selected);
  panel.dataset.key = state.selected ?? "";
  const held = panel.contains(document.activeElement);
  const parts = !node ? welcome() : { run: ofRun, leaf: ofLeaf, call: ofCall }[node.type](node);
  panel.replaceChildren(...parts.flat(Infinity).filter(Boolean));
  panel.scrollTop = 0;
  if (held) panel.focus();
}

function welcome() {
  const total = runs.reduce((all, run) => all + (run.seconds ?? 0) + (run.secondsBackward ?? 0), 0);
  return [
    h("h2", {}, "One training step"),
    h("p", {}, `${plural(runs.length, "operation")} forward, ${steps.filter(([kind]) => kind === "backward").length} backward; `,
      `${bytes(peak)} at most; ${time(total)} in operations.`),
    data.watched ? null : h("p", { class: "note" },
      "Forward was not watched: its values are shown where backward keeps them. Hand explore() a function that computes the loss to see all."),
    h("ul", { class: "hints" },
      h("li", {}, "Choose an operation to see its formula, its values and its gradients."),
      h("li", {}, "Move the slider, or press ", h("kbd", {}, "→"), " and ", h("kbd", {}, "←"), ", to replay the step."),
      h("li", {}, "Modules fold and unfold. In the graph ", h("kbd", {}, "↓"), " and ", h("kbd", {}, "↑"),
        " go from one to the next, ", h("kbd", {}, "Space"), " folds, ", h("kbd", {}, "Enter"), " shows.")),
  ];
}

const heading = (text) => h("h3", {}, text);

function facts(rows) {
  return h("dl", { class: "facts" }, rows.filter(Boolean).flatMap(([name, ...value]) =>
    [h("dt", {}, name), h("dd", {}, ...value)]));
}

function jump(label, step) {
  return Number.isFinite(step) ? h("button", { class: "small", onclick: () => goTo(step, true) }, label) : null;
}

function link(value) {
  const at = producer.has(value) ? `r${producer.get(value)}` : `v${value}`;
  const node = nodes.get(at);
  const name = nameOf(value);
  if (!node) return h("span", {}, name);
  return h("button", { class: "link", onclick: () => { reveal(node); select(node.key); } }, name);
}

const typed = (value) => `${shape(values[value].shape)} ${values[value].dtype}`;

function headline(node, under) {
  const whole = path(node);
  return [
    h("h2", {}, title(node), " ", h("a", { class: "anchor", href: `#${node.key}`, "aria-label": `Link to ${whole}` }, "#")),
    h("p", { class: "where" }, under),
  ];
}

function ofRun(node) {
  const run = runs[node.run];
  const definition = definitionOf(run);
  const result = values[run.result];
  const own = run.kept.filter(([, , , , shared]) => !shared);
  const keeps = own.reduce((all, [, , , size]) => all + size, 0);
  const place = path(node);
  return [
    headline(node, [node.module ? `${node.module} · ` : "", definition.name, place !== node.name ? ` · ${place}` : ""]),
    h("p", { class: "buttons" }, jump("→ forward step", doneForward[node.run]), jump("← backward step", doneBackward[node.run])),
    formulas(definition),
    heading("What goes in and comes out"),
    dataTable(run),
    facts([
      ["kept for backward", run.recorded ? bytes(keeps) : "nothing: not recorded"],
      ["time forward", time(run.seconds)],
      ["time backward", time(run.secondsBackward)],
      ...Object.entries(run.params).map(([name, text]) => [name, text]),
    ]),
    run.kept.length ? keptTable(run) : null,
    special(node),
    heading("Values"),
    result.sample >= 0 ? gallery(result.sample, "Result", "value", shown(run.result)) : null,
    run.kept.filter(([, , , , , sample]) => sample >= 0)
      .map(([name, , , , , sample]) => gallery(sample, `Kept: ${name}`, "value", "")),
    inputs(run, "value"),
    result.gradient >= 0 || sendings(node.run).length ? heading("Gradients") : null,
    sumOf(run.result),
    result.gradient >= 0 ? gallery(result.gradient, "Gradient that arrived", "gradient", shown(run.result, true)) : null,
    inputs(run, "gradient", node.run),
    source(definition, run),
  ];
}

/** The pictures of inputs that no other operation made, or of the gradients sent to inputs. */
function inputs(run, tone, number) {
  if (tone === "value") {
    return run.inputs.filter((value) => typeof value === "number" && values[value].kind !== "result"
      && values[value].sample >= 0)
      .map((value) => gallery(values[value].sample, shortName(value), "value", shown(value), value));
  }
  return sendings(number).map(({ value, at }) => {
    const sample = values[value].terms[at][2];
    return gallery(sample, `Gradient sent to ${nameOf(value)}`, "gradient", samples[sample].size[0] ? shownOf(sample, value) : "");
  });
}

function shownOf(sample, value) {
  return values[value].gradient >= 0 ? shown(value, true) : "";
}

function sumOf(value) {
  const { terms } = values[value];
  if (terms.length < 2) return null;
  return [
    h("p", {}, `The value is used ${terms.length === 2 ? "twice" : `${terms.length} times`}, so ${terms.length} gradients come to it and are added up:`),
    terms.slice(1).map((_, k) => sum(value, k + 1, true)),
  ];
}

function formulas({ name, forward, backward }) {
  if (!forward.length && !backward.length) return null;
  return h("section", { class: "formulas", "aria-label": `Formulas of ${name}` },
    h("div", { class: "pass forward" }, h("h3", {}, h("span", { "aria-hidden": "true" }, "→ "), "Forward"), forward.map(line)),
    backward.length
      ? h("div", { class: "pass backward" }, h("h3", {}, h("span", { "aria-hidden": "true" }, "← "), "Backward"), backward.map(line))
      : null);
}

function table(head, rows, caption) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, h("table", {},
    h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell)))))));
}

function dataTable(run) {
  const norm = (sample) => (sample >= 0 ? number(samples[sample].norm) : "–");
  const row = (role, value) => (typeof value === "number"
    ? [role, link(value), typed(value), norm(values[value].gradient)]
    : [role, value, "", ""]);
  const definition = definitionOf(run);
  return table(["name", "tensor", "shape, dtype", "‖gradient‖"], [
    ...run.inputs.map((value, k) => row(argument(definition, k), value)).filter(([, text]) => text !== "None"),
    ["→", `result, ${bytes(values[run.result].bytes)}`, typed(run.result), norm(values[run.result].gradient)],
  ], "Inputs and result");
}

function keptTable(run) {
  return h("details", {}, h("summary", {}, `What backward keeps (${run.kept.length})`),
    table(["name", "shape, dtype", "bytes"], run.kept.map(([name, of, dtype, size, shared]) =>
      [name, `${shape(of)} ${dtype}`, shared ? "a leaf's own" : bytes(size)]), "What backward keeps"));
}

function source(definition, run) {
  const show = (code, text, open) => {
    if (code < 0) return null;
    const { file, line: first, text: lines } = codes[code];
    return h("details", { open }, h("summary", {}, `${text} `, h("code", {}, `${file}:${first}`)),
      h("pre", { tabindex: "0", role: "region", "aria-label": `${text} ${file}` }, lines.trimEnd().split("\n").map((row, i) =>
        h("span", { class: "row", "data-line": first + i }, `${row}\n`))));
  };
  return h("section", { class: "source" }, heading("Source"),
    show(definition.code, "Definition", false),
    show(run.code, "What ran, faster:", false));
}

function ofLeaf(node) {
  const value = values[node.value];
  return [
    headline(node, `${node.kind} · ${typed(node.value)} · ${bytes(value.bytes)}`),
    facts([["used by", ...consumers[node.value].flatMap(([run], i) =>
      [i ? ", " : "", h("button", { class: "link", onclick: () => { reveal(nodes.get(`r${run}`)); select(`r${run}`); } },
        called(nodes.get(`r${run}`)))])]]),
    value.sample >= 0 ? gallery(value.sample, "Value", "value", shown(node.value), node.value) : null,
    value.terms.length ? heading("Gradient") : null,
    sumOf(node.value),
    value.gradient >= 0 ? gallery(value.gradient, "Gradient", "gradient", shown(node.value, true)) : null,
  ];
}

function ofCall(node) {
  const inside = node.runs.map((run) => runs[run]);
  const all = (of) => inside.reduce((total, run) => total + (of(run) ?? 0), 0);
  return [
    headline(node, `${node.kind} · ${path(node)}`),
    h("p", { class: "buttons" },
      h("button", { class: "small", onclick: () => fold(node) }, state.open.has(node.key) ? "Fold" : "Unfold"),
      jump("→ its first step", Math.min(...node.runs.map((run) => doneForward[run]))),
      jump("← its first backward step", Math.min(...node.runs.map((run) => doneBackward[run])))),
    facts([
      ["operations", String(inside.length)],
      ["time forward", time(all((run) => run.seconds))],
      ["time backward", time(all((run) => run.secondsBackward))],
    ]),
    table(["operation", "result", "forward", "backward"], node.runs.map((i) => [
      h("button", { class: "link", onclick: () => { reveal(nodes.get(`r${i}`)); select(`r${i}`); } },
        nodes.get(`r${i}`).parent === node ? title(nodes.get(`r${i}`)) : called(nodes.get(`r${i}`))),
      shape(values[runs[i].result].shape), time(runs[i].seconds), time(runs[i].secondsBackward),
    ]), `Operations of ${title(node)}`),
  ];
}
