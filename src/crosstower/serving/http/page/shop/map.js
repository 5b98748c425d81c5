// A map of items, drawn from their coordinates alone, with a centre and a radius to search within.

import { byId, el, svg } from "../parts.js";

const [WIDTH, LOWEST, HIGHEST] = [320, 180, 420];
const KM = 111.2; // per degree of latitude
const STEPS = [0.5, 1, 2, 3, 5, 10, 20, 50, 100, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 5000];
const MOVES = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/**
 * Make the map in its card. `changed` is called when the centre or the radius was changed by a
 * person, `picked` with the id of an item that was pressed.
 * Returns { centre(), radius(), draw(points), highlight(id), move(centre) }. A point is { id, at:
 * [latitude, longitude], rank, name, area }; the first `numbered` of them have their ranks.
 */
export function openMap(changed, picked, numbered) {
  const state = { bounds: null, centre: null, steps: [], radius: null, points: [], on: null };
  const drawing = svg("svg", { class: "map", role: "application", tabindex: 0, "aria-describedby": "map-help" });
  const output = el("output", { for: "map-radius" });
  const slider = el("input", { type: "range", id: "map-radius", min: 0, step: 1, "aria-label": "Distance from the centre" });
  const help = el("p", { class: "help", id: "map-help" }, "Press the map, or use its arrow keys, to move the centre.");
  const label = el("div", { class: "map-radius" }, el("label", { for: "map-radius" }, "Within"), slider, output);
  byId("shop-map-content").replaceChildren(label, drawing, help);
  const redraw = () => {
    drawMap(drawing, state, numbered);
    highlight(state.on);
  };
  const say = () => {
    const words = state.radius === null ? "any distance" : `${state.radius} km`;
    output.textContent = words;
    slider.setAttribute("aria-valuetext", words);
  };
  const setRadius = (step) => {
    slider.value = step;
    state.radius = state.steps[step] ?? null;
    say();
  };
  const move = (centre) => {
    state.centre = centre;
    if (state.radius === null) setRadius(Math.floor(state.steps.length / 4)); // near, not half the map
    redraw();
    changed();
  };
  slider.addEventListener("input", () => {
    setRadius(+slider.value);
    redraw();
    changed();
  });
  drawing.addEventListener("click", (event) => {
    const id = event.target.closest("[data-id]")?.dataset.id;
    if (id !== undefined) picked(id);
    else if (state.bounds) move(placeOf(event, drawing, state.bounds));
  });
  drawing.addEventListener("keydown", (event) => {
    const way = MOVES[event.key];
    if (!way || !state.bounds) return;
    event.preventDefault();
    const { south, north, west, east } = state.bounds;
    const [latitude, longitude] = state.centre;
    move([within(latitude + (way[0] * (north - south)) / 20, south, north), within(longitude + (way[1] * (east - west)) / 20, west, east)]);
  });
  const draw = (points) => {
    state.points = points;
    const before = state.bounds;
    state.bounds = boundsOf(points, before);
    byId("shop-map").hidden = !state.bounds; // no item has a place yet
    if (!state.bounds) return;
    if (!before) {
      const { south, north, west, east } = state.bounds;
      state.centre = [(south + north) / 2, (west + east) / 2];
      const diagonal = KM * Math.hypot(north - south, (east - west) * shrink(state.bounds));
      state.steps = STEPS.filter((step) => step > diagonal / 60 && step < diagonal / 1.5);
      slider.max = state.steps.length;
      setRadius(state.steps.length);
    }
    redraw();
  };
  const highlight = (id) => {
    state.on = id;
    for (const dot of drawing.querySelectorAll("[data-id]")) dot.classList.toggle("on", dot.dataset.id === `${id}`);
  };
  return { centre: () => state.centre, radius: () => state.radius, draw, highlight, move };
}

const within = (value, least, most) => Math.min(most, Math.max(least, value));
const shrink = ({ south, north }) => Math.max(0.01, Math.cos((((south + north) / 2) * Math.PI) / 180)); // not 0 at a pole

/** The box around points, with a margin, grown from an earlier one; null without any. */
function boundsOf(points, before) {
  if (points.length === 0) return before;
  const [latitudes, longitudes] = [0, 1].map((i) => points.map(({ at }) => at[i]));
  const found = { south: Math.min(...latitudes), north: Math.max(...latitudes), west: Math.min(...longitudes), east: Math.max(...longitudes) };
  const margin = Math.max(0.01, 0.06 * (found.north - found.south), 0.04 * (found.east - found.west));
  const grown = { south: found.south - margin, north: found.north + margin, west: found.west - margin / shrink(found), east: found.east + margin / shrink(found) };
  if (!before) return grown;
  const inside = found.south >= before.south && found.north <= before.north && found.west >= before.west && found.east <= before.east;
  if (inside) return before;
  return { south: Math.min(grown.south, before.south), north: Math.max(grown.north, before.north), west: Math.min(grown.west, before.west), east: Math.max(grown.east, before.east) };
}

