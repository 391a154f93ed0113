// The page: its frame, and which view the address asks for.

import { html, render } from "./vendor/preact.js";
import { moment } from "./format.js";
import { Fleet } from "./fleet.js";
import { Gateways } from "./gateways.js";
import { Plant } from "./plant.js";
import { Retraining } from "./retraining.js";
import { Rollouts } from "./rollouts.js";
import { Streams } from "./stream.js";
import { begin, changed, present, serverNow, state } from "./store.js";
import { TryIt } from "./try.js";

const VIEWS = {
  plant: { name: "Plant", view: Plant },
  stream: { name: "Streams", view: Streams },
  fleet: { name: "Fleet", view: Fleet },
  rollouts: { name: "Rollouts", view: Rollouts },
  retraining: { name: "Retraining", view: Retraining },
  gateways: { name: "Gateways", view: Gateways },
  try: { name: "Try it", view: TryIt },
};

/** Whether the server has what a view shows. */
const isThere = (view) => (view === "rollouts" ? state.hasRollouts : view === "retraining" ? state.hasRetraining : true);

function route() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decoded);
  return name in VIEWS ? { name, rest } : { name: "plant", rest: [] };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function Page() {
  const { name, rest } = route();
  const { view: View } = VIEWS[name];
  return html`
    <button type="button" class="skip" onClick=${() => focusMain()}>Skip to content</button>
    <header class="top">
      <a class="brand" href="#/plant">${MARK}<span>millhand</span></a>
      <nav aria-label="Views">
        ${Object.entries(VIEWS).filter(([one]) => isThere(one) || one === name).map(
          ([one, { name: text }]) =>
            html`<a key=${one} href="#/${one}" aria-current=${one === name ? "page" : null}>${text}</a>`,
        )}
      </nav>
      <${Connection} />
    </header>
    <div role="status" class="notices"><${Notices} /></div>
    <main id="main" tabindex="-1">
      ${state.needsToken ? html`<${Token} />` : html`<${View} rest=${rest} now=${serverNow()} />`}
    </main>
  `;
}

const MARK = html`<svg viewBox="0 0 32 32" aria-hidden="true"><path d="M3 19h6l3-10 6 16 4-10h7" /></svg>`;

function Connection() {
  const [kind, text] = connection();
  return html`<p class="connection connection-${kind}"><span class="lamp" aria-hidden="true" />${text}</p>`;
}

function connection() {
  if (state.needsToken) return ["off", "no token"];
  if (state.lostAt) return ["off", "no server"];
  if (!state.isLoaded) return ["wait", "connecting"];
  if (!state.broker.connected) return ["off", "no broker"];
  return ["on", "live"];
}

/** What is wrong with the page's own connections, in sentences. */
function Notices() {
  const { broker } = state;
  if (state.needsToken) return null;
  if (state.lostAt) {
    return html`<p class="notice">
      <strong>No connection to the server since ${moment(state.lostAt)}.</strong> ${state.lostWhy}
      ${" "}What is shown is what was known then. The page tries again by itself.
    </p>`;
  }
  if (broker && !broker.connected) {
    return html`<p class="notice">
      <strong>The server has no connection to the broker ${broker.address} since ${moment(broker.since)}.</strong>
      ${" "}${sentence(broker.reason)} No new prediction can arrive; what is shown is from before. The
      server tries again by itself.
    </p>`;
  }
  const { history } = state;
  return html`
    ${broker?.reason && html`<p class="notice">${sentence(broker.reason)}</p>`}
    ${history?.kept === false && html`<p class="notice">No history is kept for now: ${sentence(history.reason)}</p>`}
  `;
}

function sentence(text) {
  if (!text) return "";
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

function Token() {
  const send = (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    const problem = form.querySelector("[role=alert]");
    problem.textContent = "";
    present(form.elements.token.value.trim()).catch((error) => {
      problem.textContent = error.message;
    });
  };
  return html`<form class="token panel" method="post" onSubmit=${send}>
    <h1 tabindex="-1">A token is needed</h1>
    <p>Whoever looks after this server gives out tokens. One with the scope <em>read</em> opens the page.</p>
    <label for="token">Token</label>
    <input id="token" name="token" type="password" autocomplete="current-password" required />
    <p role="alert" class="problem"></p>
    <button type="submit" class="primary">Open the page</button>
  </form>`;
}

function focusMain() {
  document.getElementById("main").focus();
}

function turn() {
  show();
  const heading = document.querySelector("main h1");
  heading?.focus({ preventScroll: true });
  scrollTo(0, 0);
}

function show() {
  render(html`<${Page} />`, document.getElementById("page"));
  const heading = document.querySelector("main h1")?.textContent ?? VIEWS[route().name].name;
  const title = `${heading} · millhand`;
  if (document.title !== title) document.title = title;
}

addEventListener("hashchange", turn);
document.addEventListener("visibilitychange", changed);
begin(show);
show();
