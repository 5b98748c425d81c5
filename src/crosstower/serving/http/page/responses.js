// Responses: the newest request takes the place of older ones, and items get their attributes.

import * as api from "./api.js";
import { byId } from "./parts.js";

let running = new AbortController();

/** Call off the request that runs. */
export function callOff() {
  running.abort();
}

/**
 * Run a request in place of the one that runs; errors are shown next to their cause.
 * Returns whether it went well, null where a newer one has taken its place.
 */
export async function newest(problemId, run) {
  running.abort();
  const mine = new AbortController();
  running = mine;
  byId("results").setAttribute("aria-busy", "true");
  try {
    await run(mine.signal);
    byId(problemId).textContent = "";
    return true;
  } catch (error) {
    if (error.name === "AbortError") return null;
    if (!(error instanceof api.Failure)) console.error(error);
    byId(problemId).textContent = error.message;
    byId(problemId).scrollIntoView({ block: "nearest" });
    return false;
  } finally {
    if (running === mine) byId("results").removeAttribute("aria-busy");
  }
}

/**
 * Send a request, as a preview: `explain` lets it log no impressions and charge no budget.
 * The response also gets `candidates`, all of them or, without stages, its items, and the `blend`
 * of the request. Attributes of its items are added to `attributes`.
 */
export async function listFor(model, request, blend, attributes, signal, id) {
  const send = model.stages.includes("retrieve") ? api.recommend : api.rank;
  const { known, ...sent } = request; // items of the history that the page shows as well
  const response = await send({ ...sent, blend, stages: true, explain: true }, signal, id);
  response.blend = blend;
  response.candidates = response.stages?.candidates ?? response.items;
  for (const item of response.items)
    attributes.set(item.item_id, request.rows?.[item.item_id] ?? item.attributes);
  await describe(response, model, request, attributes, signal);
  return response;
}

/**
 * Send a request with a history in place of the user's own, and without it. Both have one id, so
 * that they get the same arm, and no exploration, so that only the history makes a difference.
 * Returns the response to the first; its `before` is the other one.
 */
export async function whatIfFor(model, { history, ...request }, blend, attributes, signal) {
  const id = `what-if-${Math.random().toString(36).slice(2)}`;
  const plain = { ...request, explore: null };
  const [before, after] = await Promise.all(
    [plain, { ...plain, history }].map((one) => listFor(model, one, blend, attributes, signal, id)),
  );
  return Object.assign(after, { before });
}

/**
 * Look up attributes of items first in an earlier stage only, and of `known` items of the history:
 * a response has those of the last stage.
 */
async function describe(response, model, { user, query, k, rows, known = [] }, attributes, signal) {
  const first = (rank) => rank != null && rank <= k;
  const missing = response.candidates
    .filter((c) => first(c.retrieval_rank) || first(c.ranked_rank))
    .map((c) => c.item_id)
    .concat(known)
    .filter((id) => !attributes.has(id))
    .slice(0, model.limits.items);
  if (missing.length === 0 || model.tasks.length === 0 || rows) return;
  try {
    const found = await api.rank(
      { user, query, items: missing, k: null, blend: null, stages: false },
      signal,
    );
    for (const item of found.items) attributes.set(item.item_id, item.attributes);
  } catch (error) {
    if (!(error instanceof api.Failure)) throw error; // the order stands without them
  }
}
