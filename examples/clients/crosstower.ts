// Client of a Crosstower server, made by docs/make_clients.py from the OpenAPI document.

/** A request rejected by the server, with its problem details (RFC 9457). */
export class ProblemError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(`${problem.status} ${problem.title}: ${problem.detail}`);
    this.name = "ProblemError";
    this.problem = problem;
  }
}

/** An attribute of items, for use in filters. */
export interface Attribute {
  name: string;
  type: string;
  /** Whether its values are 0 and 1, or booleans. */
  flag: boolean;
}

/** A blend for one request; omitted parts keep the bundle's values. */
export interface BlendOverride {
  weights?: Record<string, number> | null;
  transform?: "identity" | "logit" | "probit" | "percentile" | "standardise" | Record<string, "identity" | "logit" | "probit" | "percentile" | "standardise"> | null;
  /** Content type column; null for one map. */
  by?: string | null;
}

/** The blend of the bundle. */
export interface BlendSummary {
  weights: Record<string, number>;
  mode: string;
  transform: string | Record<string, string>;
  by: string | null;
  amount: string | null;
  diversity: Record<string, unknown> | null;
}

/** Raises the scores of the items that fulfil a condition. >>> Boost(where="genre == 'news'", multiply=1.5).multiply 1.5 */
export interface Boost {
  /** Condition on the attributes of items. */
  where: string;
  /** Factor; a negative score is divided by it instead. */
  multiply?: number | null;
  /** Amount, in units of the score. */
  add?: number | null;
}

/** Lowers the scores of the items that fulfil a condition. >>> Bury(where="price > 500", divide=2).divide 2.0 */
export interface Bury {
  /** Condition on the attributes of items. */
  where: string;
  /** Divisor; a negative score is multiplied by it instead. */
  divide?: number | null;
  /** Amount, in units of the score. */
  subtract?: number | null;
}

/** A candidate with its rank after each stage. */
export interface Candidate {
  item_id: number | string;
  rank: number;
  score: number;
  retrieval_rank: number | null;
  retrieval_score: number | null;
  predictions: Record<string, number>;
  ranked_rank: number | null;
  blended_rank: number | null;
  type: string | null;
  /** Sources that found the candidate; null without sources. */
  sources?: Record<string, SourceHit> | null;
}

/** Re-ranks by a determinantal point process, greedily (Chen, Zhang & Zhou 2018). The kernel is q_i·s_ij·q_j, with q = exp(θ·relevance / (2·(1-θ))) and s the cosine of the retriever's item vectors, scaled to [0, 1]. */
export interface Dpp {
  /** Weight of relevance (θ); near 1 keeps the order. */
  relevance?: number;
}

/** Give each place to the best candidate left, with probability epsilon to any one left. With m candidates left, the best one has the conditional probability 1 - ε + ε / m, each other one ε / m. The probability of a candidate at rank r follows exactly from the distribution of the number of better candidates that are left, which changes place by place. >>> pool = Pool(np.array([2.0, 1.0, 0.0]), np.zeros(3, np.int64)) >>> Epsilon(epsilon=0.3).chances(pool, np.arange(3), 1).round(4).T.tolist() [[0.8, 0.1, 0.1]] */
export interface Epsilon {
  /** Number of best candidates that take part; the others keep their places. */
  top?: number;
  /** Seed of the draw, for tests; null draws a new order for each request. */
  seed?: number | null;
  kind?: "epsilon";
  /** Probability per place of a uniform draw among the candidates left. */
  epsilon: number;
}

/** Number of users that had attributes, and of events that were erased. */
export interface ErasedResponse {
  users: number;
  events: number;
}

/** One event, such as an impression, a click, a booking. `event_id` is made by the client; the same one sent again is stored once. `time` is now where it is missing. `rank` is the place in the list of response `request_id`, from 1. `value` is a number such as a rating, a price or seconds watched. `query` has the query columns of the request, `attributes` anything else. */
export interface Event {
  event_id: string;
  type: string;
  time?: string | null;
  request_id?: string | null;
  user?: number | string | null;
  item_id?: number | string | null;
  rank?: number | null;
  value?: number | null;
  query?: Record<string, JsonValue> | null;
  attributes?: Record<string, JsonValue> | null;
}

