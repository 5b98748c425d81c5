// Answers: the newest request takes the place of older ones, and items get their attributes.

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
 * Ask the server. The answer also gets `candidates`, all of them or, without stages, its items, and
 * the `blend` that was asked for; what it tells of items is put into `attributes`.
 */
export async function answerTo(model, asked, blend, attributes, signal) {
  const send = model.stages.includes("retrieve") ? api.recommend : api.rank;
  const answer = await send({ ...asked, blend, stages: true }, signal);
  answer.blend = blend;
  answer.candidates = answer.stages?.candidates ?? answer.items;
  for (const item of answer.items)
    attributes.set(item.item_id, asked.rows?.[item.item_id] ?? item.attributes);
  await describe(answer, model, asked, attributes, signal);
  return answer;
}

/** Look up attributes of items first in an earlier stage only: an answer has those of the last. */
async function describe(answer, model, { user, query, k, rows }, attributes, signal) {
  const first = (rank) => rank != null && rank <= k;
  const missing = answer.candidates
    .filter((c) => first(c.retrieval_rank) || first(c.ranked_rank))
    .map((c) => c.item_id)
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
