// The title of an item, and its other attributes as text.

import { valueText } from "./parts.js";

const TITLES = [/^title$/i, /^name$/i, /^headline$/i, /_title$/i, /^(item|product)_?name$/i];
const ADDRESS = /^https?:\/\//;

/** The attribute that is the title of an item; undefined without one. */
export const titleOf = (attributes) => {
  const texts = Object.entries(attributes ?? {}).filter(([, value]) => typeof value === "string");
  const found = TITLES.map((form) => texts.find(([name]) => form.test(name))).find(Boolean);
  return found?.[1];
};

/** A value as text, empty where it is missing or an address that nobody reads. */
export const wordsOf = (value) => (ADDRESS.test(value) ? "" : valueText(value));
