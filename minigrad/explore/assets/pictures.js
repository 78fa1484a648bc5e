// Pictures: maps of numbers as coloured squares, histograms, and the numbers under the pointer.

/** The numbers of map ``k`` of a sample; NaN where they are not finite. */
function mapOf(sample, k = 0) {
  const { at, size, scale } = samples[sample];
  const length = size[1] * size[2];
  const from = at + k * length;
  return Float32Array.from(pictures.subarray(from, from + length),
    (x) => (x === -32768 ? NaN : (x / 32767) * scale));
}

const cache = new Map();
function maps(sample) {
  if (!cache.has(sample)) {
    const { size } = samples[sample];
    cache.set(sample, Array.from({ length: size[0] }, (_, k) => mapOf(sample, k)));
  }
  return cache.get(sample);
}

function palette() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => {
    const text = style.getPropertyValue(name).trim();
    return [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
  };
  return { minus: colour("--minus"), zero: colour("--zero"), plus: colour("--plus"), none: colour("--none") };
}
let colours = null;

/** The colour of ``x`` on a scale from −``most`` to ``most``: blue, neutral, orange. */
function shade(x, most) {
  colours ??= palette();
  if (!Number.isFinite(x)) return colours.none;
  const part = most > 0 ? Math.min(1, Math.abs(x) / most) : 0;
  const t = Math.pow(part, 0.8);
  const to = x < 0 ? colours.minus : colours.plus;
  return colours.zero.map((z, i) => Math.round(z + (to[i] - z) * t));
}

const css = (x, most) => `rgb(${shade(x, most).join(" ")})`;

function largest(numbers) {
  let most = 0;
  for (const x of numbers) if (Math.abs(x) > most) most = Math.abs(x);
  return most;
}

