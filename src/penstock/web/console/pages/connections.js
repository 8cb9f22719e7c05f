// Every connection of the process, and the streams of one of them.

import { $, bar, bytes, compact, duration, element, put, rate } from "./draw.js";
import { flowsGrid } from "./flows.js";
import { Grid, searched } from "./grid.js";
import { watch } from "./wire.js";

const section = $("#connections"), below = $(".below", section);
let chosen = null;

function drawPeer(cell, row) {
  if (!cell.firstChild) cell.append(element("span"), element("small"));
  put(cell.firstChild, row.view.remote.replace(/^[a-z]+:\/\//, ""));
  put(cell.lastChild, row.console ? "this console" : row.view.here ? "within this process" : row.view.agent);
  cell.title = `connection ${row.id}, ${row.view.role} here, to ${row.view.remote}`;
}

function drawState(cell, { view }) {
  cell.className = `state ${view.state}`;
  put(cell, view.state);
}

function drawHeard(cell, { view }) {
  const silent = view.silent_s >= 1 ? `silent ${duration(view.silent_s)}` : "now";
  put(cell, silent);
}

const grid = new Grid($(".table", section), {
  label: "Connections",
  empty: "No connection is open.",
  load: (wish) => watch("connections", { wish }),
  key: (row) => row.id,
  onSelect: choose,
  columns: [
    { label: "Peer", sort: "remote", kind: "name", draw: drawPeer },
    { label: "By", kind: "short wide", draw: (cell, { view }) => put(cell, view.remote.split(":")[0]) },
    { label: "Here", sort: "role", kind: "short wider", draw: (cell, { view }) => put(cell, view.role) },
    { label: "State", sort: "state", draw: drawState },
    {
      label: "Round trip", sort: "round_trip_s", kind: "n",
      draw: (cell, { view }) => put(cell, view.round_trip_s === null ? "–" : duration(view.round_trip_s)),
    },
    { label: "Heard", sort: "silent_s", kind: "n lag wider", title: "since the last byte of the peer", draw: drawHeard },
    {
      label: "Streams", sort: "streams", kind: "n lag narrow",
      draw: (cell, { view }) => put(cell, view.waiting ? `${compact(view.streams)} (${compact(view.waiting)} wait)` : compact(view.streams)),
    },
    {
      label: "Held", sort: "held_bytes", kind: "b wide", title: "bytes that this side holds for the peer, of its budget",
      draw: (cell, { view }) => bar(cell, view.held_bytes, view.held_bytes_max, `${bytes(view.held_bytes)} of ${bytes(view.held_bytes_max)}`),
    },
    {
      label: "In/s · out/s", sort: "rate", kind: "n b wider", title: "bytes a second, received and sent",
      draw: (cell, row) => put(cell, `${bytes(Math.round(row.received_rate))} · ${row.view.sent_bytes === null ? "–" : bytes(Math.round(row.sent_rate))}`),
    },
  ],
});
searched(section, grid);

const inside = flowsGrid($(".table", below), () => ({ link: chosen?.id ?? -1 }), "");

function choose(row) {
  chosen = row;
  below.hidden = !row;
  if (!row) return;
  put($("h2", below), `Streams of ${row.view.remote}`);
  put(inside.empty, row.console ? "The calls of the console itself are not shown." : "No stream is open on this connection.");
  inside.top();
}
$("button", below).onclick = () => { choose(null); grid.leave(); };

async function refresh() {
  await grid.refresh();
  if (chosen) await inside.refresh();
}

export const connections = { refresh };
