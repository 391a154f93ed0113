// Retraining: what was proposed and why, who has said yes, and what has come of it.

import { html } from "./vendor/preact.js";
import { many } from "./format.js";
import { Empty, Shape } from "./parts.js";
import { at, Decide, Ledger, usePolled } from "./rollouts.js";
import { ask, state } from "./store.js";

const PATH = "/v1/retrainings";
const MOST = 10; // proposals that are shown whole, the newest
const MB = 1_000_000;

/** The state of a proposal: its word, its shape, and what a person may do in it. */
const STATES = {
  proposed: { name: "Proposed", shape: "uncertain", wishes: ["accept", "decline"] },
  accepted: { name: "Accepted", shape: "normal", wishes: ["decline"] },
  training: { name: "Training", shape: "normal", wishes: [] },
  trained: { name: "Trained", shape: "uncertain", wishes: ["decline"] },
  publishing: { name: "Publishing", shape: "normal", wishes: [] },
  published: { name: "Published", shape: "normal", wishes: [] },
  declined: { name: "Declined", shape: "normal", wishes: [] },
  expired: { name: "Expired", shape: "normal", wishes: [] },
  failed: { name: "Failed", shape: "bad", wishes: [] },
};

async function retrainings() {
  const { trouble, troubles, retrainings: all } = await ask(PATH);
  const newest = all.slice(0, MOST);
  const whole = await Promise.all(newest.map((one) => ask(`${PATH}/${encodeURIComponent(one.id)}`)));
  return { trouble, troubles, whole, more: all.length - whole.length };
}

export function Retraining() {
  const { hasRetraining, isLoaded } = state;
  const [found, problem] = usePolled(hasRetraining, retrainings);
  return html`
    <div class="head"><h1 tabindex="-1">Retraining</h1></div>
    ${problem && html`<p class="problem">${problem}</p>`}
    ${found && html`<${Found} ...${found} />`}
    ${!found && !problem && (isLoaded && !hasRetraining ? NONE : html`<p class="quiet">Asking the server…</p>`)}
  `;
}

const NONE = html`<${Empty} title="No retraining here">
  <p>A server proposes retraining where server.toml has the section <code>[retraining]</code>.</p>
<//>`;

function Found({ trouble, troubles, whole, more }) {
  return html`
    ${trouble && html`<p class="problem">${trouble}</p>`}
    ${Object.entries(troubles).map(([stream, why]) => html`<p key=${stream} class="problem">${stream}: ${why}</p>`)}
    ${whole.map((one) => html`<${Proposal} key=${one.id} one=${one} />`)}
    ${more > 0 && html`<p class="quiet">and ${many(more, "proposal")} before; <code>millhand-server retrain list</code> shows all</p>`}
    ${!whole.length &&
    html`<${Empty} title="Nothing was proposed yet">
      <p>A training is proposed where drift stays, where labels are new, or by <code>millhand-server retrain propose</code>.</p>
    <//>`}
  `;
}

function Proposal({ one }) {
  const { name, shape, wishes } = STATES[one.state] ?? { name: one.state, shape: "uncertain", wishes: [] };
  const { proposal, result } = one;
  return html`<section class="panel rollout" aria-labelledby="retraining-${one.id}">
    <header class="head">
      <h2 id="retraining-${one.id}">${one.stream}, ${one.id}</h2>
      <p class="standing"><span class="sign sign-${shape}"><${Shape} kind=${shape} />${name}</span> step: ${one.step}</p>
      ${one.state === "proposed" && html`<p class="quiet">expires ${at(one.answer_by)}</p>`}
    </header>
    <p>${proposal.reason}</p>
    <p class="quiet">Proposed ${at(proposal.time)} by ${proposal.by}. <${Ground} proposal=${proposal} /></p>
    ${one.state !== "proposed" && html`<p>${name} since ${at(one.since)} by ${one.by}: ${one.reason}</p>`}
    ${result && html`<p>The new model, seq ${result.bundle.seq}: ${result.said || result.verdict}</p>`}
    ${one.waits && html`<p class="next">Waits for a person: ${one.waits}</p>`}
    ${one.state === "trained" && one.next.map((command) => html`<p key=${command}><code>${command}</code></p>`)}
    <${Decide} path=${PATH} id=${one.id} wishes=${wishes} done="Noted in the ledger; the server goes on from there." />
    <${Ledger} lines=${one.ledger} />
  </section>`;
}

/** What would be trained on, and beside which bundle. */
function Ground({ proposal }) {
  const { recordings, champion, recipe } = proposal;
  const files = `${many(recordings.files, "file")} of ${(recordings.size_bytes / MB).toFixed(1)} MB, ${recordings.newer} newer than the bundle that serves`;
  return html`The recipe ${recipe} has ${recordings.named.length ? files : "a database"}; ${champion ? `#${champion.seq} serves` : "nothing serves yet"}.`;
}
