// The live console of a node: a client of its own HTTP face. The view that is open asks once a second, and no other one.

import { actors } from "./actors.js";
import { call } from "./call.js";
import { channel } from "./channel.js";
import { connections } from "./connections.js";
import { $, bytes, compact, duration, facts, put, rate } from "./draw.js";
import { streams } from "./flows.js";
import { history } from "./history.js";
import { kept } from "./kept.js";
import { services } from "./services.js";
import { NoAnswer, setToken, watch, WrongToken } from "./wire.js";

const SECOND = 1000;
const PATIENCE_MOST = 8 * SECOND; // between two questions to a node that does not answer
const PULSE_POINTS = 120;
const views = { actors, connections, streams, kept, services, history, call, channel };
const tabs = [...document.querySelectorAll("[role=tab]")];
const pulse = [];
let open = "actors";
let before = null; // the last overview, for rates
let patience = SECOND;
let timer = 0;

// ── the head ────────────────────────────────────────────────────────────────────────────────────────────────────────

function drawHead(now) {
  const { node, history: recorded } = now;
  document.title = `${node.name || "node"} · Penstock`;
  put($("#node"), node.name || `node ${node.pid}`);
  facts($("#facts"), {
    up: duration(node.uptime_s), process: String(node.pid), version: node.version, "held for peers": bytes(now.held_bytes),
    ...(now.detached ? { "detached sessions": compact(now.detached) } : {}),
    "waiting messages": compact(now.mailbox), "dead letters": compact(node.dead_letters),
    ...(node.stalls ? { "loop stood still": `${node.stalls} ×, last in ${node.stalled_in}` } : {}), listens: node.urls.join(", ") || "nowhere",
  });
  const counts = {
    actors: now.actors, connections: now.connections, streams: now.streams, kept: now.kept, services: now.methods, history: recorded?.events,
  };
  for (const [name, count] of Object.entries(counts)) put($(`#tab-${name} .count`), count === undefined ? "" : compact(count));
  $("#tab-services").hidden = !now.methods;
  history.facts(recorded);
  const passed = before ? now.node.time_s - before.node.time_s : 0;
  if (passed > 0) drawPulse(Math.max(0, now.messages - before.messages) / passed);
  before = now;
  trouble(recorded?.problem ? `The history cannot be written: ${recorded.problem}` : "");
}

function drawPulse(messages) {
  pulse.push(messages);
  if (pulse.length > PULSE_POINTS) pulse.shift();
  const top = Math.max(1, ...pulse), start = PULSE_POINTS - pulse.length;
  const points = pulse.map((one, at) => `${start + at},${30 - (28 * one) / top}`).join(" ");
  $("#pulse polyline").setAttribute("points", points);
  $("#pulse polygon").setAttribute("points", `${start},31 ${points} ${PULSE_POINTS - 1},31`);
  put($("#rate"), rate(messages));
}

function trouble(text) {
  const line = $("#trouble");
  line.hidden = !text;
  put(line, text);
}

// ── once a second ───────────────────────────────────────────────────────────────────────────────────────────────────

async function look() {
  clearTimeout(timer);
  if (!document.hidden) {
    try {
      drawHead(await watch("overview"));
      await views[open].refresh();
      patience = SECOND;
      document.body.dataset.state = "live";
    } catch (error) { fail(error); }
  }
  clearTimeout(timer);
  if (document.body.dataset.state !== "locked") timer = setTimeout(look, patience);
}

function fail(error) {
  if (error instanceof WrongToken) {
    document.body.dataset.state = "locked";
    before = null;
    lock();
    trouble("");
    $("#lock input").focus();
    return;
  }
  trouble(error.message);
  if (!(error instanceof NoAnswer)) return;
  if (document.body.dataset.state !== "lost") lostAt = new Date();
  document.body.dataset.state = "lost";
  patience = Math.min(PATIENCE_MOST, 2 * patience);
  trouble(`The node does not answer since ${lostAt.toLocaleTimeString([], { hour12: false })}. What is shown is of that time; the page tries again.`);
}
let lostAt = new Date();

/** Ask for the token. Nothing behind the question can be used meanwhile. */
function lock() {
  $("#lock").hidden = false;
  for (const part of document.querySelectorAll("header, nav, main")) part.inert = true;
}

$("#lock form").onsubmit = (event) => {
  event.preventDefault();
  setToken($("#lock input").value);
  location.reload(); // it may be another node, with other services
};
document.onvisibilitychange = () => { if (!document.hidden && document.body.dataset.state !== "locked") look(); };

// ── tabs ────────────────────────────────────────────────────────────────────────────────────────────────────────────

function show(name) {
  open = name;
  for (const tab of tabs) {
    const chosen = tab.id === `tab-${name}`;
    tab.ariaSelected = String(chosen);
    tab.tabIndex = chosen ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !chosen;
    if (chosen) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  if (before) views[name].refresh().catch(() => {}); // the next second tells of an error
}

tabs.forEach((tab) => {
  tab.onclick = () => show(tab.id.slice("tab-".length));
  tab.onkeydown = (event) => {
    const there = tabs.filter((one) => !one.hidden), at = there.indexOf(tab);
    const next = { ArrowRight: there[(at + 1) % there.length], ArrowLeft: there.at(at - 1), Home: there[0], End: there.at(-1) }[event.key];
    if (next) { event.preventDefault(); next.focus(); next.click(); }
  };
});
document.onkeydown = (event) => { // a slash leads to the search of the view that is open, as on many pages
  const field = event.target.closest("input, textarea, select");
  const search = $(`#${open} input[type=search]`);
  if (event.key === "/" && !field && search) { event.preventDefault(); search.select(); }
};

const to = (name, view) => (...given) => { show(name); view.of(...given); };
actors.uses({ call: to("call", call), channel: to("channel", channel), history: to("history", history), records: history.records });
services.uses({ call: to("call", call) });
look();