/** Impressions and feedback. */
export interface EventsRequest {
  events: Event[];
}

/** Number of events that were stored, and of those already known. */
export interface EventsResponse {
  stored: number;
  known: number;
}

/** The report of an experiment, as `crosstower experiment report --json` prints it. */
export interface ExperimentReportResponse {
  /** Time of the report; it is kept for a minute. */
  computed: string;
  name: string;
  start: string;
  /** Time of the last event. */
  until: string;
  control: string;
  /** Metric that decides the verdict. */
  primary: string | null;
  level: number;
  /** Number of users by arm. */
  users: Record<string, number>;
  /** Test of the numbers of users per arm. */
  ratio: Record<string, unknown> | null;
  lifts: Record<string, unknown>[];
  segments: Record<string, unknown>[];
  interleaved: Record<string, unknown>[];
  sizes: Record<string, unknown>[];
  daily: Record<string, unknown>;
  /** Findings as sentences, most important first. */
  verdicts: string[];
  notes: string[];
}

/** An experiment of the server, and the arm of the requested user. */
export interface ExperimentSummary {
  name: string;
  start: string;
  end: string | null;
  active: boolean;
  shares: Record<string, number>;
  /** By arm with its own bundle: its version. */
  versions: Record<string, string>;
  arm: string | null;
}

/** The experiments of the server. */
export interface ExperimentsResponse {
  experiments: ExperimentSummary[];
}

/** Effect of rules: those applied, and the candidates that each removed. */
export interface Explained {
  rules: Record<string, unknown>;
  /** Number of candidates by rule; of filters of retrieval, number of items. */
  removed: Record<string, number>;
}

/** A minimum of a number column, such as the floor price of an ad. */
export interface Floor {
  /** Column of numbers. */
  column: string;
  /** Minimum; an item without a number is below it. */
  at_least: number;
}

/** Halves the scores of items for each half-life of their age; a negative score doubles. An item without a time counts as the oldest of the list, one from the future as new. >>> Freshness(column="published", half_life="7d").half_life 604800.0 */
export interface Freshness {
  /** Column of times: dates, ISO 8601 text, or epoch seconds. */
  column: string;
  /** Age that halves a score, such as 12h or 7d. */
  half_life: number | string;
}

/** Liveness or readiness of the server. */
export interface Health {
  status: string;
  version?: string | null;
  /** Seconds for which writes of other servers may have been missed. */
  state_behind?: number | null;
}

/** An item of a history; without a type and a time it is of a training row. */
export interface HistoryItem {
  item_id: number | string;
  type: string | null;
  time: string | null;
}

/** A vector of an item. */
export interface ItemVector {
  id: number | string;
  vector: number[];
}

/** New or changed items, whole rows. */
export interface ItemsRequest {
  items: Record<string, JsonValue>[];
}

/** Items that were written. */
export interface ItemsResponse {
  /** Number of the last change; it only grows. */
  sequence: number;
  items: number;
}

/** A line of the journal of versions. */
export interface JournalLine {
  time: string | null;
  event: "begun" | "published" | "refused" | "failed" | "interrupted" | "withdrawn" | "rolled_back";
  number: number;
}

export type JsonValue = unknown;

/** Upper bounds of one request and of the load on one worker. */
export interface Limits {
  body_bytes?: number;
  k?: number;
  candidates?: number;
  items?: number;
  events?: number;
  users?: number;
  /** Requests that may wait in a worker's queue. */
  max_queue?: number;
  /** Waiting recommend requests that are processed as one batch. */
  max_batch_size?: number;
  /** Seconds that a request may wait for its response. */
  queue_timeout?: number;
  /** Expected wait above which requests are rejected. */
  wait_seconds?: number;
  /** Open connections per worker. */
  connections?: number;
  headers?: number;
  header_bytes?: number;
  /** Time for a client to send a request or read its response. */
  read_seconds?: number;
  /** Seconds without news of the state after which the server is not ready. */
  max_staleness?: number;
  /** Size of the state above which writes are rejected. */
  state_bytes?: number | null;
}

