// The live console of a node: a client of its own HTTP face. Every figure comes from `Penstock.Control`, once a second.

const CONTROL = "call/Penstock.Control/";
const EVENTS_SHOWN = 500;
const PULSE_POINTS = 120;
const $ = (selector, within = document) => within.querySelector(selector);

// ── the way to the node ─────────────────────────────────────────────────────────────────────────────────────────────

const token = (() => { // it came behind the # of the address, which no server sees, and stays in this tab
  const given = location.hash.slice(1);
  if (given) { sessionStorage.setItem("token", given); history.replaceState(null, "", location.pathname); }
  return given || sessionStorage.getItem("token") || "";
})();

async function send(path, body, options = {}) {
  const response = await fetch(path, {
    method: "POST", ...options, body: JSON.stringify(body ?? {}),
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({ detail: response.statusText }));
  throw new Error(problem.detail || response.statusText);
}
const control = async (method, body) => (await send(CONTROL + method, body)).json();

async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (rest + value).split("\n");
    rest = whole.pop();
    for (const line of whole) if (line) yield JSON.parse(line);
  }
}

// ── drawing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const number = new Intl.NumberFormat();
const rounded = (rate) => number.format(rate < 10 ? Math.round(rate * 10) / 10 : Math.round(rate));
const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
function time(seconds) {
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}

// Rows stay in place from one snapshot to the next, so that a thousand of them cost little and a selection is kept.
function drawRows(body, items, key, make, update) {
  const known = body.rowsByKey ??= new Map();
  const seen = new Set();
  let at = null;
  for (const item of items) {
    const id = key(item);
    seen.add(id);
    let row = known.get(id);
    if (!row) known.set(id, row = make(item));
    const place = at ? at.nextSibling : body.firstChild;
    if (place !== row) body.insertBefore(row, place);
    update(row, item);
    at = row;
  }
  for (const [id, row] of known) if (!seen.has(id)) { row.remove(); known.delete(id); }
  body.closest("section").querySelector(".empty").hidden = items.length > 0;
}
const cells = (count, numeric) =>
  Array.from({ length: count }, (_, at) => element("td", { className: numeric.includes(at) ? "n" : "" }));

function bar(cell, part, whole, text) {
  if (!cell.firstChild) cell.append(element("span", { className: "bar" }, element("i")), element("span"));
  cell.firstChild.classList.toggle("full", part >= whole * 0.8 && part > 0);
  cell.firstChild.firstChild.style.width = `${Math.min(100, (100 * part) / (whole || 1))}%`;
  put(cell.lastChild, text);
}

// ── actors ──────────────────────────────────────────────────────────────────────────────────────────────────────────

let before = null; // the last snapshot, for rates
let selected = null;
const filter = $("#actors input");
filter.oninput = () => before && drawActors(before, before, 1);

function drawActors(snapshot, last, seconds) {
  const counts = new Map(last.actors.map((actor) => [actor.id, actor.messages]));
  const wanted = filter.value.trim().toLowerCase();
  const shown = snapshot.actors
    .filter((actor) => !wanted || `${actor.address} ${actor.actor} ${actor.state}`.toLowerCase().includes(wanted))
    .sort((a, b) => (a.address < b.address ? -1 : 1));
  let total = 0;
  for (const actor of snapshot.actors) {
    actor.rate = Math.max(0, actor.messages - (counts.get(actor.id) ?? actor.messages)) / seconds;
    total += actor.rate;
  }
  const addresses = new Set(snapshot.actors.map((actor) => actor.address));
  const parents = (address) => { // the actors above one: a name like rooms/7 has none when no actor is called rooms
    const parts = address.split("/");
    return parts.map((_, at) => parts.slice(0, at).join("/")).filter((one) => addresses.has(one));
  };
  drawRows($("#actors tbody"), shown, (actor) => actor.id, (actor) => {
    const row = element("tr", { tabIndex: 0, onclick: () => select(actor.address) }, ...cells(8, [3, 4, 5, 6]));
    row.onkeydown = (event) => { if (event.key === "Enter") select(actor.address); };
    return row;
  }, (row, actor) => {
    const above = wanted ? [] : parents(actor.address), td = row.cells;
    row.style.setProperty("--depth", above.length);
    row.setAttribute("aria-selected", actor.address === selected);
    if (!td[0].firstChild) td[0].append(element("span"), element("small"));
    put(td[0].firstChild, above.length ? actor.address.slice(above.at(-1).length + 1) : actor.address);
    put(td[0].lastChild, actor.actor.split(":").at(-1));
    td[1].className = `state ${actor.error && actor.state !== "running" ? "failed" : actor.state}`;
    put(td[1], actor.state);
    bar(td[2], actor.mailbox, actor.mailbox_size, `${actor.mailbox} of ${number.format(actor.mailbox_size)}`);
    put(td[3], rounded(actor.rate));
    put(td[4], number.format(actor.messages));
    put(td[5], String(actor.restarts));
    td[5].classList.toggle("failed", actor.restarts > 0);
    put(td[6], String(actor.streams + actor.channels));
    td[7].title = actor.error;
    td[7].classList.toggle("failed", !actor.handling && Boolean(actor.error));
    put(td[7], actor.handling || actor.error.slice(0, 60));
  });
  return total;
}

