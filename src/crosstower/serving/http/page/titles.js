// The title of an item, and its other attributes as text.

import { valueText } from "./parts.js";

const TITLES = [/^title$/i, /^name$/i, /^headline$/i, /_title$/i, /^(item|product)_?name$/i];
const ADDRESS = /^https?:\/\//;
const flags = new Set();

/** The attribute that is the title of an item; undefined without one. */
export const titleOf = (attributes) => {
  const texts = Object.entries(attributes ?? {}).filter(([, value]) => typeof value === "string");
  const found = TITLES.map((form) => texts.find(([name]) => form.test(name))).find(Boolean);
  return found?.[1];
};

/** Keep which of a model's attributes are flags: 0, 1 or missing in all items. */
export function keepFlags(attributes) {
  flags.clear();
  for (const { name, flag } of attributes) if (flag) flags.add(name);
}

/**
 * An attribute as text: a number says of what, and a flag is its name where it is set. Empty where
 * nothing is to be said: a missing value, a flag that is not set, an address that nobody reads.
 */
export function attributeText(name, value) {
  const words = name.replaceAll("_", " ");
  if (flags.has(name)) return value ? words : "";
  if (typeof value === "number") return `${words} ${valueText(value)}`;
  return ADDRESS.test(value) ? "" : valueText(value);
}
