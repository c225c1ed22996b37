// The paper: how its parts come, what each cost, the buttons, and the numbers of workerless. All
// that it says was measured or asked for; it has no other source.

import { Timeline, WORDS, duration, offerAgain } from "/timeline.js";

const STATUS_MS = 1000; // between two looks at the status
const CROWD_MS = 120; // between two looks at the visitors
const FRAME_MS = 16;
const COLUMNS = 50; // of dots
const RETRIES = 8; // while workerless is started again

const find = id => document.getElementById(id);
const parts = () => document.querySelectorAll("page-fragment");
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));
const number = value => new Intl.NumberFormat("en").format(value);

// In one response, this may run before the last of the page is parsed, long before it ends.
while (!document.querySelector(".more")) await sleep(FRAME_MS);

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text; // so that it is not read out again
}

async function getJson(path, options) {
  const response = await fetch(path, { cache: "no-store", ...options });
  if (!response.ok) throw Error(`HTTP status ${response.status}`);
  return response.json();
}

// --- how the parts come ---

const whole = location.pathname === "/whole", stream = location.search === "?stream";

const ready = new Promise(resolve => {
  if (document.readyState !== "loading") resolve();
  else document.addEventListener("DOMContentLoaded", resolve);
});

// Does it replace placeholders by itself? Then marks are instructions, and not comments.
const mark = new DOMParser().parseFromString("<?start name='a'>", "text/html").firstChild;
const isNative = mark.nodeType === Node.PROCESSING_INSTRUCTION_NODE;

// In one response, the document itself brings the parts. What has come is noted, and not asked for.
function watchDocument() {
  const [{ requestStart }] = performance.getEntriesByType("navigation");
  const note = () => {
    // Nothing comes later than the end of the response.
    const [{ responseEnd }] = performance.getEntriesByType("navigation");
    const ended = Math.min(performance.now(), responseEnd || Infinity);
    for (const it of parts()) {
      const name = it.getAttribute("name");
      if (!timeline.stories.has(name)) tell(it, timeline.begin(name, requestStart));
      if (it.hasAttribute("state") || !it.firstElementChild || it.querySelector(".wait")) continue;
      it.setAttribute("state", "loaded");
      it.setAttribute("stream", ""); // for when it is reloaded
      const isFailed = [...it.childNodes].some(
        child => child.nodeType === Node.COMMENT_NODE && child.data === "failed");
      it.toggleAttribute("data-failed", isFailed);
      tell(it, timeline.end(name, { kind: isFailed ? "failed" : "arrived", ended }));
    }
  };
  document.body.classList.add("whole"); // what is there already does not appear again
  const observer = new MutationObserver(note);
  observer.observe(document, { childList: true, subtree: true });
  note();
  return ready.then(() => {
    note();
    observer.disconnect();
  });
}

// --- what each part has cost ---

const TYPES = { http: "HTTP", fastcgi: "FastCGI", queue: "a queue", module: "a module",
  simulated: "simulated" };

// What workerless knows of it: who makes it, how long that took, and when.
async function explain(name, story) {
  const asked = performance.now();
  const { source, memory, redis, not_stored: alone } =
    await getJson(`/workerless/explain/${name}?json`);
  const entry = memory ?? redis;
  if (story.kind === "failed") return { source };
  if (entry?.kind !== "result")
    return { source, known: alone && story.kind === "arrived" ? { kind: "made" } : null };
  const known = { made: entry.cost_seconds * 1000 }; // 0 if a worker has made it, and does not say
  // It was there before it was asked for, or came meanwhile.
  if (story.kind === "arrived")
    known.kind = asked - entry.age_seconds * 1000 < story.asked ? "hit" : "made";
  return { source, entry, known };
}

function label(story) {
  const badge = document.createElement("span");
  badge.className = `badge ${story.kind}`;
  badge.textContent = WORDS[story.kind];
  return badge;
}

async function tell(element, story) {
  const name = element.getAttribute("name");
  const footer = element.closest("[data-part]").querySelector("footer")
    ?? document.createElement("p"); // of the greeting, which has none
  footer.replaceChildren(label(story));
  if (story.kind === "failed") offerAgain(element, footer);
  if (story.kind === "parked") return;
  const { source, entry, known } = await explain(name, story).catch(() => ({}));
  if (timeline.stories.get(name) !== story || story.kind === "parked") return;
  if (known) timeline.end(name, known);
  footer.querySelector(".badge").replaceWith(label(story));
  const link = document.createElement("a");
  link.href = `/workerless/explain/${name}`;
  link.textContent = source ? `${source.name} (${TYPES[source.type] ?? source.type})` : "explain";
  const cost = story.made ? `${duration(story.made)} · ` : "";
  footer.append(entry ? `${cost}${number(entry.bytes)} bytes` : "", link);
}

const timeline = new Timeline(document.querySelector(".timeline"), "workerless-paper");
timeline.follow(tell);

// --- the buttons ---

const press = name => getJson(`/demo/${name}`, { method: "POST", headers: { "X-Demo": "1" } });

let isKilled = false;
let broken = sessionStorage.getItem("broken") === "true";

