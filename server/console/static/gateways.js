// The gateways: what runs, what is wanted, and what was refused with its remedy.

import { html } from "./vendor/preact.js";
import { count, duration, many, moment, number, words } from "./format.js";
import { address, Columns, Empty } from "./parts.js";
import { state } from "./store.js";

const COLUMNS = ["Stream", "Runs", "Wanted", "State", "Drift", "Predictions"];
const COLLATOR = new Intl.Collator("en", { numeric: true });

export function Gateways({ now }) {
  const all = [...state.gateways.values()].sort(
    (one, other) => urgency(one) - urgency(other) || COLLATOR.compare(one.gateway, other.gateway),
  );
  if (!all.length) return html`<h1 tabindex="-1">Gateways</h1>${none()}`;
  const online = all.filter((one) => one.online).length;
  const refused = all.flatMap((one) => one.streams).filter((one) => one.refused).length;
  return html`
    <div class="head">
      <h1 tabindex="-1">Gateways</h1>
      <p class="quiet">
        ${online} of ${all.length} online${refused ? `, ${many(refused, "update")} not taken over` : ", no update refused"}
      </p>
    </div>
    <div class="cards">${all.map((one) => html`<${Gateway} key=${one.gateway} gateway=${one} now=${now} />`)}</div>
  `;
}

const urgency = (one) => (one.online ? (one.streams.some((stream) => stream.refused) ? 1 : 2) : 0);

function none() {
  const { broker, isLoaded } = state;
  if (!isLoaded) return html`<p class="quiet">Asking the server…</p>`;
  return html`<${Empty} title="No gateway yet">
    ${broker.connected
      ? html`<p>
          No gateway has said anything on the broker ${broker.address}. An agent announces itself on
          ${" "}<code>millhand/{gateway}/status</code> as soon as it is connected; millhand-agent check on the gateway
          says what keeps it from that.
        </p>`
      : html`<p>The server has no connection to the broker ${broker.address}: ${broker.reason}.</p>`}
  <//>`;
}

function Gateway({ gateway, now }) {
  const { online } = gateway;
  const waits = gateway.streams.filter((one) => one.refused);
  return html`<section class="panel gateway ${online ? "" : "is-offline"}" aria-labelledby="gateway-${gateway.gateway}">
    <header>
      <h2 id="gateway-${gateway.gateway}">${gateway.gateway}</h2>
      <p class="presence"><span class="lamp" aria-hidden="true" />${online ? "online" : "offline"}</p>
      <p class="quiet">
        ${gateway.since ? `${online ? "started" : "last started"} ${duration(now - gateway.since)} ago` : ""}
        ${gateway.version ? ` · millhand ${gateway.version}` : ""}
      </p>
    </header>
    ${waits.map((one) => html`<${Refusal} key=${one.stream} stream=${one} />`)}
    ${gateway.streams.length
      ? html`<div class="scroll" tabindex="0" role="region" aria-label="Streams of ${gateway.gateway}">
          <table class="plain stacked" role="table">
            <caption class="unseen">Streams of ${gateway.gateway}</caption>
            <${Columns} names=${COLUMNS} />
            <tbody role="rowgroup">${gateway.streams.map((one) => html`<${Stream} key=${one.stream} stream=${one} />`)}</tbody>
          </table>
        </div>`
      : html`<p class="quiet">It has named no stream yet.</p>`}
    ${gateway.streams.flatMap((one) =>
      (one.quarantined ?? []).map((bundle) => html`<${Quarantined} key=${bundle.sha256} stream=${one.stream} bundle=${bundle} />`),
    )}
    <${Feedback} entries=${gateway.feedback} />
  </section>`;
}

function Stream({ stream }) {
  const { seq, wanted_seq: wanted, drift, counters } = stream;
  const isOther = wanted !== null && wanted !== seq;
  const amount = Object.values(counters?.predictions ?? {}).reduce((sum, one) => sum + one, 0);
  return html`<tr role="row">
    <th role="rowheader" scope="row"><a href=${address("stream", stream.stream)}>${stream.stream}</a></th>
    <td role="cell" data-name="runs" class="num">
      ${seq === null ? html`<span class="late">nothing</span>` : html`${stream.version} <span class="seq" title=${stream.sha256}>#${seq} ${(stream.sha256 ?? "").slice(0, 8)}</span>`}
    </td>
    <td role="cell" data-name="wanted" class="num ${isOther ? "late" : ""}">${wanted === null ? "newest" : `#${wanted}`}</td>
    <td role="cell" class=${stream.state === "serving" ? "" : "late"} title=${stream.message || null}>
      ${words(stream.state)}${stream.reason ? `: ${words(stream.reason)}` : ""}
    </td>
    <td role="cell" data-name="drift" class="num ${drift?.alarm ? "late" : ""}">
      ${drift && drift.ratio !== null ? `${number(drift.ratio)} of limit` : "–"}
    </td>
    <td role="cell" data-name="predictions" class="right num">${counters ? count(amount) : "–"}</td>
  </tr>`;
}

function Refusal({ stream }) {
  const { refused } = stream;
  return html`<div class="refusal">
    <p>
      <strong>${stream.stream}${refused.seq === null ? "" : ` #${refused.seq}`} ${OUTCOMES[refused.state] ?? "was refused"}:</strong>
      ${" "}${refused.message || words(refused.code)} <code>${refused.code}</code>
    </p>
    ${refused.remedy && html`<p><b>What to do:</b> ${refused.remedy}</p>`}
    ${stream.seq !== null && html`<p class="quiet">${stream.version} #${stream.seq} goes on serving.</p>`}
  </div>`;
}

function Quarantined({ stream, bundle }) {
  return html`<p class="refusal">
    <strong>${stream} #${bundle.seq} may not serve here again:</strong> ${words(bundle.code)}.
    ${bundle.remedy && html`${" "}<b>What to do:</b> ${bundle.remedy}`}
  </p>`;
}

const OUTCOMES = { waiting: "waits", rolled_back: "was rolled back", refused: "was refused" };

function Feedback({ entries }) {
  if (!entries.length) return html`<p class="quiet">It has told of no update yet.</p>`;
  return html`<details>
    <summary>${many(entries.length, "report")} on updates, the last of ${moment(entries[0].timestamp)}</summary>
    <ol class="feedback">
      ${entries.map(
        (one, index) => html`<li key=${index}>
          <time class="num">${moment(one.timestamp)}</time>
          <span>
            ${one.stream}${one.seq === null ? "" : ` #${one.seq}`} <b class=${one.code ? "late" : ""}>${words(one.state)}</b>
            ${one.state === "downloading" && one.progress !== undefined ? ` ${one.progress} %` : ""}
            ${one.code && html` <code>${one.code}</code>`}
            ${one.message && html`<span class="message">${one.message}</span>`}
            ${one.remedy && html`<span class="message"><b>What to do:</b> ${one.remedy}</span>`}
          </span>
        </li>`,
      )}
    </ol>
  </details>`;
}
