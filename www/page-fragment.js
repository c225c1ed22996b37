// <page-fragment name="a">Loading…</page-fragment>: see README.

const TAG = "page-fragment";
const FRAME = 16, SECOND = 1000, MINUTE = 60 * SECOND;

const ATTRIBUTES = {
  name: "", src: "", base: "", loading: "eager", swap: "", fetchPriority: "auto",
  retries: 3, timeout: 60, stream: false, sanitize: false, shadow: false,
};

function planOf({ name, src, base, stream, baseURI, retries, timeout, fetchPriority: priority }) {
  const path = encodeURI(name).replace(/[?#]/g, encodeURIComponent);
  base ||= document.querySelector(`meta[name=${TAG}-base]`)?.content ?? "";
  const at = path => new URL(src || base.replace(/\/*$/, "/") + path, baseURI);
  const url = at("fragment/" + path), streams = stream && !src && at("fragments");
  if (streams) {
    streams.search = location.search;
    streams.searchParams.delete("name");
    url.search = streams.search;
  }
  if (!src && !url.pathname.endsWith(path)) throw Error("bad name");
  url.hash = "";
  return { name, retries, timeout, priority, url: url.href, streams: streams.href };
}

const later = (run, wait) => setTimeout(run, Math.min(wait, 2 ** 31 - 1));
const sleep = wait => new Promise(resolve => later(resolve, wait));

// Never ends in a hidden tab.
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
  RegExp("^" + type, "i").test(headers.get("Content-Type"));

const flights = new Map();

class Flight extends AbortController {
  waiters = 0;

  constructor(plan) {
    super();
    Object.assign(this, plan);
    this.answer = new Promise(resolve => this.settle = answer => {
      if (flights.get(plan.url) === this) flights.delete(plan.url);
      resolve(answer);
    });
    flights.set(plan.url, this);
    (plan.streams ? gather : fetchOne)(this);
  }

  leave() {
    if (--this.waiters) return;
    this.abort();
    this.settle({ response: Response.error() });
  }
}

// take() gets "" with the head, then the text in pieces, until it returns true.
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
  }
}

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
let opening;

// Those that come within a frame, or while one opens, share a stream.
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
    const field = key => event.split(/\r?\n/).filter(line => line.split(":")[0] === key)
      .map(line => line.slice(key.length + 1).replace(/^ /, "")).join("\n");
    const [name, error] = field("event").split(/:(error)$/);
    const flight = open.get(name);
    if (!open.delete(name)) return name;
    if (error) fetchOne(flight);
    else flight.settle({ response, html: field("data") });
    if (left && !open.size) all.abort();
    return name;
  };

  const response = await persist(async () => {
    const url = new URL(common.streams);
    for (const name of open.keys()) url.searchParams.append("name", name);
    let rest = "", last, opened;
    opening = new Promise(resolve => opened = resolve);
    const reply = await request(url, "text/event-stream", common, (text, reply) => {
      opened();
      const events = isStream(reply) ? (rest + text).split(/\r?\n\r?\n/) : [];
      rest = events.pop();
      return events.some(event => (last = settle(event, reply) || last) === "end");
    });
    opened();
    if (!open.size) return new Response();
    if (reply.status && (last === "end" || !isStream(reply))) return reply;
    return last ? new Response("", { status: 202 }) : Response.error();
  }, common);
  open.forEach(flight => isStream(response) || isTemporary(response)
    ? flight.settle({ response }) : fetchOne(flight));
}

const nearby = new IntersectionObserver(seen => {
  for (const { isIntersecting, target } of seen) if (isIntersecting) {
    nearby.unobserve(target);
    const element = target.closest(TAG);
    element?.state || element?.reload();
  }
}, { rootMargin: "256px", scrollMargin: "256px" });

let frame;
const nextFrame = () => frame ??= sleep(FRAME).then(() => frame = null);

// Is the parser past it?
const isClosed = node => node && (node.nextSibling || isClosed(node.parentNode));

// Chromium does not tell if the document was cut off.
const isOver = ({ timeout }) => document.readyState !== "loading"
  || performance.now() > (timeout * SECOND || Infinity);

const within = new WeakMap(); // URLs of what is around an element
let ownPolicy, pagePolicy, isDefined;

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
  #place; // of the content
  #latest; // load, unless abandoned
  #abandon;
  #outages = 0;
  #isOfPage; // made by the parser, and new

  constructor() {
    super();
    for (const [key, value] of Object.entries(this)) { // set too early
      delete this[key];
      this[key] = value;
    }
  }

  get state() {
    return this.#state ?? "";
  }

  #become(state) {
    this.#abandon?.();
    this.#isOfPage = false;
    if (this.#state === "failed") this.replaceChildren(...this.#placeholder);
    this.#state = state;
    this.setAttribute("state", state);
    this.ariaBusy = state === "loading";
  }

  connectedCallback() {
    this.#good ??= this.getAttribute("state") === "loaded"; // by the server
    this.#state ??= this.#good ? "loaded" : "";
    this.#isOfPage ??= this.stream === "page"
      && (!isDefined || document.readyState === "loading");
    this.#consider();
  }

  disconnectedCallback() {
    this.#consider();
  }

  attributeChangedCallback(attribute, before, after) {
    if (attribute !== "loading" && before !== after && (before ?? this.#state) != null) {
      this.#good = false;
      if (this.#state) this.#become("");
    }
    this.#consider();
  }

  async #consider() {
    await null; // a move is no removal
    if (this.#isOfPage) await nextFrame(); // its content follows
    if (!this.isConnected) this.#abandon && this.#become("");
    else if (this.#state !== "") return;
    else if (this.loading !== "lazy") this.reload();
    else for (const it of [this, ...this.children]) nearby.observe(it); // it may have no box
  }

  async reload() {
    const { name } = this;
    if (!this.src && !name) return this.state;
    const detail = { name };
    const tell = (type, place = this, more) => place.dispatchEvent(Object.assign(
      new CustomEvent(type, { detail, bubbles: type.includes(":"), cancelable: !!more }), more));

    let flight;
    const ask = async () => {
      const found = this.#isOfPage && await this.#findInPage(detail);
      if (found) return found;
      const plan = planOf(this);
      if (within.get(this)?.includes(plan.url)) throw Error("within itself");
      flight = flights.get(plan.url) ?? new Flight(plan);
      ++flight.waiters;
      return flight.answer;
    };
    const answer = ask().catch(error => ({ error }));
    this.#become("loading");
    this.#latest = detail;
    this.#abandon = () => {
      this.#latest = this.#abandon = null;
      flight?.leave();
      tell("loadend");
    };
    tell("loadstart");

    try {
      const { response, html } = Object.assign(detail, await answer);
      detail.error ??= !response.ok ? Error(`HTTP status ${response.status}`)
        : html == null ? Error("no fragment") : null;
      while (this.#latest === detail && !isOver(this) && !isClosed(this)) await nextFrame();
      if (this.#latest !== detail) return this.state;
      this.#place = null;
      const promise = this.#show(flight?.url, detail, tell);
      if (promise) await promise;
    } catch (error) {
      this.#place = null;
      detail.error = error;
    }
    if (this.#latest !== detail) return this.state;

    const { error, response } = detail;
    this.#abandon = null;
    this.#good ||= !error;
    if (!this.#good && !this.#place) this.replaceChildren(...this.#placeholder);
    this.#become(this.#good ? "loaded" : "failed");
    if (this.#place) tell("fragment:swap", this.#place);
    tell(error ? "error" : "load");
    tell("loadend");
    if (!error) this.#outages = 0;
    else if (response && isTemporary(response)) this.#recover(detail);
    return error ? "failed" : "loaded";
  }

  // What the document brings: in place, or as <template for="a">.
  async #findInPage(detail) {
    for (;;) {
      const isLast = isOver(this);
      const template = [...document.getElementsByTagName("template")].find(
        it => it.getAttribute("for") === detail.name && it.nextSibling?.data);
      const isInPlace = this.firstChild && isClosed(this)
        && !/<(!--)?\?start /.test(this.innerHTML);
      if (template || isInPlace) {
        const { innerHTML } = template ?? this;
        template?.remove();
        return {
          html: innerHTML,
          content: template ? null : this,
          response: /^\s*<!--failed-->/.test(innerHTML) ? Response.error() : new Response(),
        };
      }
      if (isLast) return;
      await nextFrame();
      if (this.#latest !== detail) return {};
    }
  }

  #show(url, detail, tell) {
    const { error, html } = detail;
    this.#placeholder ??= [...this.childNodes];
    const slot = error && this.#placeholder.find(it => it.slot === "error");
    if (error ? this.#good || !slot && !html : detail.content) return;
    detail.content = slot ? slot.content.cloneNode(true) : parse(detail, this);
    for (const it of detail.content.querySelectorAll(TAG))
      within.set(it, [url, within.get(this)].flat());
    detail.swap = () => {
      const { swap } = this;
      const old = !error && swap && (swap === "replace" ? this : this.closest(swap));
      this.#place = old ? old.parentNode : this;
      if (old) old.replaceWith(detail.content);
      else this.replaceChildren(detail.content);
    };
    let promise;
    const isAllowed = tell("fragment:beforeswap", this, {
      respondWith(it) {
        this.preventDefault();
        promise = it;
      },
    });
    if (isAllowed) detail.swap();
    else if (promise) this.#place ??= this;
    return promise;
  }

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
      return value === "page" ? value
        : missing === false ? value !== false : missing >= 1 ? +value : value;
    },
    set(value) {
      if (value == null || value === false) this.removeAttribute(attribute);
      else this.setAttribute(attribute, value === true ? "" : value);
    },
  });
}

customElements.get(TAG) ?? customElements.define(TAG, PageFragment);
isDefined = true;

export default customElements.get(TAG);