async function select(address) {
  selected = address;
  const panel = $("#actors aside");
  for (const row of $("#actors tbody").rows) row.setAttribute("aria-selected", false);
  try {
    const seen = await control("inspect", { actor: address });
    const act = (label, method, danger) => element("button", {
      className: danger ? "danger" : "", textContent: label,
      onclick: async () => {
        if (danger && !confirm(`${label} ${address}?`)) return;
        await control(method, { actor: address }).catch((error) => alert(error.message));
        if (method === "stop") { panel.hidden = true; selected = null; } else select(address);
      },
    });
    panel.replaceChildren(
      element("h2", { textContent: address }),
      element("p", { className: "note", textContent: `${seen.info.actor} · ${seen.info.id} · up ${time(seen.info.uptime_s)}` }),
      ...(seen.info.error ? [element("p", { className: "failed", textContent: seen.info.error })] : []),
      element("div", { className: "doing" },
        element("button", { textContent: "Call a method", onclick: () => callActor(address) }),
        act("Restart", "restart", true), act("Stop", "stop", true)),
      element("pre", { textContent: JSON.stringify(seen.state, null, 2) }),
    );
    panel.hidden = false;
  } catch (error) {
    panel.replaceChildren(element("p", { className: "failed", textContent: error.message }));
    panel.hidden = false;
  }
}

// ── streams ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function drawStreams(snapshot, last, seconds) {
  const key = (stream) => `${stream.address} ${stream.number}`;
  const counts = new Map(last.streams.map((stream) => [key(stream), stream.sent]));
  drawRows($("#streams tbody"), snapshot.streams, key, () => element("tr", {}, ...cells(8, [3, 4, 5, 6])), (row, stream) => {
    const td = row.cells;
    put(td[0], stream.address);
    put(td[1], stream.channel ? `channel ${stream.name}` : stream.name);
    put(td[2], stream.peer || "this process");
    put(td[3], rounded(Math.max(0, stream.sent - (counts.get(key(stream)) ?? stream.sent)) / seconds));
    put(td[4], number.format(stream.sent));
    put(td[5], number.format(stream.lag));
    put(td[6], number.format(stream.credit));
    const waits = stream.credit <= 0;
    td[7].className = `state ${waits ? "waits" : "flowing"}`;
    put(td[7], waits ? "the actor waits for the consumer" : stream.lag ? "flowing" : "the consumer has everything");
  });
  const more = $("#streams .more");
  more.hidden = !snapshot.streams_left_out;
  more.textContent = `${number.format(snapshot.streams_left_out)} more are not shown.`;
}

// ── once a second ───────────────────────────────────────────────────────────────────────────────────────────────────

const pulse = [];

function drawFacts({ node, history: recorded }) {
  document.title = `${node.name || "node"} · Penstock`;
  put($("#node"), node.name || `node ${node.pid}`);
  const facts = {
    up: time(node.uptime_s), version: node.version, process: String(node.pid), "dead letters": number.format(node.dead_letters),
    listens: node.urls.join(", ") || "nowhere", history: recorded ? `${number.format(recorded.events)} events` : "none",
  };
  const list = $("#facts");
  if (!list.firstChild) for (const name in facts) list.append(element("div", {}, element("dt", { textContent: name }), element("dd")));
  Object.values(facts).forEach((text, at) => put(list.children[at].lastChild, text));
  if (recorded?.problem) trouble(`The history cannot be written: ${recorded.problem}`);
}

