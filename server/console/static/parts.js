// Small parts that several views share.

import { html } from "./vendor/preact.js";
import { KINDS } from "./condition.js";

const WIDTH = 120;
const HEIGHT = 24;

/** Where a view is: its address after the `#`, each part encoded. */
export const address = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;

/** The sign of a kind: shape, colour and word say the same. */
export function Sign({ kind }) {
  return html`<span class="sign sign-${kind}"><${Shape} kind=${kind} />${KINDS[kind].name}</span>`;
}

const SHAPES = {
  abnormal: html`<path d="M8 1.5 15.2 14.5H.8Z" /><path class="cut" d="M8 6v4M8 11.4v1.4" />`,
  bad: html`<rect x="1.5" y="1.5" width="13" height="13" /><path class="cut" d="m5 5 6 6m0-6-6 6" />`,
  uncertain: html`<path class="line" d="M8 1.5 14.5 8 8 14.5 1.5 8Z" />`,
  stale: html`<circle class="line dashed" cx="8" cy="8" r="6" />`,
  normal: html`<circle class="dot" cx="8" cy="8" r="2.5" />`,
};

export function Shape({ kind }) {
  return html`<svg class="shape" viewBox="0 0 16 16" aria-hidden="true">${SHAPES[kind]}</svg>`;
}

/**
 * The last values of an asset; the newest is marked by a dot. A limit is a dashed line; ends are values that there is
 * room for in any case, so that a small change does not look like a large one.
 */
export function Sparkline({ values, limit, ends }) {
  const known = (values ?? []).filter((one) => one !== null);
  if (known.length < 2) return html`<svg class="spark" viewBox="0 0 ${WIDTH} ${HEIGHT}" aria-hidden="true" />`;
  const shown = limit === null ? [...known, ...ends] : [...known, limit];
  const low = Math.min(...shown);
  const span = Math.max(...shown) - low;
  const step = (WIDTH - 6) / (values.length - 1);
  const y = (value) => (span ? HEIGHT - 3 - ((value - low) / span) * (HEIGHT - 6) : HEIGHT / 2);
  let path = "";
  let isOn = false;
  values.forEach((value, index) => {
    if (value !== null) {
      path += `${isOn ? "L" : "M"}${(2 + index * step).toFixed(1)} ${y(value).toFixed(1)}`;
    }
    isOn = value !== null;
  });
  const last = values.at(-1);
  return html`<svg class="spark" viewBox="0 0 ${WIDTH} ${HEIGHT}" aria-hidden="true">
    ${limit !== null && html`<path class="limit" d="M0 ${y(limit).toFixed(1)}H${WIDTH}" />`}
    <path class="course" d=${path} />
    ${last !== null && html`<circle cx=${WIDTH - 4} cy=${y(last)} r="2.2" />`}
  </svg>`;
}

/** The score as a bar with its threshold as a tick. */
export function Gauge({ score, threshold }) {
  const isShare = threshold <= 1 && score >= 0 && score <= 1;
  const full = isShare ? 1 : Math.max(2 * Math.abs(threshold), Math.abs(score)) || 1;
  const at = (value) => Math.max(0, Math.min(1, value / full)) * 64;
  return html`<svg class="gauge" viewBox="0 0 64 12" aria-hidden="true">
    <rect class="track" y="3" width="64" height="6" />
    <rect class=${score >= threshold ? "above" : "below"} y="3" width=${at(score)} height="6" />
    <path d="M${at(threshold).toFixed(1)} 0V12" />
  </svg>`;
}

/** What to say where there is nothing to show. */
export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2>${children}</div>`;
}

/** A text that can be copied, with a button where the browser permits it. */
export function Copyable({ text, label }) {
  const copy = (event) => {
    const button = event.currentTarget;
    navigator.clipboard.writeText(text).then(() => {
      button.textContent = "Copied";
    });
  };
  return html`<div class="copyable">
    <pre tabindex="0" aria-label=${label}>${text}</pre>
    ${navigator.clipboard && html`<button type="button" onClick=${copy}>Copy</button>`}
  </div>`;
}

/**
 * The head of a table whose rows become blocks on a small screen. The roles are those that the elements
 * have by themselves; laid out as blocks, some browsers would forget them.
 */
export function Columns({ names }) {
  return html`<thead role="rowgroup">
    <tr role="row">${names.map((name) => html`<th key=${name} role="columnheader" scope="col" class=${AMOUNTS.has(name) ? "right" : null}>${name}</th>`)}</tr>
  </thead>`;
}

const AMOUNTS = new Set(["Last word", "Predictions"]);
