// The way to the node: calls with the token, and streams of results line by line. It draws nothing.

const STORED = "penstock console token";
let token = (() => { // it came behind the # of the address, which no server sees, and stays in this tab
  const given = location.hash.slice(1);
  if (given) { sessionStorage.setItem(STORED, given); history.replaceState(null, "", location.pathname); }
  return given || sessionStorage.getItem(STORED) || "";
})();

export function setToken(given) {
  token = given.trim().replace(/^.*#/, ""); // the whole address is taken, too
  sessionStorage.setItem(STORED, token);
}

/** The node refuses the token: the page asks for another one. */
export class WrongToken extends Error {}
/** The node does not answer at all. */
export class NoAnswer extends Error {}

export async function send(path, body, options = {}) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST", body: typeof body === "string" ? body : JSON.stringify(body ?? {}), ...options,
      headers: { "content-type": "application/json", ...options.headers, authorization: `Bearer ${token}` },
    });
  } catch (error) {
    throw error.name === "AbortError" ? error : new NoAnswer("The node does not answer.");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const text = problem.detail || response.statusText || `status ${response.status}`;
  throw response.status === 401 ? new WrongToken(text) : new Error(text);
}

const LOOK_MOST = 8000; // milliseconds for a part of a table: a node that takes longer stands still
const call = (service) => async (method, body, options) => (await send(`call/Penstock.${service}/${method}`, body, options)).json();
export const control = async (method, body) => exact(await (await send(`call/Penstock.Control/${method}`, body)).text());
const ask = call("Watch");
export const watch = (method, body) => ask(method, body, { signal: AbortSignal.timeout(LOOK_MOST) });
export const verify = () => ask("verify"); // it takes as long as the history is
export const channels = call("Channels");
export const describe = async () => exact(await (await send("call/Penstock/describe")).text());

/** Values of the program from their JSON. An integer that a number of this page cannot hold stays as it was written. */
export function exact(text) {
  if (!/\d{16}/.test(text) || !JSON.rawJSON) return JSON.parse(text);
  return JSON.parse(text, (_, value, { source } = {}) => (/^-?\d{16,}$/.test(source) ? JSON.rawJSON(source) : value));
}

/** The items of a stream of results, those that come together in one list, each as its JSON. A long one is put together once. */
export async function* batches(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let parts = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const pieces = value.split("\n");
      parts.push(pieces[0]);
      if (pieces.length === 1) continue;
      pieces[0] = parts.join("");
      parts = [pieces.pop()];
      yield pieces.filter(Boolean);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** The same, one item after the other. */
export async function* lines(response) {
  for await (const batch of batches(response)) yield* batch;
}
