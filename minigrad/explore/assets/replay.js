// The replay: a slider over the steps, the curve of memory above it, and what happens now in words.

const slider = $("slider");
const last = steps.length;
let playing = null;

const pace = () => Number($("speed").value);

slider.max = last;

const memoryAt = (step) => (step ? steps[step - 1].slice(2) : [0, 0, 0]);
const peak = Math.max(1, ...steps.map(([, , ...parts]) => parts.reduce((a, b) => a + b, 0)));
const peakAt = steps.findIndex(([, , ...parts]) => parts.reduce((a, b) => a + b, 0) === peak) + 1;

(function curveOfMemory() {
  const chart = $("memory");
  const [width, height] = [1000, 100];
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const x = (step) => (step / last) * width;
  const y = (amount) => height - (amount / peak) * (height - 6);
  const under = new Array(last + 1).fill(0);
  ["kept", "gradients", "leaves"].forEach((name, part) => {
    let above = "";
    let below = "";
    for (let step = 0; step <= last; step += 1) {
      const low = under[step];
      const high = low + memoryAt(step)[part];
      above += `${step ? "L" : "M"}${x(step).toFixed(2)},${y(high).toFixed(2)}`;
      below = `L${x(step).toFixed(2)},${y(low).toFixed(2)}${below}`;
      under[step] = high;
    }
    chart.append(svg("path", { d: `${above}${below}Z`, class: `area ${name}` }));
  });
  if (turn > 0) {
    chart.append(svg("line", { x1: x(turn), x2: x(turn), y1: 0, y2: height, class: "turn" }));
    $("turn").style.left = `${(turn / last) * 100}%`;
  } else $("turn").hidden = true;
  chart.append(svg("line", { id: "playhead", y1: 0, y2: height }));
})();

function goTo(step, quiet = false) {
  state.step = Math.max(0, Math.min(last, step));
  slider.value = state.step;
  const x = (state.step / last) * 1000;
  $("playhead").setAttribute("x1", x);
  $("playhead").setAttribute("x2", x);
  const [kind, run] = state.step ? steps[state.step - 1] : ["start", -1];
  const text = inWords(kind, run);
  slider.setAttribute("aria-valuetext", `step ${state.step} of ${last}: ${text}`);
  $("count").textContent = `${state.step} / ${last}`;
  $("memory-now").replaceChildren(...amounts());
  $("now").replaceChildren(...happening(kind, run, text));
  $("back").disabled = $("start").disabled = state.step === 0;
  $("next").disabled = $("finish").disabled = state.step === last;
  showStep();
  if (!quiet && run >= 0) {
    const node = nodes.get(`r${run}`);
    if ($("follow").checked) {
      scrollTo(node);
      select(node.key, true, Boolean(playing));
    }
  }
  remember();
}

function amounts() {
  const [kept, moving, leaves] = memoryAt(state.step);
  const part = (name, sign, amount) => h("span", { class: `amount ${name}` },
    h("i", { "aria-hidden": "true" }, sign), ` ${bytes(amount)}`);
  return [
    h("b", {}, bytes(kept + moving + leaves)), " in use: ",
    part("kept", "▨", kept), " kept for backward, ", part("gradients", "▧", moving),
    " gradients on their way, ", part("leaves", "▤", leaves), " of leaves. Most: ",
    h("button", { class: "link", onclick: () => goTo(peakAt) }, `${bytes(peak)} at step ${peakAt}`),
  ];
}

function inWords(kind, run) {
  if (kind === "start") return "nothing has run yet";
  if (kind === "leaves") return "the sums are added to the leaves' grad";
  const node = nodes.get(`r${run}`);
  const { name } = definitionOf(runs[run]);
  return `${kind} of ${name}${called(node) === name ? "" : ` in ${called(node)}`}`;
}

