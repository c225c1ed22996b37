// Fills every element that has a data-fragment attribute with the fragment of that name.
//
//     <div data-fragment="user/7" aria-busy="true">shown while it is on its way</div>
//
// All fragments are requested side by side; each is shown when it comes. An element's data-state
// goes from "loading" to "loaded" or "failed", always to one of them, and events of these names say
// so (fragment-loaded). Its data-deadline sets how many seconds that may take.

const DEADLINE_S = 120; // for one element, all its attempts together
const SOON_MS = 1000;   // a "not ready" that comes sooner than this was not parked by the server
const RETRIES = 4;      // after "too busy"
const RETRY_MAX_MS = 15000; // a longer Retry-After is not waited for

// A failure that the visitor may read: `html` is what the server wants to be shown for it.
class FragmentError extends Error {
    constructor(message, html = "") {
        super(message);
        this.html = html;
    }
}

function urlOf(name) {
    return "/fragment/" + name.split("/").map(encodeURIComponent).join("/");
}

function pause(ms, signal) {
    return new Promise((resolve, reject) => {
        signal.throwIfAborted();
        const timer = setTimeout(resolve, ms);
        signal.addEventListener("abort", () => {
            clearTimeout(timer);
            reject(signal.reason);
        }, { once: true });
    });
}

// The header's seconds in milliseconds; NaN without one. Its date form is not spoken here.
function retryAfterMs(response) {
    return 1000 * parseInt(response.headers.get("Retry-After"), 10);
}

// Between 1 and 1.5 times as long, so that those who were refused together don't return together.
function jittered(ms) {
    return ms * (1 + Math.random() / 2);
}

// Asks until there is an answer that is final.
async function request(name, signal) {
    let retries = 0;
    for (;;) {
        const asked = performance.now();
        const response = await fetch(urlOf(name), {
            signal,
            credentials: "same-origin",
            headers: { Accept: "text/html" },
            cache: "no-cache",   // the server's cache decides; unchanged is a 304
            redirect: "error",   // a login page is no fragment
        });
        const html = await response.text();
        const wait = retryAfterMs(response);
        if (response.status === 202) {
            // Not ready yet. The server parks the next request too, so there is no need to wait;
            // but one that did not park this one would be asked in a tight loop.
            const parked = performance.now() - asked >= SOON_MS;
            await pause(parked ? wait || 0 : Math.max(wait || 0, jittered(SOON_MS)), signal);
        } else if (response.status === 503 && wait <= RETRY_MAX_MS && retries < RETRIES) {
            retries++;
            await pause(jittered(Math.max(wait, SOON_MS)), signal);
        } else {
            return { response, html };
        }
    }
}

// A fragment, or an error's fallback. A whole document is some proxy's own error page.
function isFragment(response, html) {
    const type = response.headers.get("Content-Type") || "";
    return /^text\/html\b/i.test(type) && !/^\s*<(\?xml|!doctype|html)\b/i.test(html);
}

async function obtain(name, signal) {
    const { response, html } = await request(name, signal);
    const usable = isFragment(response, html);
    if (!response.ok)
        throw new FragmentError(`HTTP status ${response.status}`, usable ? html : "");
    if (!usable)
        throw new FragmentError("what came is no fragment");
    return { response, html };
}

// Parsed in a template, scripts never run and table rows survive.
function parse(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content;
}

function failureView(error, retry) {
    const view = document.createElement("div");
    const button = document.createElement("button");
    view.className = "failure";
    view.setAttribute("role", "alert");
    if (error.html)
        view.append(parse(error.html));
    if (!view.hasChildNodes())
        view.append(Object.assign(document.createElement("p"), {
            textContent: error.name === "TimeoutError" ? "This part did not come in time."
                                                       : "This part could not be loaded.",
        }));
    button.type = "button";
    button.textContent = "Try again";
    button.addEventListener("click", retry);
    view.append(button);
    return view;
}

// `waiting` is what the page's author put into the element, to be shown again on a retry.
async function fill(element, waiting) {
    const name = element.dataset.fragment;
    const signal = AbortSignal.timeout(1000 * (element.dataset.deadline || DEADLINE_S));
    const asked = performance.now();
    const become = (state, content, detail = {}) => {
        element.dataset.state = state;
        element.replaceChildren(...content);
        element.setAttribute("aria-busy", state === "loading");
        detail.ms = performance.now() - asked;
        element.dispatchEvent(new CustomEvent(`fragment-${state}`, { bubbles: true, detail }));
    };
    become("loading", waiting);
    try {
        const { response, html } = await obtain(name, signal);
        become("loaded", [parse(html)], { response });
    } catch (error) {
        console.error(`fragment ${name}: ${error.message}`);
        become("failed", [failureView(error, () => fill(element, waiting))], { error });
    }
}

for (const element of document.querySelectorAll("[data-fragment]"))
    fill(element, [...element.childNodes]);
