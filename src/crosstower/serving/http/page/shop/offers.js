// Panels of the shop page for a bundle, chosen by the columns of the bundle.

const LATITUDE = /(^|_)lat(itude)?$/i;
const LONGITUDE = /(^|_)(lon|lng|long|longitude)$/i;
const PLACES = ["place", "city", "district", "neighbourhood", "area"];
const LISTS = ["bag", "sequence"];
const NUMBER = /^(u?int|float|decimal|numeric)/i; // a type of an attribute, or the kind of a column

/**
 * The parts that a model has: { user, text, place, origin, hours, area, fields, events }. Each is
 * null or empty where its columns are missing.
 *
 * `text` is the query column of the search box, `place` and `origin` are pairs of latitude and
 * longitude of items and of the query, `hours` the pair of opening hours of items, `area` the
 * attribute that names a place, `fields` the other query columns of one value, and `events` the
 * types of events that change later lists, the type of a click first.
 */
export function offersOf(model) {
  const names = model.attributes.map(({ name }) => name);
  const numbers = model.attributes.filter(({ type }) => NUMBER.test(type)).map(({ name }) => name);
  const texts = model.query_columns.filter(({ kind }) => kind === "text");
  const text = texts.length === 1 ? texts[0].name : null;
  const origin = pairOf(model.query_columns.filter(({ kind }) => NUMBER.test(kind)).map(({ name }) => name));
  const taken = [model.user_column, text, ...(origin ?? [])];
  return {
    user: model.user_column,
    text,
    place: pairOf(numbers),
    origin,
    hours: numbers.includes("opens") && numbers.includes("closes") ? ["opens", "closes"] : null,
    area: PLACES.find((name) => names.includes(name)) ?? null,
    fields: model.query_columns.filter(
      ({ name, kind }) => !taken.includes(name) && kind !== "text" && !LISTS.includes(kind),
    ),
    events: (model.live_events ?? []).filter((type) => type !== "impression"),
  };
}

function pairOf(names) {
  const pair = [LATITUDE, LONGITUDE].map((form) => names.find((name) => form.test(name)));
  return pair.every(Boolean) ? pair : null;
}

/** What is missing for clicks to change the list, in words; null if nothing is. */
export function missingWords({ user, events }) {
  if (!user)
    return "Clicks change nothing here: the bundle has no users. Add user: COLUMN to the retrieval section of its recipe.";
  if (events.length === 0)
    return "Clicks change nothing here: the bundle lists no live events. Add history: {column: COLUMN, events: [click]} to the retrieval section of its recipe.";
  return null;
}

/** What to change where nothing was found, by what the request of `requestOf` asked for. */
export function emptyWords({ text, radius, hour }) {
  const ways = [radius !== null && "allow a longer distance", hour !== null && "choose any time", text && "use other words"].filter(Boolean);
  return ways.length ? `Nothing was found: ${ways.join(", or ")}.` : "The bundle has no items for this visitor.";
}

/**
 * The request for a list. `state`: { user, values: text by field, text, centre: [latitude,
 * longitude] or null, radius: km or null, hour: or null, k }.
 */
export function requestOf(state, offers, { needed_columns: needed = [] }) {
  const query = {};
  for (const field of offers.fields) {
    const value = valueOf(field, state.values[field.name]);
    if (value !== null || needed.includes(field.name)) query[field.name] = value;
  }
  if (offers.text) query[offers.text] = state.text || null;
  if (offers.origin) offers.origin.forEach((name, i) => (query[name] = state.centre?.[i] ?? null));
  const conditions = [nearby(state, offers), open(state, offers)].filter(Boolean);
  return { user: state.user, query, where: conditions.join(" and ") || null, k: state.k };
}

function valueOf({ kind, examples }, text = "") {
  if (text.trim() === "") return null;
  const numbers = kind === "numeric" || ((examples ?? []).length > 0 && examples.every((e) => typeof e === "number"));
  return numbers && Number.isFinite(+text) ? +text : text.trim();
}

function nearby({ centre, radius }, { place }) {
  if (!place || !centre || radius === null) return null;
  return `distance_km(${[...place, ...centre.map((degrees) => degrees.toFixed(4))].join(", ")}) < ${radius}`;
}

function open({ hour }, { hours }) {
  if (!hours || hour === null) return null;
  return `${hours[0]} <= ${hour} and ${hours[1]} > ${hour}`;
}

/**
 * The hour that a question names, from 0 to 24, such as 21 for "at 9 pm"; null without one.
 * Opening hours after midnight continue with 24, so 1 am is 25.
 */
export function hourIn(text, now = new Date()) {
  const words = text.toLowerCase();
  const found = /\b(\d{1,2})(?::(\d{2}))?\s*(am|pm|a\.m\.|p\.m\.|o'?clock)(?![a-z])|\b(\d{1,2}):(\d{2})\b/.exec(words);
  if (found) {
    const half = found[3]?.[0];
    let hour = +(found[1] ?? found[4]) % (half === "a" || half === "p" ? 12 : 24);
    if (half === "p" || (half === "o" && hour < 11)) hour += 12;
    hour += +(found[2] ?? found[5] ?? 0) / 60;
    return hour < 6 ? hour + 24 : hour;
  }
  if (/\bnow\b/.test(words)) return now.getHours() < 6 ? now.getHours() + 24 : now.getHours();
  if (/\bbreakfast\b/.test(words)) return 9;
  if (/\blunch\b/.test(words)) return 13;
  if (/\b(dinner|tonight|this evening)\b/.test(words)) return 20;
  return /\bmidnight\b/.test(words) ? 24 : null;
}

/** Distance in km between two places [latitude, longitude] on a sphere. */
export function kilometres([a, b], [c, d]) {
  const [p, q, l] = [a, c, d - b].map((degrees) => (degrees * Math.PI) / 180);
  const h = Math.sin((q - p) / 2) ** 2 + Math.cos(p) * Math.cos(q) * Math.sin(l / 2) ** 2;
  return 2 * 6371 * Math.asin(Math.sqrt(h));
}
