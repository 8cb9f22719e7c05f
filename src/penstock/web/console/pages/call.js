// Call any method from a form that is made from its types, and watch the stream of its results.

import { $, bytes, element, number, plain, put, rate, settled, shown } from "./draw.js";
import { batches, control, describe, exact, send, watch } from "./wire.js";

const ITEMS_SHOWN = 1000; // items of a stream on the page
const ITEMS_A_FRAME = 200; // … and of those that come in one frame; the others would have scrolled by
const ITEM_MOST = 20_000; // characters of one of them
const ITEMS = "items of the stream";
const SIMPLE = { string: "text", integer: "number", number: "number", boolean: "checkbox" };
const section = $("#call"), choose = $(".choose", section), form = $(".arguments", section), result = $(".result", section);
let methods = [];
let described = null;
let running = null;
const fields = new Map(); // of the form, by the names of their parameters

const services = (() => { // they stay the same as long as the node runs
  let known = null;
  return async () => (known ??= await describe());
})();

async function look(wanted = "") {
  const target = choose.target.value.trim();
  if (target === described && !wanted) return; // a field that is left says that it has changed once more
  described = target;
  methods = [];
  showResult("");
  try {
    const service = (await services()).find((one) => one.name === target);
    if (service) methods = service.methods.map((one) => ({ ...one, path: `call/${one.target}`, definitions: service.definitions }));
    else if (target) {
      const path = target.split("/").map(encodeURIComponent).join("/");
      methods = (await control("inspect", { actor: target })).methods.map((one) => ({ ...one, path: `ask/${path}/${one.name}` }));
    }
  } catch (error) { showResult(error.message, true); }
  if (target !== described) return;
  choose.method.replaceChildren(...methods.map((one) => element("option", { value: one.name, textContent: one.name })));
  choose.method.disabled = !methods.length;
  if (wanted.trim()) choose.method.value = wanted;
  drawForm();
}

/** The types that a schema allows, by their names. */
const typesOf = (schema) => (schema.anyOf ?? schema.oneOf)?.flatMap(typesOf) ?? [schema.type ?? schema.$ref?.split("/").at(-1) ?? "any"];

function field({ name, schema, required }) {
  const kind = SIMPLE[schema.type], types = typesOf(schema);
  const input = schema.enum
    ? element("select", {}, ...schema.enum.map((one) => element("option", { value: one, textContent: String(one) })))
    : kind ? element("input", { type: kind })
    : element("textarea", { rows: 2, placeholder: types.includes("string") ? "JSON or a text" : "JSON" });
  if (schema.type === "number") input.step = "any";
  if (schema.default !== undefined) {
    if (schema.type === "boolean") input.checked = schema.default;
    else if (schema.enum || schema.type === "string") input.value = schema.default;
    else input.value = JSON.stringify(schema.default);
  }
  Object.assign(input, { name, required: required && schema.type !== "boolean", autocomplete: "off" });
  const label = `${name}: ${types.join(" or ")}${required ? "" : ", optional"}`;
  fields.set(name, input); // form.elements has names of its own, as "length"
  return element("label", { title: JSON.stringify(schema) }, element("span", { textContent: label }), input);
}

function itemsField() {
  const input = element("textarea", { name: ITEMS, rows: 3 });
  fields.set(ITEMS, input);
  return element("label", { className: "items" }, element("span", { textContent: "items, one JSON value a line" }), input);
}

function drawForm() {
  const method = methods[choose.method.selectedIndex];
  form.replaceChildren();
  fields.clear();
  if (!method) return;
  const takes = method.kind === "client_streaming" || method.kind === "bidirectional";
  form.append(
    ...(method.doc ? [element("p", { className: "doc", textContent: method.doc.split("\n")[0] })] : []),
    ...method.parameters.map(field),
    ...(takes ? [itemsField()] : []), element("button", { textContent: "Call" }));
}

/** The JSON of what was typed for a parameter, as it was typed: a number of this page may hold less. */
function written({ name, schema }) {
  const { checked, value, selectedIndex } = fields.get(name);
  if (schema.enum) return JSON.stringify(schema.enum[selectedIndex]);
  if (schema.type === "boolean") return String(checked);
  if (schema.type === "string") return JSON.stringify(value);
  if (SIMPLE[schema.type]) return /^-?(0|[1-9]\d*)(\.\d+)?$/.test(value) ? value : String(Number(value));
  const types = typesOf(schema);
  try {
    const isText = typeof JSON.parse(value) === "number" && types.includes("string") && !types.includes("integer") && !types.includes("number");
    return isText ? JSON.stringify(value) : value;
  } catch {
    if (types.includes("string")) return JSON.stringify(value);
    throw new Error(`${name} is not JSON: ${value.slice(0, 100)}`);
  }
}

