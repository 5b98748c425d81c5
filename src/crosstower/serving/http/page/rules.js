// The rules editor: JSON text with templates, sent with each request while it is valid.

import { Failure, parse, stringify } from "./api.js";
import { byId, el, later } from "./parts.js";

const PAUSE = 350; // ms without a key before the list is requested again

/**
 * Fill the editor for a model; `changed` is called when the rules have changed and can be read.
 * Returns { read() }: what a request adds, {} without rules; read() throws Failure.
 */
export function openRules(model, changed) {
  const own = Object.keys(model.rules ?? {}).length > 0;
  const text = el("textarea", {
    id: "rules-text",
    rows: 7,
    spellcheck: "false",
    autocapitalize: "off",
    "aria-describedby": "rules-help",
    placeholder: '{"max_per": {"column": "city", "most": 2}}',
  });
  const replace = el("input", { id: "rules-replace", type: "checkbox" });
  const read = () => asked(text.value, own && replace.checked, own);
  const update = () => {
    try {
      read();
      problem("");
      changed();
    } catch (error) {
      problem(error.message);
    }
  };
  const add = (kind) => {
    try {
      text.value = withTemplate(text.value, kind, model);
      text.focus();
      update();
    } catch (error) {
      problem(error.message);
    }
  };
  text.addEventListener("input", later(PAUSE, update));
  replace.addEventListener("change", update);
  const chips = Object.keys(TEMPLATES).map((kind) =>
    el("button", { type: "button", class: "chip", title: "add this rule", click: () => add(kind) }, kind),
  );
  const clear = el(
    "button",
    {
      type: "button",
      class: "quiet",
      click: () => {
        text.value = "";
        text.focus();
        update();
      },
    },
    "Clear",
  );
  byId("rules-controls").replaceChildren(
    el("div", { class: "field" }, el("label", { for: "rules-text" }, "Rules of this request, as JSON"), text),
    el("div", { class: "chips", role: "group", "aria-label": "Add a rule" }, ...chips),
    el("p", { class: "help", id: "rules-help" }, "The list is a preview: it charges no budget."),
    own && ownRules(model.rules, replace),
    el("div", { class: "buttons" }, clear),
  );
  return { read };
}

function ownRules(rules, replace) {
  return el(
    "details",
    { class: "help" },
    el("summary", {}, "Rules of the bundle"),
    el("pre", { tabindex: 0, "aria-label": "Rules of the bundle" }, JSON.stringify(rules, null, 1)),
    el("label", {}, replace, " Ignore them"),
  );
}

function problem(words) {
  byId("rules-problem").textContent = words;
}

/** What a request adds for a text of rules. */
function asked(text, replace, own) {
  const rules = rulesOf(text);
  if (replace) rules.replace = true;
  return Object.keys(rules).length > 0 || own ? { rules, explain: true } : {};
}

function rulesOf(text) {
  if (text.trim() === "") return {};
  let found;
  try {
    found = parse(text);
  } catch (error) {
    throw new Failure(`The rules are not JSON: ${error.message}`);
  }
  if (typeof found !== "object" || found === null || Array.isArray(found))
    throw new Failure('The rules must be an object, such as {"exclude": "price > 100"}.');
  return found;
}

/** The text with another rule; a kind that takes several becomes a list. */
function withTemplate(text, kind, model) {
  const rules = rulesOf(text);
  const rule = TEMPLATES[kind](columnsOf(model));
  const before = rules[kind];
  if (before === undefined || ["mmr", "dpp", "freshness"].includes(kind)) rules[kind] = rule;
  else rules[kind] = [before, rule].flat();
  if (kind === "mmr") delete rules.dpp;
  if (kind === "dpp") delete rules.mmr;
  return stringify(rules, 1);
}

/** Columns that templates name: the first one of each type, or a word to replace. */
function columnsOf({ attributes, types, item_column: item }) {
  const named = attributes.filter(({ name }) => name !== item);
  const first = (pattern, word) => named.find(({ type }) => pattern.test(type))?.name ?? word;
  return {
    number: first(/^(u?int|float|decimal)/i, "COLUMN"),
    word: named.some(({ name }) => name === types) ? types : first(/^string/i, "COLUMN"),
    time: first(/^date/i, "COLUMN"),
  };
}

const TEMPLATES = {
  require: ({ number }) => `${number} < 100`,
  exclude: ({ number }) => `${number} > 100`,
  boost: ({ number }) => ({ where: `${number} < 100`, multiply: 1.5 }),
  bury: ({ number }) => ({ where: `${number} > 100`, divide: 1.5 }),
  freshness: ({ time }) => ({ column: time, half_life: "7d" }),
  dedup_by: ({ word }) => word,
  mmr: () => ({ relevance: 0.5 }),
  dpp: () => ({ relevance: 0.5 }),
  spacing: ({ word }) => ({ column: word, strength: 0.3 }),
  max_per: ({ word }) => ({ column: word, most: 1, within: 3 }),
  slots: ({ number }) => ({ where: `${number} < 50`, every: 5 }),
  pin: () => ({ item: 1, at: 1 }),
};

/** The moves of an item by rules, as text and for a screen reader. */
export function movesText(moves) {
  const pairs = Object.entries(moves ?? {});
  if (pairs.length === 0) return el("span", { class: "attributes" }, "moved by no rule");
  const parts = pairs.map(([rule, by]) =>
    el(
      "span",
      { class: by > 0 ? "move up" : "move down" },
      el("span", { "aria-hidden": "true" }, `${rule} ${by > 0 ? "▲" : "▼"}${Math.abs(by)}`),
      el("span", { class: "spoken" }, `${rule}: ${by > 0 ? "up" : "down"} ${Math.abs(by)}.`),
    ),
  );
  return el("span", { class: "attributes moves-by-rule" }, ...parts.flatMap((part) => [part, " "]));
}