function showBroken(now) {
  broken = now;
  sessionStorage.setItem("broken", now);
  // Retries would only hide that it is broken.
  document.querySelector("page-fragment[name=departures]").setAttribute("retries", now ? 0 : 1);
  setText(document.querySelector("[data-press=break]"), `${now ? "Mend" : "Break"} the railway`);
}

const ACTIONS = {
  async purge() {
    await press("purge");
    location.reload();
  },
  async break() {
    showBroken((await press(broken ? "mend" : "break")).broken);
    location.reload();
  },
  async kill() {
    await press("kill");
    setText(find("said"), "workerless is dead. It is started again in a moment; watch the parts.");
    isKilled = true;
    timeline.restart();
    for (const it of parts()) {
      it.setAttribute("retries", RETRIES);
      it.reload();
    }
    look();
  },
  async visitors() {
    await press("visitors");
    watchCrowd();
  },
};

document.querySelector(".buttons").addEventListener("click", async ({ target }) => {
  const action = ACTIONS[target.dataset.press];
  if (!action) return;
  target.disabled = true;
  try {
    await action();
  } catch (error) {
    setText(find("said"), `That did not work: ${error.message}.`);
  }
  target.disabled = false;
});

function signIn(user) {
  document.cookie = `session=${user}; path=/; samesite=lax`;
}

document.querySelector(".choices").addEventListener("click", ({ target }) => {
  if (!target.dataset.user) return;
  signIn(target.dataset.user);
  target.closest("[data-part]").querySelector("page-fragment").reload();
});

// --- the visitors ---

const canvas = document.querySelector("canvas");
let crowd = null;

function drawCrowd() {
  const rows = 1000 / COLUMNS, size = canvas.clientWidth / COLUMNS, dense = devicePixelRatio;
  const colours = getComputedStyle(canvas), paint = canvas.getContext("2d");
  canvas.width = canvas.clientWidth * dense;
  canvas.height = size * rows * dense;
  paint.scale(dense, dense);
  const { filled = 0, failed = 0, asked = 0 } = crowd ?? {};
  const kinds = [
    [filled, "--hit"], [filled + failed, "--bad"], [asked, "--parked"], [1000, "--none"]];
  for (let i = 0; i < 1000; i++) {
    paint.fillStyle = colours.getPropertyValue(kinds.find(([to]) => i < to)[1]);
    paint.beginPath();
    paint.arc((i % COLUMNS + .5) * size, (Math.floor(i / COLUMNS) + .5) * size, size * .32, 0, 7);
    paint.fill();
  }
}

function tellCrowd() {
  const { count, running, asked, filled, failed, first_ms: first, last_ms: last, calls } = crowd;
  const waiting = asked - filled - failed;
  canvas.ariaLabel = `${number(waiting)} visitors wait, ${number(filled)} have the weather`;
  const slow = `${number(calls)} slow call${calls === 1 ? "" : "s"}`;
  setText(find("crowd"), running
    ? `${number(waiting)} parked, ${number(filled)} served, ${slow}.`
    : `${number(filled)} of ${number(count)} served by ${slow}; the last ${duration(last - first)} ` +
      `after the first${failed ? `, ${number(failed)} failed` : ""}.`);
}

async function watchCrowd() {
  do {
    await sleep(CROWD_MS);
    const state = await getJson("/demo/state");
    crowd = state.visitors;
    setText(find("bytes"), state.bytes_parked ? number(state.bytes_parked) : "–");
    tellCrowd();
    drawCrowd();
  } while (crowd.running);
}

new ResizeObserver(drawCrowd).observe(canvas.parentNode);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCrowd);

// --- the numbers ---

const sum = (status, outcome) => status.fragments.reduce((all, it) => all + (it[outcome] ?? 0), 0);

const uptime = seconds => seconds < 100 ? duration(seconds * 1000)
  : `${number(Math.round(seconds / 60))}\u00a0min`;

let timer = 0;

async function look() {
  clearTimeout(timer);
  timer = setTimeout(look, STATUS_MS);
  if (document.hidden) return;
  const status = await getJson("/workerless/status?json", { signal: AbortSignal.timeout(5000) })
    .catch(() => null);
  document.querySelector(".numbers").classList.toggle("old", !status);
  setText(find("up"), status ? uptime(status.uptime_seconds) : "away");
  if (!status) return;
  if (isKilled) setText(find("said"), "It is back, as another process. The results were in Redis.");
  isKilled = false;
  setText(find("parked"), number(status.parked.now));
  setText(find("flights"), number(status.flights.now));
  setText(find("hits"), number(sum(status, "hit") + sum(status, "stale")));
  setText(find("joined"), number(sum(status, "collapsed")));
}

// --- begin ---

for (const link of document.querySelectorAll(".ways a"))
  if (link.href === location.href) link.setAttribute("aria-current", "page");
find("today").textContent = new Intl.DateTimeFormat("en", { dateStyle: "long" }).format(new Date());
if (!document.cookie.includes("session=")) signIn("ann");
showBroken(broken);
look();
getJson("/demo/state").then(state => {
  showBroken(state.broken);
  if (state.visitors.asked) watchCrowd();
}, () => setText(find("said"), "The helper of the demo does not answer: no button works."));

if (whole && isNative) await watchDocument();
if (!whole)
  for (const it of parts())
    if (stream) it.setAttribute("stream", "");
    else it.removeAttribute("stream");
await import("/page-fragment.js");
