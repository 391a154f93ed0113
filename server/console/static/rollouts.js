// Rollouts: how far each group is, on which evidence, who has decided what; hold, resume and revert.

import { html, useEffect, useState } from "./vendor/preact.js";
import { many, moment } from "./format.js";
import { Pair } from "./pair.js";
import { Columns, Empty, Shape } from "./parts.js";
import { PART_WORDS, Progress } from "./progress.js";
import { ask, hasToken, state } from "./store.js";

const PATH = "/v1/rollouts";
const POLL_MS = 3000;
const ANSWER_MS = 30_000;
const MOST_MEMBERS = 20; // gateways of a group that are named
const COLUMNS = ["Time", "What", "State", "Step", "By", "Why"];
const COLLATOR = new Intl.Collator("en", { numeric: true });

/** The state of a rollout: its word, its shape, and what a person may do in it. */
const STATES = {
  planned: { name: "Planned", shape: "normal", wishes: [] },
  running: { name: "Running", shape: "normal", wishes: ["hold", "revert"] },
  held: { name: "Held", shape: "uncertain", wishes: ["resume", "revert"] },
  reverted: { name: "Reverted", shape: "bad", wishes: [] },
  done: { name: "Done", shape: "normal", wishes: ["revert"] },
};

const WISHES = { hold: "Hold", resume: "Resume", revert: "Revert", accept: "Accept", decline: "Decline" };

async function rollouts() {
  const { trouble, rollouts: all } = await ask(PATH);
  return { trouble, rollouts: await Promise.all(all.map((one) => ask(`${PATH}/${encodeURIComponent(one.id)}`))) };
}

/** The newest answer to a question that is asked every three seconds, and why the last one had none. */
export function usePolled(isAsked, question) {
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    if (!isAsked) return undefined;
    let isLeft = false;
    const load = async () => {
      try {
        const answer = await question();
        if (!isLeft) (setFound(answer), setProblem(""));
      } catch (error) {
        if (!isLeft) setProblem(error.message);
      }
    };
    const timer = setInterval(load, POLL_MS);
    load();
    return () => {
      isLeft = true;
      clearInterval(timer);
    };
  }, [isAsked]);
  return [found, problem];
}

