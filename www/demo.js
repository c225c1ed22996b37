// What the page tells about its fragments: the timeline, and under each card how long that took and
// where it came from.

import { Timeline, WORDS, duration, offerAgain } from "./timeline.js";

const timeline = new Timeline(
  document.querySelector(".timeline"), `workerless ${location.pathname}`);

timeline.follow((element, { kind, asked, ended }) => {
  if (kind === "failed") offerAgain(element);
  const badge = document.createElement("span");
  badge.className = `badge ${kind}`;
  badge.textContent = WORDS[kind];
  element.closest(".card").querySelector("footer").replaceChildren(
    ended ? duration(ended - asked) : "", badge);
});
