// The fleet: what runs on every gateway, by the groups of rollouts, what is abnormal first.

import { html, useState } from "./vendor/preact.js";
import { count, duration, many, moment, number, words } from "./format.js";
import { address, Columns, Empty, Shape } from "./parts.js";
import { PART_WORDS, Progress } from "./progress.js";
import { state } from "./store.js";

const STEP = 250; // rows that are added at a time
const LEAST_GOOD = 0.9; // of the answers; with fewer, a row is doubtful
const COLUMNS = ["State", "Gateway", "Stream", "Runs", "Answers", "Drift", "Rollout and evidence", "Last word"];
const COLLATOR = new Intl.Collator("en", { numeric: true });

/** How urgent a row is, its word, and the shape that says the same. */
const STANDINGS = {
  failing: { rank: 0, name: "Failing", shape: "bad" },
  refused: { rank: 1, name: "Update not taken", shape: "bad" },
  drift: { rank: 2, name: "Drift", shape: "uncertain" },
  doubtful: { rank: 3, name: "Few good answers", shape: "uncertain" },
  offline: { rank: 4, name: "Offline", shape: "stale" },
  running: { rank: 5, name: "Running", shape: "normal" },
};

export function Fleet({ now }) {
  const [text, setText] = useState("");
  const [kind, setKind] = useState("");
  const [limit, setLimit] = useState(STEP);
  const all = [...state.gateways.values()].flatMap(rowsOf);
  if (!all.length) return html`<h1 tabindex="-1">Fleet</h1><${Nothing} />`;
  const sought = text.toLowerCase().split(/\s+/).filter(Boolean);
  const named = all.filter((row) => sought.every((one) => row.haystack.includes(one)));
  const shown = named.filter((row) => !kind || row.standing === kind).sort(byUrgency);
  const groups = grouped(shown.slice(0, limit));
  return html`
    <div class="head">
      <h1 tabindex="-1">Fleet</h1>
      <${Counts} rows=${named} kind=${kind} choose=${setKind} />
      <input
        type="search"
        name="filter"
        class="filter"
        placeholder="Filter by gateway, stream, group…"
        aria-label="Filter by text"
        value=${text}
        onInput=${(event) => setText(event.currentTarget.value)}
      />
    </div>
    ${groups.map((group) => html`<${Group} key=${group.key} group=${group} all=${all} now=${now} isOnly=${groups.length === 1} />`)}
    ${!shown.length && html`<${Empty} title="No gateway matches"><p>Of ${many(all.length, "row")}, none has what is asked for.</p><//>`}
    ${shown.length > limit &&
    html`<p class="more">
      ${many(shown.length - limit, "more row")}, none more urgent. ${" "}
      <button type="button" onClick=${() => setLimit(limit + STEP)}>Show ${STEP} more</button>
    </p>`}
  `;
}

/** One row for each stream of a gateway; one without a stream for a gateway that has named none. */
function rowsOf(gateway) {
  const streams = gateway.streams.length ? gateway.streams : [null];
  return streams.map((stream) => {
    const rollout = stream?.rollout ?? null;
    const standing = standingOf(gateway, stream);
    const haystack = `${gateway.gateway} ${stream?.stream ?? ""} ${rollout?.id ?? ""} ${rollout?.group ?? ""} ${STANDINGS[standing].name}`;
    return { gateway, stream, rollout, standing, haystack: haystack.toLowerCase() };
  });
}

function standingOf(gateway, stream) {
  if (!gateway.online) return "offline";
  if (!stream) return "running";
  if (stream.rollout?.state === "failed" || stream.state === "degraded" || stream.seq === null) return "failing";
  if (stream.refused) return "refused";
  if (stream.drift?.alarm) return "drift";
  const shares = sharesOf(stream);
  return shares && shares.GOOD < LEAST_GOOD ? "doubtful" : "running";
}

/** Shares of the predictions by quality since the agent's start; null before the first one. */
function sharesOf(stream) {
  const counts = stream?.counters?.predictions ?? {};
  const sum = Object.values(counts).reduce((total, one) => total + one, 0);
  if (!sum) return null;
  return Object.fromEntries(["GOOD", "UNCERTAIN", "BAD"].map((one) => [one, (counts[one] ?? 0) / sum]));
}

function byUrgency(one, other) {
  return (
    STANDINGS[one.standing].rank - STANDINGS[other.standing].rank ||
    COLLATOR.compare(one.gateway.gateway, other.gateway.gateway) ||
    COLLATOR.compare(one.stream?.stream ?? "", other.stream?.stream ?? "")
  );
}

const groupKey = ({ rollout }) => (rollout ? `${rollout.id}\n${rollout.group}` : "");

/** Rows by the group of their rollout; the group with the most urgent row comes first. */
function grouped(rows) {
  const found = new Map();
  for (const row of rows) {
    const name = groupKey(row);
    if (!found.has(name)) found.set(name, { key: name, rows: [] });
    found.get(name).rows.push(row);
  }
  return [...found.values()];
}

function Counts({ rows, kind, choose }) {
  return html`<div class="counts" role="group" aria-label="Show only">
    ${Object.entries(STANDINGS).map(([one, { name, shape }]) => {
      const amount = rows.filter((row) => row.standing === one).length;
      return html`<button
        type="button"
        key=${one}
        class="count ${amount ? `count-${shape}` : ""}"
        aria-pressed=${String(kind === one)}
        onClick=${() => choose(kind === one ? "" : one)}
      >
        <${Shape} kind=${shape} /><b>${amount}</b> ${name.toLowerCase()}
      </button>`;
    })}
  </div>`;
}

function Group({ group, all, now, isOnly }) {
  const { rollout, stream } = group.rows[0];
  const title = rollout
    ? `${stream.stream}, rollout ${rollout.id}, ${rollout.group ? `group ${rollout.group}` : "in no group"}`
    : "Without a rollout";
  const members = all.filter((row) => groupKey(row) === group.key);
  return html`<section class="panel fleet-group">
    ${(rollout || !isOnly) && html`<h2>${title}</h2>`}
    ${rollout && html`<${Progress} ...${progress(members)} />`}
    <div class="scroll" tabindex="0" role="region" aria-label="Gateways: ${title}">
      <table class="plain stacked fleet" role="table">
        <caption class="unseen">${title}: what runs on each gateway, what is abnormal first</caption>
        <${Columns} names=${COLUMNS} />
        <tbody role="rowgroup">
          ${group.rows.map((row) => html`<${Row} key=${`${row.gateway.gateway} ${row.stream?.stream}`} row=${row} now=${now} />`)}
        </tbody>
      </table>
    </div>
  </section>`;
}

/** How many gateways of a group are in which state of the rollout, and how many are offline. */
function progress(rows) {
  const amounts = {};
  for (const { rollout } of rows) amounts[rollout.state] = (amounts[rollout.state] ?? 0) + 1;
  return { amounts, away: rows.filter((row) => !row.gateway.online).length };
}

function Row({ row, now }) {
  const { gateway, stream, rollout, standing } = row;
  const { name, shape } = STANDINGS[standing];
  return html`<tr role="row" class="row-${shape}">
    <td role="cell"><span class="sign sign-${shape}"><${Shape} kind=${shape} />${name}</span> <span class="why">${why(row)}</span></td>
    <th role="rowheader" scope="row"><a href="#/gateways">${gateway.gateway}</a></th>
    <td role="cell">${stream ? html`<a href=${address("stream", stream.stream)}>${stream.stream}</a>` : "–"}</td>
    <td role="cell" data-name="runs" class="num">
      ${stream && stream.seq !== null ? html`${stream.version} <span class="seq" title=${stream.sha256}>#${stream.seq}</span>` : "nothing"}
    </td>
    <td role="cell" data-name="answers"><${Answers} stream=${stream} /></td>
    <td role="cell" data-name="drift" class="num ${stream?.drift?.alarm ? "late" : ""}">
      ${stream?.drift && stream.drift.ratio !== null ? `${number(stream.drift.ratio)} of limit` : "–"}
    </td>
    <td role="cell" data-name="rollout">
      ${rollout ? PART_WORDS[rollout.state] : "–"}${stream?.evidence && html`<span class="message">against #${stream.evidence.candidate}: ${stream.evidence.words}</span>`}
    </td>
    <td role="cell" data-name="last word" class="right num" title=${moment(gateway.heard)}>${gateway.heard ? duration(now - gateway.heard) : "–"}</td>
  </tr>`;
}

/** Why a row is not running as it should, in words. */
function why({ stream, rollout, standing }) {
  if (standing === "failing" && rollout?.state === "failed") return rollout.message || words(rollout.gate);
  if (standing === "failing") return stream.message || words(stream.reason) || words(stream.state);
  if (standing === "refused") return `#${stream.refused.seq ?? "?"} ${words(stream.refused.state)}: ${stream.refused.message || words(stream.refused.code)}`;
  if (standing === "drift") return `${stream.drift.worst ?? ""} of ${stream.drift.asset ?? ""}`;
  return "";
}

