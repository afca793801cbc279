/** What is done to one session: it is looked at, exported, put back to its beginning, ended; and how one is imported. */

import { h, replace } from "../dom.js";
import { openDialog, formDialog } from "../form_dialog.js";
import { age, integer, time } from "../format.js";

const ENDING = ".session";

/**
 * Shows all that is known of a session, and what can be done to it.
 *
 * @param {{mayOperate: boolean, onChange: function(string, Object|null)}} options `onChange` is given the session's id and
 *   how it stands now, null where it is no more.
 */
export async function showSession(app, session, { mayOperate, onChange }) {
  const { model, session_id } = session;
  const facts = h("dl", { class: "facts" });
  const link = (view, words, kind = "") => h("a", { class: `button ${kind}`, href: `#${[view, model, session_id].map(encodeURIComponent).join("/")}`, on: { click: () => dialog.close() } }, words);
  const act = (words, action, kind = "") => h("button", { type: "button", class: kind, on: { click: async () => (await action()) && dialog.close() } }, words);
  const changing = (method, question, words) => async () => {
    if (!(await app.confirm({ ...question, danger: true }))) return false;
    return attempt(app, async () => {
      const answer = await app.api.call(`SessionService/${method}`, { model, session_id });
      onChange(session_id, method === "DeleteSession" ? null : answer.session);
      app.notify(`${session_id}: ${words}`);
    });
  };
  const reset = changing("ResetSession", {
    title: `Put ${session_id} back to its beginning?`, action: "Reset",
    text: `Its state and its position, ${integer(session.position)} rows, are forgotten: the next row is its first.`,
  }, "put back to its beginning");
  const end = changing("DeleteSession", {
    title: `Delete ${session_id}?`, action: "Delete", text: "Its state is forgotten, in the store too. There is no way back but an export that was made before.",
  }, "deleted");
  const content = h("div", { class: "stack" }, facts,
    h("div", { class: "actions start" }, link("live", "Watch live", "primary"),
      mayOperate && [act("Export", () => exportSession(app, session)), act("Reset", reset), act("Delete", end, "danger")]),
    !mayOperate && h("p", { class: "soft" }, "Export, reset and delete are offered to callers with the role operate."));
  const dialog = openDialog({ title: session_id, content, kind: "wide" });
  drawFacts(facts, session);
  try {
    const fresh = (await app.api.call("SessionService/GetSession", { model, session_id })).session;
    drawFacts(facts, fresh);
    onChange(session_id, fresh);
  } catch (error) {
    if (error.code === "NOT_FOUND") onChange(session_id, null);
    facts.before(h("p", { class: "field-error", role: "alert" }, error.message));
  }
}

/** Gives a session's bytes to the browser, as a file. */
function exportSession(app, { model, session_id }) {
  return attempt(app, async () => {
    const { exported, session } = await app.api.call("SessionService/ExportSession", { model, session_id });
    const bytes = Uint8Array.from(atob(exported), (letter) => letter.charCodeAt(0));
    const href = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
    h("a", { href, download: `${session_id.replace(/[^\w.-]+/g, "_")}-${session.position}${ENDING}` }).click();
    URL.revokeObjectURL(href);
    app.notify(`${session_id}: exported at ${integer(session.position)} rows`);
  });
}

/** Asks for a file and an id, and opens a session of them; `onDone` is given it. */
export function importSession(app, model, onDone) {
  const file = h("input", { type: "file", id: "import-file", required: true, accept: ENDING });
  const id = h("input", { id: "import-id", required: true, autocomplete: "off", spellcheck: "false" });
  const overwrite = h("input", { type: "checkbox", id: "import-overwrite" });
  file.addEventListener("change", () => {
    id.value ||= (file.files[0]?.name ?? "").replace(/(-\d+)?\.session$/, "");
  });
  formDialog({
    title: `Import a session of ${model}`, action: "Import",
    fields: [
      h("div", { class: "field" }, h("label", { for: file.id }, "File, as it was exported"), file),
      h("div", { class: "field" }, h("label", { for: id.id }, "Id that the session gets"), id),
      h("label", { class: "check" }, overwrite, "Replace a session that has the id"),
    ],
    onSubmit: async () => {
      const exported = await base64Of(file.files[0]);
      const request = { model, session_id: id.value, exported, overwrite: overwrite.checked };
      const { session } = await app.api.call("SessionService/ImportSession", request);
      app.notify(`${session.session_id}: imported at ${integer(session.position)} rows`);
      onDone(session);
    },
  });
}

async function base64Of(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let letters = "";
  for (const byte of bytes) letters += String.fromCharCode(byte);
  return btoa(letters);
}

/** Does it; a refusal is told. Resolves to whether it was done. */
async function attempt(app, act) {
  try {
    await act();
    return true;
  } catch (error) {
    app.notify(error.message, "error");
    return false;
  }
}

function drawFacts(list, session) {
  const places = { SESSION_PLACE_MEMORY: "memory", SESSION_PLACE_STORE: "store; its next row brings it to memory" };
  const facts = [
    ["Model", `${session.model} version ${integer(session.model_version)}`],
    ["Rows", integer(session.position)],
    ["Time of the last row", time(session.last_time_us)],
    ["Last used", `${age(session.used_at_us)}, ${time(session.used_at_us)}`],
    ["Place", places[session.place] ?? "not known"],
    ["Digest", h("span", { class: "mono" }, session.model_digest)],
  ];
  replace(list, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}