/** An item of a response; stages that the bundle lacks are null. */
export interface ListItem {
  rank: number;
  item_id: number | string;
  score: number;
  retrieval_rank?: number | null;
  retrieval_score?: number | null;
  predictions?: Record<string, number>;
  blend_score?: number | null;
  /** Probability of the item at its drawn rank, with exploration. */
  propensity?: number | null;
  /** The same given the items drawn above; null for thompson. */
  conditional_propensity?: number | null;
  /** Rank in the draw, before rules. */
  drawn_rank?: number | null;
  attributes?: Record<string, unknown>;
  /** Arm whose ranking picked the item of an interleaved list. */
  team?: string | null;
  /** Places up by rule, with `explain`. */
  moves?: Record<string, number>;
  /** Sources that found the item; null without sources. */
  sources?: Record<string, SourceHit> | null;
  /** Events that the ranker has counted by column, with `explain`; of a ratio also those that it divides by. */
  counts?: Record<string, number[]> | null;
}

/** A list of items, best first. */
export interface ListResponse {
  request_id: string;
  version: string;
  fallback?: string | null;
  /** Whether the list is in the event log. */
  logged?: boolean;
  /** Remarks, such as an unknown user. */
  notices?: string[];
  items: ListItem[];
  stages?: Stages | null;
  explain?: Explained | null;
  /** Instant before which events were counted, with `explain`. */
  counted_until?: string | null;
  /** Given ids of unknown items. */
  unknown?: (number | string)[];
  /** Experiment that the request is part of. */
  experiment?: string | null;
  /** Arm of the experiment. */
  arm?: string | null;
}

/** Limits the items per value of a column; an item without a value is not limited. >>> MaxPer(column="seller", most=2, within=10).within 10 */
export interface MaxPer {
  /** Column whose values are limited. */
  column: string;
  /** Maximum items per value. */
  most: number;
  /** In any so many places in a row; all of them if unset. */
  within?: number | null;
}

/** Re-ranks by maximal marginal relevance (Carbonell & Goldstein 1998, eq. 2). Similarity is the cosine of the retriever's item vectors, or the share of the columns `similar_by` in which two items are equal. */
export interface Mmr {
  /** Weight of relevance (λ); 1 keeps the order. */
  relevance?: number;
  /** Columns that define similarity instead of vectors. */
  similar_by?: string[];
}

/** The bundle that is served. */
export interface ModelResponse {
  version: string;
  /** Number of the version: 0 for the bundle of the command line, null for a bundle that was swapped to by its path. */
  number: number | null;
  name: string;
  created: string;
  crosstower: string;
  stages: string[];
  items: number;
  newer_items: number;
  candidates: number;
  /** SHA-256 of the retrieval model's weights, which changed vectors must name. */
  weights: string | null;
  /** Form in which the ranker's model runs: eager or onnx. */
  form: string;
  limits: Limits;
  user_column: string | null;
  item_column: string | null;
  query_columns: Named[];
  needed_columns: string[];
  attributes: Attribute[];
  text_search: boolean;
  tasks: Named[];
  blend: BlendSummary | null;
  /** Exploration of all lists, if any. */
  explore: Record<string, unknown> | null;
  /** Whether lists are logged by default. */
  log: boolean;
  /** Types of events that act on later lists: those of histories, then those that counters count. */
  live_events: string[];
  /** The shop of the page; null unless `crosstower play` runs the server. */
  shop: Shop | null;
  rules: Record<string, unknown>;
  blend_by: string[];
  types: string | null;
  transforms: string[];
  sample_users: (number | string)[];
  metrics: Record<string, unknown>;
}

/** A column or a task and its kind. */
export interface Named {
  name: string;
  kind: string;
  examples?: unknown[];
}

