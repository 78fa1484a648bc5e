// What the theme leaves out for readers who use a keyboard or a screen reader.

document.addEventListener("DOMContentLoaded", () => {
  for (const [selector, name, value] of [
    [".sidebar-drawer", "aria-label", "Pages"],
    [".toc-drawer", "aria-label", "On this page"],
    [".caption[role=heading]", "aria-level", "2"],
  ]) document.querySelectorAll(selector).forEach((element) => element.setAttribute(name, value));

  if (!document.querySelector("h1")) { // the page of the search
    const heading = document.createElement("h1");
    heading.textContent = document.title.split(" - ")[0];
    document.querySelector("article").prepend(heading);
  }

  // What scrolls sideways is reached by Tab, so that arrow keys scroll it.
  const wide = document.querySelectorAll("pre, .passes > div, .table-wrapper, .cell_output .output");
  const reach = () => wide.forEach((element) => {
    if (element.scrollWidth > element.clientWidth) element.tabIndex = 0;
    else element.removeAttribute("tabindex");
  });
  reach();
  addEventListener("resize", reach);
});
