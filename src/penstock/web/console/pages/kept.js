// Retained streams: what is kept of each, and where its readers are.

import { $, button, bytes, compact, element, facts, number, put, rate } from "./draw.js";
import { Grid, searched } from "./grid.js";
import { watch } from "./wire.js";

const TICKS = 24;
const section = $("#kept"), panel = $("aside", section);
let chosen = null;

/** All items that there ever were, from left to right: those that are kept are filled, and each reader is a tick. */
function drawRange(cell, row) {
  if (!cell.firstChild) cell.append(element("div", { className: "range" }, element("i")));
  const range = cell.firstChild, end = Math.max(1, row.next), at = (offset) => `${(100 * offset) / end}%`;
  range.firstChild.style.left = at(row.oldest);
  range.title = `items ${number(row.oldest)} to ${number(row.next)} are kept`;
  const ticks = row.reading.slice(0, TICKS);
  while (range.children.length - 1 > ticks.length) range.lastChild.remove();
  ticks.forEach((reader, place) => {
    const tick = range.children[place + 1] ?? range.appendChild(element("b"));
    tick.style.left = at(reader.offset);
    tick.className = reader.offset < row.oldest ? "lost" : reader.lag ? "behind" : "";
    tick.title = `${reader.by || "this process"} reads item ${number(reader.offset)}, ${number(reader.lag)} behind`;
  });
}

const grid = new Grid($(".table", section), {
  label: "Retained streams",
  empty: "No stream is retained.",
  load: (wish) => watch("kept", { wish }),
  key: (row) => row.name,
  onSelect: (row) => { chosen = row.name; drawPanel(row); },
  columns: [
    {
      label: "Stream", sort: "name", kind: "name",
      draw: (cell, row) => {
        if (!cell.firstChild) cell.append(element("span"), element("small"));
        put(cell.firstChild, row.name);
        put(cell.lastChild, row.durable ? "in a file" : "in memory");
        cell.title = row.name;
      },
    },
    { label: "State", sort: "state", kind: "narrow", draw: (cell, row) => { cell.className = `state narrow ${row.state}`; put(cell, row.state); } },
    { label: "Items and readers", kind: "way", draw: drawRange },
    { label: "Kept", kind: "n wide", draw: (cell, row) => put(cell, compact(row.next - row.oldest)) },
    { label: "Bytes", sort: "bytes", kind: "n wider", title: "in memory", draw: (cell, row) => put(cell, bytes(row.bytes)) },
    { label: "Next", sort: "next", kind: "n wider", title: "offset of the next item", draw: (cell, row) => put(cell, number(row.next)) },
    { label: "Items/s", sort: "rate", kind: "n wide", draw: (cell, row) => put(cell, rate(row.rate)) },
    { label: "Readers", sort: "readers", kind: "n", draw: (cell, row) => put(cell, compact(row.readers)) },
    { label: "Last is behind", sort: "lag", kind: "n lag wide", draw: (cell, row) => put(cell, row.readers ? number(row.lag) : "") },
  ],
});
searched(section, grid);

function drawPanel(row) {
  panel.hidden = false;
  if (panel.dataset.name !== row.name) {
    panel.dataset.name = row.name;
    const close = button("Close", () => { chosen = null; panel.hidden = true; grid.leave(); }, "quiet");
    panel.replaceChildren(element("div", { className: "title" }, element("h2", { textContent: row.name }), close),
      element("dl"), element("h3"), element("ol", { className: "readers" }));
  }
  const [, list, heading, readers] = panel.children;
  facts(list, {
    state: row.state, kept: `${number(row.next - row.oldest)} of ${number(row.max_items)} items`,
    bytes: `${bytes(row.bytes)} of ${bytes(row.max_bytes)}`, "first kept": number(row.oldest), next: number(row.next),
    where: row.durable ? "in a file" : "in memory",
  });
  const left = row.readers - row.reading.length;
  put(heading, row.readers ? `${number(row.readers)} ${row.readers === 1 ? "reader" : "readers"}${left > 0 ? `, of which ${row.reading.length} are shown` : ""}` : "No reader");
  while (readers.children.length > row.reading.length) readers.lastChild.remove();
  row.reading.forEach((reader, at) => {
    const line = readers.children[at]
      ?? readers.appendChild(element("li", {}, element("span"), element("div", { className: "bar" }, element("i")), element("small")));
    put(line.children[0], reader.by || "this process");
    line.children[1].firstChild.style.width = `${(100 * reader.offset) / Math.max(1, row.next)}%`;
    line.children[1].classList.toggle("full", reader.lag > 0);
    const lost = reader.offset < row.oldest ? ": that item is not kept any more" : "";
    line.children[2].classList.toggle("failed", Boolean(lost));
    put(line.children[2], `at ${number(reader.offset)}${reader.lag ? `, ${number(reader.lag)} behind` : ", has everything"}${lost}`);
  });
}

async function refresh() {
  await grid.refresh();
  if (chosen === null) return;
  const name = chosen, row = await grid.find(name, name);
  if (chosen !== name) return;
  if (row) drawPanel(row);
  else if (row === null) put($("h3", panel), "This stream is not kept any more.");
}

export const kept = { refresh };
