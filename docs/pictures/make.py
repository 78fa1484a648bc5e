"""The drawn pictures of the documentation: ``python docs/pictures/make.py``."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
INK, GREY, BLUE, RED = "#1b1f23", "#6b7176", "#2457a6", "#b3372f"
FILLS = ("#eef5f0", "#eaf1fb", "#fdf3e4", "#f6ecf6")
STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#1b1f23;text-anchor:middle}"
    ".small{font-size:12px;fill:#575f67}.left{text-anchor:start}.mono{font-family:monospace}"
    ".blue{fill:#2457a6}.red{fill:#b3372f}"
)


def text(x: float, y: float, words: str, style: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{style}">{words}</text>'


def box(x: float, y: float, w: float, h: float, fill: str, lines: list[str], r: int = 6) -> str:
    """A box with a title and smaller lines below it."""
    top = y + h / 2 + 5 - 9 * (len(lines) - 1)
    words = "".join(
        text(x + w / 2, top + 18 * i, line, "small" if i else "") for i, line in enumerate(lines)
    )
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="{r}" fill="{fill}" '
        f'stroke="#8a9097"/>{words}'
    )


def arrow(x1: float, y1: float, x2: float, y2: float, colour: str = GREY, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colour}" '
        f'stroke-width="1.6"{dashes} marker-end="url(#{colour[1:]})"/>'
    )


def write(name: str, wide: int, tall: int, title: str, parts: list[str]) -> None:
    heads = "".join(
        f'<marker id="{c[1:]}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="{c}"/></marker>'
        for c in (GREY, BLUE, RED)
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall}" width="{wide}" '
        f'height="{tall}" role="img"><title>{title}</title><style>{STYLE}</style>'
        f"<defs>{heads}</defs>",
        f'<rect width="{wide}" height="{tall}" fill="#fff"/>',
        *parts,
        "</svg>\n",
    ]
    (HERE / name).write_text("\n".join(lines), "utf-8")


def architecture() -> None:
    """Layers; an arrow goes from what imports to what is imported."""
    rows = [
        (20, FILLS[3], ["cifar", "recipes, models, training, the command: the studies"]),
        (104, FILLS[2], ["nn, optim, data", "modules, optimisers, schedules, loaders"]),
        (188, FILLS[1], ["ops", "each operation: result and derivative, plain NumPy"]),
        (272, FILLS[0], ["tensor, tape", "records operations, sweeps the gradients back"]),
        (
            356,
            "#f3f4f5",
            ["memory, layout, device", "pooled arrays, batch innermost, NumPy or CuPy"],
        ),
    ]
    parts = [box(200, y, 400, 54, fill, lines) for y, fill, lines in rows]
    parts += [arrow(400, y + 54, 400, y + 82) for y, _, _ in rows[:-1]]
    parts += [
        box(12, 104, 148, 54, FILLS[2], ["explore, onnx", "see it, export it"]),
        arrow(160, 150, 198, 196),
        box(12, 188, 148, 54, "#fff", ["cpu", "Winograd, Numba"]),
        box(640, 188, 148, 54, "#fff", ["gpu", "CUDA kernels, graphs"]),
        arrow(160, 222, 198, 222, GREY, "5 4"),
        arrow(640, 215, 602, 215, GREY, "5 4"),
        text(86, 262, "faster versions,", "small"),
        text(86, 278, "registered by name", "small"),
        text(714, 262, "the same on NVIDIA", "small"),
        text(714, 278, "cards", "small"),
        box(640, 104, 148, 54, FILLS[2], ["gradcheck, testing", "derivatives checked"]),
        arrow(640, 150, 602, 196),
    ]
    write("architecture.svg", 800, 430, "The layers of minigrad and cifar", parts)


def training_step() -> None:
    """Forward to the right, backward to the left, then the update."""
    steps = [("linear", "z = x Wᵀ + b"), ("relu", "h = max(z, 0)"), ("linear", "s = h Vᵀ + c")]
    steps.append(("cross_entropy", "L = −ln softmax(s)ₜ"))
    values, gradients = ["z", "h", "s"], ["dL/dz", "dL/dh", "dL/ds"]
    parts = [
        text(14, 30, "1  forward: values", "left blue"),
        box(14, 66, 60, 46, "#fff", ["x"], 22),
    ]
    at = [126 + 196 * i for i in range(4)]
    parts.append(arrow(74, 89, at[0] - 2, 89, BLUE))
    for i, (name, formula) in enumerate(steps):
        parts.append(box(at[i], 62, 146, 54, FILLS[1], [name, formula]))
        if i < 3:
            right = at[i] + 146
            parts += [
                arrow(right, 80, at[i + 1] - 2, 80, BLUE),
                text(right + 24, 73, values[i], "small blue"),
                arrow(at[i + 1], 100, right + 2, 100, RED),
                text(right + 25, 117, gradients[i], "small red"),
            ]
    parts += [
        box(at[3] + 196, 66, 60, 46, "#fff", ["L"], 22),
        arrow(at[3] + 146, 80, at[3] + 194, 80, BLUE),
        arrow(at[3] + 196, 100, at[3] + 148, 100, RED),
        text(at[3] + 172, 117, "g = 1", "small red"),
        text(at[3] + 256, 30, "2  backward: gradients, and memory is freed", "red end"),
    ]
    for i, names in ((0, "W, b"), (2, "V, c")):
        grads = "dL/dW, dL/db" if i == 0 else "dL/dV, dL/dc"
        parts += [
            box(at[i], 178, 146, 46, FILLS[0], [names], 22),
            arrow(at[i] + 50, 178, at[i] + 50, 118, BLUE),
            arrow(at[i] + 96, 116, at[i] + 96, 176, RED),
            text(at[i] + 104, 150, grads, "small red left"),
        ]
    parts += [
        box(
            at[1] - 60,
            262,
            266,
            54,
            FILLS[2],
            ["optimizer.step()", "W ← W − rate · dL/dW, in place"],
        ),
        arrow(at[0] + 96, 226, at[1] - 30, 260),
        arrow(at[2] + 40, 226, at[1] + 180, 260),
        text(14, 293, "3  update: weights", "left"),
    ]
    style = "<style>.end{text-anchor:end}</style>"
    write("training-step.svg", at[3] + 270, 330, "One training step", [style, *parts])


def cells(x: float, y: float, numbers: list[tuple[int, str]], size: int = 30) -> str:
    """A row of memory: one cell for each (image, label)."""
    return "".join(
        f'<rect x="{x + i * size:g}" y="{y}" width="{size}" height="{size}" '
        f'fill="{FILLS[n % 4]}" stroke="#8a9097"/>'
        + text(x + i * size + size / 2, y + 20, label, "small mono")
        for i, (n, label) in enumerate(numbers)
    )


def layout() -> None:
    """The same four images of 2 × 3 pixels in both orders."""
    letters = "abcdef"
    parts = [text(20, 28, "a batch of four images, one channel, 2 × 3 pixels", "left")]
    for n in range(4):
        for row in range(2):
            own = [(n, f"{c}{n}") for c in letters[3 * row : 3 * row + 3]]
            parts.append(cells(20 + n * 120, 44 + 30 * row, own))
        parts.append(text(65 + n * 120, 122, f"image {n}", "small"))
    kept = [(n, f"{c}{n}") for n in range(4) for c in letters]
    parts += [
        text(20, 164, "NumPy's order (N, C, H, W): one image after the other", "left"),
        cells(20, 176, kept),
        text(20, 246, "minigrad's order (C, H, W, N): one pixel of all images together", "left"),
        cells(20, 258, [(n, f"{c}{n}") for c in letters for n in range(4)]),
    ]
    write("layout.svg", 760, 306, "Two orders of one batch in memory", parts)


def window() -> None:
    """The pixels that one element of a 2 × 2 filter meets, in both orders."""
    letters = "abcdef"
    parts = [text(20, 28, "pixels a and b of every image: what one row of im2col copies", "left")]
    for y, order, note in (
        (52, [(n, f"{c}{n}") for n in range(4) for c in letters], "four short pieces"),
        (122, [(n, f"{c}{n}") for c in letters for n in range(4)], "one long run"),
    ):
        parts.append(cells(20, y, order))
        for i, (_, label) in enumerate(order):
            if label[0] in "ab":
                parts.append(
                    f'<rect x="{20 + 30 * i}" y="{y}" width="30" height="30" fill="none" '
                    f'stroke="{RED}" stroke-width="2.5"/>'
                )
        parts.append(text(20, y + 48, note, "left small red"))
    write("layout-window.svg", 760, 184, "What im2col copies, in both orders", parts)


if __name__ == "__main__":
    architecture()
    training_step()
    layout()
    window()