function drawPulse(rate) {
  pulse.push(rate);
  if (pulse.length > PULSE_POINTS) pulse.shift();
  const top = Math.max(1, ...pulse);
  $("#pulse polyline").setAttribute("points", pulse.map((one, at) => `${at},${31 - (30 * one) / top}`).join(" "));
  put($("#rate"), rounded(rate));
}

function trouble(text) {
  const line = $("#trouble");
  line.hidden = !text;
  put(line, text);
}

async function tick() {
  if (!document.hidden) {
    try {
      const snapshot = await control("snapshot");
      trouble("");
      const last = before ?? snapshot;
      const seconds = Math.max(0.001, snapshot.node.time_s - last.node.time_s || 1);
      drawFacts(snapshot);
      drawPulse(drawActors(snapshot, last, seconds));
      drawStreams(snapshot, last, seconds);
      put($("#tab-actors .count"), number.format(snapshot.actors.length));
      put($("#tab-streams .count"), number.format(snapshot.streams.length + snapshot.streams_left_out));
      put($("#tab-history .count"), snapshot.history ? number.format(snapshot.history.events) : "");
      before = snapshot;
      document.body.dataset.ready = "yes";
    } catch (error) {
      trouble(error instanceof TypeError ? "The node does not answer." : error.message);
    }
  }
  setTimeout(tick, 1000);
}

// ── history ─────────────────────────────────────────────────────────────────────────────────────────────────────────

let following = null;
const asked = $("#history form");

asked.onsubmit = async (event) => {
  event?.preventDefault();
  following?.abort();
  const mine = following = new AbortController();
  const list = $("#history .events"), note = $("#history .note");
  list.replaceChildren();
  note.textContent = "";
  const query = { actor: asked.actor.value.trim() || "**", search: asked.search.value, follow: asked.follow.checked, last: EVENTS_SHOWN };
  try {
    for await (const one of lines(await send(CONTROL + "events", { query }, { signal: mine.signal }))) {
      list.prepend(element("li", {},
        element("span", { className: "offset", textContent: `#${one.offset}` }),
        element("time", { textContent: new Date(one.time * 1000).toLocaleTimeString(), title: one.hash }),
        element("span", { textContent: one.actor }), element("span", { className: one.kind, textContent: one.kind }),
        element("span", { textContent: JSON.stringify(one.data), title: JSON.stringify(one.data, null, 2) })));
      if (list.children.length > EVENTS_SHOWN) list.lastChild.remove();
    }
    note.textContent = list.firstChild ? "" : "No event matches.";
  } catch (error) {
    if (error.name !== "AbortError") note.textContent = error.message;
  }
};

// ── call any method ─────────────────────────────────────────────────────────────────────────────────────────────────

const choose = $("#choose"), form = $("#arguments"), result = $("#result");
let methods = [];
let running = null;

let described = "";

async function describe() {
  const target = choose.target.value.trim();
  if (target === described) return; // a field that is left says that it has changed once more
  described = target;
  methods = [];
  try {
    if (before?.actors.some((actor) => actor.address === target)) {
      methods = (await control("inspect", { actor: target })).methods.map((one) => ({ ...one, path: `ask/${target}/${one.name}` }));
    } else {
      const services = await (await send("call/Penstock/describe")).json();
      methods = services.filter((one) => one.name === target).flatMap((one) => one.methods)
        .map((one) => ({ ...one, path: `call/${one.target}` }));
    }
  } catch (error) { showError(error); }
  if (target !== described) return;
  choose.method.replaceChildren(...methods.map((one) => element("option", { textContent: one.name })));
  choose.method.disabled = !methods.length;
  drawForm();
}

