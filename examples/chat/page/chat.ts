/** The page: who joins which room, and what is typed there. */
import { connect, type Peer, PenstockError, type PeerState } from "@penstock/client";
import { converse, Outbox } from "./conversation.ts";
import type { ChatJoinRequest, Message } from "./service.ts";
import { at, View } from "./view.ts";

const STATES: Record<PeerState, string> = { connected: "connected", disconnected: "reconnecting …", closed: "closed" };
/** Where a tab keeps who has joined which room, for its next load. */
const JOINED = "penstock-chat";

/** Whether the page is being left: by a reload, as a rule, after which it joins again. */
let isLeft = false;

const form = at<HTMLFormElement>("join");
const say = at<HTMLFormElement>("say");
const text = at<HTMLTextAreaElement>("text");
const field = (name: string) => form.elements.namedItem(name) as HTMLInputElement;

function show(state: PeerState): void {
  at("state").textContent = STATES[state];
  document.body.dataset.state = state;
}

/** Since when the history is shown: 0 for all of it, nothing for none. */
function since(choice: string): number | null {
  return choice === "none" ? null : choice === "all" ? 0 : Date.now() - Number(choice) * 60_000;
}

async function open(join: ChatJoinRequest): Promise<void> {
  const url = new URL("flow/", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.hash = "";
  const peer = await connect(url);
  peer.onstate = show;
  show(peer.state);
  const leaving = new AbortController();
  addEventListener("pagehide", () => void peer.close(), { signal: leaving.signal }); // or its user would be away, not gone
  try {
    await talk(peer, join, leaving);
  } finally {
    leaving.abort();
    await peer.close();
  }
}

async function talk(peer: Peer, join: ChatJoinRequest, leaving: AbortController): Promise<void> {
  const [outbox, view] = [new Outbox(), new View(join.user)];
  say.onsubmit = (event) => {
    event.preventDefault();
    if (!text.value.trim()) return;
    const message: Message = { user: join.user, room: join.room, content: text.value, key: crypto.randomUUID() };
    at("wrong").textContent = "";
    view.say(message);
    outbox.add(message);
    text.value = "";
    fit();
  };
  at("leave").onclick = () => leaving.abort();
  enter(join);
  await converse(peer, join, outbox, (response) => view.hear(response), leaving.signal);
}

function enter({ room }: ChatJoinRequest): void {
  form.hidden = true;
  at("chat").hidden = false;
  at("room").textContent = room;
  at("wrong").textContent = "";
  document.title = `#${room}`;
  text.focus();
}

async function join(asked: ChatJoinRequest): Promise<void> {
  const button = form.querySelector("button") as HTMLButtonElement;
  button.disabled = true;
  at("why").textContent = "";
  sessionStorage.setItem(JOINED, JSON.stringify(asked));
  try {
    await open(asked);
  } catch (error) {
    at("why").textContent = error instanceof PenstockError ? error.message : String(error);
  }
  if (isLeft) return;
  sessionStorage.removeItem(JOINED);
  button.disabled = false;
  form.hidden = false;
  at("chat").hidden = true;
  document.title = "Chat";
  field("user").focus();
}

/** As high as its text, to a limit of the style sheet. */
function fit(): void {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight}px`;
}

addEventListener("pagehide", () => (isLeft = true));
addEventListener("pageshow", (event) => event.persisted && location.reload());
text.oninput = fit;
text.onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  say.requestSubmit();
};
const people = at<HTMLButtonElement>("people");
const showPeople = (isShown: boolean) => people.setAttribute("aria-expanded", String(isShown));
people.onclick = () => showPeople(people.getAttribute("aria-expanded") !== "true");
document.onkeydown = (event) => {
  if (event.key === "Escape") showPeople(false);
};
form.onsubmit = (event) => {
  event.preventDefault();
  const [user, room] = [field("user").value.trim(), field("room").value.trim()];
  location.hash = encodeURIComponent(room);
  void join({ user, room, since_timestamp: since(field("since").value) });
};

if (location.hash.length > 1) field("room").value = decodeURIComponent(location.hash.slice(1));
const before = sessionStorage.getItem(JOINED);
if (before !== null) void join(JSON.parse(before) as ChatJoinRequest);
