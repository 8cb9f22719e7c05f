// What the views draw with: elements from texts, never from markup, and figures for people.

export const $ = (selector, within = document) => within.querySelector(selector);

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A text of others in the order in which it was written: marks that turn it around, and controls, show as their numbers. */
export const plain = (text) => text.replace(UNSEEN, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** Give a node its text. Nothing is drawn anew when it stays the same. */
export function put(node, text) {
  const seen = plain(text);
  if (node.textContent !== seen) node.textContent = seen;
}

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
export const number = (value) => whole.format(value);
export const compact = (value) => (value < 10_000 ? whole.format(value) : short.format(value));
export const rate = (value) => (value === 0 ? "0" : value < 10 ? value.toFixed(1) : compact(Math.round(value)));

export function bytes(size) {
  if (size < 1024) return `${size} B`;
  const unit = Math.min(4, Math.floor(Math.log2(size) / 10));
  const count = size / 1024 ** unit;
  return `${count < 10 ? count.toFixed(1) : Math.round(count)} ${["", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

export function duration(seconds) {
  if (seconds < 1) return seconds < 0.001 ? `${Math.round(seconds * 1e6)} µs` : `${rate(seconds * 1000)} ms`;
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

/** A value as JSON; of a large one the beginning, because a page that draws megabytes stands still. */
export function shown(value, most = 20_000) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return text.length <= most ? plain(text) : `${plain(text.slice(0, most))}\n… ${bytes(text.length)} in all; the rest is not shown`;
}

/** A bar in a cell: which part of a whole is used. */
export function bar(cell, part, whole_, text) {
  if (!cell.firstChild) cell.append(element("span", { className: "bar" }, element("i")), element("span"));
  const used = whole_ > 0 ? Math.min(1, part / whole_) : 0;
  cell.firstChild.classList.toggle("full", used >= 0.8);
  cell.firstChild.firstChild.style.width = `${100 * used}%`;
  put(cell.lastChild, text);
}

/** A list of facts: names and texts. It is made once, and then its texts change. */
export function facts(list, pairs) {
  const names = Object.keys(pairs);
  if (list.children.length !== names.length) {
    list.replaceChildren(...names.map((name) => element("div", {}, element("dt", { textContent: name }), element("dd"))));
  }
  names.forEach((name, at) => { put(list.children[at].firstChild, name); put(list.children[at].lastChild, pairs[name]); });
}

export function button(label, onclick, className = "") {
  return element("button", { type: "button", textContent: label, className, onclick });
}

/** Call `work` when no further call has come for a moment. */
export function settled(work, after = 150) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(work, after); };
}
