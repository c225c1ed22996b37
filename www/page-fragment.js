// A part of a page, shown as soon as it is ready:
//
//   <script type="module" src="page-fragment.js"></script>
//   <page-fragment name="a">Loading…</page-fragment>
//
//   src      the URL, if not /fragment/NAME
//   loading  "lazy": when nearly in sight
//   stream   (without src) shares one request
//   swap     "replace", or an ancestor's selector ("tr")
//   retries  after network errors, 5xx, 429 (3)
//   state    is set: "loading", "loaded", "failed"
//
// A failed one shows its <template slot="error"> or the server's HTML. reload() promises a state.
//
// Events: loadstart, load or error, loadend; bubbling, fragment:beforeswap (cancelable) and
// fragment:swap. Detail: name, response, error, content.
//
// No <script> runs; onerror= does without a CSP. PageFragment.policy may sanitize; default: a
// policy of the name TAG.

const TAG = "page-fragment";
const MINUTE = 60000;

const flights = new Map();

// One request and those who wait for it; aborted when they have left.
class Flight extends AbortController {
  waiters = new Set();

  constructor(url, element) {
    super();
    flights.set(url, this);
    this.url = url;
    this.name = element.getAttribute("name");
    this.retries = element.getAttribute("retries") ?? 3;
    const settled = new Promise(resolve => this.settle = result => {
      if (flights.get(url) === this) flights.delete(url);
      resolve(result);
    });
    this.answer = settled.then(({ response, html, error }) => {
      error ||= !response.ok ? `HTTP status ${response.status}` : html == null ? "no fragment" : "";
      return { response, error, content: html || !error ? parse(html) : null };
    }).catch(({ message }) => ({ error: message }));
    (element.matches("[stream]:not([src])") ? gather : fetchOne)(this);
  }

  leave(waiter) {
    this.waiters.delete(waiter);
    if (this.waiters.size) return;
    this.abort();
    this.settle({ error: "aborted" });
  }
}

function parse(html) {
  const asIs = { createHTML: it => it };
  PageFragment.policy ??= window.trustedTypes?.createPolicy(TAG, asIs) ?? asIs;
  const template = document.createElement("template");
  template.innerHTML = PageFragment.policy.createHTML(html);
  return template.content;
}

// Asks until an answer is final. A network error has status 0.
async function persist(url, Accept, read, { retries, signal }) {
  for (let failures = 0; ;) {
    const asked = performance.now();
    const response = await fetch(url(), { headers: { Accept }, signal, cache: "no-cache" })
      .then(read).catch(() => Response.error());
    const { status, headers } = response;
    const after = headers.get("Retry-After");
    let wait = (after >= 0 ? after * 1000 : Date.parse(after) - Date.now()) || 0;
    if (status === 202) // at once if parked
      wait = Math.min(MINUTE, Math.max(wait, asked + 1000 - performance.now()));
    else if (!(failures < retries) || wait > MINUTE || status && status < 500 && status !== 429)
      return response;
    else
      wait += Math.random() * Math.min(MINUTE, 1000 * 2 ** failures++);
    await new Promise(resolve => setTimeout(resolve, wait));
    if (signal.aborted) return response;
  }
}

async function fetchOne(flight) {
  let html;
  const response = await persist(() => flight.url, "text/html", async reply => {
    html = await reply.text();
    return reply;
  }, flight);
  if (!/^text\/html\b/i.test(response.headers.get("Content-Type"))
    || /^\s*<(!doctype|html|\?xml)\b/i.test(html)) html = null; // a login page, say
  flight.settle({ response, html });
}

const gathered = [];

function gather(flight) {
  if (gathered.push(flight) === 1) queueMicrotask(() => {
    while (gathered.length) fetchStream(gathered.splice(0, 64));
  });
}

