// Content types: which have a colour of their own, and how many candidates of each are where.

const COLOURS = 6;
const OTHERS = "all others";
const colours = new Map(); // by column: type → number of its colour, the same for the whole visit

/**
 * Group candidates by type. The first types seen, most frequent first, get a colour; all others
 * share grey. Returns { column, list: [{ name, colour, members }] }, members in order of rank.
 */
export function kindsOf(column, candidates) {
  const typed = candidates.some((c) => c.type != null);
  if (!typed)
    return { column: null, list: [{ name: "all candidates", colour: 0, members: candidates }] };
  const colourOf = colouring(column, candidates);
  const groups = new Map();
  for (const candidate of candidates) {
    const colour = colourOf(candidate.type);
    if (!groups.has(colour)) {
      groups.set(colour, {
        name: colour < COLOURS ? `${candidate.type}` : OTHERS,
        colour,
        members: [],
      });
    }
    groups.get(colour).members.push(candidate);
  }
  return { column, list: [...groups.values()].sort((a, b) => a.colour - b.colour) };
}

/** The number of a type's colour in a column; 6 is grey. */
export function colourOf(column, type) {
  return Math.min(colours.get(column)?.get(type) ?? COLOURS, COLOURS);
}

function colouring(column, candidates) {
  if (!colours.has(column)) colours.set(column, new Map());
  const known = colours.get(column);
  const counts = new Map();
  for (const { type } of candidates) {
    if (type != null && !known.has(type)) counts.set(type, (counts.get(type) ?? 0) + 1);
  }
  const fresh = [...counts].sort((a, b) => b[1] - a[1] || `${a[0]}`.localeCompare(`${b[0]}`));
  for (const [type] of fresh) known.set(type, known.size);
  return (type) => colourOf(column, type);
}

/** Shares of each kind in bins of ranks: [{ first, last, shares: [by kind] }], first rank 1. */
export function sharesByRank(kinds, candidates) {
  const size = [10, 20, 50, 100, 200, 500].find((s) => candidates.length / s <= 25) ?? 1000;
  const kindAt = new Map(kinds.list.flatMap((kind, i) => kind.members.map((c) => [c.rank, i])));
  const bins = [];
  for (let first = 1; first <= candidates.length; first += size) {
    const last = Math.min(first + size - 1, candidates.length);
    const shares = kinds.list.map(() => 0);
    for (let r = first; r <= last; r += 1) shares[kindAt.get(r)] += 1 / (last - first + 1);
    bins.push({ first, last, shares });
  }
  return bins;
}

/** A histogram of each kind over the same bins; `valueOf` gives a number or null. */
export function histograms(kinds, valueOf, k, bins = 24) {
  const all = kinds.list.flatMap((kind) => kind.members.map(valueOf)).filter(Number.isFinite);
  if (all.length === 0) return null;
  let [low, high] = [Math.min(...all), Math.max(...all)];
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const rows = kinds.list.map((kind) => oneHistogram(kind, valueOf, { low, high, k, bins }));
  return { low, high, rows, top: Math.max(...rows.flatMap((row) => row.all)) };
}

function oneHistogram(kind, valueOf, { low, high, k, bins }) {
  const row = {
    name: kind.name,
    colour: kind.colour,
    all: Array(bins).fill(0),
    shown: Array(bins).fill(0),
  };
  const members = kind.members.filter((c) => Number.isFinite(valueOf(c)));
  for (const candidate of members) {
    const place = ((valueOf(candidate) - low) / (high - low)) * bins;
    const bin = Math.min(Math.floor(place), bins - 1);
    row.all[bin] += 1 / members.length;
    if (candidate.rank <= k) row.shown[bin] += 1 / members.length;
  }
  row.median = median(members.map(valueOf));
  return row;
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