/** The sentence, and the pictures, of what happens in this step. */
function happening(kind, run, text) {
  if (kind === "start") {
    return [h("p", {}, "Press play, or the right arrow key: forward runs operation by operation, then backward.")];
  }
  if (kind === "leaves") {
    const count = values.filter((value) => value.landed).length;
    return [h("p", {}, h("b", { class: "pass backward" }, "← leaves "),
      `${plural(count, "leaf").replace("leafs", "leaves")} ${count === 1 ? "gets its" : "get their"} gradient: grad is what all terms add up to.`)];
  }
  const sign = h("b", { class: `pass ${kind}` }, kind === "forward" ? "→ forward " : "← backward ");
  const link = h("button", { class: "link", onclick: () => { reveal(nodes.get(`r${run}`)); select(`r${run}`); } },
    text.replace(/^\w+ of /, ""));
  const { inputs, result, kept } = runs[run];
  if (kind === "forward") {
    const from = inputs.filter((input) => typeof input === "number").map(nameOf);
    const own = kept.filter(([, , , , shared]) => !shared).reduce((sum, [, , , size]) => sum + size, 0);
    const of = values[result].shape;
    const made = of.length ? `a result of shape ${shape(of)}` : "a scalar";
    return [h("p", {}, sign, link, ` makes ${made} from ${from.join(", ")}. `,
      own ? `For backward, ${bytes(own)} are kept.` : "For backward, nothing new is kept.")];
  }
  const sent = sendings(run);
  const freed = memoryAt(state.step - 1)[0] - memoryAt(state.step)[0];
  const frees = freed > 0 ? ` Then ${bytes(freed)} that it kept ${freed === 1 ? "is" : "are"} freed.` : "";
  const parts = sent.map(({ value, at }) => {
    const due = values[value].terms.length;
    return due > 1 ? `${nameOf(value)} (${ordinal(at)} of ${due})` : nameOf(value);
  });
  return [
    h("p", {}, sign, link, parts.length ? ` sends a gradient to ${parts.join(", ")}.` : " sends no gradient.", frees),
    ...sent.filter(({ at }) => at > 0).map(({ value, at }) => sum(value, at)),
  ];
}

/** What the backward pass of ``run`` sends: the value and which of its terms that is. */
function sendings(run) {
  return runs[run].inputs.flatMap((value, k) => {
    if (typeof value !== "number") return [];
    const at = values[value].terms.findIndex(([from, input]) => from === run && input === k);
    return at < 0 ? [] : [{ value, at }];
  });
}

/** What had come before + what comes now = the sum, as pictures. */
function sum(value, at, big = false) {
  const { terms } = values[value];
  const before = at === 1 ? terms[0][2] : terms[at - 1][3];
  const from = (k) => called(nodes.get(`r${terms[k][0]}`));
  const most = Math.max(...[before, terms[at][2], terms[at][3]].flatMap((s) => maps(s).slice(0, 1).map(largest)), 0);
  const small = (sample, text) => {
    const { size, norm } = samples[sample];
    const [numbers] = maps(sample);
    const scalar = numbers && size[1] * size[2] === 1;
    return h("figure", { class: "term" },
      numbers && size[1] * size[2] > 1
        ? picture(numbers, size[1], size[2], most, `${text} of ${nameOf(value)}`, null, big ? 84 : 34) : null,
      h("figcaption", {}, text, h("br"), scalar ? h("b", {}, number(numbers[0], 4)) : h("span", { class: "soft" }, `norm ${number(norm)}`)));
  };
  return h("div", { class: big ? "sum big" : "sum", role: "group", "aria-label": `Gradients of ${nameOf(value)} are added up` },
    small(before, at === 1 ? `from ${from(0)}` : `the first ${at}`), h("span", { class: "op" }, "+"),
    small(terms[at][2], `from ${from(at)}`), h("span", { class: "op" }, "="),
    small(terms[at][3], at + 1 === terms.length ? "the gradient" : "the sum so far"));
}

// ---------------------------------------------------------------- controls

function play(on = !playing) {
  clearTimeout(playing);
  playing = null;
  if (on) {
    if (state.step === last) goTo(0);
    (function tick() {
      playing = setTimeout(() => {
        goTo(state.step + 1);
        if (state.step < last) tick();
        else play(false);
      }, pace());
    })();
  }
  $("play").setAttribute("aria-label", on ? "Pause" : "Play");
  $("play").querySelector("path").setAttribute("d", on ? "M4 3h3v10H4zM9 3h3v10H9z" : "M4 2.5v11L13 8z");
}

slider.addEventListener("input", () => {
  play(false);
  goTo(Number(slider.value));
});
$("play").addEventListener("click", () => play());
for (const [id, step] of [["start", () => 0], ["back", () => state.step - 1], ["next", () => state.step + 1], ["finish", () => last]]) {
  $(id).addEventListener("click", () => {
    play(false);
    goTo(step());
  });
}
