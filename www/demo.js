// What the demo's page tells about its fragments: how long each took, and where it came from.

// Cache-Status (RFC 9211) in a visitor's words.
function origin(cacheStatus) {
    if (/;\s*hit\b/.test(cacheStatus))
        return "hit";
    if (/;\s*collapsed\b/.test(cacheStatus))
        return "joined a call under way";
    if (/;\s*fwd=/.test(cacheStatus))
        return "made just now";
    return "";
}

function duration(ms) {
    return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function tell(event, time, word) {
    const footer = event.target.closest(".card").querySelector("footer");
    footer.textContent = time;
    if (word) {
        const badge = document.createElement("span");
        badge.textContent = word;
        badge.className = "badge";
        footer.append(badge);
    }
}

document.addEventListener("fragment-loading", event => tell(event, "parked…", ""));
document.addEventListener("fragment-loaded", event =>
    tell(event, duration(event.detail.ms),
        origin(event.detail.response.headers.get("Cache-Status") || "")));
document.addEventListener("fragment-failed", event =>
    tell(event, duration(event.detail.ms), "failed"));
