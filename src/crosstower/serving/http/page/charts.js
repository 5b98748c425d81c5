// The charts: share of each content type by rank, and histograms of scores by content type.

import { histograms, sharesByRank } from "./kinds.js";
import { el, percent, score, svg } from "./parts.js";

/**
 * Draw all charts into `box`, keeping the figures that are there.
 * `view`: { kinds, candidates (by final rank), ownFirst: Set of the ids that the
 * bundle's own blend has first, or null where that is what is shown, k, blended, tasks: names }
 */
export function drawCharts(box, view) {
  const plots = plotsOf(view);
  if (
    [...box.children].map((figure) => figure.dataset.plot).join("\n") !==
    plots.map((p) => p.key).join("\n")
  ) {
    box.replaceChildren(...plots.map(emptyFigure));
  }
  const figures = [...box.children];
  const widths = figures.map((figure) => figure.querySelector(".plot").clientWidth); // read first
  figures.forEach((figure, i) => {
    figure.querySelector("h3").textContent = plots[i].title;
    figure.querySelector("p").replaceChildren(...plots[i].note());
    figure.querySelector(".plot").replaceChildren(...plots[i].draw(widths[i]));
  });
}

function plotsOf(view) {
  const { kinds, k } = view;
  const ink = () => el("span", { class: "dot ink" });
  const note = () => [ink(), `first ${k}, dashed: median`];
  const plots = [];
  if (kinds.column) {
    plots.push({
      key: "shares",
      title: "Share by rank",
      note: () => [`of each ${kinds.column}; dashed: first ${k}`],
      draw: (width) => [sharesPlot(view, width), sharesTable(view)],
    });
  }
  const values = [
    ["score", view.blended ? "Blend score" : "Score", (c) => c.score],
    ...view.tasks.map((task) => [
      `task ${task}`,
      `Prediction of ${task}`,
      (c) => c.predictions?.[task],
    ]),
  ];
  for (const [key, title, valueOf] of values) {
    const bins = histograms(kinds, valueOf, view.k);
    if (bins)
      plots.push({ key, title, note, draw: (width) => [histogramPlot(bins, title, width)] });
  }
  return plots;
}

function emptyFigure({ key }) {
  const caption = el("figcaption", {}, el("h3"), el("p"));
  return el(
    "figure",
    { class: `card ${key === "shares" ? "wider" : ""}`, "data-plot": key },
    caption,
    el("div", { class: "plot" }),
  );
}

function sharesPlot({ kinds, candidates, k }, width) {
  const box = { left: 42, top: 8, width: width - 56, height: 112 };
  const x = (rank) => box.left + (rank / candidates.length) * box.width;
  const bars = sharesByRank(kinds, candidates).flatMap(({ first, last, shares }) => {
    let below = 0;
    return kinds.list.map((kind, i) => {
      const y = box.top + below * box.height;
      below += shares[i];
      const title = svg("title", {}, `Ranks ${first}–${last}: ${kind.name} ${percent(shares[i])}`);
      return svg(
        "rect",
        {
          class: `fill colour-${kind.colour}`,
          x: x(first - 1),
          y,
          width: Math.max(x(last) - x(first - 1) - 1, 0.5),
          height: shares[i] * box.height,
        },
        title,
      );
    });
  });
  const lines = [0, 0.5, 1].map((share) =>
    label(box.left - 6, box.top + (1 - share) * box.height + 4, percent(share), "end"),
  );
  const cut = svg("line", {
    class: "cut",
    x1: x(k),
    x2: x(k),
    y1: box.top - 6,
    y2: box.top + box.height + 4,
  });
  return drawing(
    width,
    154,
    `Share of each ${kinds.column} by rank; the table below has the numbers`,
    [bars, lines, k < candidates.length && cut, axis(box, 0, candidates.length, x, "rank")],
  );
}