/** Spreads the budget of each campaign evenly over a period, with a PI controller. >>> Pacing(budget=100, period="1d", campaign="campaign_id", cost="bid").period 86400.0 */
export interface Pacing {
  /** Budget of each campaign per period: a number, or a column of items. */
  budget: number | string;
  /** Period of a budget, such as 1d. */
  period?: number | string;
  /** Column of the campaign; one campaign per slot rule if unset. */
  campaign?: string | null;
  /** Column of the cost of an item that is shown; 1 each if unset. */
  cost?: string | null;
}

/** Shows an item at a position. >>> Pin(item=17, at=1).at 1 */
export interface Pin {
  /** Id of the item. */
  item: number | string;
  /** Position, from 1. */
  at: number;
}

/** Draw each place by softmax(score / temperature) over the candidates that are left. The order is that of score / temperature plus independent Gumbel noise (the Gumbel top-k trick; Yellott 1977, Kool et al. 2019). A candidate at rank r has the conditional probability exp(s_i / τ) / Σ_{j left} exp(s_j / τ). Its probability at rank r over all draws is an integral (see `races`) whose error is below 1e-9. >>> pool = Pool(np.array([2.0, 1.0, 0.0]), np.zeros(3, np.int64)) >>> PlackettLuce(temperature=1).chances(pool, np.arange(3), 1).round(4).T.tolist() [[0.6652, 0.2447, 0.09]] */
export interface PlackettLuce {
  /** Number of best candidates that take part; the others keep their places. */
  top?: number;
  /** Seed of the draw, for tests; null draws a new order for each request. */
  seed?: number | null;
  kind?: "plackett_luce";
  /** Temperature of the softmax, in units of the final score. */
  temperature: number;
}

/** A request to order given candidates: ids of items, or whole rows. */
export interface RankRequest {
  /** Id of the user. */
  user?: number | string | null;
  /** Columns of the query. */
  query?: Record<string, JsonValue>;
  /** Ids of items, oldest first, in place of the user's history. */
  history?: (number | string)[] | null;
  /** Times of the items of history, which models with times read: one per item, oldest first (default: all as of now). */
  history_times?: string[] | null;
  blend?: BlendOverride | null;
  /** Also return all candidates by stage. */
  stages?: boolean;
  /** Rules for this request. */
  rules?: RequestRules | null;
  /** Also return what each rule moved, and counts of events. */
  explain?: boolean;
  items?: (number | string)[] | null;
  /** Candidates with all columns; the query's columns apply to every row. */
  rows?: Record<string, JsonValue>[] | null;
  /** Number of items; all by default. */
  k?: number | null;
}

/** A request for a list of items. */
export interface RecommendRequest {
  /** Id of the user. */
  user?: number | string | null;
  /** Columns of the query. */
  query?: Record<string, JsonValue>;
  /** Ids of items, oldest first, in place of the user's history. */
  history?: (number | string)[] | null;
  /** Times of the items of history, which models with times read: one per item, oldest first (default: all as of now). */
  history_times?: string[] | null;
  blend?: BlendOverride | null;
  /** Also return all candidates by stage. */
  stages?: boolean;
  /** Rules for this request. */
  rules?: RequestRules | null;
  /** Also return what each rule moved, and counts of events. */
  explain?: boolean;
  k?: number;
  /** Condition on the attributes of items: city == 'Paris' and price < 120 */
  where?: string | null;
  /** Ids of items to leave out. */
  exclude?: (number | string)[];
  /** Number of items to rank. */
  candidates?: number | null;
  /** Draws the order of the best candidates; null turns the bundle's exploration off (default: that of the bundle). */
  explore?: PlackettLuce | Epsilon | Thompson | null;
  /** Store the shown items as impressions before the response is sent (default: the server's setting). */
  log?: boolean | null;
}