/** The JSON of each argument that is given, by its name. */
function argumentsOf(method) {
  const given = method.parameters.filter(({ name, schema, required }) => required || schema.type === "boolean" || fields.get(name).value !== "");
  return new Map(given.map((parameter) => [parameter.name, written(parameter)]));
}

/** One payload for a method of an actor: a map for its one parameter would be taken as that argument, so this stands alone. */
function payloadOf(method, given) {
  const byName = `{${[...given].map(([name, json]) => `${JSON.stringify(name)}:${json}`).join()}}`;
  if (!method.path.startsWith("ask/") || method.parameters.length !== 1) return byName;
  const [{ name, required }] = method.parameters, json = given.get(name) ?? "null";
  return json === "null" && given.has(name) && !required ? byName : json;
}

async function begin(method, signal) {
  const given = argumentsOf(method), items = fields.get(ITEMS);
  if (!items) return send(method.path, payloadOf(method, given), { signal });
  const query = [...given].map(([name, json]) => [name, json.startsWith('"') ? JSON.parse(json) : json]);
  return send(`${method.path}?${new URLSearchParams(query)}`, null, { body: items.value, signal, headers: { "content-type": "application/x-ndjson" } });
}

/** Show the items of a stream, the newest of those that have come since the last frame: a fast one must not hold up the page. */
async function showStream(response, stop, begun) {
  const lengths = []; // of the blocks on the page, in items
  let waiting = [], asked = false, count = 0, onPage = 0;
  const draw = () => {
    asked = false;
    if (waiting.length) {
      const isBelow = result.scrollHeight - result.scrollTop - result.clientHeight < 40;
      result.append(element("div", { textContent: waiting.map(cut).join("\n") }));
      onPage += lengths[lengths.push(waiting.length) - 1];
      for (; onPage > ITEMS_SHOWN; result.firstChild.remove()) onPage -= lengths.shift();
      waiting = [];
      if (isBelow) result.scrollTop = result.scrollHeight;
    }
    put(stop, `Stop · ${number(count)} items · ${rate(count / ((performance.now() - begun) / 1000))}/s`);
  };
  try {
    for await (const batch of batches(response)) {
      count += batch.length;
      waiting = waiting.concat(batch).slice(-ITEMS_A_FRAME);
      if (!asked) { asked = true; requestAnimationFrame(draw); }
    }
  } finally {
    draw();
    if (count > onPage) result.prepend(element("div", { className: "note", textContent: `the newest ${number(onPage)} of ${number(count)} items` }));
  }
  say(`— the end after ${number(count)} items —`);
}

const cut = (line) => (line.length <= ITEM_MOST ? plain(line) : `${plain(line.slice(0, ITEM_MOST))} … ${bytes(line.length)} in all`);
const say = (text) => { result.append(element("div", { className: "note", textContent: text })); result.scrollTop = result.scrollHeight; };

form.onsubmit = async (event) => {
  event.preventDefault();
  if (running) { running.abort(); return; }
  const method = methods[choose.method.selectedIndex], call = $("button", form);
  if (!method) return;
  showResult("");
  const mine = running = new AbortController();
  put(call, "Stop");
  const begun = performance.now();
  try {
    const response = await begin(method, mine.signal);
    if (response.headers.get("content-type")?.includes("ndjson")) await showStream(response, call, begun);
    else {
      showResult(shown(exact(await response.text()), ITEM_MOST));
      say(`— after ${Math.round(performance.now() - begun)} ms —`);
    }
  } catch (error) {
    if (error.name === "AbortError") say("— stopped —");
    else { result.classList.add("wrong"); say(error.message); }
  }
  running = null;
  put(call, "Call");
};

function showResult(text, isWrong = false) {
  result.classList.toggle("wrong", isWrong);
  put(result, text);
}

/** Offer the names that a field may mean: the services, and the actors that have what was typed. */
export function offerNames(input, list, withServices) {
  const offer = settled(async () => {
    const found = await watch("actors", { wish: { text: input.value, limit: 50 } }).catch(() => ({ rows: [] }));
    const names = [...(withServices ? (await services().catch(() => [])).map((one) => one.name) : []), ...found.rows.map((row) => row.info.address)];
    list.replaceChildren(...names.map((value) => element("option", { value })));
  }, 200);
  input.addEventListener("input", offer);
  input.addEventListener("focus", offer);
}

offerNames(choose.target, $("#targets"), true);
choose.target.onchange = () => look();
choose.method.onchange = () => { showResult(""); drawForm(); };
choose.onsubmit = (event) => { event.preventDefault(); look(); };

export const call = {
  refresh: async () => {},
  of: (target, method = "") => { choose.target.value = target; look(method || " ").then(() => $("input, textarea, button", form)?.focus()); },
};