/** Paint numbers (rows × columns) on a canvas of as many pixels. */
function paint(canvas, numbers, rows, columns, most) {
  canvas.width = Math.max(1, columns);
  canvas.height = Math.max(1, rows);
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  for (let i = 0; i < numbers.length; i += 1) {
    const [r, g, b] = shade(numbers[i], most);
    image.data.set([r, g, b, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

/** A canvas of one map that tells the number under the pointer to ``tell``. */
function picture(numbers, rows, columns, most, label, tell, width) {
  const canvas = h("canvas", { class: "map", role: "img", "aria-label": label });
  const side = width ?? Math.max(56, Math.min(120, columns * 3));
  const tall = Math.max(12, Math.min(160, (side * rows) / Math.max(1, columns)));
  canvas.style.cssText = `width:${side}px;height:${tall}px`;
  canvas.repaint = () => paint(canvas, numbers, rows, columns, most);
  canvas.repaint();
  if (tell) {
    canvas.addEventListener("pointermove", (event) => {
      const box = canvas.getBoundingClientRect();
      const i = Math.min(rows - 1, Math.floor(((event.clientY - box.top) / box.height) * rows));
      const j = Math.min(columns - 1, Math.floor(((event.clientX - box.left) / box.width) * columns));
      tell(`${label}, row ${i}, column ${j}: ${number(numbers[i * columns + j])}`);
    });
    canvas.addEventListener("pointerleave", () => tell(""));
  }
  return canvas;
}

/** Whether a value is images of three channels that the user gave. */
function isPhoto(value) {
  const { kind, sample, shape: of } = values[value];
  return kind === "input" && of.length === 4 && of[1] === 3 && samples[sample].size[0] === 3;
}

/** Paint three maps as red, green and blue, from the smallest number to the largest. */
function paintPhoto(canvas, sample) {
  const [, rows, columns] = samples[sample].size;
  const channels = maps(sample);
  let [low, high] = [Infinity, -Infinity];
  for (const numbers of channels) {
    for (const x of numbers) {
      low = Math.min(low, x);
      high = Math.max(high, x);
    }
  }
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  for (let i = 0; i < rows * columns; i += 1) {
    image.data.set([...channels.map((numbers) => (255 * (numbers[i] - low)) / (high - low || 1)), 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

/** The sample of a value or gradient: its maps, its norm and its histogram. */
function gallery(sample, title, tone, what, value) {
  const { size, across, norm, counts, low, high, step } = samples[sample];
  const [count, rows, columns] = size;
  const readout = h("p", { class: "readout" });
  const tell = (text) => { readout.textContent = text; };
  const all = maps(sample);
  const most = Math.max(...all.map(largest), 0);
  const row = h("div", { class: across ? "maps filters" : "maps" });
  if (across) row.style.setProperty("--across", across);
  const single = count === 1;
  if (rows * columns > 1) {
    const name = across ? (k) => `${title}, filter ${Math.floor(k / across)} on channel ${k % across}`
      : (k) => (single ? title : `${title}, channel ${k}`);
    const width = across ? 26 : single ? Math.min(330, Math.max(64, columns * 6)) : 88;
    if (value !== undefined && isPhoto(value)) {
      const photo = h("canvas", { class: "map", role: "img", "aria-label": `${title}, the first image`, style: "width:88px;height:88px" });
      paintPhoto(photo, sample);
      row.append(photo);
    }
    all.forEach((numbers, k) => row.append(picture(numbers, rows, columns, most, name(k), tell, width)));
  } else if (rows * columns === 1 && count === 1) {
    row.append(h("output", { class: "scalar" }, number(all[0][0], 6)));
  }
  const thinned = step[0] > 1 || step[1] > 1 ? ` Every ${ordinal(Math.max(...step) - 1)} pixel.` : "";
  return h("figure", { class: `gallery ${tone}` },
    h("figcaption", {}, h("b", {}, title), " ", h("span", { class: "soft" }, `${what}${thinned}`)),
    row, rows * columns > 1 ? readout : null,
    rows * columns * count > 1 ? histogram(counts, low, high, title) : null,
    h("p", { class: "soft norm" }, `norm ${number(norm, 4)}`,
      rows * columns * count > 1 && most ? ` · colours from −${number(most)} to ${number(most)}` : ""));
}

function histogram(counts, low, high, title) {
  const most = Math.max(...counts, 1);
  const [width, height] = [288, 46];
  const bar = width / counts.length;
  const picture = svg("svg", {
    viewBox: `0 0 ${width} ${height + 14}`, class: "histogram", role: "img",
    "aria-label": `Histogram of ${title} from ${number(low)} to ${number(high)}`,
  });
  counts.forEach((count, i) => {
    const tall = count ? Math.max(1, (count / most) * height) : 0;
    picture.append(svg("rect", { x: i * bar + 0.5, y: height - tall, width: bar - 1, height: tall }));
  });
  picture.append(svg("line", { x1: 0, x2: width, y1: height + 0.5, y2: height + 0.5 }));
  if (low < 0 && high > 0) {
    const zero = (-low / (high - low)) * width;
    picture.append(svg("line", { x1: zero, x2: zero, y1: 0, y2: height + 3, class: "zero" }));
    if (zero > 40 && zero < width - 40) picture.append(label(zero, "0", "middle"));
  }
  picture.append(label(0, number(low), "start"), label(width, number(high), "end"));
  return picture;

  function label(x, text, anchor) {
    const element = svg("text", { x, y: height + 12, "text-anchor": anchor });
    element.textContent = text;
    return element;
  }
}

/** What of an array a gallery shows, in words. */
function shown(value, gradient = false) {
  const of = values[value];
  const { size, across } = samples[gradient ? of.gradient : of.sample];
  if (across) return `${Math.round(size[0] / across)} of ${of.shape[0]} filters on ${across} of ${of.shape[1]} channels`;
  if (of.shape.length === 4) return `first image, ${size[0]} of ${of.shape[1]} channels`;
  if (of.shape.length < 2 || !of.shape.length) return of.shape.length ? shape(of.shape) : "";
  return `${size[1]} of ${of.shape[of.shape.length - 2]} rows, ${size[2]} of ${of.shape[of.shape.length - 1]} columns`;
}