export function Rollouts() {
  const { hasRollouts, isLoaded } = state;
  const [found, problem] = usePolled(hasRollouts, rollouts);
  return html`
    <div class="head"><h1 tabindex="-1">Rollouts</h1></div>
    ${problem && html`<p class="problem">${problem}</p>`}
    ${found?.trouble && html`<p class="problem">${found.trouble}</p>`}
    ${found?.rollouts.map((one) => html`<${Rollout} key=${one.id} one=${one} />`)}
    ${!found && !problem && (isLoaded && !hasRollouts ? NONE : html`<p class="quiet">Asking the server…</p>`)}
    ${found && !found.rollouts.length && html`<${Empty} title="No rollout">
      <p>The registry has no plan of a rollout. <code>millhand-server rollout plan</code> writes and signs one.</p>
    <//>`}
  `;
}

const NONE = html`<${Empty} title="No rollouts here">
  <p>A server has rollouts where server.toml has the section <code>[rollouts]</code>.</p>
<//>`;

function Rollout({ one }) {
  const { name, shape, wishes } = STATES[one.state];
  const { decision } = one;
  return html`<section class="panel rollout" aria-labelledby="rollout-${one.id}">
    <header class="head">
      <h2 id="rollout-${one.id}">${one.stream} to #${one.seq}, rollout ${one.id}</h2>
      <p class="standing"><span class="sign sign-${shape}"><${Shape} kind=${shape} />${name}</span> step ${one.stage} of ${one.steps}</p>
      <p class="quiet">nothing is opened after ${at(one.deadline)}</p>
    </header>
    ${one.by && html`<p>${name} since ${at(one.time)} by ${one.by}${one.reason && `: ${one.reason}`}</p>`}
    ${decision?.action === "wait" && html`<p class="next">Waits: ${decision.reason}</p>`}
    ${one.missing && html`<p class="problem">Nothing is opened: ${one.missing}</p>`}
    ${one.trouble && html`<p class="problem">${one.trouble}</p>`}
    ${one.groups.map((group) => html`<${Group} key=${group.name} group=${group} />`)}
    <${Decide} path=${PATH} id=${one.id} wishes=${wishes} done="Signed; the gateways hear of it at once." />
    <${Ledger} lines=${one.ledger} />
  </section>`;
}

/** A time of a document, as ISO 8601, in words. */
export const at = (time) => moment(Date.parse(time));

const OPEN = { shadow: "opened for the shadow", serve: "opened to serve" };

function Group({ group }) {
  const members = [...group.gateways].sort((one, other) => other.failed - one.failed || COLLATOR.compare(one.gateway, other.gateway));
  const shown = members.slice(0, MOST_MEMBERS);
  return html`<section class="group">
    <h3>Group ${group.name} <span class="quiet">${OPEN[group.open] ?? "not opened yet"}</span></h3>
    <${Progress} amounts=${group.counts} away=${members.length - group.online} />
    ${shown.length > 0 &&
    html`<ul class="members">
      ${shown.map(
        (one) => html`<li key=${one.gateway} class=${one.failed ? "late" : ""}>
          <b>${one.gateway}</b> ${PART_WORDS[one.state]}${one.online ? "" : ", offline"}${one.said && `: ${one.said}`}
          ${one.evidence && html`<span class="message">${one.evidence}</span>`}
        </li>`,
      )}
    </ul>`}
    ${members.length > shown.length && html`<p class="quiet">and ${many(members.length - shown.length, "gateway")} more; the view Fleet shows all</p>`}
    ${group.answers.map((one) => html`<${Pair} key=${one.gateway} one=${one} />`)}
  </section>`;
}

/** A decision needs a reason, a name, and a token with the scope admin, which stays in its field. */
export function Decide({ path, id: decided, wishes, done }) {
  const [answer, setAnswer] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const [isAsked, setAsked] = useState(hasToken);
  if (!wishes.length) return null;
  const send = async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    const wish = event.submitter?.value ?? wishes[0];
    const { reason, by, token } = form.elements;
    setBusy(true);
    const found = await decide(`${path}/${encodeURIComponent(decided)}/${wish}`, { reason: reason.value, by: by.value }, token?.value.trim() ?? "");
    setBusy(false);
    setAnswer(found);
    if (found.isClosed) setAsked(true);
    else if (!found.error) reason.value = "";
  };
  const id = (name) => `${name}-${decided}`;
  return html`<form class="decide" onSubmit=${send}>
    <div class="field"><label for=${id("reason")}>Reason</label><input id=${id("reason")} name="reason" required maxlength="500" autocomplete="off" /></div>
    <div class="field"><label for=${id("by")}>Your name</label><input id=${id("by")} name="by" required maxlength="128" autocomplete="name" /></div>
    ${isAsked &&
    html`<div class="field"><label for=${id("token")}>Token with the scope admin</label><input id=${id("token")} name="token" type="password" autocomplete="off" /></div>`}
    <div class="buttons">
      ${wishes.map((wish) => html`<button key=${wish} type="submit" name="wish" value=${wish} disabled=${isBusy}>${WISHES[wish]}</button>`)}
    </div>
    <p role="status" class=${answer?.error ? "problem" : "quiet"}>${answer ? (answer.error ?? done) : ""}</p>
  </form>`;
}

async function decide(path, said, token) {
  try {
    const signal = AbortSignal.timeout(ANSWER_MS);
    const headers = { "content-type": "application/json" };
    if (token) headers.authorization = `Bearer ${token}`;
    const found = await fetch(path, { method: "POST", headers, body: JSON.stringify(said), signal });
    const document = await found.json().catch(() => ({ error: "The answer is not JSON." }));
    if (found.headers.has("www-authenticate")) {
      const why = token ? `This one does not do: ${document.error}.` : "Put one into the field above.";
      return { isClosed: true, error: `A decision needs a token with the scope admin. ${why}` };
    }
    return found.ok ? document : { error: document.error ?? `The server answers ${found.status}.` };
  } catch (error) {
    return { error: `The server gives no answer: ${error.message}` };
  }
}

export function Ledger({ lines }) {
  if (!lines.length) return html`<p class="quiet">The ledger has no line of it yet.</p>`;
  return html`<details class="ledger">
    <summary>${many(lines.length, "line")} of the ledger, the newest of ${at(lines[0].time)}</summary>
    <div class="scroll" tabindex="0" role="region" aria-label="The ledger">
      <table class="plain stacked" role="table">
        <${Columns} names=${COLUMNS} />
        <tbody role="rowgroup">
          ${lines.map(
            (line, index) => html`<tr role="row" key=${index}>
              <td role="cell" class="num">${at(line.time)}</td>
              <td role="cell">${line.what}</td>
              <td role="cell">${line.state}</td>
              <td role="cell" data-name="step" class=${line.step ? "" : "num"}>${line.step ?? line.stage}</td>
              <td role="cell" data-name="by">${line.by}</td>
              <td role="cell" data-name="why">${line.reason}${line.gateways && html`<span class="message">${line.gateways}</span>`}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </details>`;
}
