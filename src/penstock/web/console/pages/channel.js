// A channel to an actor: open it with a payload, see what the actor accepts it with, send messages, read its own, close it.

import { $, element, put, shown } from "./draw.js";
import { offerNames } from "./call.js";
import { channels, exact, lines, send } from "./wire.js";

const SHOWN = 500; // messages on the page
const section = $("#channel"), opening = $(".opening", section), talk = $(".talk", section);
const list = $(".messages", section), note = $(".opening .note", section);
let open = null; // {id, actor, leave} of the channel

/** What was typed: a JSON value, or else the text itself. */
function valueOf(text) {
  try { return exact(text); } catch { return text; }
}

function add(who, className, value) {
  const isBelow = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(element("li", { className }, element("small", { textContent: who }), element("pre", { textContent: shown(value, 5000) })));
  if (list.children.length > SHOWN) list.firstChild.remove();
  if (isBelow) list.scrollTop = list.scrollHeight;
}

function showState() {
  opening.open.textContent = open ? "Give up" : "Open";
  talk.hidden = !open?.id;
  opening.actor.disabled = opening.payload.disabled = Boolean(open);
}

async function begin() {
  const mine = open = { id: "", actor: opening.actor.value.trim(), leave: new AbortController() };
  list.replaceChildren();
  put(note, `Waiting until ${mine.actor} accepts it …`);
  showState();
  try {
    const payload = opening.payload.value.trim();
    const body = { actor: mine.actor, ...(payload ? { payload: valueOf(payload) } : {}) };
    for await (const event of lines(await send("call/Penstock.Channels/open", body, { signal: mine.leave.signal }))) take(mine, exact(event));
    if (mine.id) add("", "said", "The stream of its events has ended.");
  } catch (error) {
    put(note, error.name === "AbortError" ? "The channel was left." : error.message);
  }
  if (open === mine) open = null;
  showState();
}

function take(mine, { kind, id, value, reason }) {
  if (kind === "opened") {
    mine.id = id;
    put(note, "");
    add("", "said", value === null ? `${mine.actor} has accepted the channel.` : `${mine.actor} has accepted the channel with:\n${shown(value)}`);
    showState();
    talk.text.focus();
  } else if (kind === "message") add(mine.actor, "theirs", value);
  else {
    add("", "said", `The channel is closed${reason ? `: ${reason}` : "."}`);
    mine.id = "";
    showState();
  }
}

opening.onsubmit = (event) => {
  event.preventDefault();
  if (open) open.leave.abort(); else begin();
};
talk.onsubmit = async (event) => {
  event.preventDefault();
  const text = talk.text.value;
  if (!text || !open?.id) return;
  talk.text.value = "";
  add("you", "mine", valueOf(text));
  try { await channels("send", { channel: open.id, message: valueOf(text) }); } catch (error) { add("", "said failed", `Not sent: ${error.message}`); }
};
$("[name=close]", talk).onclick = async () => {
  try { await channels("close", { channel: open.id, reason: "closed from the console" }); } catch (error) { add("", "said failed", error.message); }
};
offerNames(opening.actor, $("#talkers"), false);
showState();

export const channel = {
  refresh: async () => {},
  of: (actor) => { if (!open) { opening.actor.value = actor; opening.open.focus(); } },
};
