// What the browser saw: a bar for each fragment of a visit, from its request to its arrival. It
// learns that from the events of <page-fragment>, or is told by begin() and end().

const AXIS_MS = 3000; // the least that it spans
const ROW = 40; // the height of a fragment
const BAR = 9;
const QUEUED_MS = 20; // shorter waits for a connection are not shown
const FRAME_MS = 500; // between two pictures for those who want less motion

export const WORDS = {
  parked: "parked…",
  arrived: "arrived",
  made: "made just now",
  joined: "joined a call under way",
  hit: "hit",
  failed: "failed",
};

export const still = matchMedia("(prefers-reduced-motion: reduce)");

export function duration(ms) {
  return ms < 1000 ? `${Math.round(ms)}\u00a0ms` : `${(ms / 1000).toFixed(1)}\u00a0s`;
}

// A button that reloads the element, which has failed. The server's words for that are there, if it
// had any.
export function offerAgain(element, place = element) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Try again";
  button.addEventListener("click", () => element.reload());
  if (element.querySelector(".wait")) {
    const words = document.createElement("p");
    words.textContent = "This part could not be loaded.";
    element.replaceChildren(words);
  }
  place.append(button);
}

// Cache-Status (RFC 9211) as a kind. A stream has none of each fragment.
function kindOf(response) {
  const status = response?.headers.get("Cache-Status");
  if (!status) return "arrived";
  if (/;\s*hit\b/.test(status)) return "hit";
  return /;\s*collapsed\b/.test(status) ? "joined" : "made";
}

// 0 if that is unknown, as with what a worker has made.
function sourceTime(response) {
  return Number(/\bsource;dur=([\d.]+)/.exec(response?.headers.get("Server-Timing"))?.[1] ?? 0);
}

export class Timeline {
  // Fragment name -> { kind, asked, sent, ended, made, again }, in the order of the page. `made` is
  // how long its source has worked. All others are times of performance.now(): `sent` is when the
  // browser had a connection for it, and `again` when an answer was not final.
  stories = new Map();
  #figure;
  #svg;
  #summary;
  #kept;
  #ghosts; // of the visit before, in the same tab
  #soon = false; // it is drawn when what happens now is over
  #later = false; // or with the next frame, while something grows
  #began = 0; // the visit
  #shown = 0; // when the skeleton was painted

  // kept: the key in the session's storage under which visits are kept.
  constructor(figure, kept) {
    this.#figure = figure;
    this.#svg = figure.querySelector("svg");
    this.#summary = figure.querySelector("[role=status]");
    this.#kept = kept;
    this.#ghosts = this.#read();
    new ResizeObserver(() => this.draw()).observe(figure);
    new PerformanceObserver(list => {
      this.#shown = list.getEntriesByName("first-contentful-paint")[0]?.startTime ?? this.#shown;
      this.draw();
    }).observe({ type: "paint", buffered: true });
  }

  begin(name, asked = performance.now()) {
    if (this.stories.get(name)?.kind === "parked") return this.stories.get(name);
    const story = { kind: "parked", asked, again: [] };
    this.stories.set(name, story);
    this.#drawSoon();
    return story;
  }

  // What is known of it now, such as { kind, made }.
  end(name, known) {
    const story = this.stories.get(name);
    Object.assign(story, { ended: story.ended ?? performance.now() }, known);
    this.#drawSoon();
    return story;
  }

  // Another visit begins, without another page.
  restart() {
    this.#keep();
    this.#ghosts = this.#read();
    this.stories.clear();
    this.#began = performance.now();
    this.#shown = 0;
  }

