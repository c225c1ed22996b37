// The status page: reads /workerless/status every other second and draws what it says.
//
// The status has totals since the start of the process, so whatever is said of a time is the
// difference of two readings. Names come from the config and from visitors: they are only ever set
// as text.

const SHOWN = 16; // rows of fragments in progress
const PATH = `/workerless/status?json&full=${SHOWN}`;
const EVERY_MS = 2000; // between two readings
const ANSWER_MS = 5000; // how long one may take
const RETRY_MAX_MS = 30000;
const RECENT_MS = 10000; // what "now" means for rates
const MINUTE_MS = 60000;
const POINTS = 150, POINTS_LEAST = 30; // of the small curves: up to five minutes, from one

// The outcomes of requests, as the bars show them.
const GROUPS = [
  { name: "hit", words: "hit", outcomes: ["hit", "stale"] },
  { name: "joined", words: "joined a call under way", outcomes: ["collapsed"] },
  { name: "made", words: "made just now", outcomes: ["miss"] },
  { name: "later", words: "not ready, or left", outcomes: ["not_ready", "left", "shutdown"] },
  { name: "failed", words: "failed or rejected",
    outcomes: ["failed", "timed_out", "busy", "refused", "not_found"] },
];
const FAILURES = ["failed", "timed_out", "refused"]; // of calls
const STATES = ["new", "looking", "claiming", "waiting", "generating", "failing"];

const find = id => document.getElementById(id);
const board = find("board"), link = find("link");
const still = matchMedia("(prefers-reduced-motion: reduce)");

// --- numbers as words ---

const integers = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

const number = value => (value < 100 ? tenths : integers).format(value);
const percent = share => share === null ? "–" : `${tenths.format(Math.floor(share * 1000) / 10)}%`;

const plural = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;