/** Height of the drawing, and the functions from degrees to its units and back. */
function scaleOf(bounds) {
  const [wide, tall] = [(bounds.east - bounds.west) * shrink(bounds), bounds.north - bounds.south];
  const unit = Math.min(WIDTH / wide, HIGHEST / tall); // per degree of latitude
  const height = Math.max(LOWEST, tall * unit);
  const [left, top] = [(WIDTH - wide * unit) / 2, (height - tall * unit) / 2]; // what is left is around
  return {
    height,
    unit,
    x: (longitude) => left + (longitude - bounds.west) * shrink(bounds) * unit,
    y: (latitude) => top + (bounds.north - latitude) * unit,
    degrees: (x, y) => [bounds.north - (y - top) / unit, bounds.west + (x - left) / (unit * shrink(bounds))],
  };
}

function placeOf(event, drawing, bounds) {
  const box = drawing.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top].map((pixels) => (pixels * WIDTH) / box.width);
  const [latitude, longitude] = scaleOf(bounds).degrees(x, y);
  return [within(latitude, -90, 90), longitude];
}

function drawMap(drawing, { bounds, centre, radius, points }, numbered) {
  const scale = scaleOf(bounds);
  drawing.setAttribute("viewBox", `0 0 ${WIDTH} ${scale.height}`);
  const within = radius === null ? "any distance" : `${radius} km`;
  drawing.setAttribute("aria-label", `Map of ${points.length} results. Centre at ${centre.map((d) => d.toFixed(2)).join(", ")}, ${within}.`);
  const [x, y] = [scale.x(centre[1]), scale.y(centre[0])];
  const first = points.filter(({ rank }) => rank <= numbered);
  const others = points.filter(({ rank }) => rank > numbered);
  drawing.replaceChildren(
    ...grid(bounds, scale),
    radius !== null && svg("circle", { class: "reach", cx: x, cy: y, r: (radius / KM) * scale.unit }),
    ...others.map((point) => dot(point, scale, 3)),
    ...areas(points, first, scale),
    ...first.toReversed().map((point) => dot(point, scale, 8)),
    radius !== null && svg("path", { class: "centre", d: `M${x - 6} ${y}h12M${x} ${y - 6}v12` }),
    ...ruler(scale),
  );
}

function dot({ id, at, rank, name }, scale, size) {
  const [x, y] = [scale.x(at[1]), scale.y(at[0])];
  const large = size > 4;
  return svg(
    "g",
    { class: large ? "spot" : "spot small", "data-id": `${id}` },
    svg("title", {}, `${rank}. ${name}`),
    svg("circle", { cx: x, cy: y, r: size }),
    large && svg("text", { x, y: y + 3.5, "text-anchor": "middle" }, `${rank}`),
  );
}

/** Lines of equal latitude and longitude, with their degrees. */
function grid({ south, north, west, east }, { x, y, height }) {
  const wanted = (north - south) / 4;
  const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20].find((one) => one >= wanted) ?? 30;
  const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
  const lines = [];
  for (let i = Math.ceil(south / step); i * step < north; i++) {
    const at = y(i * step);
    lines.push(svg("path", { class: "grid", d: `M0 ${at}H${WIDTH}` }), svg("text", { class: "degrees", x: 3, y: at - 2 }, `${(i * step).toFixed(digits)}°`));
  }
  for (let i = Math.ceil(west / step); i * step < east; i++) lines.push(svg("path", { class: "grid", d: `M${x(i * step)} 0V${height}` }));
  return lines;
}

/** The names of areas, those with most items first, where they hide no name and no spot. */
function areas(points, spots, { x, y, height }) {
  const found = new Map();
  for (const { area, at } of points) {
    if (!area) continue;
    const one = found.get(area) ?? { count: 0, sums: [0, 0] };
    found.set(area, { count: one.count + 1, sums: [one.sums[0] + at[0], one.sums[1] + at[1]] });
  }
  const placed = [];
  for (const [name, { count, sums }] of [...found].sort((a, b) => b[1].count - a[1].count)) {
    const wide = 5.6 * name.length;
    const left = Math.min(Math.max(2, x(sums[1] / count) - wide / 2), WIDTH - wide - 2);
    const top = Math.min(y(sums[0] / count) + 18, height - 3);
    const covered = spots.some(({ at }) => Math.abs(y(at[0]) - top + 4) < 11 && x(at[1]) > left - 7 && x(at[1]) < left + wide + 7);
    if (!covered && placed.every((p) => Math.abs(p.top - top) > 11 || left > p.left + p.wide || left + wide < p.left)) placed.push({ name, left, top, wide });
  }
  return placed.map(({ name, left, top }) => svg("text", { class: "area", x: left, y: top }, name));
}

/** A line of a round length, with its kilometres. */
function ruler({ unit, height }) {
  const km = STEPS.findLast((step) => (step / KM) * unit < WIDTH / 4) ?? STEPS[0];
  const length = (km / KM) * unit;
  const [left, low] = [WIDTH - length - 8, height - 8];
  return [
    svg("path", { class: "ruler", d: `M${left} ${low - 4}v4h${length}v-4` }),
    svg("text", { class: "degrees", x: left + length / 2, y: low - 5, "text-anchor": "middle" }, `${km} km`),
  ];
}
