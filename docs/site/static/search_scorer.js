// The order of search results: a page with a heading of all words of the question comes first.

var Scorer = (() => {
  const ASIDE = ["benchmarks", "changelog", "contributing", "commands", "gallery", "leaderboard"];
  const COMMON = new Set(
    "a an and are at by do does for from get how i in is it my of on or the to what when where which with you".split(" "),
  );
  const wordsOf = (text) => (text.toLowerCase().match(/[\p{L}\d_]+/gu) ?? []).filter((word) => !COMMON.has(word));
  const alike = (one, other) => one.startsWith(other) || other.startsWith(one);

  /** The largest share of the words of a question that one heading of a page has. */
  function shareIn(page, asked) {
    const place = Search._index.docnames.indexOf(page);
    const shares = Object.entries(Search._index.alltitles)
      .filter(([, found]) => found.some(([file]) => file === place))
      .map(([heading]) => wordsOf(heading))
      .map((words) => asked.filter((one) => words.some((word) => alike(one, word))).length / asked.length);
    return Math.max(0, ...shares);
  }

  function score([page, , , , found]) {
    const asked = wordsOf(new URLSearchParams(location.search).get("q") ?? "");
    const heading = asked.length > 0 ? 40 * shareIn(page, asked) : 0;
    return found + heading - (ASIDE.includes(page) ? 20 : 0);
  }

  const sphinx = {
    title: 15, partialTitle: 7, term: 5, partialTerm: 2,
    objNameMatch: 11, objPartialMatch: 6, objPrio: { 0: 15, 1: 5, 2: -5 }, objPrioDefault: 0,
  };
  return { ...sphinx, score };
})();