function duration(seconds) {
  if (seconds < 0.0995) return `${+(seconds * 1000).toPrecision(2)}\u00a0ms`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)}\u00a0ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)}\u00a0s`;
  const units = [[86400, "d", 3600, "h"], [3600, "h", 60, "m"], [60, "m", 1, "s"]];
  const [large, a, small, b] = units.find(([size]) => seconds >= size) ?? units[2];
  return `${Math.floor(seconds / large)}\u00a0${a} ${Math.floor(seconds % large / small)}\u00a0${b}`;
}

function bytes(count) {
  const power = count < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(count) / 10));
  return `${number(count / 1024 ** power)}\u00a0${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

// --- elements ---

function make(tag, className = "", ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

function shape(tag, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function header(text, ...more) {
  const node = make("th", "", text, ...more);
  node.scope = "row";
  node.title = text;
  return node;
}

const rows = (id, list) => find(id).tBodies[0].replaceChildren(
  ...list.map(cells => make("tr", "", ...cells)));

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text; // so that it is not read out again
}

function part(className, share) {
  const node = make("i", className);
  node.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return node;
}

// A curve of the last minutes; null is a gap.
function curve(values, top) {
  const width = Math.max(values.length, POINTS_LEAST) - 1;
  const svg = shape("svg", { viewBox: `0 0 ${width} 40`, preserveAspectRatio: "none",
    "aria-hidden": "true" });
  const most = top ?? Math.max(...values, 0);
  const pieces = [[]];
  values.forEach((value, i) => {
    if (value === null) pieces.push([]);
    else pieces.at(-1).push([width + 1 - values.length + i, 38 - (most && value / most) * 35]);
  });
  for (const piece of pieces.filter(it => it.length > 1)) {
    const line = "M" + piece.map(([x, y]) => `${x} ${y.toFixed(2)}`).join("L");
    svg.append(
      shape("path", { class: "area", d: `${line}V40H${piece[0][0]}Z` }),
      shape("path", { class: "line", d: line }));
  }
  return svg;
}

// --- readings ---

// { at, status } of the last minute and a little more; without a status: the start of the process.
let readings = [];
const series = { requests: [], hits: [], parked: [], calls: [], redis: [], lag: [] };

const sum = values => values.reduce((total, value) => total + value, 0);
const of = (object, names) => sum(names.map(name => object[name] ?? 0));
const outcomes = fragment => of(fragment, GROUPS.flatMap(group => group.outcomes));

// The newest earlier reading that is so old, or else the oldest one; null if there is none.
function reading(ago) {
  const { at } = readings.at(-1), earlier = readings.slice(0, -1);
  return earlier.findLast(it => it.at <= at - ago) ?? earlier[0] ?? null;
}

// How much a total has grown. What was not there then has grown from 0.
const grown = (now, then, total) => Math.max(0, total(now) - (then ? total(then) : 0));

function rate(total, ago = RECENT_MS) {
  const now = readings.at(-1), then = reading(ago);
  return then && grown(now.status, then.status, total) / (now.at - then.at) * 1000;
}

function keep(status) {
  const at = performance.now();
  if (readings.length && status.uptime_seconds < readings.at(-1).status.uptime_seconds)
    readings = []; // another process
  if (readings.length === 0 && status.uptime_seconds * 1000 < MINUTE_MS)
    readings.push({ at: at - status.uptime_seconds * 1000, status: null });
  readings.push({ at, status });
  while (readings.length > 2 && readings[1].at < at - MINUTE_MS) readings.shift();
}

function note(values) {
  for (const [name, list] of Object.entries(series)) {
    list.push(values?.[name] ?? null);
    if (list.length > POINTS) list.shift();
  }
}

const requests = status => sum(status.fragments.map(outcomes));
const hits = status => sum(status.fragments.map(fragment => of(fragment, ["hit", "stale"])));
const evictions = status => of(status.totals, ["evicted_probation", "evicted_protected"]);
const calls = status => sum(status.sources.map(source => source.started));

function hitRatio(ago) {
  const then = reading(ago), now = readings.at(-1);
  const all = then && grown(now.status, then.status, requests);
  return all ? grown(now.status, then.status, hits) / all : null;
}

// The counts of a histogram since the reading.
const counts = (now, then) => now.map((count, i) => Math.max(0, count - (then?.[i] ?? 0)));

// As Prometheus does it: within a bucket, times are taken to be spread evenly.
function quantile(list, bounds, share) {
  const wanted = sum(list) * share;
  let before = 0;
  for (const [i, count] of list.entries()) {
    if (count && before + count >= wanted) {
      const from = i ? bounds[i - 1] : 0, to = bounds[i] ?? bounds.at(-1);
      return from + (to - from) * (wanted - before) / count;
    }
    before += count;
  }
  return null;
}

// --- drawing ---

function tile(name, value, more, values, { top, alarm } = {}) {
  const node = make("div", alarm ? "tile alarm" : "tile", make("dt", "", name),
    make("dd", "value", value), make("dd", "more", more));
  if (values) node.lastChild.after(make("dd", "curve", curve(values, top)));
  return node;
}

function recentRedis(status) {
  const then = reading(RECENT_MS)?.status?.redis, list = status.redis?.counts;
  return list && quantile(counts(list, then?.counts), status.bounds_seconds, 0.99);
}

function redisTile(status) {
  if (!status.redis) return tile("Redis", "none", "results are in memory only");
  const { up, trouble, lost } = status.redis, slow = recentRedis(status);
  const more = [slow === null ? "" : `99% within ${duration(slow)}`,
    lost ? `lost ${plural(lost, "time")}` : ""];
  if (!up) return tile("Redis", "down", trouble ?? "", series.redis, { alarm: true });
  return tile("Redis", "up", more.filter(Boolean).join(", "), series.redis);
}

function drawTiles(status) {
  const perSecond = rate(requests), ratio = hitRatio(MINUTE_MS), callRate = rate(calls);
  const list = [
    tile("Requests", perSecond === null ? "…" : `${number(perSecond)}/s`,
      plural(status.connections, "connection") +
        (status.streams ? `, ${plural(status.streams, "stream")}` : ""),
      series.requests),
    tile("Hits", percent(ratio), "in the last minute", series.hits, { top: 1 }),
    tile("Parked", number(status.parked.now), `of ${number(status.parked.limit)}`, series.parked,
      { alarm: status.parked.now > 0.8 * status.parked.limit }),
    tile("Calls to sources", callRate === null ? "…" : `${number(callRate)}/s`,
      `${number(sum(status.sources.map(it => it.running)))} running, ` +
        `${number(sum(status.sources.map(it => it.queued)))} queued`, series.calls),
    redisTile(status),
  ];
  if (status.loop)
    list.push(tile("Event loop", duration(status.loop.lag_max_seconds), "longest turn lately",
      series.lag, { alarm: status.loop.lag_max_seconds > 0.25 }));
  board.querySelector(".tiles").replaceChildren(...list);
}

let bars = []; // { bar, age, label } of the fragments in progress; `age` at the last reading

function drawFlights(status) {
  const list = status.in_progress.filter(row => STATES.includes(row.state))
    .sort((a, b) => b.age_seconds - a.age_seconds).slice(0, SHOWN);
  bars = [];
  rows("flights", list.map(row => {
    const bar = make("i", row.state), label = make("td", "number");
    bars.push({ bar, label, age: row.age_seconds });
    const holder = row.lease && `${row.lease.host}, process ${row.lease.pid}`;
    return [header(row.key),
      make("td", "", make("div", "track", bar,
        make("span", "", row.state + (row.alone ? ", for one request" : "")))),
      label, make("td", "number", number(row.waiters) + (row.waiters_known ? "" : "+")),
      make("td", "roomy", row.state === "waiting" ? holder ?? "another process" : row.source)];
  }));
  const rest = status.flights.now - list.length, others = status.workers.length > 1;
  find("flights").hidden = list.length === 0;
  find("flights-rest").textContent =
    rest > 0 && others ? `and ${number(rest)} more, also of other workers`
      : rest > 0 && list.length === SHOWN ? `and ${number(rest)} more`
        : list.length === 0 ? "Nothing: no request waits for a fragment." : "";
}

// Between two readings the bars grow by the clock.
function grow() {
  const since = readings.length && link.dataset.state === "live"
    ? (performance.now() - readings.at(-1).at) / 1000 : 0;
  const longest = Math.max(3, ...bars.map(({ age }) => age + since));
  for (const { bar, label, age } of bars) {
    bar.style.transform = `scaleX(${((age + since) / longest).toFixed(4)})`;
    setText(label, duration(age + since));
  }
}

let growing = false;

function keepGrowing() {
  grow();
  growing = bars.length > 0 && link.dataset.state === "live" && !still.matches;
  if (growing) requestAnimationFrame(keepGrowing);
}

// How many calls took how long.
function columns(list) {
  const most = Math.max(...list, 1), width = 100 / list.length;
  const svg = shape("svg", { class: "columns", viewBox: "0 0 100 30", preserveAspectRatio: "none",
    "aria-hidden": "true" });
  svg.append(shape("path", { class: "floor", d: "M0 29h100v1H0Z" }));
  list.forEach((count, i) => {
    if (!count) return;
    const height = 3 + count / most * 26;
    svg.append(shape("path", { d: `M${(i * width + width * .1).toFixed(2)} 29` +
      `v-${height.toFixed(2)}h${(width * .8).toFixed(2)}v${height.toFixed(2)}Z` }));
  });
  return svg;
}

// What a source has done in the last minute.
function lookAt(source, then, bounds) {
  const old = then?.sources.find(it => it.name === source.name);
  const list = counts(source.counts, old?.counts);
  return { source, list,
    half: quantile(list, bounds, .5), slow: quantile(list, bounds, .99),
    calls: grown(source, old, it => it.started),
    ended: grown(source, old, it => sum(Object.values(it.ended))),
    failed: grown(source, old, it => of(it.ended, FAILURES)) };
}

// What an open breaker means; empty if it is closed.
function breakerWords({ breaker, pause_seconds: pause }) {
  if (breaker === "closed") return "";
  if (breaker !== "open") return "a call tries whether it works again";
  return pause > 0 ? `not called for ${duration(pause)}` : "the next call tries whether it works again";
}

// The jobs of a source that has some, and whether anybody works on them.
function jobsNote({ jobs }) {
  if (!jobs) return [];
  const open = jobs.visitors + jobs.refreshes;
  const idle = open > 0 && jobs.workers === 0;
  const dead = jobs.dead > 0 ? `, ${number(jobs.dead)} given up` : "";
  return [make("span", idle || dead ? "note failing" : "note",
    `${number(open)} jobs, ${number(jobs.workers)} workers${dead}`)];
}

function drawSources(looks) {
  const shown = seconds => seconds === null ? "–" : duration(seconds);
  const breaker = source => {
    const words = breakerWords(source);
    return words ? [make("span", "note failing", words)] : [];
  };
  rows("sources", [...looks].sort((a, b) => (b.slow ?? -1) - (a.slow ?? -1)).map(
    ({ source, list, half, slow, calls: made, failed }) => [
      header(source.name, ...breaker(source), ...jobsNote(source)),
      make("td", "", columns(list)),
      make("td", "number roomy", shown(half)), make("td", "number", shown(slow)),
      make("td", "number", number(made)),
      make("td", failed ? "number failing" : "number", number(failed)),
      make("td", "number roomy", number(source.running)),
      make("td", "number roomy", number(source.queued))]));
}

function drawFragments(status, then) {
  rows("fragments", status.fragments.map(fragment => {
    const old = then?.fragments.find(it => it.pattern === fragment.pattern);
    const all = grown(fragment, old, outcomes);
    const grew = GROUPS.map(group => grown(fragment, old, it => of(it, group.outcomes)));
    const track = make("div", "track",
      ...GROUPS.map((group, i) => part(group.name, all ? grew[i] / all : 0)));
    track.role = "img";
    track.ariaLabel = GROUPS.map((group, i) => grew[i] && `${number(grew[i])} ${group.words}`)
      .filter(Boolean).join(", ") || "no requests";
    return [header(fragment.pattern), make("td", "", track),
      make("td", "number", percent(all ? grew[0] / all : null)),
      make("td", "number", number(all))];
  }));
}

// The worker of that number, as it was then.
const workerThen = (then, { worker }) => then?.workers.find(it => it.worker === worker);

function drawWorkers(status, then) {
  const grew = status.workers.map(now => grown(now, workerThen(then, now), it => it.answers));
  const all = sum(grew);
  find("workers-panel").hidden = status.workers.length === 0;
  rows("workers", status.workers.map((now, i) => [
    header(`${now.worker}`),
    make("td", "", make("div", "track", part("hit", all ? grew[i] / all : 0))),
    make("td", "number", number(grew[i])), make("td", "number", number(now.parked)),
    make("td", "number roomy", number(now.connections)),
    make("td", "number roomy", plural(now.starts, "time"))]));
}

// Each limit: its name, what is in use, the limit, and how to write them.
function limits(status) {
  const found = [["parked", status.parked.now, status.parked.limit, number],
    ["in progress", status.flights.now, status.flights.limit, number]];
  for (const [name, value] of Object.entries(status))
    if (value?.limit_bytes !== undefined) found.push([name, value.bytes, value.limit_bytes, bytes]);
  return found;
}

function drawLimits(status, then) {
  rows("limits", limits(status).map(([name, used, limit, words]) => {
    const share = limit ? used / limit : 0;
    // A memory cache is meant to be full.
    const full = share > .8 && name !== "memory";
    const evicted = name === "memory" ? grown(status, then, evictions) : 0;
    return [header(name, evicted ? make("span", "note", `${number(evicted)} evicted lately`) : ""),
      make("td", "", make("div", "track", part(full ? "full" : "hit", share))),
      make("td", full ? "number failing" : "number", words(used)),
      make("td", "number", words(limit))];
  }));
  const refused = Object.entries(status.refused);
  find("refusals").hidden = refused.length === 0;
  find("refusals-none").hidden = refused.length > 0;
  rows("refusals", refused.map(([name, count]) => {
    const lately = count - (then?.refused[name] ?? 0);
    return [header(name), make("td", lately ? "number failing" : "number", number(lately)),
      make("td", "number", number(count))];
  }));
}

function troubles(status, then, looks) {
  const found = [];
  if (status.draining) found.push("This process is shutting down.");
  if (status.redis && !status.redis.up)
    found.push(`${status.redis.trouble}. Each process makes its own calls.`);
  for (const { source, ended, failed } of looks) {
    if (source.breaker === "open")
      found.push(`The source ${source.name} has failed too often: ` +
        (source.pause_seconds > 0 ? "it is not called." : "the next call tries it again."));
    else if (failed > 2 && failed > .05 * ended)
      found.push(`${percent(failed / ended)} of the last minute’s calls to ${source.name} failed.`);
  }
  for (const [name, used, limit] of limits(status))
    if (name !== "memory" && limit && used > .8 * limit)
      found.push(`Almost full: ${name}, ${percent(used / limit)} of its limit.`);
  for (const [name, count] of Object.entries(status.refused)) {
    const lately = count - (then?.refused[name] ?? 0);
    if (lately)
      found.push(`${number(lately)} rejected in the last minute because of ${name}.`);
  }
  for (const worker of status.workers)
    if (worker.starts > (then ? workerThen(then, worker)?.starts ?? worker.starts : 1))
      found.push(`Worker ${worker.worker} has ended and was started again.`);
  if (status.loop?.lag_max_seconds > 0.25)
    found.push(`A turn of the event loop took ${duration(status.loop.lag_max_seconds)}.`);
  return found;
}

function drawTroubles(list) {
  const place = find("trouble");
  place.hidden = list.length === 0;
  const shown = [...place.children].map(item => item.textContent);
  if (JSON.stringify(shown) !== JSON.stringify(list))
    place.replaceChildren(...list.map(text => make("li", "", text)));
}

function draw(status) {
  const since = reading(MINUTE_MS), then = since ? since.status : status;
  const looks = status.sources.map(source => lookAt(source, then, status.bounds_seconds));
  const found = troubles(status, then, looks);
  find("process").textContent =
    `${status.version}, up ${duration(status.uptime_seconds)}` +
    (status.workers.length ? `, ${plural(status.workers.length, "worker")}` : "");
  drawTroubles(found);
  drawTiles(status);
  drawFlights(status);
  drawSources(looks);
  drawWorkers(status, then);
  drawFragments(status, then);
  drawLimits(status, then);
  document.title = (found.length ? "(!) " : "") + `${number(status.parked.now)} parked · workerless`;
  find("closed").hidden = true;
  board.hidden = false;
  board.classList.remove("old");
  if (growing) grow();
  else keepGrowing();
}

// --- reading ---

function say(state, text) {
  link.dataset.state = state;
  setText(link, text);
}

// What has gone wrong, as words for the user.
class Trouble extends Error {}

async function ask(signal) {
  let response;
  try {
    response = await fetch(PATH, { cache: "no-store", signal });
  } catch {
    throw new Trouble(signal.reason?.name === "TimeoutError" ? "no answer in time"
      : "the front server can’t be reached");
  }
  if (response.status === 403) throw new Trouble("closed");
  if (response.status >= 502 && response.status <= 504)
    throw new Trouble(`the front server can’t reach workerless (${response.status})`);
  if (!response.ok) throw new Trouble(`the answer is a ${response.status}`);
  try {
    const status = await response.json();
    if (!Array.isArray(status.sources) || !Array.isArray(status.bounds_seconds)) throw new TypeError();
    return status;
  } catch {
    throw new Trouble("the answer is not a status");
  }
}

function explainClosed() {
  const words = make("p", "", "The status is closed for your address. To open it, list the address in ",
    make("code", "", "status"), " in workerless.conf, for example ",
    make("code", "", 'status = {"127.0.0.1"}'), ", and reload workerless.");
  const more = make("p", "", "The front server must also let it pass: the examples have a rule for ",
    make("code", "", "/workerless/"), " that allows only 127.0.0.1.");
  find("closed").replaceChildren(words, more);
  find("closed").hidden = false;
}

let timer = 0, failures = 0, asking = false, paused = false;

function later(ms) {
  clearTimeout(timer);
  timer = setTimeout(read, ms);
}

async function read() {
  clearTimeout(timer);
  if (asking || paused || document.hidden) return;
  asking = true;
  try {
    const status = await ask(AbortSignal.timeout(ANSWER_MS));
    failures = 0;
    keep(status);
    note({ requests: rate(requests, 0), hits: hitRatio(0), parked: status.parked.now,
      calls: rate(calls, 0), redis: recentRedis(status), lag: status.loop?.lag_max_seconds });
    if (!paused) {
      say("live", "Live");
      draw(status);
    }
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    if (!paused) lost(error.message);
  } finally {
    asking = false;
    if (!failures) later(EVERY_MS);
  }
}

function lost(reason) {
  const wait = Math.min(RETRY_MAX_MS, EVERY_MS * 2 ** Math.min(failures++, 6)) * (.8 + .4 * Math.random());
  note(null);
  say("lost", reason === "closed" ? "Closed. Trying again from time to time."
    : `No status: ${reason}. Trying again in ${Math.round(wait / 1000)} s.`);
  document.title = "No status · workerless";
  drawTroubles([]);
  board.classList.add("old");
  if (reason === "closed") explainClosed();
  else find("closed").hidden = true;
  later(wait);
}

find("pause").addEventListener("click", ({ target }) => {
  paused = !paused;
  target.setAttribute("aria-pressed", paused);
  target.textContent = paused ? "Continue" : "Pause";
  if (paused) say("paused", "Paused");
  else read();
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else if (!paused) read();
});
addEventListener("online", read);

const legend = GROUPS.map(({ name, words }) => make("li", name, words));
find("outcomes").replaceChildren(...legend);
read();
