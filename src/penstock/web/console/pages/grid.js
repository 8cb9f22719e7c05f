// A table of which only the rows in sight exist. The node filters, sorts and cuts; a scroll, a sort or a second asks anew.

import { $, element, number, put, settled } from "./draw.js";

const FOUND_MOST = 500; // rows that a look for one of them gets
const AROUND = 6; // rows that are drawn beyond each edge, so that a slow scroll finds them there

export class Grid {
  /**
   * host: the element that gets the table. columns: {label, sort?, kind?, title?, draw(cell, row)}. load: asks for a part.
   * key: names a row. onSelect, onFold: what a click or a key does. empty: the text for a table without rows.
   */
  constructor(host, { label, columns, load, key, onSelect, onFold, empty, sort = "" }) {
    Object.assign(this, { columns, load, key, onSelect, onFold, sort, text: "", selected: null, wanted: null });
    this.part = { all: 0, matching: 0, skip: 0, rows: [] };
    this.known = new Map();
    this.body = element("tbody", { className: "rows" });
    this.above = element("tbody", { ariaHidden: "true" }, element("tr", {}, element("td")));
    this.below = element("tbody", { ariaHidden: "true" }, element("tr", {}, element("td")));
    this.heads = columns.map((column) => this.#head(column));
    const head = element("thead", {}, element("tr", {}, ...this.heads));
    this.table = element("table", { ariaLabel: label, role: onFold ? "treegrid" : "grid" }, head, this.above, this.body, this.below);
    this.empty = element("p", { className: "empty", textContent: empty, hidden: true });
    this.scroll = element("div", { className: "scroll", tabIndex: -1 }, this.table, this.empty);
    this.note = element("p", { className: "note", role: "status" });
    host.append(this.scroll, this.note);
    this.scroll.addEventListener("scroll", settled(() => this.refresh().catch(() => {}), 60), { passive: true });
    this.body.onkeydown = (event) => this.#onKey(event);
    this.body.addEventListener("focusin", () => this.#keepStop());
    this.#showSort();
  }

  #head(column) {
    const head = element("th", { scope: "col", className: column.kind ?? "", title: column.title ?? "" });
    if (!column.sort) { head.textContent = column.label; return head; }
    head.append(element("button", { type: "button", textContent: column.label, onclick: () => this.#sortBy(column.sort, column.kind) }));
    return head;
  }

  #sortBy(sort, kind) { // figures begin with the largest; the third click gives the order of the table back
    const [first, second] = kind?.includes("n") ? [`-${sort}`, sort] : [sort, `-${sort}`];
    this.sort = this.sort === first ? second : this.sort === second ? "" : first;
    this.#showSort();
    this.top();
  }

  #showSort() {
    this.columns.forEach(({ sort }, at) => {
      if (!sort) return;
      this.heads[at].ariaSort = this.sort === sort ? "ascending" : this.sort === `-${sort}` ? "descending" : "none";
    });
  }

  /** All rows have one height. To measure it lays the page out, so it is measured once for each width of the window. */
  get rowHeight() {
    if (this.measuredAt !== innerWidth && this.body.rows[0]) {
      const { height } = this.body.rows[0].getBoundingClientRect();
      if (height) { this.height = height; this.measuredAt = innerWidth; }
    }
    return this.height ?? 32;
  }

  /** Show the first rows, after a change of what is wanted. */
  top() { this.scroll.scrollTop = 0; return this.refresh().catch(() => {}); } // the next second tells of an error

  /** Ask for the rows in sight, and draw them. While one question is open, the next one waits for its answer. */
  async refresh() {
    if (this.asking) { this.stale = true; return; }
    this.asking = true;
    try {
      do {
        this.stale = false;
        const height = this.rowHeight, first = Math.max(0, Math.floor(this.scroll.scrollTop / height) - AROUND);
        const limit = Math.ceil((this.scroll.clientHeight || 600) / height) + 2 * AROUND;
        this.part = await this.load({ text: this.text, sort: this.sort, skip: first, limit });
        this.draw();
      } while (this.stale);
    } finally { this.asking = false; }
  }

  draw() {
    const { rows, skip, matching, all } = this.part, height = this.rowHeight;
    this.above.rows[0].style.height = `${skip * height}px`;
    this.below.rows[0].style.height = `${Math.max(0, matching - skip - rows.length) * height}px`;
    this.table.ariaRowCount = String(matching + 1);
    const seen = new Set();
    let place = this.body.firstChild;
    rows.forEach((row, at) => {
      const key = this.key(row);
      seen.add(key);
      let line = this.known.get(key);
      if (!line) this.known.set(key, line = this.#line(key));
      if (line === place) place = place.nextSibling; else this.body.insertBefore(line, place);
      line.item = row;
      line.ariaRowIndex = String(skip + at + 2);
      line.ariaSelected = String(key === this.selected);
      this.columns.forEach((column, which) => column.draw(line.cells[which], row, line));
    });
    for (const [key, line] of this.known) if (!seen.has(key)) { line.remove(); this.known.delete(key); }
    this.empty.hidden = rows.length > 0;
    this.table.hidden = !rows.length && !matching && !this.text;
    const chosen = matching < all ? `, chosen from ${number(all)}` : "";
    put(this.note, rows.length ? `${number(skip + 1)}–${number(skip + rows.length)} of ${number(matching)}${chosen}` : this.text ? `none of ${number(all)} matches` : "");
    this.#keepFocus();
    this.#keepStop();
  }

  /** One row can be reached by Tab, and the arrows lead to the others: the row that had the focus, or the first one. */
  #keepStop() {
    const focused = this.body.contains(document.activeElement) ? document.activeElement.closest("tr") : null;
    const stop = focused ?? (this.stop?.isConnected ? this.stop : this.body.firstChild);
    if (this.stop && this.stop !== stop) this.stop.tabIndex = -1;
    if (stop) stop.tabIndex = 0;
    this.stop = stop;
  }

  #line(key) {
    const line = element("tr", { tabIndex: -1 }, ...this.columns.map(({ kind }) => element("td", { className: kind ?? "" })));
    if (this.onSelect) line.onclick = () => this.select(key, line.item);
    return line;
  }

  select(key, item) {
    this.selected = key;
    for (const [one, line] of this.known) line.ariaSelected = String(one === key);
    if (item) this.onSelect?.(item);
  }

  /** Select no row any more: the panel of one was closed, and the focus goes back to it. */
  leave() {
    const line = this.known.get(this.selected) ?? this.stop;
    this.select(null);
    line?.focus();
  }

  /** The row with a key as it is now; null when it is gone, undefined when too many others have this text. */
  async find(key, text) {
    const named = (row) => this.key(row) === key, here = this.part.rows.find(named);
    if (here) return here;
    const { rows, matching } = await this.load({ text, limit: FOUND_MOST });
    return rows.find(named) ?? (matching > rows.length ? undefined : null);
  }

  #onKey(event) {
    const line = event.target.closest("tr"), at = Number(line?.ariaRowIndex) - 2;
    if (event.target !== line) return;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.part.matching - 1 }[event.key];
    if (to !== undefined) { event.preventDefault(); this.#focus(Math.max(0, Math.min(this.part.matching - 1, to))); }
    if (event.key === "Enter" && this.onSelect) this.select(this.key(line.item), line.item);
    if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && this.onFold) this.onFold(line.item, event.key === "ArrowLeft");
  }

  #focus(place) {
    this.wanted = place;
    const height = this.rowHeight, top = place * height, { scrollTop, clientHeight } = this.scroll;
    if (top < scrollTop) this.scroll.scrollTop = top;
    else if (top + 2 * height > scrollTop + clientHeight) this.scroll.scrollTop = top + 2 * height - clientHeight;
    this.#keepFocus();
  }

  #keepFocus() {
    if (this.wanted === null) return;
    const line = this.body.rows[this.wanted - this.part.skip];
    if (line) { line.focus({ preventScroll: true }); this.wanted = null; this.#keepStop(); }
  }
}

/** Join the search field of a section to its table. */
export function searched(section, grid) {
  const field = $("input[type=search]", section);
  field.oninput = settled(() => { grid.text = field.value; grid.top(); });
}