function field(parameter) {
  const { name, schema, required } = parameter;
  const kind = schema.type;
  const simple = { string: "text", integer: "number", number: "number", boolean: "checkbox" }[kind];
  const input = simple ? element("input", { type: simple }) : element("textarea", { rows: 2, placeholder: "JSON" });
  if (kind === "number") input.step = "any";
  if (schema.default !== undefined) input[kind === "boolean" ? "checked" : "value"] = simple ? schema.default : JSON.stringify(schema.default);
  Object.assign(input, { name, required: required && kind !== "boolean" });
  return element("label", { title: JSON.stringify(schema) }, `${name} `, input);
}

function drawForm() {
  const method = methods[choose.method.selectedIndex];
  form.replaceChildren();
  if (!method) return;
  const takes = method.kind === "client_streaming" || method.kind === "bidirectional";
  form.append(
    ...(method.doc ? [element("p", { className: "note", textContent: method.doc.split("\n")[0] })] : []),
    ...method.parameters.map(field),
    ...(takes ? [element("label", {}, "items, one JSON value a line ", element("textarea", { name: "items of the stream", rows: 3 }))] : []),
    element("button", { textContent: "Call" }));
}

function argumentsOf(method) {
  const given = {};
  for (const { name, schema, required } of method.parameters) {
    const input = form.elements[name];
    if (schema.type === "boolean") given[name] = input.checked;
    else if (input.value === "" && !required) continue;
    else given[name] = schema.type === "string" ? input.value : JSON.parse(input.value);
  }
  return given;
}

form.onsubmit = async (event) => {
  event.preventDefault();
  if (running) { running.abort(); return; }
  const method = methods[choose.method.selectedIndex], button = $("button", form);
  if (!method) return;
  result.className = "";
  result.textContent = "";
  running = new AbortController();
  button.textContent = "Stop";
  const begun = performance.now();
  let count = 0;
  try {
    const given = argumentsOf(method);
    const items = form.elements["items of the stream"], signal = running.signal;
    const written = Object.entries(given).map(([name, one]) => [name, typeof one === "string" ? one : JSON.stringify(one)]);
    const response = items
      ? await sendLines(`${method.path}?${new URLSearchParams(written)}`, items.value, signal)
      : await send(method.path, given, { signal });
    if (response.headers.get("content-type")?.includes("ndjson")) {
      for await (const item of lines(response)) {
        result.textContent += `${JSON.stringify(item)}\n`;
        result.scrollTop = result.scrollHeight;
        put(button, `Stop · ${++count} items · ${rounded(count / ((performance.now() - begun) / 1000))}/s`);
        if (result.textContent.length > 200_000) result.textContent = result.textContent.slice(-100_000);
      }
      result.textContent += "— the end —";
    } else result.textContent = JSON.stringify(await response.json(), null, 2);
  } catch (error) {
    if (error.name === "AbortError") result.textContent += "— stopped —"; else showError(error);
  }
  running = null;
  button.textContent = "Call";
};

async function sendLines(path, text, signal) {
  const response = await fetch(path, {
    method: "POST", body: text, signal, headers: { "content-type": "application/x-ndjson", authorization: `Bearer ${token}` },
  });
  if (!response.ok) throw new Error((await response.json()).detail);
  return response;
}

function showError(error) {
  result.className = "wrong";
  result.textContent += error.message;
}

function callActor(address) {
  show("call");
  choose.target.value = address;
  describe();
}

choose.target.onchange = describe;
choose.target.onfocus = async () => {
  const services = await (await send("call/Penstock/describe")).json().catch(() => []);
  const names = [...(before?.actors ?? []).map((actor) => actor.address), ...services.map((one) => one.name)];
  $("#targets").replaceChildren(...names.map((value) => element("option", { value })));
};
choose.method.onchange = drawForm;
choose.onsubmit = (event) => event.preventDefault();

// ── tabs ────────────────────────────────────────────────────────────────────────────────────────────────────────────

const tabs = [...document.querySelectorAll("[role=tab]")];

function show(name) {
  for (const tab of tabs) {
    const chosen = tab.getAttribute("aria-controls") === name;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (name === "history" && !following) asked.onsubmit();
}
tabs.forEach((tab, at) => {
  tab.onclick = () => show(tab.getAttribute("aria-controls"));
  tab.onkeydown = ({ key }) => {
    const next = { ArrowRight: tabs[(at + 1) % tabs.length], ArrowLeft: tabs.at(at - 1) }[key];
    if (next) { next.focus(); next.click(); }
  };
});

tick();
