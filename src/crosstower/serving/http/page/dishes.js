// Pictures of dishes, by cuisine: a plate on a table, and what is on it.

import { svg } from "./parts.js";

const circle = (cx, cy, r, fill) => svg("circle", { cx, cy, r, fill });
const path = (d, fill, stroke) => svg("path", { d, fill: fill ?? "none", stroke, "stroke-width": stroke && 1.2, "stroke-linecap": "round" });

const DISHES = {
  italian: () => [circle(24, 16, 8, "#e8b45a"), circle(24, 16, 6.8, "#d2452f"), ...[[21, 13], [27, 14], [22, 19], [27, 19]].map(([x, y]) => circle(x, y, 1.5, "#fff3d6")), ...[[24, 12], [20, 17], [25, 17]].map(([x, y]) => circle(x, y, 0.8, "#3f8a4a"))],
  japanese: () => [...[[19, 14], [26, 13], [23, 19], [30, 18]].flatMap(([x, y]) => [circle(x, y, 3, "#23302b"), circle(x, y, 2.2, "#fbf7ee"), circle(x, y, 1, "#f0794f")])],
  indian: () => [circle(24, 16, 7.5, "#c8641c"), path("M19 14q3-2 5 0t5 0M19 18q3-2 5 0t5 0", null, "#f3c36b"), circle(26, 13, 1, "#4d8050"), circle(21, 17, 1, "#4d8050")],
  mexican: () => [path("M16 19a8 8 0 0 1 16 0z", "#efc25b"), path("M17 19q1-3 2-1t2-1 2 1 2-1 2 1 2-1 2 2z", "#5e9a48"), circle(21, 16, 0.9, "#c94a32"), circle(26, 15, 0.9, "#c94a32")],
  french: () => [path("M15 19q2-8 9-8t9 8q-3 2-4-1-2 2-5 2t-5-2q-1 3-4 1z", "#dda24a"), path("M20 12l1 6M24 11v8M28 12l-1 6", null, "#a86f28")],
  thai: () => [circle(24, 16, 7.5, "#e9dcae"), path("M18 15q3-3 6 0t6 0M18 18q3-3 6 0t6 0M20 12q2-2 4 0t4 0", null, "#d09a3e"), path("M28 19q3-1 4 1q-3 1-4-1z", "#4d8a45"), circle(20, 18, 1.2, "#e0604a")],
  ethiopian: () => [circle(24, 16, 8, "#b98a5c"), circle(21, 13.5, 2.4, "#9d3b23"), circle(27.5, 14.5, 2.4, "#557a3c"), circle(23, 19.5, 2.4, "#d7a13c")],
  greek: () => [circle(24, 16, 7.5, "#7fae5c"), ...[[20, 14], [25, 12], [28, 17], [22, 19]].map(([x, y]) => circle(x, y, 1.7, "#cf4434")), path("M22 15h4v3h-4z", "#fdfbf4"), circle(27, 14, 1, "#3b2f48"), circle(20, 17.5, 1, "#3b2f48")],
};

/** The picture of an item whose attribute `picture` is a cuisine and "dish"; null for others. */
export function dishOf(words, options) {
  const cuisine = words.includes("dish") && words.find((word) => Object.hasOwn(DISHES, word));
  if (!cuisine) return null;
  return svg(
    "svg",
    options,
    svg("rect", { width: 48, height: 32, fill: "#d9b98c" }),
    path("M0 9h48M0 20h48M0 29h48", null, "#cdaa79"),
    circle(24, 16.5, 12.4, "#b9976a"),
    circle(24, 16, 12, "#ffffff"),
    circle(24, 16, 9.6, "#f0efec"),
    path("M7 8v6M5.6 8v4q0 2 1.4 2t1.4-2v-4M7 14v10", null, "#7b7f86"),
    path("M41 8q2.4 3 0 8v8", null, "#7b7f86"),
    DISHES[cuisine](),
  );
}