async function fetchStream(wanted) {
  const all = new AbortController();
  let left;
  const open = new Map(wanted.map(flight => [flight.name, flight]));
  for (const { name, signal } of wanted)
    signal.onabort = () => (left = open.delete(name) || left) && !open.size && all.abort();
  const url = () => "/fragments?name=" + [...open.keys()].map(encodeURIComponent).join("&name=");
  const response = await persist(url, "text/event-stream", async reply => {
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", status = 503;
    while (reply.ok) {
      const { done, value } = await reader.read().catch(() => ({ done: true }));
      if (done) return open.size ? new Response("", { status }) : reply;
      const events = (rest + value).split(/\r?\n\r?\n/);
      rest = events.pop();
      for (const event of events) {
        const field = key => Array.from(event.matchAll(
          RegExp(`(?<![^\n])${key}: ?([^\r\n]*)`, "g")), m => m[1]).join("\n");
        const [name, error] = field("event").split(/:(error)$/);
        if (name === "end") return reply;
        if (name) status = 202;
        const one = open.get(name);
        open.delete(name);
        if (error) one && fetchOne(one); // may try again
        else one?.settle({ response: reply, html: field("data") });
        if (left && !open.size) all.abort();
      }
    }
    return reply;
  }, { retries: Math.max(...wanted.map(it => +it.retries || 0)), signal: all.signal });
  const alone = /400|4.4/.test(response.status);
  open.forEach(flight => alone ? fetchOne(flight) : flight.settle({ response }));
}

const nearby = new IntersectionObserver(
  seen => seen.forEach(it => it.isIntersecting && it.target.reload()), { rootMargin: "256px" });

class PageFragment extends HTMLElement {
  #state;
  #leave;
  #within = [];
  #placeholder;

  get #url() {
    return this.getAttribute("src")
      ?? "/fragment/" + encodeURIComponent(this.getAttribute("name")).replaceAll("%2F", "/");
  }

  #become(state) {
    nearby.unobserve(this);
    this.#leave?.();
    this.#leave = null;
    this.#state = state;
    this.setAttribute("state", state);
    this.ariaBusy = state === "loading";
  }

  connectedCallback() {
    queueMicrotask(() => { // moved is not removed
      if (!this.isConnected) this.#state === "loading" && this.#become("");
      else if (this.#state) return;
      else if (this.matches("[loading=lazy]")) nearby.observe(this);
      else this.reload();
    });
  }

  disconnectedCallback() {
    this.connectedCallback();
  }

  async reload() {
    const url = this.#url, detail = { name: this.getAttribute("name") };
    const tell = (type, place = this) => place.dispatchEvent(
      new CustomEvent(type, { detail, cancelable: true, bubbles: type.includes(":") }));

    if (this.#state === "failed") this.replaceChildren(...this.#placeholder ?? this.childNodes);
    this.#become("loading");
    const flight = flights.get(url) ?? new Flight(url, this);
    flight.waiters.add(detail);
    this.#leave = () => flight.leave(detail);
    tell("loadstart");
    let answer = await flight.answer, { error } = answer;
    if (!flight.waiters.has(detail)) return this.#state;

    this.#placeholder ??= [...this.childNodes];
    const slot = error && this.#placeholder.find(it => it.slot === "error");
    const source = slot ? slot.content : answer.content;
    const content = source && document.importNode(source, true);
    content?.querySelectorAll(TAG).forEach(it => {
      it.#within = [...this.#within, url];
      if (it.#within.includes(it.#url)) it.#become("failed"); // it would never end
    });
    Object.assign(detail, answer, { content });
    let place;
    if (content && tell("fragment:beforeswap")) try {
      const swap = this.getAttribute("swap") ?? "inner";
      const old = !error && swap !== "inner" && (swap === "replace" ? this : this.closest(swap));
      place = old ? old.parentNode : this;
      if (old) old.replaceWith(detail.content);
      else this.replaceChildren(detail.content);
    } catch ({ message }) {
      place = null;
      detail.error = error = message;
    }
    this.#become(error ? "failed" : "loaded");
    if (place) tell("fragment:swap", place);
    tell(error ? "error" : "load");
    tell("loadend");
    return this.#state;
  }
}

if (!customElements.get(TAG)) customElements.define(TAG, PageFragment);

export default customElements.get(TAG);
