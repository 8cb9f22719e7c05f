// The history: its events as they are recorded, a check of its chain, and a replay of an actor.

import { $, element, number, plain, put, shown } from "./draw.js";
import { control, exact, lines, NoAnswer, send, verify as verifyChain } from "./wire.js";

const SHOWN = 250; // events on the page: as many as one frame draws
const WAIT = "Newer events wait until no event is shown whole.";
const section = $("#history"), form = $("form", section), list = $(".events", section);
const note = $("form .note", section), verdict = $(".verdict", section);
let following = null;
let recorded = null;
let drawWaiting = () => {};
let begun = false; // the first look shows the newest events, and later ones what the form says
let cut = false; // the connection was lost while events came: they are asked for again when the node answers

function eventLine(one) {
  const data = JSON.stringify(one.data);
  const line = element("li", { tabIndex: -1, title: one.hash },
    element("span", { className: "offset", textContent: `#${one.offset}` }),
    element("time", { textContent: new Date(one.time * 1000).toLocaleTimeString([], { hour12: false }) }),
    element("span", { className: "actor", textContent: one.actor }), element("span", { className: one.kind, textContent: one.kind }),
    element("span", { className: "data", textContent: plain(data.length > 300 ? `${data.slice(0, 300)}…` : data) }));
  line.onclick = () => unfold(line, one);
  line.onkeydown = (event) => { if (event.key === "Enter") unfold(line, one); };
  return line;
}

function unfold(line, one) {
  const open = $("pre", line);
  if (open) { open.remove(); drawWaiting(); return; }
  if (!String(getSelection())) line.append(element("pre", { textContent: shown(one.data) }));
}

/**
 * Events come in bursts: a burst is drawn once, in the next frame, and what would scroll off is not drawn at all. While one is
 * shown whole, newer ones wait, so that it stays where it is read.
 */
function drawer() {
  let waiting = [], asked = false;
  const draw = drawWaiting = () => {
    asked = false;
    const isRead = Boolean($("pre", list));
    if (isRead && waiting.length) put(note, WAIT);
    else if (note.textContent === WAIT) put(note, "");
    if (isRead) return;
    list.prepend(...waiting.reverse().map(eventLine));
    waiting = [];
    while (list.children.length > SHOWN) list.lastChild.remove();
  };
  return (one) => {
    waiting.push(one);
    if (waiting.length > SHOWN) waiting = waiting.slice(-SHOWN);
    if (!asked) { asked = true; requestAnimationFrame(draw); }
  };
}

async function show(event) {
  event?.preventDefault();
  following?.abort();
  begun = true;
  cut = false;
  const mine = following = new AbortController();
  list.replaceChildren();
  put(note, "");
  const query = { actor: form.actor.value.trim() || "**", search: form.search.value, follow: form.follow.checked, last: SHOWN };
  const draw = drawer();
  let any = false;
  try {
    for await (const line of lines(await send("call/Penstock.Control/events", { query }, { signal: mine.signal }))) {
      if (mine.signal.aborted) return;
      draw(exact(line));
      any = true;
    }
    put(note, any ? "These are the last events." : "No event matches.");
  } catch (error) {
    if (error.name !== "AbortError") put(note, error.message);
    if (following === mine) cut = error instanceof NoAnswer || error instanceof TypeError;
  }
  if (following === mine) following = null;
}

function say(good, heading, text) {
  verdict.hidden = false;
  verdict.className = `verdict ${good === null ? "" : good ? "good" : "bad"}`;
  verdict.replaceChildren(element("b", { textContent: heading }), element("span", { textContent: text }));
}

async function verify() {
  say(null, "Checking the chain …", "");
  try {
    const { ok, text, head } = await verifyChain();
    say(ok, ok ? "The chain is whole." : "The chain is broken.", head ? `${text}. Its head is event ${number(head[0])}, ${head[1]}.` : `${text}.`);
  } catch (error) { say(false, "It could not be checked.", error.message); }
}

async function replay() {
  const actor = form.actor.value.trim();
  if (!actor || actor.includes("*")) { say(false, "Name one actor to replay.", "Write its name above."); form.actor.focus(); return; }
  say(null, `Replaying ${actor} …`, "");
  try {
    const { divergence, recorded: messages, events, compared, left_out: leftOut, stopped } = await control("replay", { actor });
    const left = Object.entries(leftOut).map(([kind, count]) => `${number(count)} ${kind}`).join(", ");
    const said = `${number(events)} of ${number(messages)} recorded messages were fed to a fresh actor, ${number(compared)} outcomes were compared`
      + `${left ? `, and ${left} were left out` : ""}.`;
    if (divergence) say(false, `It went another way at event ${number(divergence.offset)}.`, `${said} ${shown(divergence, 2000)}`);
    else say(!stopped, stopped ? "It stopped." : "It went the same way.", stopped ? `${said} ${stopped}` : said);
  } catch (error) { say(false, "It could not be replayed.", error.message); }
}

/** The list is one stop of Tab, and the arrows lead through its events. */
list.onkeydown = (event) => {
  const now = event.target.closest("li");
  const next = { ArrowDown: now ? now.nextElementSibling : list.firstChild, ArrowUp: now?.previousElementSibling, Home: list.firstChild, End: list.lastChild }[event.key];
  if (!next) return;
  event.preventDefault();
  next.focus();
};

form.onsubmit = show;
$("[name=verify]", section).onclick = verify;
$("[name=replay]", section).onclick = replay;

export const history = {
  refresh: async () => { if (recorded && (!begun || cut)) show(); },
  of: (actor) => { form.actor.value = actor; show(); },
  records: () => Boolean(recorded),
  facts: (view) => {
    recorded = view;
    $(".off", section).hidden = Boolean(view);
    form.hidden = list.hidden = !view;
  },
};
