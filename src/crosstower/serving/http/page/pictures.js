// Small pictures of items, drawn from words of this page alone: nothing is loaded or parsed.

import { dishOf } from "./dishes.js";
import { svg } from "./parts.js";

const SKIES = { morning: ["#fbe3cf", "#f6b26b"], day: ["#cfe6f7", "#ffd75e"], evening: ["#b9a7cf", "#f08a5d"] };

const rect = (x, y, width, height, fill) => svg("rect", { x, y, width, height, fill });
const path = (d, fill) => svg("path", { d, fill });
const windows = (places, fill = "#fff3c4") => places.map(([x, y]) => rect(x, y, 2.5, 3, fill));

/** What is behind a home, on 48 × 32 with the ground at 29. */
const LANDSCAPES = {
  sea: () => [rect(0, 17, 48, 15, "#3f8fc4"), path("M0 20q6-2 12 0t12 0t12 0t12 0v1H0z", "#8cc4e6"), path("M0 29q24-5 48-1v4H0z", "#e8d5a0")],
  mountains: () => [
    path("M-4 29L12 6l16 23z", "#7f8fa3"), path("M7.8 12L12 6l4.2 6-4 2z", "#ffffff"),
    path("M18 29L35 10l17 19z", "#65758c"), path("M31.4 14L35 10l3.6 4-3.4 2z", "#ffffff"), rect(0, 27, 48, 5, "#7ba05b"),
  ],
  lake: () => [path("M0 20q12-10 24-3t24-4v19H0z", "#6f9a6a"), path("M0 23h48v6H0z", "#5aa4cf"), rect(0, 28, 48, 4, "#8fb573")],
  countryside: () => [path("M0 21q14-8 28-2t20-3v16H0z", "#b9c873"), path("M0 26q16-6 48-1v7H0z", "#93b257"), path("M5 20c-2-6 0-9 1-10 1 1 3 4 1 10z", "#4d7a45")],
  forest: () => [...[2, 9, 16, 39, 45].map((x, i) => path(`M${x - 5} 28L${x} ${9 + (i % 2) * 4}l5 ${19 - (i % 2) * 4}z`, i % 2 ? "#3f6b4a" : "#2f5a3c")), rect(0, 27, 48, 5, "#6d8f55")],
  city: () => [...[[0, 14, 7], [8, 8, 6], [15, 16, 6], [37, 11, 6], [43, 17, 5]].map(([x, y, w]) => rect(x, y, w, 29 - y, "#8793a6")), ...windows([[2, 17], [10, 12], [10, 17], [39, 15]]), rect(0, 28, 48, 4, "#9aa0a8")],
};

const cabin = () => [path("M19 29l8.5-16L36 29z", "#8a5a3b"), path("M17.5 29l10-18.5 10 18.5h-2.3L27.5 14 19.8 29z", "#5a3a28"), rect(26, 23, 3.5, 6, "#3b2619"), ...windows([[26.3, 18]])];
const cottage = () => [rect(19, 20, 17, 9, "#f1e6d2"), path("M17 20.5L27.5 12 38 20.5z", "#b5533c"), rect(32, 12, 2.5, 5, "#8d4030"), rect(26, 23.5, 3, 5.5, "#6b4a35"), ...windows([[21, 23], [31.5, 23]], "#7fb2d6")];
const tower = () => [rect(21, 8, 14, 21, "#d98f6c"), rect(20, 7, 16, 2, "#8c4f3a"), ...[11, 16, 21].flatMap((y) => windows([[23, y], [27, y], [31, y]])), rect(26.3, 25, 3.4, 4, "#5b3326")];
const villa = () => [rect(15, 19, 25, 10, "#fbf7ee"), rect(20, 13, 14, 6, "#f1eadb"), rect(14, 18, 27, 1.5, "#c9b48f"), rect(19, 12, 16, 1.5, "#c9b48f"), ...windows([[18, 22.5], [23, 22.5], [33, 22.5], [24, 15], [29, 15]], "#7fb2d6"), rect(28, 23, 3, 6, "#9b7b55")];
const treehouse = () => [rect(26, 18, 3, 11, "#6b4a35"), path("M17 15a10 9 0 1 1 21 0a8 6 0 0 1-21 0z", "#4d8050"), rect(22, 12, 11, 7, "#a8744d"), path("M20.5 12.5l7-5.5 7 5.5z", "#6b4a35"), ...windows([[26.2, 14]])];
const HOMES = {
  cabin, chalet: cabin, lodge: cabin, cottage, farmhouse: cottage, apartment: tower, townhouse: tower, loft: tower, villa, treehouse,
};

/**
 * The picture of an item whose attribute `picture` is made of known words, such as "lake cabin
 * evening": a landscape, a home and a time of day, or "thai dish". Null where neither is known.
 */
export function pictureOf(attributes, size = "") {
  const words = typeof attributes?.picture === "string" ? attributes.picture.split(" ") : [];
  const [landscape, home, hour] = [LANDSCAPES, HOMES, SKIES].map((known) => words.find((word) => Object.hasOwn(known, word)));
  const options = { class: `picture ${size}`, viewBox: "0 0 48 32", preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true", focusable: "false" };
  if (!landscape) return dishOf(words, options);
  const [sky, sun] = SKIES[hour ?? "day"];
  return svg(
    "svg",
    options,
    rect(0, 0, 48, 32, sky),
    svg("circle", { cx: 41, cy: 6, r: 3.2, fill: sun }),
    LANDSCAPES[landscape](),
    home && HOMES[home](),
  );
}