/** Shares of the answers by quality, as a bar and in words. */
function Answers({ stream }) {
  const shares = sharesOf(stream);
  if (!shares) return html`<span class="quiet">none yet</span>`;
  // Rounded towards the worse, so that "100 % good" means all.
  const good = `${Math.floor(1000 * shares.GOOD + 1e-9) / 10} % good`;
  const percent = (share) => `${Math.ceil(1000 * share - 1e-9) / 10} %`;
  const isGood = shares.GOOD >= LEAST_GOOD;
  const told = ["UNCERTAIN", "BAD"].filter((one) => shares[one]).map((one) => `${percent(shares[one])} ${one.toLowerCase()}`);
  const amount = Object.values(stream.counters.predictions).reduce((sum, one) => sum + one, 0);
  return html`<span class="answers" title="${count(amount)} since the start of the agent">
    <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
      <rect class="quality-good" width=${100 * shares.GOOD} height="8" />
      <rect class="quality-poor" x=${100 * shares.GOOD} width=${100 - 100 * shares.GOOD} height="8" />
    </svg>
    <span class="num ${isGood ? "" : "late"}">${good}</span>${told.length > 0 && html`<span class="quiet">, ${told.join(", ")}</span>`}
  </span>`;
}

function Nothing() {
  const { broker, isLoaded } = state;
  if (!isLoaded) return html`<p class="quiet">Asking the server…</p>`;
  return html`<${Empty} title="No gateway yet">
    ${broker.connected
      ? html`<p>No gateway has said anything on the broker ${broker.address}. <a href="#/gateways">Gateways</a> says how one announces itself.</p>`
      : html`<p>The server has no connection to the broker ${broker.address}: ${broker.reason}.</p>`}
  <//>`;
}
