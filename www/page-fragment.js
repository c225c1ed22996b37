// A part of a page, shown as soon as it is ready:
//
//   <script type="module" src="page-fragment.js"></script>
//   <page-fragment name="a">Loading…</page-fragment>
//
// README has its attributes and events.

const TAG = "page-fragment";
const FRAME = 16, SECOND = 1000, MINUTE = 60 * SECOND; // in milliseconds

// All are properties, too.
const ATTRIBUTES = {
  name: "", src: "", base: "", loading: "eager", swap: "", fetchPriority: "auto",
  retries: 3, timeout: 60, stream: false, sanitize: false, shadow: false,
};

// One URL for all spellings of it, and that of its streams.
function locate({ name, src, base, stream, baseURI }) {
  if (!src && /(^|\/)\.\.?(\/|$)/.test(name)) throw Error("bad name");
  const path = encodeURI(name).replace(/[?#]/g, encodeURIComponent);
  base ||= document.querySelector(`meta[name=${TAG}-base]`)?.content ?? "";
  const at = path => new URL(src || base.replace(/\/*$/, "/") + path, baseURI);
  const url = at("fragment/" + path), streams = stream && !src && at("fragments");
  if (streams) { // with the page's query as inputs
    streams.search = location.search;
    streams.searchParams.delete("name");
    url.search = streams.search;
  }
  url.hash = "";
  return { url: url.href, streams: streams.href };
}

const later = (run, wait) => setTimeout(run, Math.min(wait, 2 ** 31 - 1));
const sleep = wait => new Promise(resolve => later(resolve, wait));

// Ends early when the network or the tab is back, and never in a hidden tab.
const nap = wait => new Promise(resolve => {
  const over = new AbortController();
  const wake = () => {
    if (document.hidden) return;
    over.abort();
    resolve();
  };
  later(wake, wait);
  for (const type of ["online", "visibilitychange"]) addEventListener(type, wake, over);
});

function retryAfter({ headers }) {
  const after = headers.get("Retry-After");
  return (after >= 0 ? after * SECOND : Date.parse(after) - Date.now()) || 0;
}

const isTemporary = ({ status }) => !status || status >= 500 || status === 429;

const hasType = ({ headers }, type) =>
  headers.get("Content-Type")?.toLowerCase().startsWith(type);

const flights = new Map(); // by URL

// A request and those who wait for it; aborted when they have left.
class Flight extends AbortController {
  waiters = new Set();

  constructor(place, { name, retries, timeout, fetchPriority: priority }) {
    super();
    Object.assign(this, place, { name, retries, timeout, priority });
    this.answer = new Promise(resolve => this.settle = ({ response, html, error }) => {
      if (flights.get(place.url) === this) flights.delete(place.url);
      error ??= !response.ok ? Error(`HTTP status ${response.status}`)
        : html == null ? Error("no fragment") : null;
      resolve({ response, html, error });
    });
    flights.set(place.url, this);
    (place.streams ? gather : fetchOne)(this);
  }

  leave(waiter) {
    this.waiters.delete(waiter);
    if (this.waiters.size) return;
    this.abort();
    this.settle({ error: this.signal.reason });
  }
}

// take() gets each piece of the text, first "" with the head, until it returns true. Network errors
// and silence have the status 0.
async function request(url, Accept, { signal, timeout, priority }, take) {
  const stop = new AbortController();
  signal.onabort = () => stop.abort();
  let timer;
  const listen = () => {
    clearTimeout(timer);
    timer = later(() => stop.abort(), timeout * SECOND || Infinity);
  };
  try {
    listen();
    const response = await fetch(url, {
      headers: { Accept }, cache: "no-cache", priority, signal: stop.signal,
    });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let piece = { value: "" };
    while (!piece.done && !take(piece.value, response) && reader) {
      listen();
      piece = await reader.read();
    }
    return response;
  } catch {
    return Response.error();
  } finally {
    clearTimeout(timer);
  }
}

// Asks until the response is final.
async function persist(ask, { retries, signal }) {
  for (let failures = 0; ;) {
    const asked = Date.now();
    const response = await ask();
    const wait = retryAfter(response);
    if (response.status === 202) // at once if parked
      await sleep(Math.min(MINUTE, Math.max(wait, asked + SECOND - Date.now())));
    else if (!isTemporary(response) || !(failures < retries) || wait > MINUTE) return response;
    else {
      await sleep(wait);
      await nap(Math.random() * Math.min(MINUTE, SECOND * 2 ** failures++));
    }
    if (signal.aborted) return response;
  }
}

async function fetchOne(flight) {
  let html;
  const response = await persist(() => {
    html = "";
    return request(flight.url, "text/html", flight, text => { html += text; });
  }, flight);
  if (!hasType(response, "text/html")
    || /^\s*<(!doctype|html|\?xml)\b/i.test(html)) html = null; // a login page, say
  flight.settle({ response, html });
}

const isStream = response => response.ok && hasType(response, "text/event-stream");

const gathering = new Map();
let opening; // the latest stream

// Those that come within a frame, or while a stream opens, share the next.
async function gather(flight) {
  const { streams } = flight;
  const wanted = gathering.get(streams) ?? [];
  if (wanted.push(flight) > 1) return;
  gathering.set(streams, wanted);
  await sleep(FRAME);
  await opening;
  gathering.delete(streams);
  const alive = wanted.filter(({ signal }) => !signal.aborted);
  while (alive.length) fetchStream(alive.splice(0, 64));
}

async function fetchStream(wanted) {
  const open = new Map(wanted.map(flight => [flight.name, flight]));
  const all = new AbortController();
  const retries = Math.max(...wanted.map(flight => flight.retries || 0));
  const common = { ...wanted[0], retries, signal: all.signal };
  let left;
  for (const { name, signal } of wanted)
    signal.onabort = () => (left = open.delete(name) || left) && !open.size && all.abort();

  const settle = (event, response) => {
    const field = key => Array.from(event.matchAll(
      RegExp(`(?<![^\n])${key}: ?([^\r\n]*)`, "g")), m => m[1]).join("\n");
    const [name, error] = field("event").split(/:(error)$/);
    const flight = open.get(name);
    open.delete(name);
    if (error) flight && fetchOne(flight); // may try again
    else flight?.settle({ response, html: field("data") });
    if (name === "end") {
      open.forEach(flight => flight.settle({ response }));
      open.clear();
    }
    if (left && !open.size) all.abort();
    return name;
  };

  const response = await persist(async () => {
    const url = new URL(common.streams);
    for (const name of open.keys()) url.searchParams.append("name", name);
    let rest = "", came, opened;
    opening = new Promise(resolve => opened = resolve);
    const reply = await request(url, "text/event-stream", common, (text, reply) => {
      opened();
      const events = isStream(reply) ? (rest + text).split(/\r?\n\r?\n/) : [];
      rest = events.pop();
      return events.some(event => {
        const name = settle(event, reply);
        came ||= name;
        return name === "end";
      });
    });
    opened();
    if (!open.size) return new Response();
    if (reply.status && !isStream(reply)) return reply;
    return came ? new Response("", { status: 202 }) : Response.error(); // it broke off
  }, common);
  open.forEach(flight => isTemporary(response) ? flight.settle({ response }) : fetchOne(flight));
}

const nearby = new IntersectionObserver(seen => {
  for (const { isIntersecting, target } of seen) if (isIntersecting) {
    nearby.unobserve(target);
    const element = target.closest(TAG);
    element?.state || element?.reload();
  }
}, { rootMargin: "256px", scrollMargin: "256px" });

// Are its children complete?
const isParsed = node => document.readyState !== "loading"
  || node && (node.nextSibling || isParsed(node.parentNode));

const within = new WeakMap(); // an element's URLs of the fragments around it
let ownPolicy, pagePolicy;

// No <script> of it runs.
function parse({ html, response }, { sanitize, shadow }) {
  const template = document.createElement("template");
  if (sanitize && (template.setHTML || !pagePolicy)) template.setHTML(html); // or throws
  else {
    const asIs = { createHTML: it => it };
    const policy = pagePolicy
      ?? (ownPolicy ??= window.trustedTypes?.createPolicy(TAG, asIs) ?? asIs);
    const trusted = policy.createHTML(html, response);
    if (shadow) template.setHTMLUnsafe(trusted);
    else template.innerHTML = trusted;
  }
  return template.content;
}

class PageFragment extends HTMLElement {
  static observedAttributes = ["name", "src", "base", "loading"];

  static set policy(policy) {
    pagePolicy = policy;
  }

  #state;
  #good; // what is shown has been loaded
  #placeholder;
  #place; // where the content has gone
  #latest; // load, unless abandoned
  #abandon;
  #outages = 0;

  constructor() {
    super();
    for (const key in ATTRIBUTES) if (Object.hasOwn(this, key)) { // set too early
      const value = this[key];
      delete this[key];
      this[key] = value;
    }
  }

  get state() {
    return this.#state ?? "";
  }

  #become(state) {
    this.#abandon?.();
    if (this.#state === "failed") this.replaceChildren(...this.#placeholder);
    this.#state = state;
    this.setAttribute("state", state);
    this.ariaBusy = state === "loading";
  }

  connectedCallback() {
    this.#good ??= this.getAttribute("state") === "loaded"; // by the server
    this.#state ??= this.#good ? "loaded" : "";
    this.#consider();
  }

  disconnectedCallback() {
    this.#consider();
  }

  attributeChangedCallback(attribute, before, after) {
    if (attribute !== "loading" && before !== after && (before ?? this.#state) != null) {
      this.#good = false; // it is for another address
      if (this.#state) this.#become("");
    }
    this.#consider();
  }

  // Soon: moved is not removed, and attributes change together.
  #consider() {
    queueMicrotask(() => {
      if (!this.isConnected) this.#abandon && this.#become("");
      else if (this.#state) return;
      else if (this.loading !== "lazy") this.reload();
      else for (const it of [this, ...this.children]) nearby.observe(it); // it may have no box
    });
  }

  // Promises "loaded" or "failed"; or the state, if abandoned.
  async reload() {
    const { name } = this;
    if (!this.src && !name) return this.state;
    const detail = { name };
    const tell = (type, place = this) => place.dispatchEvent(
      new CustomEvent(type, { detail, bubbles: type.includes(":") }));

    let flight;
    try {
      const place = locate(this);
      if (within.get(this)?.includes(place.url)) throw Error("within itself");
      flight = flights.get(place.url) ?? new Flight(place, this);
      flight.waiters.add(detail);
    } catch (error) {
      detail.error = error;
    }
    this.#become("loading");
    this.#latest = detail;
    this.#abandon = () => {
      this.#latest = this.#abandon = null;
      flight?.leave(detail);
      tell("loadend");
    };
    tell("loadstart");

    const answer = await flight?.answer;
    while (this.#latest === detail && !isParsed(this)) await sleep(FRAME);
    if (this.#latest !== detail) return this.state;
    Object.assign(detail, answer);
    this.#place = null;
    try {
      const promise = this.#show(flight?.url, detail);
      if (promise) await promise;
    } catch (error) {
      this.#place = null;
      detail.error = error;
    }
    if (this.#latest !== detail) return this.state;

    this.#abandon = null;
    this.#good ||= !detail.error;
    if (!this.#good && !this.#place) this.replaceChildren(...this.#placeholder);
    this.#become(this.#good ? "loaded" : "failed");
    if (this.#place) tell("fragment:swap", this.#place);
    tell(detail.error ? "error" : "load");
    tell("loadend");
    if (!detail.error) this.#outages = 0;
    else if (answer && isTemporary(answer.response)) this.#recover(detail);
    return detail.error ? "failed" : "loaded";
  }

  // Returns the promise of a listener that shows it.
  #show(url, detail) {
    const { error, html } = detail;
    this.#placeholder ??= [...this.childNodes];
    const slot = error && this.#placeholder.find(it => it.slot === "error");
    if (error && (this.#good || !slot && !html)) return;
    const content = slot ? document.importNode(slot.content, true) : parse(detail, this);
    for (const it of content.querySelectorAll(TAG)) within.set(it, [url, within.get(this)].flat());

    let promise;
    const swap = () => {
      const { swap } = this;
      const old = !error && swap && (swap === "replace" ? this : this.closest(swap));
      this.#place = old ? old.parentNode : this;
      if (old) old.replaceWith(detail.content);
      else this.replaceChildren(detail.content);
    };
    Object.assign(detail, { content, swap });
    const event = new CustomEvent(
      "fragment:beforeswap", { detail, bubbles: true, cancelable: true });
    event.respondWith = it => {
      event.preventDefault();
      promise = it;
      this.#place = this;
    };
    if (this.dispatchEvent(event)) swap();
    return promise;
  }

  // Tries again, less and less often.
  async #recover(detail) {
    if (!(this.retries > 0)) return;
    await sleep(retryAfter(detail.response));
    await nap(MINUTE * 2 ** Math.min(3, this.#outages++) * (1 + Math.random()));
    if (this.#latest === detail && this.isConnected) this.reload();
  }
}

for (const property in ATTRIBUTES) {
  const attribute = property.toLowerCase(), missing = ATTRIBUTES[property];
  Object.defineProperty(PageFragment.prototype, property, {
    get() {
      const value = this.getAttribute(attribute) ?? missing;
      return missing === false ? value !== false : missing >= 1 ? +value : value;
    },
    set(value) {
      if (value == null || value === false) this.removeAttribute(attribute);
      else this.setAttribute(attribute, value === true ? "" : value);
    },
  });
}

customElements.get(TAG) ?? customElements.define(TAG, PageFragment);

export default customElements.get(TAG);
