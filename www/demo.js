// What the page tells about its fragments: the timeline, and under each card how long that took and
// where it came from.

import { Timeline, WORDS, duration } from "./timeline.js";

function offerAgain(element) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Try again";
  button.addEventListener("click", () => element.reload());
  // The server's words for the failure are there, if it had any.
  if (element.querySelector(".wait")) {
    const words = document.createElement("p");
    words.textContent = "This part could not be loaded.";
    element.replaceChildren(words);
  }
  element.append(button);
}

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