/** Rules of one request, which add to those of the bundle. */
export interface RequestRules {
  /** Conditions that every item must fulfil. */
  require?: string[];
  /** Conditions that no item may fulfil. */
  exclude?: string[];
  /** Raised scores. */
  boost?: Boost[];
  /** Lowered scores. */
  bury?: Bury[];
  /** Decay of scores with age. */
  freshness?: Freshness | null;
  /** Columns; only the best item per value is kept. */
  dedup_by?: string[];
  /** Maximal marginal relevance. */
  mmr?: Mmr | null;
  /** Determinantal point process. */
  dpp?: Dpp | null;
  /** Soft distances between equal values. */
  spacing?: Spacing[];
  /** Limits per value. */
  max_per?: MaxPer[];
  /** Reserved places. */
  slots?: Slots[];
  /** Items at fixed positions. */
  pin?: Pin[];
  /** Ignore the rules of the bundle. */
  replace?: boolean;
}

/** A request for the items nearest to a text. */
export interface SearchRequest {
  text: string;
  k?: number;
  /** Condition on the attributes of items: city == 'Paris' and price < 120 */
  where?: string | null;
  /** Further columns of the query. */
  query?: Record<string, JsonValue>;
}

/** The shop page; its clicks are stored as events. */
export interface Shop {
  /** Examples of texts to search by. */
  searches?: string[];
}

/** A request for the items most similar to one. */
export interface SimilarRequest {
  item: number | string;
  k?: number;
  /** Condition on the attributes of items: city == 'Paris' and price < 120 */
  where?: string | null;
}

/** Reserves places for items that fulfil a condition, such as every fifth place for an ad. >>> list(Slots(where="sponsored == true", every=5).places(12)) [5, 10] */
export interface Slots {
  /** Condition of the items for these places. */
  where: string;
  /** Distance between two reserved places. */
  every: number;
  /** First reserved place; `every` if unset. */
  first?: number | null;
  /** Whether these items may also be shown at other places. */
  elsewhere?: boolean;
  /** Minimum that an item must reach. */
  floor?: Floor | null;
  /** Budgets of campaigns. */
  pacing?: Pacing | null;
}

/** Rank and score of a candidate in a source that found it. */
export interface SourceHit {
  rank: number;
  score: number;
}

/** Penalises items near others with the same value of a column. Each item above with the same value costs `strength`·2^(-(d-1)/half_distance) of the relevance, which is the score scaled to [0, 1]; d is the distance in places. */
export interface Spacing {
  /** Column whose equal values are kept apart. */
  column: string;
  /** Penalty of the next place; 1 is the whole range. */
  strength?: number;
  /** Distance in places that halves the penalty. */
  half_distance?: number;
}

/** All candidates in their final order, and the time that each stage took. */
export interface Stages {
  retrieved: number;
  ranked: number;
  candidates: Candidate[];
  milliseconds: Record<string, number>;
}

/** Another bundle to serve. */
export interface SwapRequest {
  /** Folder on the server. */
  path: string;
}

/** The bundle that is served now. */
export interface SwapResponse {
  version: string;
  previous: string;
}

/** Order candidates by a score drawn from a Gaussian posterior per item. The model: the true score of an item is its predicted score plus an offset of its own, with prior N(0, prior_sd²). Each training row of the item is an observation of the offset with noise N(0, noise_sd²). After n rows the posterior of the score is N(predicted score, 1 / (1 / prior_sd² + n / noise_sd²)). The mean is the predicted score, as the ranker was trained on the same rows. An item that was added after the training has the whole prior, so new and rare items are explored most. A standard deviation below prior_sd / 10 is raised to it. The probability of an item at a rank is an integral (see `races`) whose error is below 1e-9; there is no closed form given the items above. >>> pool = Pool(np.array([1.0, 0.0]), np.array([100, 0])) # an old item and a new one >>> Thompson(prior_sd=1, noise_sd=1).chances(pool, np.arange(2), 1).round(3).T.tolist() [[0.84, 0.16]] */
export interface Thompson {
  /** Number of best candidates that take part; the others keep their places. */
  top?: number;
  /** Seed of the draw, for tests; null draws a new order for each request. */
  seed?: number | null;
  kind?: "thompson";
  /** Standard deviation of items' offsets, in units of the final score. */
  prior_sd: number;
  /** Standard deviation of one observation, in units of the final score. */
  noise_sd: number;
}

