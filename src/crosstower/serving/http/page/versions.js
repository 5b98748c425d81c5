// The versions of the bundle: which one is live, what the gate measured, and why one was rejected.

import * as api from "./api.js";
import { byId, count, el, score, table, time } from "./parts.js";

const VERDICTS = {
  base: "bundle of the command line",
  published: "published",
  refused: "rejected by the gate",
  failed: "failed",
  interrupted: "interrupted",
  withdrawn: "withdrawn",
  running: "in progress",
};
const EVENTS = { ...VERDICTS, begun: "begun", rolled_back: "live again by a rollback" };

/** Read the versions from the server and draw them. */
export async function loadVersions() {
  try {
    const found = await api.versions();
    byId("versions-problem").textContent = "";
    byId("versions-note").textContent = liveWords(found);
    byId("versions-list").replaceChildren(
      ...found.versions.map((version) => versionCard(version, found)),
      ...(found.journal.length > 0 ? [journalCard(found.journal)] : []),
    );
  } catch (error) {
    if (!(error instanceof api.Failure)) throw error;
    byId("versions-problem").textContent = error.message;
  }
}

function liveWords({ live, since }) {
  if (live === null) return "A bundle without a number is live: it was swapped in by its path.";
  const from = since ? ` since ${time(since)}` : "";
  return `Version ${live} is live${from}.`;
}

function versionCard(version, { live }) {
  const { number, verdict, reasons, notes, figures, available } = version;
  const facts = [
    ["bundle", version.version],
    ["begun", version.begun && time(version.begun)],
    ["ended", version.ended && time(version.ended)],
    ["rows", version.rows != null && count(version.rows)],
  ].filter(([, value]) => value);
  return el(
    "article",
    { class: "card", "aria-labelledby": `version-${number}`, "data-number": number },
    el(
      "div",
      { class: "heading" },
      el("h3", { id: `version-${number}` }, `Version ${number}`),
      el("span", { class: `badge ${verdict}` }, VERDICTS[verdict] ?? verdict),
      version.live && el("span", { class: "badge live" }, "live"),
    ),
    el("dl", {}, ...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    list("reasons", reasons),
    list("help", notes),
    ...gateTables(figures ?? {}),
    number !== live && available && rollback(number),
  );
}

const list = (kind, sentences) =>
  sentences?.length > 0 && el("ul", { class: kind }, ...sentences.map((one) => el("li", {}, one)));

function gateTables({ rows, users, comparisons = [], calibration = [], drift = [] }) {
  const of = users != null && users !== rows ? ` of ${count(users)} users` : "";
  const on = rows ? `, on ${count(rows)} rows${of}` : "";
  const interval = ({ low, high }) => (low == null ? "–" : `${score(low)} to ${score(high)}`);
  const result = ({ passed }) => el("span", { class: passed ? "up" : "down" }, passed ? "passed" : "not passed");
  return [
    table(
      `Compared with the bundle that was live${on}`,
      ["Name", "Metric", "Live", "Candidate", "Gain", "Interval", "Gate"],
      comparisons.map((one) => [
        one.name,
        one.metric,
        score(one.live),
        score(one.candidate),
        score(one.gain),
        interval(one),
        result(one),
      ]),
    ),
    table(
      "Calibration: sum of predictions divided by sum of labels",
      ["Task", "Live", "Candidate", "Allowed", "Gate"],
      calibration.map((one) => [one.task, score(one.live), score(one.candidate), interval(one), result(one)]),
    ),
    table(
      "Drift of the predictions",
      ["Task", "Population stability index", "Gate"],
      drift.map((one) => [one.task, score(one.psi), result(one)]),
    ),
  ];
}

function rollback(number) {
  return el(
    "details",
    { class: "help" },
    el("summary", {}, `Roll back to version ${number}`),
    el("p", {}, "Run this command on the server, with its bundle and its state folder:"),
    el("pre", { tabindex: 0 }, `crosstower rollback BUNDLE --state DIR --to ${number}`),
  );
}

function journalCard(journal) {
  const rows = journal.map((one) => [time(one.time), `${one.number}`, EVENTS[one.event] ?? one.event]);
  return el(
    "details",
    { class: "card" },
    el("summary", {}, el("h3", {}, "Journal"), el("span", { class: "soft" }, ` ${count(journal.length)} entries`)),
    table("Newest first", ["Time", "Version", "Event"], rows),
  );
}
