// How particular operations work, shown on the numbers of this step.

function special(node) {
  const { kind } = runs[node.run].details;
  const view = { conv2d: convolution, batch_norm: normalisation, max_pool2d: maxima, cross_entropy: entropy }[kind];
  if (!view) return null;
  const parts = view(runs[node.run]);
  return parts ? h("section", { class: "special" }, parts) : null;
}

/** Draw the parts of ``holder`` afresh; the control that has the keyboard keeps it. */
function renew(holder, parts) {
  const controls = () => [...holder.querySelectorAll("input, select")];
  const held = controls().indexOf(document.activeElement);
  holder.replaceChildren(...parts.flat(Infinity).filter(Boolean));
  controls()[held]?.focus({ preventScroll: true });
}

/** Black or white, whichever stands out more: each colour has a contrast of 4.5 with one of them. */
function inkOn(ground) {
  const [r, g, b] = ground.map((c) => (c <= 10 ? c / 3295 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

/** A small table of numbers on their colours. */
function grid(numbers, columns, most, caption, marked = -1) {
  const rows = [];
  for (let i = 0; i < numbers.length; i += columns) {
    rows.push(h("tr", {}, Array.from(numbers.slice(i, i + columns), (x, j) => {
      const ground = shade(x, most);
      return h("td", { class: i + j === marked ? "marked" : "", style: `background:rgb(${ground.join(" ")});color:${inkOn(ground)}` },
        Number.isNaN(x) ? "·" : brief(x));
    })));
  }
  return h("figure", { class: "grid" }, h("table", { "aria-label": caption, style: `width:${columns * 35}px` }, h("tbody", {}, rows)), h("figcaption", {}, caption));
}

function chooser(label, count, value, change, name = (k) => k) {
  const select = h("select", { onchange: () => change(Number(select.value)) },
    Array.from({ length: count }, (_, k) => h("option", { value: k, selected: k === value }, name(k))));
  return h("label", {}, `${label} `, select);
}

function counter(label, most, value, change) {
  const input = h("input", { type: "number", min: 0, max: most, value, onchange: () => {
    input.value = Math.max(0, Math.min(most, Math.round(Number(input.value) || 0)));
    change(Number(input.value));
  } });
  return h("label", {}, `${label} `, input);
}

/** A map with squares drawn on it, on which the pointer chooses a pixel; fields beside it do so by keyboard. */
function pickable(numbers, rows, columns, most, label, width, choose) {
  const canvas = picture(numbers, rows, columns, most, label, null, width);
  const mark = h("span", { class: "mark", hidden: true });
  const frame = h("span", { class: "pick" }, canvas, mark);
  frame.put = (top, left, tall = 1, wide = 1) => {
    mark.hidden = false;
    mark.style.cssText = `left:${(left / columns) * 100}%;top:${(top / rows) * 100}%;width:${(wide / columns) * 100}%;height:${(tall / rows) * 100}%`;
  };
  if (choose) {
    frame.classList.add("choice");
    frame.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      choose(Math.max(0, Math.min(rows - 1, Math.floor(((event.clientY - box.top) / box.height) * rows))),
        Math.max(0, Math.min(columns - 1, Math.floor(((event.clientX - box.left) / box.width) * columns))));
    });
  }
  return frame;
}

const whole = (sample) => sample >= 0 && samples[sample].step.every((s) => s === 1);

// ---------------------------------------------------------------- convolution

function convolution(run) {
  const [x, w, b] = run.inputs.map((value) => (typeof value === "number" ? values[value] : null));
  const y = values[run.result];
  const { kernel: [kh, kw], stride: [sh, sw], dilation: [dh, dw], padding: [ph, pw], groups } = run.details;
  if (![x.sample, y.sample].every(whole) || w.sample < 0) {
    return [heading("im2col"), h("p", { class: "soft" }, "These images are too large to be shown pixel by pixel.")];
  }
  const given = { sample: x.sample, of: x.shape[1] };
  const [, H, W] = samples[given.sample].size;
  const [filtersShown, OH, OW] = samples[y.sample].size;
  const { across } = samples[w.sample];
  const perGroup = w.shape[1];
  const firstOf = (o) => Math.floor(o / (w.shape[0] / groups)) * perGroup;
  const outputs = Math.min(filtersShown, Math.floor(samples[w.sample].size[0] / across));
  const weight = (o, c) => maps(w.sample)[o * across + c];
  const channelsOf = (o) => Math.max(0, Math.min(across, samples[given.sample].size[0] - firstOf(o), 3));
  const gradient = y.gradient >= 0 && whole(y.gradient) ? maps(y.gradient) : null;
  const at = { o: 0, ...most(gradient ? gradient[0] : maps(y.sample)[0], OW) };
  const sentAt = x.terms.findIndex(([from, k]) => runs[from] === run && k === 0);
  const sent = sentAt >= 0 && whole(x.terms[sentAt][2]) ? maps(x.terms[sentAt][2]) : null;
  const holder = h("div", { class: "im2col" });
  const redraw = () => renew(holder, parts());
  redraw();
  return [heading("im2col, at the pixel you choose"), holder];

  function parts() {
    const { o, i, j } = at;
    const [top, left] = [i * sh - ph, j * sw - pw];
    const channels = channelsOf(o);
    const base = firstOf(o);
    const patch = (c) => cells((a, e) => pixel(maps(given.sample)[base + c], top + a * dh, left + e * dw, H, W));
    const all = maps(y.sample)[o];
    const yMost = largest(all);
    const pick = pickable(all, OH, OW, yMost, `Result, channel ${o}: choose a pixel`, 150, (row, column) => {
      Object.assign(at, { i: row, j: column });
      redraw();
    });
    pick.put(i, j);
    let total = 0;
    const rows = [];
    const columnCells = [];
    const filterCells = [];
    const xMost = Math.max(...Array.from({ length: channels }, (_, c) => largest(maps(given.sample)[base + c])), 0);
    const wMost = Math.max(...Array.from({ length: channels }, (_, c) => largest(weight(o, c))), 0);
    for (let c = 0; c < channels; c += 1) {
      const seen = patch(c);
      const filter = weight(o, c);
      const products = seen.map((value, k) => value * filter[k]);
      const part = products.reduce((a, value) => a + value, 0);
      total += part;
      columnCells.push(...seen);
      filterCells.push(...filter);
      const map = pickable(maps(given.sample)[base + c], H, W, xMost, `Input, channel ${base + c}`, 74);
      map.put(top, left, (kh - 1) * dh + 1, (kw - 1) * dw + 1);
      rows.push(h("div", { class: "equation" }, map,
        grid(seen, kw, xMost, `patch, channel ${base + c}`), h("span", { class: "op" }, "·"),
        grid(filter, kw, wMost, `filter ${o}`), h("span", { class: "op" }, "="),
        grid(products, kw, largest(products), `products: Σ ${number(part)}`)));
    }
    const value = all[i * OW + j];
    const bias = b && b.sample >= 0 ? maps(b.sample)[0][o] : 0;
    const rest = value - total - (bias ?? 0);
    const others = perGroup - channels;
    return [
      h("div", { class: "choices" },
        chooser("filter", outputs, o, (k) => { at.o = k; redraw(); }),
        counter("row", OH - 1, i, (k) => { at.i = k; redraw(); }),
        counter("column", OW - 1, j, (k) => { at.j = k; redraw(); })),
      h("div", { class: "equation" }, h("figure", { class: "grid" }, pick, h("figcaption", {}, `result, channel ${o}: click a pixel`)),
        h("p", { class: "product" }, `y[${o}, ${i}, ${j}] = `, h("b", {}, number(value, 4)), ` = ${number(total, 4)}`,
          others ? ` ${signed(rest)} of the other ${plural(others, "channel")}` : "", b ? ` ${signed(bias)} of the bias` : "")),
      rows,
      product(filterCells, columnCells, wMost, xMost, o, i * OW + j, value),
      gradient ? backward(o, i, j, top, left, channels, base) : null,
    ];
  }

  function cells(of) {
    return Array.from({ length: kh * kw }, (_, k) => of(Math.floor(k / kw), k % kw));
  }

  /** Row of W times column of X: the numbers as strips of colour. */
  function product(filter, column, wMost, xMost, o, place, value) {
    const strip = (numbers, most, tall, label) => {
      const canvas = picture(Float32Array.from(numbers), tall ? numbers.length : 1, tall ? 1 : numbers.length, most, label, null, 0);
      canvas.style.cssText = tall ? `width:14px;height:${numbers.length * 5}px` : `height:14px;width:${numbers.length * 5}px`;
      return canvas;
    };
    return h("div", { class: "matrices", role: "group", "aria-label": "The same as a product of matrices" },
      h("figure", {}, strip(filter, wMost, false, `Row ${o} of W`), h("figcaption", {}, `row ${o} of W: the filter, flat`)),
      h("span", { class: "op" }, "×"),
      h("figure", {}, strip(column, xMost, true, `Column ${place} of X`), h("figcaption", {}, `column ${place} of X: the patch, flat`)),
      h("span", { class: "op" }, "="),
      h("figure", {}, h("output", {}, number(value, 4)), h("figcaption", {}, `Y[${o}, ${place}]`)));
  }

  function backward(o, i, j, top, left, channels, base) {
    const g = gradient[o][i * OW + j];
    const spreadRows = [];
    for (let c = 0; c < channels; c += 1) {
      const filter = weight(o, c);
      const spread = filter.map((v) => v * g);
      const map = sent ? pickable(sent[base + c], H, W, largest(sent[base + c]), `Gradient of the input, channel ${base + c}`, 74) : null;
      map?.put(top, left, (kh - 1) * dh + 1, (kw - 1) * dw + 1);
      spreadRows.push(h("div", { class: "equation" }, grid([g], 1, Math.abs(g), `g[${o}, ${i}, ${j}]`), h("span", { class: "op" }, "·"),
        grid(filter, kw, largest(filter), `filter ${o}, channel ${base + c}`), h("span", { class: "op" }, "="),
        grid(spread, kw, largest(spread), "added to these pixels"), map ? h("span", { class: "op" }, "→") : null, map));
    }
    return [
      h("h4", {}, "Backward: col2im spreads the pixel's gradient"),
      h("p", { class: "soft" }, "dL/dX = Wᵀ G: the gradient of one output pixel goes back to every pixel of its patch, times the filter. Patches overlap; what meets in a pixel is added up."),
      spreadRows, turned(o, i, j, base),
    ];
  }

  /** All that one input pixel receives: the gradients around it times the filter turned by 180°. */
  function turned(o, i, j, base) {
    if (!sent || !channelsOf(o)) return null;
    const u = Math.max(0, Math.min(H - 1, i * sh - ph + dh * Math.floor(kh / 2)));
    const v = Math.max(0, Math.min(W - 1, j * sw - pw + dw * Math.floor(kw / 2)));
    const around = cells((a, e) => from(u + ph - (kh - 1 - a) * dh, v + pw - (kw - 1 - e) * dw));
    const filter = Array.from(weight(o, 0)).reverse();
    const products = around.map((value, k) => (Number.isNaN(value) ? 0 : value * filter[k]));
    const part = products.reduce((sum, value) => sum + value, 0);
    const all = sent[base][u * W + v];
    const others = w.shape[0] / groups - 1;
    return [
      h("h4", {}, "The same from the input's side: the filter turned by 180°"),
      h("p", { class: "soft" }, `Pixel (${u}, ${v}) of channel ${base} lies in up to ${kh * kw} patches. Going through them in order meets the filter backwards.`),
      h("div", { class: "equation" }, grid(around, kw, largest(around.filter((x) => !Number.isNaN(x))), `g around it, channel ${o}`), h("span", { class: "op" }, "·"),
        grid(filter, kw, largest(filter), `filter ${o}, turned`), h("span", { class: "op" }, "="),
        grid(products, kw, largest(products), `products: Σ ${number(part)}`)),
      h("p", { class: "product" }, `dL/dx[${base}, ${u}, ${v}] = `, h("b", {}, number(all, 4)), ` = ${number(part, 4)}`,
        others ? ` ${signed(all - part)} of the other ${plural(others, "filter")}` : ""),
    ];

    function from(y, x) {
      if (y % sh || x % sw) return NaN;
      const [p, q] = [y / sh, x / sw];
      return p < 0 || q < 0 || p >= OH || q >= OW ? NaN : gradient[o][p * OW + q];
    }
  }
}

/** Row and column of the number that is farthest from 0. */
function most(numbers, columns) {
  let best = 0;
  numbers.forEach((x, i) => { if (Math.abs(x) > Math.abs(numbers[best])) best = i; });
  return { i: Math.floor(best / columns), j: best % columns };
}

const pixel = (map, i, j, H, W) => (i < 0 || j < 0 || i >= H || j >= W ? 0 : map[i * W + j]);
const signed = (x) => `${x < 0 ? "−" : "+"} ${number(Math.abs(x), 4)}`;

// ---------------------------------------------------------------- batch norm

function normalisation(run) {
  const d = run.details;
  const [x] = run.inputs.map((value) => (typeof value === "number" ? values[value] : null));
  const y = values[run.result];
  if (x.sample < 0 || y.gradient < 0 || !d.s || !d.batch) return null;
  const channels = Math.min(d.mean.length, x.shape.length === 4 ? samples[x.sample].size[0] : 0);
  if (!channels) return null;
  const sentAt = x.terms.findIndex(([from, k]) => runs[from] === run && k === 0);
  const sent = sentAt >= 0 ? maps(x.terms[sentAt][2]) : null;
  const holder = h("div", {});
  let channel = 0;
  const redraw = () => renew(holder, parts());
  redraw();
  return [heading("The three terms of its gradient"), holder];

  function parts() {
    const k = channel;
    const [, rows, columns] = samples[x.sample].size;
    const values0 = maps(x.sample)[k];
    const result = maps(y.sample)[k];
    const g = maps(y.gradient)[k].map((v, i) => (d.relu && result[i] === 0 ? 0 : v));
    const normal = values0.map((v) => (v - d.mean[k]) * d.r[k]);
    const mean = g.map(() => -d.s[k] / d.count);
    const along = normal.map((v) => (-v * d.t[k]) / d.count);
    const scale = d.weight[k] * d.r[k];
    const all = g.map((v, i) => scale * (v + mean[i] + along[i]));
    const tell = h("p", { class: "readout" });
    const show = (numbers, text) => h("figure", { class: "term" },
      picture(numbers, rows, columns, largest(numbers), text, (now) => { tell.textContent = now; }, 84),
      h("figcaption", {}, text, h("br"), h("span", { class: "soft" }, `up to ±${number(largest(numbers), 2)}`)));
    return [
      h("div", { class: "choices" }, chooser("channel", channels, k, (now) => { channel = now; redraw(); })),
      h("div", { class: "sum big terms" }, show(g, "g"), h("span", { class: "op" }, "+"),
        show(mean, "− s/m, so that it sums to 0"), h("span", { class: "op" }, "+"),
        show(along, "− x̂ t/m, so that it keeps the scale"), h("span", { class: "op" }, `× w r = ${number(scale)} →`),
        show(all, "dL/dx"),
        sent ? [h("span", { class: "op" }, "="), show(sent[k], "what was recorded")] : null),
      tell,
      facts([["μ, 1/r", `${number(d.mean[k])}, ${number(1 / d.r[k])}`], ["s = Σ g", number(d.s[k])],
        ["t = Σ g x̂", number(d.t[k])], ["m", String(d.count)]]),
    ];
  }
}

// ---------------------------------------------------------------- max pooling

function maxima(run) {
  const { kernel: [kh, kw], stride: [sh, sw], dilation: [dh, dw], padding: [ph, pw], place } = run.details;
  const x = values[run.inputs[0]];
  const y = values[run.result];
  if (![x.sample, y.sample].every(whole)) return null;
  const [channels, H, W] = samples[x.sample].size;
  const [, OH, OW] = samples[y.sample].size;
  const holder = h("div", {});
  const at = { c: 0, ...most(maps(y.gradient >= 0 ? y.gradient : y.sample)[0], OW) };
  const sentAt = x.terms.findIndex(([from]) => runs[from] === run);
  const sent = sentAt >= 0 && whole(x.terms[sentAt][2]) ? maps(x.terms[sentAt][2]) : null;
  const redraw = () => renew(holder, parts());
  redraw();
  return [heading("Where the gradient goes"), holder];

  function winner(i, j) {
    const k = place[at.c][i][j];
    return [i * sh - ph + Math.floor(k / kw) * dh, j * sw - pw + (k % kw) * dw];
  }

  function parts() {
    const { c, i, j } = at;
    const values0 = maps(x.sample)[c];
    const [row, column] = winner(i, j);
    const input = pickable(values0, H, W, largest(values0), `Input, channel ${c}`, 150);
    input.put(i * sh - ph, j * sw - pw, (kh - 1) * dh + 1, (kw - 1) * dw + 1);
    const result = pickable(maps(y.sample)[c], OH, OW, largest(maps(y.sample)[c]), `Result, channel ${c}: choose a pixel`, 110,
      (a, b) => { Object.assign(at, { i: a, j: b }); redraw(); });
    result.put(i, j);
    const window = Array.from({ length: kh * kw }, (_, k) => {
      const [a, b] = [i * sh - ph + Math.floor(k / kw) * dh, j * sw - pw + (k % kw) * dw];
      return a < 0 || b < 0 || a >= H || b >= W ? NaN : values0[a * W + b];
    });
    const g = y.gradient >= 0 ? maps(y.gradient)[c][i * OW + j] : null;
    const back = g === null ? null : window.map((_, k) => (k === place[c][i][j] ? g : 0));
    const spread = sent ? pickable(sent[c], H, W, largest(sent[c]), `Gradient of the input, channel ${c}`, 150) : null;
    spread?.put(row, column);
    const shownWindow = grid(window, kw, largest(window.filter((v) => !Number.isNaN(v))), "its window; the largest is framed", place[c][i][j]);
    return [
      h("div", { class: "choices" }, chooser("channel", channels, c, (k) => { at.c = k; redraw(); }),
        counter("row", OH - 1, i, (k) => { at.i = k; redraw(); }), counter("column", OW - 1, j, (k) => { at.j = k; redraw(); })),
      h("div", { class: "equation" }, h("figure", { class: "grid" }, result, h("figcaption", {}, "result: click a pixel")), shownWindow, h("figure", { class: "grid" }, input, h("figcaption", {}, "input"))),
      back ? h("div", { class: "equation" }, grid([g], 1, Math.abs(g), `g[${i}, ${j}]`), h("span", { class: "op" }, "→"),
        grid(back, kw, Math.abs(g), "all of it goes to the largest", place[c][i][j]),
        spread ? h("figure", { class: "grid" }, spread, h("figcaption", {}, "gradient of the input")) : null) : null,
    ];
  }
}

// ---------------------------------------------------------------- cross-entropy

function entropy(run) {
  const { p, t, divisor, from_log: fromLog } = run.details;
  const holder = h("div", {});
  let image = 0;
  const redraw = () => renew(holder, parts());
  redraw();
  return [heading(fromLog ? "Its gradient: − target" : "Its gradient: softmax − target"), holder];

  function parts() {
    const classes = p[image].length;
    const width = (x) => `width:${Math.min(100, Math.abs(x) * 100)}%`;
    const bar = (x, tone) => h("span", { class: `bar ${tone}${x < 0 ? " minus" : ""}` }, h("i", { style: width(x) }), h("span", {}, number(x, 3)));
    return [
      h("div", { class: "choices" }, chooser("image", p.length, image, (k) => { image = k; redraw(); })),
      table(["class", "softmax p", "target t", "p − t", `÷ ${number(divisor)}: dL/dx`],
        Array.from({ length: classes }, (_, c) => {
          const soft = fromLog ? 0 : p[image][c];
          const total = t[image].reduce((a, b) => a + b, 0);
          const slope = soft * (classes < 20 ? total : 1) - t[image][c];
          return [String(c), bar(p[image][c], "value"), bar(t[image][c], "target"), bar(slope, "gradient"), number(slope / divisor)];
        }), "Softmax minus target"),
    ];
  }
}
