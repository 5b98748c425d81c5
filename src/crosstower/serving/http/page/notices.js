// Notices about a response: how it differs from what was asked for.

const FALLBACKS = {
  popular: "Unknown user: these are the most popular items.",
  popular_segment: "Unknown user: these are the most popular items of the user's segment.",
};

/** The notices about a response to a request, in words. */
export function noticesOf(response, model, request) {
  const words = [];
  const { fallback, experiment, arm, version, unknown } = response;
  if (fallback) words.push(FALLBACKS[fallback] ?? `The server fell back to: ${fallback}.`);
  if (experiment) words.push(`Experiment ${experiment}: the list is that of arm ${arm}.`);
  if (version !== model.version)
    words.push(
      experiment
        ? `The list is of version ${version}; unless the arm has that bundle, reload this page.`
        : `The server now serves version ${version}; reload this page.`,
    );
  words.push(...(response.notices ?? []).filter((notice) => /^(rules|history)/.test(notice)));
  if (unknown?.length) words.push(`Unknown items: ${unknown.join(", ")}.`);
  const reordered = (c) =>
    c.rank <= request.k && c.blended_rank != null && c.blended_rank !== c.rank;
  if (response.candidates.some(reordered))
    words.push("The first places are reordered for diversity.");
  return words;
}
