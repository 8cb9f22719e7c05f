// Streams, each drawn from its producer to its consumer: what lies between them, and which side waits for the other one.

import { $, compact, duration, element, put, rate } from "./draw.js";
import { Grid, searched } from "./grid.js";
import { watch } from "./wire.js";

const KINDS = { follow: "retained", server_streaming: "stream", client_streaming: "stream", bidirectional: "both ways", unary: "call", lane: "messages" };
const WAITS = {
  producer: "the producer waits for its consumer", consumer: "the consumer waits for its producer",
  link: "the producer waits for the connection", "": "flows",
};

function drawEnd(side) {
  return (cell, row) => {
    if (!cell.firstChild) cell.append(element("div", {}, element("span"), element("small")));
    const [name, note] = cell.firstChild.children;
    const waits = row.waits === side || (row.waits === "link" && side === "producer");
    cell.classList.toggle("waits", waits);
    cell.classList.toggle("is-held", waits && side === "producer");
    put(name, row[side]);
    put(note, waits ? `waits ${duration(Math.max(1, row.waited_s))}` : "");
    cell.title = `${row[side]}${row.here === side || row.here === "both" ? "" : " (at the other side)"}`;
  };
}

/** The items that the consumer has not taken. Those of a connection are counted at most half a window late. */
function behind(row) {
  return `${row.link && row.buffered && row.buffered <= row.window / 2 ? "≤ " : ""}${compact(row.buffered)}`;
}

/** Items go from left to right: those that wait for the consumer fill the pipe from its end. */
function drawPipe(cell, row, line) {
  if (!cell.firstChild) cell.append(element("div", { className: "pipe" }, element("i"), element("b")));
  const pipe = cell.firstChild, isCall = row.kind === "unary";
  const room = row.window || row.buffered + row.credit;
  pipe.className = `pipe ${isCall ? "asks" : row.waits ? `held-by-${row.waits === "consumer" ? "producer" : "consumer"}` : "flows"}`;
  pipe.firstChild.style.width = `${isCall || !room ? 0 : Math.min(100, (100 * row.buffered) / room)}%`;
  put(pipe.lastChild, isCall ? "" : room ? `${behind(row)} / ${compact(room)}` : behind(row));
  const said = isCall ? "the caller waits for the answer" : WAITS[row.waits];
  pipe.title = `${compact(row.buffered)} items are under way or wait, ${compact(row.credit)} more may be sent: ${said}`;
  line.ariaLabel = `${row.producer} to ${row.consumer}: ${said}`;
}

function drawLag(cell, row) {
  const lasts = row.buffered > row.window / 2 && row.rate > 0 ? ` · ${duration(row.buffered / row.rate)}` : "";
  put(cell, row.kind === "unary" ? "" : `${behind(row)}${lasts}`);
}

export function flowsGrid(host, wish, empty) {
  return new Grid(host, {
    label: "Streams",
    empty,
    load: (part) => watch("flows", { wish: { ...part, ...wish() } }),
    key: (row) => row.key,
    columns: [
      { label: "Producer", sort: "producer", kind: "end from", draw: drawEnd("producer") },
      { label: "Under way", sort: "buffered", kind: "way n", title: "items under way, of those that the consumer grants ahead", draw: drawPipe },
      { label: "Consumer", sort: "consumer", kind: "end", draw: drawEnd("consumer") },
      { label: "Items/s", sort: "rate", kind: "n narrow", draw: (cell, row) => put(cell, row.kind === "unary" ? "" : rate(row.rate)) },
      { label: "Lag", sort: "buffered", kind: "n lag wide", title: "items that the consumer has not taken, and how long they last", draw: drawLag },
      { label: "Credit", sort: "credit", kind: "n wider", draw: (cell, row) => put(cell, row.window ? compact(row.credit) : "") },
      { label: "Sent", sort: "sent", kind: "n wider", draw: (cell, row) => put(cell, row.kind === "unary" ? "" : compact(row.sent)) },
      { label: "Waits", sort: "waited_s", kind: "n wider", title: "since this console began to look", draw: (cell, row) => put(cell, row.waits ? duration(Math.max(1, row.waited_s)) : "") },
      { label: "Kind", sort: "kind", kind: "wide", draw: (cell, row) => put(cell, KINDS[row.kind] ?? row.kind) },
    ],
  });
}

const section = $("#streams"), only = $("[name=waiting]", section);
const grid = flowsGrid($(".table", section), () => ({ waiting: only.checked }), "No stream, channel or call is open.");
searched(section, grid);
only.onchange = () => grid.top();

export const streams = { refresh: () => grid.refresh() };
