/** The shell: which view is shown, whether the server is there, who the caller is. */

import * as api from "./api.js";
import { confirm, notify } from "./dialogs.js";
import { errorState, h, loadingState, replace } from "./dom.js";
import { signIn } from "./sign_in.js";
import { startTheme } from "./theme.js";

/** In the order of the navigation; one without a label is reached from another, which stays marked. */
const VIEWS = {
  live: { label: "Live" },
  whatif: { under: "live" },
  sessions: { label: "Sessions" },
  models: { label: "Models" },
  health: { label: "Health" },
  try: { label: "Try it" },
};
const MODELS_MS = 5000;

const [main, nav, banner] = ["main", "nav", "banner"].map((id) => document.getElementById(id));
let mounted = { number: 0, unmount: null };
let models = { at_ms: 0, found: null };
let isAsking = false;

/** What a view is given; see each member. */
const app = {
  api,
  connection: api.connection,
  notify,
  confirm,
  /** The view that is shown and the rest of the address: {view, args}. */
  route: parse(),
  /** Shows another view. */
  go: (view, ...args) => {
    location.hash = [view, ...args].map(encodeURIComponent).join("/");
  },
  /** Sets the arguments of the view that is shown without mounting it anew. */
  keep: (...args) => {
    history.replaceState(null, "", `#${[app.route.view, ...args].map(encodeURIComponent).join("/")}`);
    app.route = parse();
  },
  /** Mounts the view anew, with what is served now. */
  again: () => {
    models.found = null;
    show();
  },
  /** Every model that is served; asked for again where the answer is some seconds old. */
  models: async ({ fresh = false } = {}) => {
    if (fresh || !models.found || Date.now() - models.at_ms > MODELS_MS) {
      const found = api.call("ModelService/ListModels").then((answer) => answer.models ?? []);
      models = { at_ms: Date.now(), found };
      found.catch(() => (models.found = null));
    }
    return models.found;
  },
};

function parse() {
  const [view, ...args] = location.hash.slice(1).split("/").map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  return Object.hasOwn(VIEWS, view) ? { view, args } : { view: "live", args: [] };
}

/** Takes the view that is shown away and mounts that of the address. */
async function show({ focus = false } = {}) {
  const number = mounted.number + 1;
  await leave(number);
  app.route = parse();
  drawNav();
  const heading = h("h1", { class: "visually-hidden", tabindex: "-1" });
  const root = h("div", { class: `view view-${app.route.view}` }, loadingState());
  replace(main, heading, root);
  try {
    const view = await import(`./views/${app.route.view}.js`);
    if (mounted.number !== number) return;
    heading.textContent = view.title;
    document.title = `${view.title} · statecast`;
    if (focus) heading.focus();
    replace(root);
    const unmount = await view.mount(root, app);
    if (mounted.number === number) mounted.unmount = unmount;
    else await unmount?.();
  } catch (error) {
    if (mounted.number !== number || error.code === "UNAUTHENTICATED") return;
    const again = h("button", { type: "button", on: { click: () => show() } }, "Try again");
    replace(root, errorState({ title: "This view could not be shown", error, action: again }));
  }
}

async function leave(number) {
  const { unmount } = mounted;
  mounted = { number, unmount: null };
  await unmount?.();
}

function drawNav() {
  const shown = VIEWS[app.route.view].under ?? app.route.view;
  const links = Object.entries(VIEWS).filter(([, { label }]) => label).map(([name, { label }]) =>
    h("li", {}, h("a", { href: `#${name}`, "aria-current": name === shown ? "page" : null }, label)));
  replace(nav, links);
}

function drawConnection() {
  const { state } = api.connection;
  const words = { connecting: "Connecting", connected: "Connected", disconnected: "Disconnected" }[state];
  const place = document.getElementById("connection");
  place.dataset.state = state;
  replace(place, h("span", { class: "dot" }), h("span", { class: "word" }, words), " ", h("span", { class: "host" }, location.host));
  banner.hidden = state !== "disconnected";
  if (state !== "disconnected") return;
  const again = h("button", { type: "button", class: "quiet", on: { click: () => api.connection.ask() } }, "Try now");
  replace(banner, h("span", {}, `No answer from ${location.host}. What is shown is as it was; the page reconnects by itself.`), again);
}

function signOut() {
  api.token.set("");
  askForToken();
}

async function askForToken() {
  if (isAsking) return;
  isAsking = true;
  await leave(mounted.number + 1);
  document.title = "Sign in · statecast";
  document.getElementById("sign-out").hidden = true;
  signIn(main, api, () => {
    isAsking = false;
    models.found = null;
    document.getElementById("sign-out").hidden = false;
    show({ focus: true });
  });
}

function start() {
  startTheme(document.getElementById("theme"));
  const out = document.getElementById("sign-out");
  out.hidden = !api.token.get();
  out.addEventListener("click", signOut);
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  api.access.addEventListener("unauthenticated", askForToken);
  api.connection.addEventListener("change", ({ detail }) => {
    drawConnection();
    if (detail.before === "disconnected" && api.connection.state === "connected" && !isAsking) {
      models.found = null;
      show();
    }
  });
  addEventListener("hashchange", () => isAsking || show({ focus: true }));
  // The page may be left without a hash changing: views end what they began on the server.
  addEventListener("pagehide", () => mounted.unmount?.());
  drawConnection();
  api.connection.ask();
  show();
}

start();