/** Attributes, history and future events of a user. */
export interface UserResponse {
  user: number | string;
  /** Whether the training rows have the user. */
  trained: boolean;
  attributes: Record<string, unknown>;
  /** Those that this bundle cannot read. */
  ignored_attributes: string[];
  /** Oldest first, at most the newest 1,000. */
  history: HistoryItem[];
  /** Events that wait for their time. */
  future: HistoryItem[];
  /** Events that wait for their item. */
  unknown_items: HistoryItem[];
}

/** Attributes of users, whole rows. */
export interface UsersRequest {
  /** Rows with the user's id and columns of the query. */
  users: Record<string, JsonValue>[];
}

/** Users that were written. */
export interface UsersResponse {
  /** Number of the last change; it only grows. */
  sequence: number;
  users: number;
}

/** New vectors of items. */
export interface VectorsRequest {
  /** SHA-256 of the retrieval weights that they belong to, from GET /v1/model. */
  weights: string;
  vectors: ItemVector[];
}

/** Vectors that were written. */
export interface VectorsResponse {
  /** Number of the last change; it only grows. */
  sequence: number;
  vectors: number;
  /** Number of vectors without an item, which were left out. */
  unknown: number;
}

/** A version: its verdict and measurements. */
export interface VersionSummary {
  number: number;
  /** Content hash of the bundle; null if it has none. */
  version: string | null;
  live: boolean;
  /** Time in UTC. */
  begun: string | null;
  /** Time of the verdict, in UTC. */
  ended: string | null;
  verdict: "base" | "running" | "published" | "refused" | "failed" | "interrupted" | "withdrawn";
  /** Whether its bundle still exists and can be served. */
  available: boolean;
  /** Number of rows that it was trained on. */
  rows?: number | null;
  /** About its rows. */
  facts?: Record<string, unknown>;
  /** Reasons why it is not served. */
  reasons?: string[];
  /** Comparisons that the gate could not make. */
  notes?: string[];
  /** Measurements of the gate. */
  figures?: Record<string, unknown>;
}

/** The versions of a bundle, the newest first, with the bundle of the command line as 0. */
export interface VersionsSummary {
  /** Number of the live version; null for a bundle that was swapped to by its path. */
  live: number | null;
  /** Time since which it is live, in UTC; null if unknown. */
  since: string | null;
  /** Content hash of the bundle of the command line. */
  base: string;
  versions: VersionSummary[];
  journal: JournalLine[];
}

/** One fault of a request. */
export interface Fault {
  /** Where in the request, such as body.k. */
  where: string;
  problem: string;
}

/** Problem details of RFC 9457; `errors` lists the faults of a request. `trace_id` is set if the server traces requests. */
export interface Problem {
  type?: string;
  title: string;
  status: number;
  detail: string;
  errors?: Fault[] | null;
  trace_id?: string | null;
}

/** A server; the token is one of its tokens, if it has any. */
export class Crosstower {
  readonly #address: string;
  readonly #token: string | undefined;
  readonly #milliseconds: number;

  constructor(address: string, token?: string, milliseconds = 15_000) {
    this.#address = address.replace(/\/+$/, "");
    this.#token = token;
    this.#milliseconds = milliseconds;
  }

  /** Return the best items for a user and a query: retrieved, ranked and blended. */
  async recommend(body: RecommendRequest): Promise<ListResponse> {
    return this.#json("POST", "/v1/recommend", { body });
  }

  /** Return the experiments of the server, and the arm of a user in each. */
  async experiments(user?: number | string): Promise<ExperimentsResponse> {
    return this.#json("GET", "/v1/experiments", { params: { user } });
  }

  /** Return given candidates in order: ids of items, or whole rows. */
  async rank(body: RankRequest): Promise<ListResponse> {
    return this.#json("POST", "/v1/rank", { body });
  }

  /** Return the items nearest to a text. */
  async search(body: SearchRequest): Promise<ListResponse> {
    return this.#json("POST", "/v1/search", { body });
  }

