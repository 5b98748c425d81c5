// The blend studio: weights, transform and split, as controls and as a recipe's blend section.

import { byId, el } from "./parts.js";

/**
 * Fill the studio for a model and call `changed` whenever the blend changes.
 * Returns { override(), announce(words) }: the blend to request, null for the bundle's own.
 */
export function openStudio(model, changed) {
  const start = startOf(model);
  const state = { ...structuredClone(start), touched: false };
  const note = el("p", { class: "help", id: "studio-note" });
  const copied = el("div", { role: "status" });
  const touch = () => {
    state.touched = true;
    copied.replaceChildren();
    changed();
  };
  const override = () =>
    state.touched && !(start.own && same(state, start)) ? blendOf(state) : null;
  const fill = () => {
    const weights = el(
      "fieldset",
      {},
      el("legend", {}, "Weights"),
      ...model.tasks.map((task) => weightRow(task, { state, start, touch })),
    );
    const selects = el(
      "div",
      { class: "pair" },
      transformSelect(model, { state, start, touch }),
      bySelect(model, { state, touch }),
    );
    const buttons = el(
      "div",
      { class: "buttons" },
      el("button", { type: "button", id: "reset", click: reset }, "Reset to bundle"),
      el(
        "button",
        {
          type: "button",
          class: "quiet",
          id: "copy",
          click: () => copy(copied, override() ?? ownBlend(model, state), model.blend?.diversity),
        },
        "Copy YAML",
      ),
    );
    byId("studio-controls").replaceChildren(weights, selects, note, buttons, copied);
  };
  const reset = () => {
    Object.assign(state, structuredClone(start), { touched: false });
    copied.replaceChildren();
    fill();
    byId("reset").focus();
    changed();
  };
  const announce = (words) => {
    note.textContent = words || ownWords(model);
  };
  fill();
  announce("");
  return { override, announce };
}

/**
 * A blend as the `blend` section of a recipe. Weights of 0 are left out. The bundle's diversity
 * goes with every blend of a request, so that it is part of each copy.
 */
function yamlOf(blend, diversity) {
  const name = (text) =>
    /^[A-Za-z_][\w-]*$/.test(text) && !/^(y|n|yes|no|on|off|true|false|null)$/i.test(text)
      ? text
      : JSON.stringify(text);
  const section = (key, entries) => [
    `  ${key}:`,
    ...entries.map(([task, value]) => `    ${name(task)}: ${value}`),
  ];
  const { mode, weights, transform, by, amount } = blend;
  const kept = Object.entries(weights).filter(
    ([task, weight]) => weight !== 0 || transform?.[task],
  );
  return [
    "blend:",
    ...(mode === "product" ? ["  mode: product"] : []),
    ...section("weights", kept),
    ...(typeof transform === "string"
      ? [`  transform: ${transform}`]
      : section("transform", Object.entries(transform ?? {}))),
    ...(by ? [`  by: ${name(by)}`] : []),
    ...(amount ? [`  amount: ${name(amount)}`] : []),
    ...(diversity ? [`  diversity: ${JSON.stringify(diversity)}`] : []), // JSON is YAML
    "",
  ].join("\n");
}

/** Where the controls start: the bundle's sum, or weight 1 for the first task where it has none. */
function startOf({ blend, tasks }) {
  const own = blend !== null && blend.mode !== "product";
  const given = own ? blend.weights : { [tasks[0].name]: 1 };
  const weights = Object.fromEntries(tasks.map(({ name }) => [name, given[name] ?? 0]));
  return {
    own,
    weights,
    transform: (own && blend.transform) || "identity",
    by: (own && blend.by) || null,
  };
}

function ownWords({ blend, tasks }) {
  if (blend === null) {
    return `The bundle has no blend: items are in order of ${tasks[0].name}. The controls start with weight 1 for this task.`;
  }
  if (blend.mode !== "product")
    return "This is the bundle's own blend. Move a control to try another.";
  return `The bundle's own blend multiplies (mode: product), the studio adds. It starts with weight 1 for ${tasks[0].name}, once you move a control.`;
}

