// The signals that an answer is due to.

import { html } from "./vendor/preact.js";
import { number } from "./format.js";

const PERCENT = 100;

export function Reasons({ asset, model }) {
  if (!asset.reasons.length) return null;
  const units = new Map((model?.signals ?? []).map((one) => [one.name, one.unit]));
  return html`<div class="reasons">
    <dt>Because of</dt>
    <dd>
      <ol>
        ${asset.reasons.map((one) => html`<${Reason} key=${one.signal} reason=${one} unit=${units.get(one.signal) ?? ""} />`)}
      </ol>
    </dd>
  </div>`;
}

function Reason({ reason, unit }) {
  const { signal, value, share } = reason;
  const against = share < 0 ? " against it" : "";
  return html`<li>
    <span class="signal">${signal}</span>
    <span class="num">${value === null ? "missing" : `${number(value)} ${unit}`}</span>
    <span class="num why">${share === null ? "–" : `${Math.round(Math.abs(share) * PERCENT)} %${against}`}</span>
  </li>`;
}