/** The legend, which is also the chart in numbers. */
function sharesTable({ kinds, candidates, ownFirst, k }) {
  const rows = kinds.list.map((kind) => {
    const now = kind.members.filter((c) => c.rank <= k).length;
    const name = el(
      "th",
      { scope: "row" },
      el("span", { class: `dot colour-${kind.colour}` }),
      kind.name,
    );
    const own = ownFirst && kind.members.filter((c) => ownFirst.has(c.item_id)).length;
    const numbers = [
      now,
      ...(ownFirst ? [own] : []),
      percent(kind.members.length / candidates.length),
    ];
    return el("tr", {}, name, ...numbers.map((text) => el("td", {}, `${text}`)));
  });
  const heads = [kinds.column, `first ${k}`, ...(ownFirst ? ["own blend"] : []), "of all"];
  const head = el("tr", {}, ...heads.map((text) => el("th", { scope: "col" }, text)));
  return el("table", { class: "legend" }, el("thead", {}, head), el("tbody", {}, ...rows));
}

function histogramPlot({ low, high, rows, top }, title, width) {
  const row = Math.min(66, 26 + 120 / rows.length); // pixels a type; as high in all as its rows in the legend
  const box = { left: 4, top: 0, width: width - 16, height: rows.length * row };
  const x = (value) => box.left + ((value - low) / (high - low)) * box.width;
  const medians = rows.map((row) => `${row.name} ${score(row.median)}`).join(", ");
  const drawn = rows.map((of, i) =>
    histogramRow(of, {
      box,
      x,
      top,
      low,
      high,
      tall: row - 15,
      base: (i + 1) * row,
      whole: rows.length > 1 ? "type" : "all",
    }),
  );
  return drawing(width, box.height + 34, `${title}; medians: ${medians}`, [
    drawn,
    axis(box, low, high, x, ""),
  ]);
}

function histogramRow(row, { box, x, top, low, high, tall, base, whole }) {
  const step = (high - low) / row.all.length;
  const bar = (share, i, shade) =>
    share > 0 &&
    svg("rect", {
      class: `fill ${shade}`,
      x: x(low + i * step),
      y: base - (share / top) * tall,
      width: Math.max(x(low + step) - x(low) - 1, 1),
      height: (share / top) * tall,
    });
  const at = x(row.median);
  return svg(
    "g",
    {},
    row.all.map((share, i) => bar(share, i, `colour-${row.colour}`)),
    row.shown.map((share, i) => bar(share, i, "first")),
    svg("line", { class: "base", x1: box.left, x2: box.left + box.width, y1: base, y2: base }),
    Number.isFinite(at) && svg("line", { class: "cut", x1: at, x2: at, y1: base - tall, y2: base }),
    label(box.left, base - tall - 3, row.name, "start", "strong"),
    label(box.left + box.width, base - tall - 3, `↕ ${percent(top)} of ${whole}`, "end"),
  );
}

function axis(box, low, high, x, name) {
  const bottom = box.top + box.height;
  const ticks = niceTicks(low, high, Math.max(2, Math.floor(box.width / 40)));
  return svg(
    "g",
    {},
    svg("line", { class: "axis", x1: box.left, x2: box.left + box.width, y1: bottom, y2: bottom }),
    ticks.map((tick) =>
      svg("line", { class: "axis", x1: x(tick), x2: x(tick), y1: bottom, y2: bottom + 4 }),
    ),
    ticks.map((tick) =>
      label(x(tick), bottom + 17, `${+tick.toPrecision(4)}`.replace("-", "−"), "middle"),
    ),
    name && label(box.left + box.width / 2, bottom + 32, name, "middle"),
  );
}

function niceTicks(low, high, about) {
  const rough = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((m) => m * power >= rough);
  const first = Math.ceil(low / step - 1e-9);
  const number = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: number }, (_, i) => (first + i) * step);
}

const label = (x, y, text, anchor, extra = "") =>
  svg("text", { x, y, "text-anchor": anchor, class: extra }, text);

function drawing(width, height, name, parts) {
  const size = { width, height, viewBox: `0 0 ${width} ${height}` };
  return svg("svg", { ...size, role: "img", "aria-label": name }, ...parts.flat(2));
}
