// The request form: user, query columns, filter, how many.

import { rowsOf } from "./api.js";
import { byId, el, numberOr, typedLike } from "./parts.js";

const LISTS = ["bag", "sequence"];

/**
 * Fill the form for a model, and then from the address: `?user=7&k=5&query-city=Oslo` gives values
 * of its fields by their ids. `submit` is called when it is sent or a field of it has changed.
 * Returns { read() }: { user, query, where, k } or, where the bundle only ranks, { user, query, k }
 * with `items`, ids, or `rows`, objects; read() throws Failure where rows are not JSON.
 */
export function openRequest(model, submit) {
  const form = byId("request");
  const ranksOnly = !model.stages.includes("retrieve");
  form.replaceChildren(
    ...(model.user_column ? userFields(model) : []),
    ...queryColumns(model).map(queryField),
    ranksOnly ? itemsField(model) : whereField(model),
    kField(model),
  );
  fillFrom(new URLSearchParams(location.search), form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  form.addEventListener("change", () => form.checkValidity() && submit());
  return { read: () => read(model, ranksOnly) };
}

function fillFrom(address, form) {
  for (const [id, value] of address) {
    const field = [...form.elements].find((element) => element.id === id);
    if (!field?.matches("input, textarea")) continue;
    field.value = value;
    field.dispatchEvent(new Event("input"));
  }
}

function read(model, ranksOnly) {
  const text = (id) => byId(id)?.value.trim() ?? "";
  const needed = model.needed_columns ?? []; // may be empty, but not left out
  const user = text("user");
  const pairs = queryColumns(model).map((column) => [
    column.name,
    queryValue(column, text(`query-${column.name}`)),
  ]);
  const fields = {
    user: user === "" ? null : typedLike(user, model.sample_users),
    query: Object.fromEntries(
      pairs.filter(([name, value]) => value !== null || needed.includes(name)),
    ),
    k: byId("k").valueAsNumber || 10,
  };
  if (!ranksOnly) return { ...fields, where: text("where") || null };
  const list = text("items");
  if (/^[[{]/.test(list)) return { ...fields, rows: rowsOf(list) };
  return {
    ...fields,
    items: list
      .split(/[\s,]+/)
      .filter(Boolean)
      .map(numberOr),
  };
}

/** The columns of the form: not the user's id, which has a field of its own. */
function queryColumns({ query_columns: columns, user_column: user }) {
  return columns.filter(({ name }) => name !== user);
}

function queryValue({ kind, examples }, text) {
  if (text === "") return null;
  const flat = (examples ?? []).flat();
  if (LISTS.includes(kind)) return text.split(",").map((part) => typedLike(part.trim(), flat));
  return kind === "numeric" ? numberOr(text) : typedLike(text, flat);
}

function field(id, title, control, ...after) {
  return el("div", { class: "field" }, el("label", { for: id }, title), control, ...after);
}

function userFields(model) {
  const input = el("input", {
    id: "user",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "nobody",
  });
  if (model.sample_users.length === 0) return [field("user", `User (${model.user_column})`, input)];
  input.value = `${model.sample_users[0]}`;
  const options = model.sample_users.map((user) => el("option", {}, `${user}`));
  const samples = el(
    "select",
    { id: "sample", "aria-label": "Sample users" },
    el("option", { value: "", disabled: true }, "typed"),
    ...options,
  );
  samples.value = input.value;
  samples.addEventListener("change", () => {
    input.value = samples.value;
  });
  input.addEventListener("input", () => {
    samples.value = model.sample_users.some((user) => `${user}` === input.value) ? input.value : "";
  });
  const pair = el("div", { class: "pair" }, input, samples);
  return [field("user", `User (${model.user_column}), typed or a sample`, pair)];
}

function queryField({ name, kind, examples }) {
  const id = `query-${name}`;
  const shown = (examples ?? []).map((example) =>
    Array.isArray(example) ? example.join(", ") : `${example}`,
  );
  const input = el("input", {
    id,
    list: `${id}-examples`,
    autocomplete: "off",
    inputmode: kind === "numeric" ? "decimal" : null,
    placeholder: shown.length
      ? `such as ${shown.slice(0, 3).join(LISTS.includes(kind) ? "; " : ", ")}`
      : "empty",
  });
  const list = el(
    "datalist",
    { id: `${id}-examples` },
    ...shown.map((value) => el("option", { value })),
  );
  return field(id, LISTS.includes(kind) ? `${name} (values, separated by commas)` : name, input, list);
}

function whereField(model) {
  const input = el("input", {
    id: "where",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    placeholder: exampleOf(model),
  });
  const insert = (name) => {
    input.setRangeText(name, input.selectionStart, input.selectionEnd, "end");
    input.focus();
  };
  const names = model.attributes.map(({ name, type }) =>
    el(
      "button",
      {
        type: "button",
        class: "chip",
        title: `${type}; add to the filter`,
        click: () => insert(name),
      },
      name,
    ),
  );
  const help = el(
    "details",
    { class: "help" },
    el("summary", {}, "Attributes and operators"),
    el("p", {}, "==  !=  <  <=  >  >=  in  not in  and  or  not; texts in quotes"),
    el("div", { class: "chips" }, ...names),
  );
  return field("where", "Filter", input, help);
}

function exampleOf({ attributes, item_column }) {
  const number = attributes.find(
    ({ name, type }) => name !== item_column && /^(u?int|float)/i.test(type),
  );
  return number ? `such as ${number.name} < 120` : "a condition on attributes";
}

/** Ids where the bundle knows items; where it knows none, whole rows. */
function itemsField({ items }) {
  const [title, placeholder] =
    items > 0
      ? ["Item ids to rank, separated by commas or lines", "17, 18, 19"]
      : [
          "Rows to rank, as JSON with all columns",
          '[{"city": "Paris", "price": 90},\n {"city": "Rome", "price": 75}]',
        ];
  return field(
    "items",
    title,
    el("textarea", { id: "items", rows: 6, spellcheck: "false", placeholder }),
  );
}

function kField(model) {
  const input = el("input", {
    id: "k",
    type: "number",
    min: 1,
    max: model.limits.k,
    value: Math.min(10, model.limits.k),
    required: true,
  });
  return el(
    "div",
    { class: "pair end" },
    field("k", "Items (k)", input),
    el("button", {}, "Recommend"),
  );
}