  #read() {
    return new Map(JSON.parse(sessionStorage.getItem(this.#kept) ?? "[]"));
  }

  #keep() {
    sessionStorage.setItem(this.#kept, JSON.stringify([...this.stories].map(
      ([name, { asked, ended }]) => [name, [asked - this.#began, ended - this.#began]])));
  }

  // Follows all elements of the document, and tell(element, story) after each of their events.
  follow(tell) {
    const listen = (type, react) => document.addEventListener(type, event => {
      if (event.target.matches("page-fragment")) tell(event.target, react(event.detail));
    }, true);
    listen("loadstart", ({ name }) => this.begin(name));
    listen("load", ({ name, response }) =>
      this.end(name, { kind: kindOf(response), made: sourceTime(response) }));
    listen("error", ({ name, error }) => {
      console.error(`fragment ${name}: ${error.message}`);
      return this.end(name, { kind: "failed" });
    });
    // That a connection was free, or that the answer was a 202, is no event of the element.
    new PerformanceObserver(list => {
      for (const entry of list.getEntries()) {
        const path = new URL(entry.name).pathname.split("/fragment/");
        const story = path[0] === "" && this.stories.get(decodeURIComponent(path[1]));
        if (!story || entry.responseEnd < story.asked) continue; // it was another visit
        // A later request repeats the first one, or asks for what a stream did not bring.
        if (entry.startTime < story.asked + QUEUED_MS) story.sent ??= entry.requestStart;
        else story.sent ??= story.asked;
        if (entry.responseStatus === 202 || entry.responseStatus >= 500)
          story.again.push(entry.responseEnd);
      }
      this.draw();
    }).observe({ type: "resource", buffered: true });
  }

  #text() {
    const all = [...this.stories.values()];
    const open = all.filter(story => story.kind === "parked").length;
    if (open) {
      const here = all.length - open;
      return `Requested ${all.length} fragments: ${here ? `${here} loaded, ` : ""}${open} parked.`;
    }
    const failed = [...this.stories.keys()].filter(
      name => this.stories.get(name).kind === "failed");
    if (failed.length)
      return `Failed: ${failed.join(", ")}. ` +
        (failed.length < all.length ? "The others were not affected." : "");
    const took = Math.max(...all.map(story => story.ended - story.asked));
    const known = all.every(story => story.made), made = Math.max(...all.map(story => story.made));
    if (all.every(story => story.kind === "hit"))
      return `All loaded after ${duration(took)}, from the cache.` +
        (known ? ` The slowest took ${duration(made)} to make.` : "");
    const rest = Math.max(...all.map(
      story => story.kind === "made" ? story.ended - (story.sent ?? story.asked) - story.made : 0));
    return `All loaded after ${duration(took)}.` +
      (known && rest > 0 ? ` That is at most ${duration(rest)} more than the sources took.` : "");
  }

  draw() {
    const { stories } = this;
    if (!stories.size) return;
    const now = performance.now(), all = [...stories.values()], text = this.#text();
    this.#figure.hidden = false;
    if (this.#summary.textContent !== text) this.#summary.textContent = text;

    const svg = this.#svg, width = svg.clientWidth, height = stories.size * ROW;
    const end = Math.max(AXIS_MS, ...all.map(story => (story.ended ?? now) - this.#began),
      ...[...this.#ghosts.values()].map(ghost => ghost[1]));
    const step = [500, 1000, 2000, 5000, 10000, 30000, 60000].find(it => end / it <= 6) ?? end / 4;
    const x = ms => ms / end * width;
    const at = time => x(time - this.#began);
    const shape = (tag, className, attributes, words = "") => {
      const node = document.createElementNS(svg.namespaceURI, tag);
      node.setAttribute("class", className);
      for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
      node.textContent = words;
      svg.append(node);
    };
    // Nothing is shorter than a pixel and a half, so that a hit can be seen.
    const bar = (className, from, to, y, size) => shape("rect", className, {
      x: from.toFixed(1), y: y - size / 2,
      width: Math.max(1.5, to - from).toFixed(1), height: size });

    svg.setAttribute("height", height + 24);
    svg.replaceChildren();
    for (let ms = 0; ms <= end; ms += step) {
      shape("path", "grid", { d: `M${x(ms).toFixed(1)} 0V${height}` });
      const anchor = ms === 0 ? "start" : ms > end - step / 2 ? "end" : "middle";
      shape("text", "tick", { x: x(ms), y: height + 18, "text-anchor": anchor },
        ms ? `${ms / 1000} s` : "0");
    }
    if (this.#shown) shape("path", "skeleton", { d: `M${x(this.#shown).toFixed(1)} 0V${height}` });
    [...stories].forEach(([name, story], row) => {
      const y = row * ROW + 28, ghost = this.#ghosts.get(name);
      const { kind, asked, sent = asked, ended = now, again } = story;
      const begun = sent - asked > QUEUED_MS ? sent : asked;
      const words = kind === "parked" && again.length ? "asking again…" : WORDS[kind];
      shape("text", "name", { x: 0, y: y - 11 }, name);
      shape("text", `told ${kind}`, { x: width, y: y - 11, "text-anchor": "end" },
        `${duration(ended - asked)} · ${words}`);
      if (ghost) bar("ghost", x(ghost[0]), x(ghost[1]), y, BAR + 4);
      if (begun > asked) bar("queued", at(asked), at(begun), y, 2);
      bar(`bar ${kind}`, at(begun), at(ended), y, BAR);
      for (const time of again) if (time < ended - 1)
        shape("path", "again", { d: `M${at(time).toFixed(1)} ${y - 6}v12` });
    });

    if (all.some(story => story.kind === "parked")) this.#drawLater();
    else this.#keep();
  }

  #drawSoon() {
    if (this.#soon) return;
    this.#soon = true;
    queueMicrotask(() => {
      this.#soon = false;
      this.draw();
    });
  }

  #drawLater() {
    if (this.#later) return;
    this.#later = true;
    const next = () => {
      this.#later = false;
      this.draw();
    };
    if (still.matches) setTimeout(next, FRAME_MS);
    else requestAnimationFrame(next);
  }
}