const same = (a, b) =>
  ["weights", "transform", "by"].every((key) => JSON.stringify(a[key]) === JSON.stringify(b[key]));

function blendOf({ weights, transform, by }) {
  const named = typeof transform === "object" ? transform : {};
  const used = Object.entries(weights).filter(([task, weight]) => weight !== 0 || task in named);
  return {
    weights: Object.fromEntries(used.length ? used : Object.entries(weights)),
    transform,
    by,
  };
}

const ownBlend = (model, state) => model.blend ?? blendOf(state);

function weightRow(task, { state, start, touch }) {
  const { name, kind } = task;
  const range = rangeOf(Object.values(start.weights));
  const id = `weight-${name}`;
  const slider = el("input", { type: "range", id, "data-task": name, ...range });
  const field = el("input", {
    type: "number",
    step: "any",
    "aria-label": `Weight of ${name} as a number`,
    "data-task": name,
  });
  const show = (source) => {
    const weight = state.weights[name];
    if (weight > +slider.max) slider.max = weight;
    if (weight < +slider.min) slider.min = weight;
    if (source !== slider) slider.value = weight;
    if (source !== field) field.value = weight;
  };
  const take = (source) => {
    field.toggleAttribute("aria-invalid", !Number.isFinite(source.valueAsNumber));
    if (!Number.isFinite(source.valueAsNumber)) return;
    state.weights[name] = source.valueAsNumber;
    show(source);
    touch();
  };
  for (const source of [slider, field]) source.addEventListener("input", () => take(source));
  show();
  const about = [
    kind !== "binary" && `${kind}, standardised`,
    start.own && `bundle: ${start.weights[name]}`,
  ];
  const label = el("label", { for: id }, name, el("small", {}, about.filter(Boolean).join(" · ")));
  return el("div", { class: "weight" }, label, slider, field);
}

/** -2 to 5 in steps of 0.05, or the same form on a scale that fits the weights. */
function rangeOf(weights) {
  const largest = Math.max(...weights.map(Math.abs));
  if (largest === 0 || (largest >= 0.25 && largest <= 4)) return { min: -2, max: 5, step: 0.05 };
  const power = 10 ** Math.floor(Math.log10(largest));
  const max = [2, 5, 10, 20].find((m) => m * power >= 2 * largest) * power;
  return { min: -0.4 * max, max, step: max / 100 };
}

function transformSelect(model, { state, start, touch }) {
  const byTask = typeof start.transform === "object" && ["", "by task"];
  const options = [byTask, ...model.transforms.map((name) => [name, name])].filter(Boolean);
  const chosen = typeof state.transform === "string" ? state.transform : "";
  return select("transform", "Transform", options, chosen, (value) => {
    state.transform = value || start.transform;
    touch();
  });
}

function bySelect(model, { state, touch }) {
  const columns = [...new Set([...model.blend_by, ...(state.by ? [state.by] : [])])];
  const options = [["", "nothing"], ...columns.map((name) => [name, name])];
  return select("by", "Fitted per", options, state.by ?? "", (value) => {
    state.by = value || null;
    touch();
  });
}

function select(id, title, options, chosen, take) {
  const items = options.map(([value, text]) =>
    el("option", { value, selected: value === chosen }, text),
  );
  const control = el("select", { id, change: () => take(control.value) }, ...items);
  return el("div", { class: "field" }, el("label", { for: id }, title), control);
}

async function copy(box, blend, diversity) {
  const text = yamlOf(blend, diversity);
  try {
    await navigator.clipboard.writeText(text);
    box.replaceChildren(el("p", { class: "help" }, "Copied."));
  } catch {
    // Without https a browser lets no page write to the clipboard.
    const area = el("textarea", {
      readonly: true,
      rows: text.split("\n").length,
      "aria-label": "Blend as YAML",
    });
    area.value = text;
    box.replaceChildren(
      el("p", { class: "help" }, "The browser does not allow copying here. Copy this:"),
      area,
    );
    area.select();
  }
}
