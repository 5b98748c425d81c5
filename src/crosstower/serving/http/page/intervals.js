// Intervals of lifts, drawn on one scale around 0.

import { svg } from "./parts.js";

const [WIDTH, HEIGHT, MARGIN] = [120, 16, 4];

/** Draw the interval of a comparison; the scale ends at ± `reach`. */
export function intervalPlot({ lift, outcome }, reach) {
  const x = (value) => WIDTH / 2 + (value / reach) * (WIDTH / 2 - MARGIN);
  const kind = { better: "up", worse: "down" }[outcome] ?? "open";
  return svg(
    "svg",
    { class: `interval ${kind}`, width: WIDTH, height: HEIGHT, "aria-hidden": "true" },
    svg("line", { class: "axis", x1: x(0), x2: x(0), y1: 0, y2: HEIGHT }),
    svg("line", { class: "reach", x1: x(lift.low), x2: x(lift.high), y1: HEIGHT / 2, y2: HEIGHT / 2 }),
    svg("circle", { cx: x(lift.value), cy: HEIGHT / 2, r: 3.5 }),
  );
}
