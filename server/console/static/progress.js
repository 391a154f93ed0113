// How far the gateways of a group are in a rollout, as a bar and in words.

import { html } from "./vendor/preact.js";
import { many } from "./format.js";

/** States in a rollout, in the order in which they stand in the bar. */
export const PART_WORDS = {
  serving: "serving",
  probation: "on probation",
  shadow: "in shadow",
  waiting: "waiting",
  unheard: "never heard",
  apart: "not from this model",
  pinned: "pinned by a person",
  returned: "back on the former model",
  failed: "failed",
};

/** `amounts` has the number of gateways by state, `away` how many of them are offline. */
export function Progress({ amounts, away }) {
  const parts = Object.keys(PART_WORDS).filter((part) => amounts[part]);
  const all = parts.reduce((sum, part) => sum + amounts[part], 0);
  let at = 0;
  const bars = parts.map((part) => {
    const width = (100 * amounts[part]) / all;
    at += width;
    return html`<rect key=${part} class="part-${part}" x=${at - width} width=${width} height="8" />`;
  });
  return html`<div class="progress">
    <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">${bars}</svg>
    <p>Of ${many(all, "gateway")}${away ? ` (${away} offline)` : ""}: ${parts.map((part) => `${amounts[part]} ${PART_WORDS[part]}`).join(", ") || "none has said anything"}</p>
  </div>`;
}
