// Small parts that all others use: elements, numbers and values as text.

const SVG = "http://www.w3.org/2000/svg";

/** An element of the page. Children that are text stay text, whatever they contain. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An element of a drawing. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

export const byId = (id) => document.getElementById(id);

/** Whether the user prefers reduced motion. */
export const calm = matchMedia("(prefers-reduced-motion: reduce)");

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const three = new Intl.NumberFormat("en", {
  minimumSignificantDigits: 3,
  maximumSignificantDigits: 3,
});

/** A count, as 1,500. */
export const count = (number) => whole.format(number);

/** A score with three significant digits or, if it is small, two; a dash where there is none. */
export function score(number) {
  if (typeof number !== "number") return "–";
  const size = Math.abs(number);
  if (size > 0 && size < 0.001) return number.toExponential(1).replaceAll("-", "−");
  if (size > 0 && size < 0.01) return number.toFixed(4).replace("-", "−");
  return (size >= 1000 ? whole : three).format(number).replace("-", "−");
}

/** A time of the server as text, in UTC to the minute; a dash where there is none. */
export function time(text) {
  const found = new Date(text ?? NaN);
  return Number.isNaN(+found) ? "–" : `${found.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** A relative difference with its sign, as +1.2 %. */
export function signedPercent(share) {
  if (typeof share !== "number") return "–";
  const text = (100 * Math.abs(share)).toFixed(1);
  return `${+text === 0 ? "" : share < 0 ? "−" : "+"}${text} %`;
}

export const percent = (share) => `${Math.round(100 * share)} %`;
export const milliseconds = (ms) => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;

/** Any attribute as one line of text; empty where it is missing. */
export function valueText(value) {
  if (value == null) return "";
  if (Array.isArray(value)) return value.map(valueText).join(", ");
  if (typeof value === "object") {
    return Object.entries(value)
      .map(([key, inner]) => `${key}: ${valueText(inner)}`)
      .join(", ");
  }
  if (typeof value === "number" && !Number.isInteger(value)) return `${+value.toPrecision(6)}`;
  return `${value}`;
}

/** A typed text as the value that `examples` suggest: a number where they are numbers. */
export function typedLike(text, examples) {
  const numbers =
    examples.length > 0 && examples.every((e) => ["number", "bigint"].includes(typeof e));
  return numbers ? numberOr(text) : text;
}

/** A number where the text is one, exact for integers of any size; else the text itself. */
export function numberOr(text) {
  if (/^-?\d+$/.test(text)) return Number.isSafeInteger(+text) ? +text : BigInt(text);
  return text.trim() !== "" && Number.isFinite(+text) ? +text : text;
}

/** A table with a caption, null without rows; cells are text, elements or lists of them. */
export function table(title, heads, rows) {
  if (rows.length === 0) return null;
  const isNumber = heads.map((_, i) => rows.every((row) => /^[−+–\d]/.test(row[i])));
  const kind = (i) => (isNumber[i] ? "number" : null);
  const cells = (row) =>
    row.map((cell, i) =>
      i === 0 ? el("th", { scope: "row" }, cell) : el("td", { class: kind(i) }, cell),
    );
  return el(
    "div",
    { class: "wide-table", tabindex: 0, role: "group", "aria-label": title },
    el(
      "table",
      {},
      el("caption", {}, title),
      el("thead", {}, el("tr", {}, ...heads.map((head, i) => el("th", { scope: "col", class: i > 0 && kind(i) }, head)))),
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...cells(row)))),
    ),
  );
}

/** Call a function once, `ms` after the last of several calls. */
export function later(ms, run) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(run, ms);
  };
}
