// What the demo's page tells about its fragments: the timeline, and under each card how long that
// took and where it came from. All of it is learned from the events of <page-fragment>.

const AXIS_MS = 3000; // the least that the timeline spans: as long as the slowest source
const ROW = 48; // the height of a fragment in the timeline
const BAR = 14;
const FRAME_MS = 500; // between two pictures for those who want less motion
const KEPT = `workerless-timeline ${location.pathname}`;

const WORDS = {
  parked: "parked…",
  made: "made just now",
  joined: "joined a call under way",
  hit: "hit",
  failed: "failed",
};

const figure = document.querySelector(".timeline");
const svg = figure.querySelector("svg");
const still = matchMedia("(prefers-reduced-motion: reduce)");

// Fragment name -> { kind, asked, ended, made, again }, in the order of the page, and in milliseconds
// since it was begun:
// `made` is how long its source had worked, `again` when the browser asked once more.
const stories = new Map();

// Cache-Status (RFC 9211) as a kind.
function kindOf(response) {
  const status = response?.headers.get("Cache-Status") ?? "";
  if (/;\s*hit\b/.test(status)) return "hit";
  return /;\s*collapsed\b/.test(status) ? "joined" : "made";
}

// 0 if that is unknown, as with what a worker has made.
function sourceTime(response) {
  return Number(/\bsource;dur=([\d.]+)/.exec(response?.headers.get("Server-Timing"))?.[1] ?? 0);
}

function duration(ms) {
  return ms < 1000 ? `${Math.round(ms)}\u00a0ms` : `${(ms / 1000).toFixed(1)}\u00a0s`;
}

// --- the cards ---

function tell(element, { kind, asked, ended }) {
  const badge = document.createElement("span");
  badge.className = `badge ${kind}`;
  badge.textContent = WORDS[kind];
  element.closest(".card").querySelector("footer").replaceChildren(
    ended ? duration(ended - asked) : "", badge);
}

// The server's words for the failure are there, if it had any.
function offerAgain(element) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Try again";
  button.addEventListener("click", () => element.reload());
  if (element.querySelector(".wait")) {
    const words = document.createElement("p");
    words.textContent = "This part could not be loaded.";
    element.replaceChildren(words);
  }
  element.append(button);
}

function listen(type, react) {
  document.addEventListener(type, event => {
    if (!event.target.matches("page-fragment")) return;
    react(event.target, event.detail);
    draw();
  }, true);
}

listen("loadstart", (element, { name }) => {
  const story = { kind: "parked", asked: performance.now(), again: [] };
  stories.set(name, story);
  tell(element, story);
});

listen("load", (element, { name, response }) => {
  const story = Object.assign(stories.get(name), {
    kind: kindOf(response), ended: performance.now(), made: sourceTime(response) });
  tell(element, story);
});

listen("error", (element, { name, error }) => {
  const story = Object.assign(stories.get(name), { kind: "failed", ended: performance.now() });
  console.error(`fragment ${name}: ${error.message}`);
  offerAgain(element);
  tell(element, story);
});

// A 202 is no event of the element, since it just asks again.
new PerformanceObserver(list => {
  for (const { name, responseStatus, responseEnd } of list.getEntries())
    if (responseStatus === 202)
      stories.get(decodeURIComponent(name.split("/fragment/")[1]))?.again.push(responseEnd);
}).observe({ type: "resource", buffered: true });

// --- the timeline ---

// The visit before, in the same tab.
const ghosts = new Map(JSON.parse(sessionStorage.getItem(KEPT) ?? "[]"));

function summary(all) {
  const open = all.filter(story => story.kind === "parked").length;
  if (open) {
    const here = all.length - open;
    return `Requested ${all.length} fragments: ${here ? `${here} loaded, ` : ""}${open} parked.`;
  }
  const failed = [...stories].filter(([, { kind }]) => kind === "failed").map(([name]) => name);
  if (failed.length)
    return `Failed: ${failed.join(", ")}. ` +
      (failed.length < all.length ? "The others were not affected." : "");
  const took = Math.max(...all.map(story => story.ended - story.asked));
  const known = all.every(story => story.made), made = Math.max(...all.map(story => story.made));
  if (all.every(story => story.kind === "hit"))
    return `All loaded after ${duration(took)}, from the cache.` +
      (known ? ` The slowest took ${duration(made)} to make.` : "");
  const rest = Math.max(...all.map(
    story => story.kind === "made" ? story.ended - story.asked - story.made : 0));
  return `All loaded after ${duration(took)}.` +
    (known && rest > 0 ? ` That is at most ${duration(rest)} more than the sources took.` : "");
}

function shape(parent, tag, className, attributes, text = "") {
  const node = document.createElementNS(svg.namespaceURI, tag);
  node.setAttribute("class", className);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  parent.append(node);
}

function draw() {
  if (!stories.size) return;
  const now = performance.now(), all = [...stories.values()];
  const text = summary(all), place = document.querySelector("#summary");
  figure.hidden = false;
  if (place.textContent !== text) place.textContent = text;

  const width = svg.clientWidth, height = stories.size * ROW;
  const end = Math.max(AXIS_MS, ...all.map(story => story.ended ?? now),
    ...[...ghosts.values()].map(ghost => ghost.ended));
  const step = [500, 1000, 2000, 5000, 10000, 30000, 60000].find(it => end / it <= 6) ?? end / 4;
  const x = ms => BAR / 2 + ms / end * (width - BAR);
  const line = (from, to, y) => ({ d: `M${x(from).toFixed(1)} ${y}H${x(to).toFixed(1)}` });

  svg.setAttribute("height", height + 24);
  svg.replaceChildren();
  for (let at = 0; at <= end; at += step) {
    shape(svg, "path", "grid", { d: `M${x(at).toFixed(1)} 0V${height}` });
    const anchor = at === 0 ? "start" : at > end - step / 2 ? "end" : "middle";
    shape(svg, "text", "tick", { x: x(at), y: height + 18, "text-anchor": anchor },
      at ? `${at / 1000} s` : "0");
  }
  [...stories].forEach(([name, story], row) => {
    const y = row * ROW + 32, ghost = ghosts.get(name), { kind, asked, ended = now, again } = story;
    shape(svg, "text", "name", { x: 0, y: y - 14 }, name);
    shape(svg, "text", `told ${kind}`, { x: width, y: y - 14, "text-anchor": "end" },
      `${duration(ended - asked)} · ${WORDS[kind]}`);
    if (ghost) shape(svg, "path", "ghost", line(ghost.asked, ghost.ended, y));
    shape(svg, "path", `bar ${kind}`,
      { ...line(asked, ended, y), "stroke-dashoffset": still.matches ? 0 : -now / 50 % 8 });
    for (const ms of again) shape(svg, "path", "again", { d: `M${x(ms).toFixed(1)} ${y - 7}v14` });
  });

  if (all.some(story => story.kind === "parked")) drawLater();
  else sessionStorage.setItem(KEPT, JSON.stringify([...stories]));
}

let later = false;

function drawLater() {
  if (later) return;
  later = true;
  const next = () => { later = false; draw(); };
  if (still.matches) setTimeout(next, FRAME_MS);
  else requestAnimationFrame(next);
}

new ResizeObserver(draw).observe(figure);
