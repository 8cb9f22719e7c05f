// The actors as a tree, and one of them in detail.

import { $, bar, button, compact, duration, element, facts, number, put, rate, shown } from "./draw.js";
import { Grid, searched } from "./grid.js";
import { control, watch } from "./wire.js";

const section = $("#actors"), panel = $("aside", section);
const folded = new Set();
let act = {}; // what the other views do with an actor
let chosen = null; // the actor in the panel: its address, its id, and how its facts are drawn anew

function drawName(cell, row) {
  if (!cell.firstChild) {
    const fold = element("button", { type: "button", className: "fold", tabIndex: -1 });
    fold.onclick = (event) => { event.stopPropagation(); turn(cell.parentNode.item); };
    cell.append(fold, element("span"), element("small"));
  }
  const tree = !grid.text && !grid.sort, { address, actor } = row.info, [fold, name, kind] = cell.children;
  const above = tree ? row.above : "";
  cell.style.setProperty("--depth", tree ? row.depth : 0);
  fold.hidden = !tree || !row.below;
  fold.ariaLabel = `${folded.has(address) ? "show" : "hide"} ${row.below} actors below ${address}`;
  put(fold, folded.has(address) ? "▸" : "▾");
  if (tree && row.below) cell.parentNode.ariaExpanded = String(!folded.has(address)); else cell.parentNode.ariaExpanded = null;
  put(name, above ? address.slice(above.length + 1) : address);
  put(kind, actor.split(":").at(-1) + (folded.has(address) && tree ? ` · ${number(row.below)} below` : ""));
  cell.parentNode.ariaLevel = String(tree ? row.depth + 1 : 1);
  cell.title = address;
}

function drawState(cell, { info }) {
  const failed = info.error && info.state !== "running";
  cell.className = `state ${failed ? "failed" : info.state}`;
  put(cell, info.state);
}

function drawNow(cell, { info }) {
  const text = info.handling || info.error;
  cell.title = info.error;
  cell.classList.toggle("failed", !info.handling && Boolean(info.error));
  put(cell, text.slice(0, 80));
}

function turn(row, fold = !folded.has(row.info.address)) {
  if (!row.below) return;
  if (fold) folded.add(row.info.address); else folded.delete(row.info.address);
  grid.refresh().catch(() => {});
}

const grid = new Grid($(".table", section), {
  label: "Actors",
  empty: "No actor runs on this node.",
  load: (wish) => watch("actors", { wish: { ...wish, folded: [...folded] } }),
  key: (row) => row.info.id,
  onSelect: (row) => inspect(row.info.address),
  onFold: turn,
  columns: [
    { label: "Actor", sort: "address", kind: "name", draw: drawName },
    { label: "State", sort: "state", draw: drawState },
    {
      label: "Mailbox", sort: "mailbox", kind: "b wide", title: "messages that wait, of those that may",
      draw: (cell, { info }) => bar(cell, info.mailbox, info.mailbox_size, `${compact(info.mailbox)} of ${compact(info.mailbox_size)}`),
    },
    { label: "Msg/s", sort: "rate", kind: "n", draw: (cell, row) => put(cell, rate(row.rate)) },
    { label: "Handled", sort: "messages", kind: "n wider", draw: (cell, { info }) => put(cell, compact(info.messages)) },
    {
      label: "Restarts", sort: "restarts", kind: "n",
      draw: (cell, { info }) => { put(cell, compact(info.restarts)); cell.classList.toggle("failed", info.restarts > 0); },
    },
    { label: "Streams", sort: "streams", kind: "n wider", draw: (cell, { info }) => put(cell, String(info.streams + info.channels)) },
    { label: "Now", sort: "handling", kind: "long wider", draw: drawNow },
  ],
});
searched(section, grid);

async function inspect(address) {
  const mine = chosen = { address, id: "", draw: () => {} };
  const close = button("Close", () => { chosen = null; panel.hidden = true; grid.leave(); }, "quiet");
  const heading = element("h2", { textContent: address, tabIndex: -1 });
  try {
    const { info, doing, takes, ports, state } = await control("inspect", { actor: address });
    if (chosen !== mine) return; // another one was chosen since
    const list = element("dl");
    const dangerous = (label, method) => button(label, async () => {
      if (!confirm(`${label} ${address}?`)) return;
      try {
        await control(method, { actor: address });
        if (method === "stop") close.click(); else inspect(address);
      } catch (error) { alert(error.message); }
    }, "danger");
    const draw = (now, handling) => facts(list, {
      class: now.actor, id: now.id, up: duration(now.uptime_s), restarts: String(now.restarts),
      handling: handling || "nothing", ports: ports.join(", ") || "none",
    });
    draw(info, doing && `${doing.handling}${doing.since_s === null ? "" : ` for ${duration(doing.since_s)}`}`);
    Object.assign(mine, { id: info.id, draw });
    panel.replaceChildren(
      element("div", { className: "title" }, heading, close), list,
      ...(info.error ? [element("p", { className: "failed", textContent: info.error })] : []),
      element("div", { className: "doing" },
        button("Call a method", () => act.call(address)),
        ...(takes.includes("channels") ? [button("Open a channel", () => act.channel(address))] : []),
        ...(act.records() ? [button("History", () => act.history(address))] : []),
        dangerous("Restart", "restart"), dangerous("Stop", "stop")),
      element("h3", { textContent: `State at ${new Date().toLocaleTimeString([], { hour12: false })}` }),
      element("pre", { textContent: shown(state), tabIndex: 0 }),
    );
  } catch (error) {
    if (chosen !== mine) return;
    panel.replaceChildren(element("div", { className: "title" }, heading, close), element("p", { className: "failed", textContent: error.message }));
  }
  panel.hidden = false;
}

/** Draw the facts of the chosen actor anew; one that has stopped can be neither called nor stopped any more. */
async function follow() {
  if (!chosen?.id) return;
  const mine = chosen, row = await grid.find(mine.id, mine.address);
  if (chosen !== mine || row === undefined) return;
  if (row) { mine.draw(row.info, row.info.handling); return; }
  mine.id = "";
  for (const one of panel.querySelectorAll(".doing button")) one.disabled = one.textContent !== "History";
  $(".doing", panel).before(element("p", { className: "failed", textContent: "This actor has stopped." }));
}

async function refresh() {
  await grid.refresh();
  await follow();
}

export const actors = { refresh, uses: (given) => { act = given; } };
