// The experiments of the server: arms, the arm of the user, and the verdicts of the report.

import * as api from "./api.js";
import { intervalPlot } from "./intervals.js";
import { byId, count, el, percent, score, signedPercent, table, time } from "./parts.js";

/** Return what reads and draws the experiments; `userOf()` is the user of the request, or null. */
export function openExperiments(userOf) {
  return async function load() {
    const user = userOf();
    try {
      const { experiments } = await api.experiments(user);
      byId("experiments-problem").textContent = "";
      byId("experiments-note").textContent = noteOf(experiments, user);
      byId("experiments-list").replaceChildren(...experiments.map((one) => experimentCard(one, user)));
    } catch (error) {
      if (!(error instanceof api.Failure)) throw error;
      byId("experiments-problem").textContent = error.message;
    }
  };
}

function noteOf(experiments, user) {
  if (experiments.length === 0)
    return "This server runs none. Start it with: crosstower serve BUNDLE --experiments FILE";
  return user === null ? "" : `Arms of user ${user} are marked.`;
}

function experimentCard(experiment, user) {
  const { name } = experiment;
  const report = el("div", { class: "report" });
  const card = el(
    "article",
    { class: "card", "aria-labelledby": `experiment-${name}`, "data-name": name },
    el(
      "div",
      { class: "heading" },
      el("h3", { id: `experiment-${name}` }, name),
      el("span", { class: `badge ${experiment.active ? "live" : ""}` }, stateOf(experiment)),
    ),
    report,
  );
  loadReport(report, experiment, user);
  return card;
}

function stateOf({ active, start, end }) {
  if (active) return end ? `runs until ${time(end)}` : `runs since ${time(start)}`;
  return begins(start) ? `starts at ${time(start)}` : `ended at ${time(end)}`;
}

const begins = (start) => new Date(start) > new Date();

/** Draw the arms at once, and the verdicts when the server has computed them. */
async function loadReport(box, experiment, user) {
  const words = begins(experiment.start)
    ? "There is no report before the start."
    : "The server computes the report …";
  const wait = el("p", { class: "help", role: "status" }, words);
  box.replaceChildren(armsTable(experiment, null, user), wait);
  if (begins(experiment.start)) return;
  try {
    const report = await api.experimentReport(experiment.name);
    box.replaceChildren(...reportParts(report, experiment, user));
  } catch (error) {
    if (!(error instanceof api.Failure)) throw error;
    const retry = async () =>
      (await api.otherToken(error.message)) && loadReport(box, experiment, user);
    const other = el("button", { type: "button", class: "quiet", click: retry }, "Use another token");
    wait.replaceWith(
      el("p", { class: "problem", role: "alert" }, error.message),
      ...(error.status === 403 ? [other] : []),
    );
  }
}

function armsTable({ shares, arm, versions = {} }, report, user) {
  const total = Object.values(report?.users ?? {}).reduce((sum, users) => sum + users, 0);
  const rows = Object.entries(shares).map(([name, share]) => {
    const users = report?.users[name] ?? 0;
    const mine = name === arm && el("span", { class: "badge live" }, `user ${user}`);
    const bundle = versions[name] && el("span", { class: "soft" }, ` bundle ${versions[name]}`);
    const seen = report ? [count(users), total > 0 ? percent(users / total) : "–"] : [];
    return [[name, bundle, mine && " ", mine], percent(share), ...seen];
  });
  return table("Arms", ["Arm", "Declared", ...(report ? ["Users", "Share"] : [])], rows);
}

function reportParts(report, experiment, user) {
  const { verdicts, notes, ratio, computed, until } = report;
  const times = `Report of ${time(computed)}, at most a minute old; last event: ${time(until)}.`;
  return [
    el("ul", { class: "verdicts" }, ...verdicts.map((words, i) => verdictItem(words, i, ratio))),
    ratio && !ratio.mismatch && el("p", { class: "soft" }, ratioWords(ratio)),
    armsTable(experiment, report, user),
    liftTable(`Lift over ${report.control}`, "Metric", report.lifts, (one) => one.metric),
    preferenceTable(report.interleaved),
    report.segments.length > 0 && segmentsOf(report),
    notes.length > 0 && el("ul", { class: "help" }, ...notes.map((words) => el("li", {}, words))),
    el("p", { class: "help" }, times),
  ].filter(Boolean);
}

/** A verdict; the first one is about a mismatch of the sample ratio if there is one. */
const verdictItem = (words, place, ratio) =>
  el("li", { class: place === 0 && ratio?.mismatch ? "down" : null }, words);

function ratioWords({ sequential_p: p }) {
  return `Sample ratio: the numbers of users match the declared shares (p = ${p.toFixed(3)}).`;
}

/** Lifts as a table with a drawing of each interval, all on one scale. */
function liftTable(title, first, lifts, nameOf) {
  const ends = lifts.flatMap(({ lift }) => [lift.low, lift.high]).filter(Number.isFinite);
  const reach = Math.max(...ends.map(Math.abs), 0.01);
  const rows = lifts.map((one) => {
    const { lift, arm, outcome } = one;
    const known = lift.low != null;
    const interval = known
      ? [`${signedPercent(lift.low)} to ${signedPercent(lift.high)}`, intervalPlot(one, reach)]
      : "–";
    const kind = { better: "up", worse: "down" }[outcome] ?? "";
    const words = el("span", { class: kind }, outcome);
    return [nameOf(one), arm, score(lift.control.value), score(lift.arm.value), signedPercent(lift.value), interval, words];
  });
  return table(title, [first, "Arm", "Control", "Value", "Lift", "Interval", "Result"], rows);
}

function segmentsOf(report) {
  const title = `Lift in ${report.primary} over ${report.control} by segment`;
  const nameOf = ({ segment }) => segment.join(" = ");
  return el(
    "details",
    {},
    el("summary", {}, "Segments"),
    liftTable(title, "Segment", report.segments, nameOf),
  );
}

function preferenceTable(interleaved) {
  const rows = interleaved.flatMap(({ arm, first, second, preference: { wins, ties } }) => [
    [arm, first, count(wins[0])],
    ["", second, count(wins[1])],
    ["", "both equally", count(ties)],
  ]);
  return table("Interleaved lists", ["Arm", "Ranking", "Users who click more on it"], rows);
}
