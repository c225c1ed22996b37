// <page-fragment>: a part of a page that is shown as soon as it is ready.
//
//   <script type="module" src="page-fragment.js"></script>
//   <page-fragment name="user/7">Loading…</page-fragment>
//
// is filled by /fragment/user/7. More attributes:
//
//   src      the URL, if not /fragment/NAME
//   loading  "lazy": not before it is nearly in sight
//   stream   (without src) shares one request, /fragments?name=…, with others
//   swap     "replace" replaces the element, a selector ("tr") that ancestor
//   retries  after network errors, 5xx and 429 (3)
//   state    is set: "loading", then "loaded" or "failed"
//
// A failed one shows its <template slot="error">, or else the server's HTML for the error. reload()
// asks again, and promises the state.
//
// Events: loadstart, load or error, loadend; bubbling, fragment:beforeswap (cancelable) and
// fragment:swap. Detail: name, response, error, content.
//
// Scripts in fragments do not run. To sanitize, set PageFragment.policy, by default a Trusted Types
// policy "page-fragment" that changes nothing.

const TAG = "page-fragment";
const MINUTE = 60000; // the longest wait

const flights = new Map(); // by URL

// One request and those who wait for it; aborted when they have left.
class Flight extends AbortController {
  waiters = new Set();

  constructor(url, element) {
    super();
    flights.set(url, this);
    this.url = url;
    this.name = element.getAttribute("name");
    this.retries = element.getAttribute("retries") ?? 3;
    const settled = new Promise(resolve => this.settle = resolve);
    this.answer = settled.then(({ response, html, error }) => {
      error ||= !response.ok ? `HTTP status ${response.status}` : html == null ? "no fragment" : "";
      return { response, error, content: html || !error ? parse(html) : null };
    }).catch(({ message }) => ({ error: message }));
    (element.matches("[stream]:not([src])") ? gather : fetchOne)(this);
  }

  leave(waiter) {
    this.waiters.delete(waiter);
    if (this.waiters.size) return;
    flights.delete(this.url);
    this.abort();
    this.settle({ error: "aborted" });
  }
}

function parse(html) {
  const asIs = { createHTML: it => it };
  PageFragment.policy ??= window.trustedTypes?.createPolicy(TAG, asIs) ?? asIs;
  const template = document.createElement("template"); // keeps table rows
  template.innerHTML = PageFragment.policy.createHTML(html);
  return template.content;
}

// Asks until an answer is final; `read` may replace it. A network error has status 0.
async function persist(url, Accept, read, { retries, signal }) {
  for (let failures = 0; ;) {
    const asked = performance.now();
    const response = await fetch(url(), { headers: { Accept }, signal, cache: "no-cache" })
      .then(read).catch(() => Response.error());
    const { status, headers } = response;
    const after = headers.get("Retry-After"); // seconds or a date
    let wait = (after >= 0 ? after * 1000 : Date.parse(after) - Date.now()) || 0;
    if (status === 202) // at once if it was parked
      wait = Math.max(wait, asked + 1000 - performance.now());
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
    || /^\s*<(!doctype|html|\?xml)\b/i.test(html)) html = null; // a login page, a proxy's error
  flight.settle({ response, html });
}

const gathered = []; // in this task

function gather(flight) {
  if (gathered.push(flight) === 1) queueMicrotask(() => {
    while (gathered.length) fetchStream(gathered.splice(0, 64)); // the server's bound
  });
}

async function fetchStream(wanted) {
  const all = new AbortController();
  const open = new Map(wanted.map(flight => [flight.name, flight]));
  for (const { name, signal } of wanted)
    signal.onabort = () => open.delete(name) && !open.size && all.abort();
  const url = () => "/fragments?name=" + [...open.keys()].map(encodeURIComponent).join("&name=");
  const response = await persist(url, "text/event-stream", async reply => {
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", status = 503;
    while (reply.ok) {
      const { done, value } = await reader.read().catch(() => ({ done: true }));
      if (done) return new Response("", { status }); // cut
      const events = (rest + value).split(/\r?\n\r?\n/);
      rest = events.pop();
      for (const event of events) {
        const field = key => Array.from(event.matchAll(
          RegExp(`(?<![^\n])${key}: ?([^\r\n]*)`, "g")), found => found[1]).join("\n");
        const [name, error] = field("event").split(/:(error)$/);
        if (name === "end") return reply;
        if (name) status = 202; // what is missing is not ready yet
        open.get(name)?.settle({ response: reply, html: field("data"), error });
        open.delete(name);
      }
    }
    return reply;
  }, { retries: wanted[0].retries, signal: all.signal });
  open.forEach(flight => flight.settle({ response }));
}

const nearby = new IntersectionObserver(
  seen => seen.forEach(it => it.isIntersecting && it.target.reload()), { rootMargin: "256px" });

class PageFragment extends HTMLElement {
  #state;
  #leave;
  #within = []; // URLs
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
    queueMicrotask(() => { // later: to be moved is no removal
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
    const answer = await flight.answer, { error } = answer;
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
    if (content && tell("fragment:beforeswap")) {
      const swap = this.getAttribute("swap") ?? "inner";
      const old = !error && swap !== "inner" && (swap === "replace" ? this : this.closest(swap));
      place = old ? old.parentNode : this;
      if (old) old.replaceWith(detail.content);
      else this.replaceChildren(detail.content);
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