  /** Return the items most similar to one. */
  async similar(body: SimilarRequest): Promise<ListResponse> {
    return this.#json("POST", "/v1/similar", { body });
  }

  /** Return the bundle that is served: version, tasks, columns, blend, limits, metrics. */
  async model(): Promise<ModelResponse> {
    return this.#json("GET", "/v1/model");
  }

  /** Serve another bundle; if it fails its checks, the old one stays. */
  async swap(body: SwapRequest): Promise<SwapResponse> {
    return this.#json("POST", "/v1/model", { body });
  }

  /** Return the versions of the bundle: verdicts and measurements of the gate, the live one. */
  async versions(): Promise<VersionsSummary> {
    return this.#json("GET", "/v1/versions");
  }

  /** Store new or changed items; they can be found after the response. */
  async putItems(body: ItemsRequest): Promise<ItemsResponse> {
    return this.#json("PUT", "/v1/items", { body });
  }

  /** Delete items; unknown ids are ignored. */
  async deleteItems(id: (number | string)[]): Promise<ItemsResponse> {
    return this.#json("DELETE", "/v1/items", { params: { id } });
  }

  /** Store impressions and feedback; an event_id is stored once. */
  async addEvents(body: EventsRequest): Promise<EventsResponse> {
    return this.#json("POST", "/v1/events", { body });
  }

  /** Store attributes of users; they replace all earlier ones of these users. */
  async putUsers(body: UsersRequest): Promise<UsersResponse> {
    return this.#json("PUT", "/v1/users", { body });
  }

  /** Return the attributes of a user, and the history that recommendations start from. */
  async getUser(id: number | string): Promise<UserResponse> {
    return this.#json("GET", "/v1/users", { params: { id } });
  }

  /** Erase attributes and all events of users from the disk; the file is rewritten. */
  async deleteUsers(id: (number | string)[]): Promise<ErasedResponse> {
    return this.#json("DELETE", "/v1/users", { params: { id } });
  }

  /** Replace vectors of items, until they are put or deleted; searches use them immediately. */
  async putVectors(body: VectorsRequest): Promise<VectorsResponse> {
    return this.#json("PUT", "/v1/vectors", { body });
  }

  /** Return the report of an experiment up to now; it is at most a minute old. */
  async experimentReport(name?: string): Promise<ExperimentReportResponse> {
    return this.#json("GET", "/v1/experiments/report", { params: { name } });
  }

  /** Report that the process is alive. */
  async healthz(): Promise<Health> {
    return this.#json("GET", "/healthz");
  }

  /** Report whether a bundle is open, and the state is followed closely enough. */
  async readyz(): Promise<Health> {
    return this.#json("GET", "/readyz");
  }

  /** Return metrics for Prometheus. */
  async metrics(): Promise<string> {
    return (await this.#send("GET", "/metrics")).text();
  }

  async #send(method: string, path: string, sent: Sent = {}): Promise<Response> {
    const url = new URL(this.#address + path);
    for (const [name, given] of Object.entries(sent.params ?? {})) {
      for (const value of Array.isArray(given) ? given : [given]) {
        if (value !== undefined && value !== null) url.searchParams.append(name, String(value));
      }
    }
    const headers: Record<string, string> = {};
    if (this.#token) headers["Authorization"] = `Bearer ${this.#token}`;
    if (sent.body !== undefined) headers["Content-Type"] = "application/json";
    const response = await fetch(url, {
      method,
      headers,
      body: sent.body === undefined ? null : JSON.stringify(sent.body),
      signal: AbortSignal.timeout(this.#milliseconds),
    });
    if (response.ok) return response;
    const type = response.headers.get("Content-Type") ?? "";
    if (!type.startsWith("application/problem+json")) {
      throw new Error(`${method} ${path}: ${response.status} ${response.statusText}`);
    }
    throw new ProblemError((await response.json()) as Problem);
  }

  async #json<T>(method: string, path: string, sent: Sent = {}): Promise<T> {
    return (await (await this.#send(method, path, sent)).json()) as T;
  }
}

interface Sent {
  params?: Record<string, unknown>;
  body?: unknown;
}
