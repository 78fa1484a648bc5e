// Search, links, light and dark, keys; and the start.

const search = $("search");
const found = $("found");
const entries = [...nodes.values()].map((node) => ({
  node, text: `${path(node)} ${describe(node)} ${node.module ?? ""}`.toLowerCase(),
}));
let hits = [];
let chosen = -1;

function showHits() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  hits = words.length ? entries.filter(({ text }) => words.every((word) => text.includes(word))).slice(0, 30) : [];
  chosen = hits.length ? Math.min(Math.max(chosen, 0), hits.length - 1) : -1;
  found.replaceChildren(...hits.map(({ node }, i) => h("li", {
    role: "option", id: `hit${i}`, "aria-selected": String(i === chosen),
    onpointerdown: (event) => { event.preventDefault(); takeHit(i); },
  }, h("b", {}, called(node)), h("span", { class: "soft" }, describe(node)))));
  const open = words.length > 0;
  found.hidden = !hits.length;
  search.setAttribute("aria-expanded", String(hits.length > 0));
  if (chosen >= 0) search.setAttribute("aria-activedescendant", `hit${chosen}`);
  else search.removeAttribute("aria-activedescendant");
  $("hits").textContent = open ? `${hits.length === 30 ? "30 or more" : hits.length} found` : "";
  found.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
}

function takeHit(i) {
  const { node } = hits[i];
  search.value = "";
  chosen = -1;
  showHits();
  reveal(node);
  state.focus = node.key;
  select(node.key);
  standIn(node)?.element.focus({ preventScroll: true });
}

search.addEventListener("input", () => { chosen = 0; showHits(); });
search.addEventListener("blur", () => { found.hidden = true; search.setAttribute("aria-expanded", "false"); });
search.addEventListener("focus", showHits);
search.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown") chosen = Math.min(hits.length - 1, chosen + 1);
  else if (event.key === "ArrowUp") chosen = Math.max(0, chosen - 1);
  else if (event.key === "Enter" && chosen >= 0) {
    event.preventDefault();
    takeHit(chosen);
    return;
  } else if (event.key === "Escape") {
    search.value = "";
    chosen = -1;
  } else return;
  event.preventDefault();
  showHits();
});

// ---------------------------------------------------------------- links: #r12@30, node and step

let reading = true; // the address is being read: it is not written

function remember() {
  if (reading) return;
  const hash = `#${state.selected ?? ""}${state.step ? `@${state.step}` : ""}`;
  try {
    history.replaceState(null, "", hash === "#" ? " " : hash);
  } catch { /* within a notebook's frame there is no address */ }
}

function follow() {
  const [, key, step] = /^#([a-z]\d+)?(?:@(\d+))?$/.exec(location.hash) ?? [];
  reading = true;
  if (step !== undefined) goTo(Number(step), true);
  const node = nodes.get(key);
  if (node) {
    reveal(node);
    select(key);
  }
  reading = false;
  remember();
}

addEventListener("hashchange", follow);

// ---------------------------------------------------------------- light and dark

const THEMES = ["auto", "light", "dark"];
let theme = "auto";
try {
  theme = localStorage.getItem("minigrad-theme") ?? "auto";
} catch { /* no storage in a frame */ }

function setTheme(to) {
  theme = THEMES.includes(to) ? to : "auto";
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  $("theme").textContent = { auto: "◐ Auto", light: "○ Light", dark: "● Dark" }[theme];
  $("theme").setAttribute("aria-label", `Colours: ${theme}`);
  repaint();
}

function repaint() {
  colours = null;
  for (const canvas of document.querySelectorAll("canvas.map")) canvas.repaint?.();
  for (const strip of document.querySelectorAll(".strip")) delete strip.dataset.sample;
  showStep();
  if (panel.querySelector(".grid")) showDetails();
}

$("theme").addEventListener("click", () => {
  setTheme(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]);
  try {
    localStorage.setItem("minigrad-theme", theme);
  } catch { /* no storage in a frame */ }
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);

// ---------------------------------------------------------------- other controls and keys

$("unfold").addEventListener("click", () => {
  for (const node of nodes.values()) if (node.type === "call") state.open.add(node.key);
  draw();
});
$("fold").addEventListener("click", () => {
  state.open.clear();
  firstFolding();
  const most = root.children.reduce((sum, node) => sum + node.runs.length, 0);
  if (most <= 40) state.open.clear();
  draw();
});
$("in").addEventListener("click", () => zoomBy(1.25));
$("out").addEventListener("click", () => zoomBy(0.8));
$("fit").addEventListener("click", fit);
$("close").addEventListener("click", () => {
  document.body.classList.remove("asked");
  standIn(nodes.get(state.selected) ?? root)?.element.focus({ preventScroll: true });
});

addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const typing = event.target.closest?.("input, select, textarea");
  if (event.key === "/" && !typing) search.focus();
  else if (typing) return;
  else if (event.key === "ArrowRight") { play(false); goTo(state.step + 1); }
  else if (event.key === "ArrowLeft") { play(false); goTo(state.step - 1); }
  else if (event.key === " " && event.target === document.body) play();
  else return;
  event.preventDefault();
});

document.title = data.title;
$("title").textContent = data.title;
firstFolding();
draw();
zoom(Math.max(0.75, Math.min(1.15, (graph.clientHeight - 8) / scene.dataset.height)));
setTheme(theme);
showDetails();
goTo(0, true);
follow();
document.documentElement.dataset.ready = "true";
