/** One session as it is told of from now on, and as it stands. */

/** Rows a second that are drawn; of a faster stream some are skipped, and the messages say how many. */
const MAX_ROWS_PER_S = 50;

/** What happened after which a session's next row is its first. */
const ENDINGS = new Set(["SESSION_EVENT_RESET", "SESSION_EVENT_DELETED", "SESSION_EVENT_EXPIRED"]);

/** What a message of WatchRows says of a row; see `SeriesLog.add`. */
function watched(row) {
  const score = row.anomaly_score ?? {};
  return {
    position: Number(row.position ?? 0),
    time_us: timeOf(row.time_us),
    values: (row.values ?? []).map(Number),
    forecast: columns(row.forecast),
    quantile: Number(score.quantile_position ?? NaN),
    tail: Number(score.tail_probability ?? NaN),
    num_skipped: Number(row.num_skipped ?? 0),
    num_missing_steps: Number(row.num_missing_steps ?? 0),
  };
}

/**
 * Tells of a session from now on, until `signal` ends it; as `api.stream`.
 *
 * @param {{onRow: function(Object), onEnding: function(string), onVersion: function(number, number[])}} told
 *   `onEnding`: it begins anew with its next row, and why; `onVersion`: the model's version and levels from now on.
 */
export function watchRows(api, { model, session, signal, onOpen, onRow, onEnding, onVersion }) {
  const onMessage = (message) => {
    if (message.quantile_levels?.length) onVersion(Number(message.model_version ?? 0), message.quantile_levels.map(Number));
    for (const row of message.rows ?? []) onRow(watched(row));
    if (ENDINGS.has(message.event)) onEnding(message.event);
  };
  const request = { model, session_id: session, max_rows_per_second: MAX_ROWS_PER_S };
  return api.stream("SessionService/WatchRows", request, { signal, onOpen, onMessage });
}

/**
 * A session and its forecast as it stands, for which no row is needed: one that it has consumed already is sent again,
 * which is skipped and changes nothing. Where the session has ended meanwhile its position is refused, and none begins.
 *
 * @returns {Promise<{position, time_us, forecast: Float64Array|null, version}>} rejects with `ApiError`.
 */
export async function asItStands(api, info, session, { signal } = {}) {
  const found = (await api.call("SessionService/GetSession", { model: info.name, session_id: session }, { signal })).session;
  const position = Number(found.position ?? 0);
  const standing = { position, time_us: timeOf(found.last_time_us), forecast: null, version: Number(found.model_version ?? 0) };
  // A session of one row cannot be told from none by its position.
  if (position < 2) return standing;
  const row = { values: info.features.map((feature) => (feature.required ? 0 : "NaN")) };
  if (found.last_time_us) row.time_us = found.last_time_us;
  const request = { model: info.name, session_id: session, rows: [row], position: String(position - 1), reply: "REPLY_LAST" };
  const answer = await api.call("ForecastService/Forecast", request, { signal });
  return { ...standing, position: Number(answer.position ?? position), forecast: columns(answer.forecasts?.[0]) };
}

/** The numbers of a Forecast in JSON, in which what is no number is a word; null where there are none. */
export function columns(forecast) {
  const values = forecast?.values ?? [];
  return values.length ? Float64Array.from(values, Number) : null;
}

function timeOf(time_us) {
  return time_us === undefined || time_us === null ? null : Number(time_us);
}
