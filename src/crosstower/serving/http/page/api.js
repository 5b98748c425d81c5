// The server's HTTP interface: exact integers, tokens, and errors in words.

const TOKEN = "crosstower-token";
let askForToken = () => Promise.resolve(null);
let pending = null;

/** An error response; `message` explains it to people, `status` is that of HTTP or null. */
export class Failure extends Error {
  constructor(message, status = null) {
    super(message);
    this.status = status;
  }
}

/** Set the prompt for a token: a function of a message that returns a promise of text or null. */
export function onUnauthorised(prompt) {
  askForToken = prompt;
}

/**
 * Send a request and return the JSON of the response. Integers beyond 2^53 become BigInt, so that
 * they are not rounded. Requests with the same id get the same arm of an experiment.
 * Throws Failure, or AbortError when `signal` was aborted.
 */
export async function call(method, path, body, signal, id) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const response = await send(method, path, body, { token, signal, id });
    if (response.ok) return parse(await response.text());
    const words = await problemOf(response);
    if (response.status !== 401 || !(await newToken(words, token))) throw new Failure(words, response.status);
  }
}

export const model = () => call("GET", "v1/model");
export const recommend = (request, signal, id) => call("POST", "v1/recommend", request, signal, id);
export const rank = (request, signal, id) => call("POST", "v1/rank", request, signal, id);
export const search = (request, signal) => call("POST", "v1/search", request, signal);
export const similar = (request, signal) => call("POST", "v1/similar", request, signal);
export const user = (id, signal) => call("GET", `v1/users?id=${encodeURIComponent(id)}`, null, signal);
export const addEvent = (event) => call("POST", "v1/events", { events: [event] });
export const versions = () => call("GET", "v1/versions");
export const experiments = (user) =>
  call("GET", `v1/experiments${user == null ? "" : `?user=${encodeURIComponent(user)}`}`);
export const experimentReport = (name) =>
  call("GET", `v1/experiments/report?name=${encodeURIComponent(name)}`);

/** Ask for a token in place of the one that was refused; return whether there is a new one. */
export const otherToken = (words) => newToken(words, sessionStorage.getItem(TOKEN));

/** The rows that a person typed as JSON: one object or a list of them. Throws Failure. */
export function rowsOf(text) {
  try {
    return [parse(text)].flat();
  } catch (error) {
    throw new Failure(`The rows are not JSON: ${error.message}`);
  }
}

/** JSON text of a value that may hold BigInt, over several lines with `indent`. */
export function stringify(value, indent) {
  const plain = (_, inner) =>
    typeof inner === "bigint" ? (JSON.rawJSON?.(`${inner}`) ?? `${inner}`) : inner;
  return JSON.stringify(value, plain, indent);
}

/** The value of a JSON text, with integers of any size. */
export function parse(text) {
  return JSON.parse(text, (_, value, context) => {
    const unsafe =
      typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
    return unsafe && /^-?\d+$/.test(context?.source ?? "") ? BigInt(context.source) : value;
  });
}

async function send(method, path, body, { token, signal, id }) {
  const headers = { Accept: "application/json, application/problem+json" };
  if (body) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  if (id) headers["X-Request-ID"] = id;
  try {
    return await fetch(path, { method, headers, body: body && stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("Cannot reach the server. Is it still running?");
  }
}

/** Turn an RFC 9457 problem, or whatever else came, into a sentence or a few. */
async function problemOf(response) {
  let problem = {};
  try {
    problem = parse(await response.text());
  } catch {
    // Not JSON, as from a proxy: the status has to do.
  }
  const detail =
    problem.detail ?? problem.title ?? `The server responded with status ${response.status}.`;
  const more = (problem.errors ?? []).filter((e) => !detail.includes(e.problem));
  return [detail, ...more.map((e) => `${e.where}: ${e.problem}`)].join("\n");
}

/** Return whether there is a token to try that differs from the refused one. One dialog at a time. */
async function newToken(words, refused) {
  if (sessionStorage.getItem(TOKEN) !== refused) return true; // another request has a token already
  pending ??= askForToken(refused ? `This token was not accepted: ${words}` : words);
  const given = await pending;
  pending = null;
  if (given) sessionStorage.setItem(TOKEN, given);
  return Boolean(given);
}
