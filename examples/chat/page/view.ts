/** What the page shows. It knows elements and no connection; all texts of others enter as text. */
import type { ChatResponse, Message, User } from "./service.ts";

const SHOWN_MAX = 1_000;
const NEAR_END_PX = 80;

export const at = <E extends HTMLElement>(id: string): E => document.getElementById(id) as E;

function made<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  name: string,
  ...inside: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.className = name;
  element.append(...inside);
  return element;
}

function avatar(name: string): HTMLElement {
  const element = made("span", "avatar", [...name.trim()].slice(0, 2).join("").toUpperCase());
  const hue = [...name].reduce((sum, letter) => (sum * 31 + (letter.codePointAt(0) ?? 0)) % 360, 7);
  element.style.setProperty("--hue", String(hue));
  element.setAttribute("aria-hidden", "true");
  return element;
}

/** The messages of a room, and those who are there. */
export class View {
  readonly #me: string;
  readonly #log = at("log");
  readonly #list = at("messages");
  readonly #newer = at<HTMLButtonElement>("newer");
  readonly #users = new Map<string, User>();
  /** The messages that are to be answered, by their keys. */
  readonly #mine = new Map<string, HTMLElement>();
  #isLive = false;
  #unseen = 0;

  constructor(me: string) {
    this.#me = me;
    this.#list.replaceChildren();
    this.#newer.onclick = () => this.#toEnd();
    this.#log.onscroll = () => this.#isAtEnd() && this.#saw();
    document.onvisibilitychange = () => this.#isAtEnd() && this.#saw();
  }

  /** Show a message that is on its way. */
  say(message: Message): void {
    const item = this.#itemOf(message, "sending");
    this.#mine.set(message.key as string, item);
    this.#list.append(item);
    this.#toEnd();
  }

  hear({ type, message, users, user_joined, user_left, error_message }: ChatResponse): void {
    const wasAtEnd = this.#isAtEnd();
    if (type === "message" && message) this.#said(message);
    else if (type === "ack" && users) this.#present(users);
    else if (type === "ack" && message) this.#answered(message, "delivered", "✓");
    else if (type === "error") this.#refused(error_message ?? "refused", message);
    else if (user_joined) this.#came({ name: user_joined, joined_at: Date.now(), message_count: 0 });
    else if (user_left) this.#left(user_left);
    if (wasAtEnd) this.#toEnd();
  }

  #present(users: User[]): void {
    this.#users.clear();
    for (const user of users) this.#users.set(user.name, user);
    this.#isLive = true;
    this.#drawUsers();
  }

  #came(user: User): void {
    this.#users.set(user.name, user);
    this.#list.append(made("li", "event", `${user.name} has joined`));
    this.#drawUsers();
  }

  #left(name: string): void {
    this.#users.delete(name);
    this.#list.append(made("li", "event", `${name} has left`));
    this.#drawUsers();
  }

  #said(message: Message): void {
    const user = this.#users.get(message.user);
    if (user && this.#isLive) {
      user.message_count = (user.message_count ?? 0) + 1;
      this.#drawUsers();
    }
    const sent = this.#mine.get(message.key ?? "");
    const isMine = sent !== undefined && message.user === this.#me;
    const item = this.#itemOf(message, isMine ? (sent.dataset.state ?? "") : "");
    if (isMine) {
      sent.remove();
      this.#mine.set(message.key as string, item);
    }
    this.#list.append(item);
    while (this.#list.childElementCount > SHOWN_MAX) this.#list.firstElementChild?.remove();
    if (!this.#isAtEnd() || document.hidden) this.#unread();
  }

  #answered(message: Message, state: string, mark: string): void {
    const item = this.#mine.get(message.key ?? "");
    if (item === undefined) return;
    item.dataset.state = state;
    item.querySelector(".mark")?.replaceChildren(mark);
    this.#mine.delete(message.key ?? "");
  }

  #refused(why: string, message: Message | null | undefined): void {
    if (message) this.#answered(message, "refused", why);
    at("wrong").textContent = `Not sent: ${why}.`;
  }

  #itemOf({ user, content, timestamp }: Message, state: string): HTMLElement {
    const when = new Date(timestamp || Date.now());
    const time = made("time", "", when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
    time.dateTime = when.toISOString();
    const who = made("p", "who", made("b", "", user), " ", time);
    const mark = made("span", "mark", state === "sending" ? "…" : "");
    const item = made("li", "said", avatar(user), made("div", "bubble", who, made("p", "text", content ?? ""), mark));
    item.dataset.state = state;
    item.classList.toggle("own", user === this.#me);
    item.dataset.by = `${user} ${time.textContent}`;
    const last = this.#list.lastElementChild as HTMLElement | null;
    item.classList.toggle("more", last?.dataset.by === item.dataset.by);
    return item;
  }

  #drawUsers(): void {
    const users = [...this.#users.values()].sort(
      (a, b) => Number(b.name === this.#me) - Number(a.name === this.#me) || a.name.localeCompare(b.name),
    );
    at("members").replaceChildren(
      ...users.map(({ name, message_count }) => {
        const count = made("span", "count", String(message_count ?? 0));
        count.title = "messages";
        const you = name === this.#me ? [made("i", "", "you")] : [];
        const item = made("li", "member", avatar(name), made("span", "name", name), ...you, count);
        item.setAttribute("aria-label", `${name}, ${message_count ?? 0} messages`);
        return item;
      }),
    );
    at("count").textContent = String(users.length);
  }

  #isAtEnd(): boolean {
    return this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < NEAR_END_PX;
  }

  #toEnd(): void {
    this.#log.scrollTop = this.#log.scrollHeight;
    if (!document.hidden) this.#saw();
  }

  #unread(): void {
    this.#unseen += 1;
    this.#drawUnread();
  }

  #saw(): void {
    if (document.hidden || this.#unseen === 0) return;
    this.#unseen = 0;
    this.#drawUnread();
  }

  #drawUnread(): void {
    this.#newer.hidden = this.#unseen === 0;
    this.#newer.textContent = `${this.#unseen} new ↓`;
    document.title = document.title.replace(/^(\(\d+\) )?/, this.#unseen > 0 ? `(${this.#unseen}) ` : "");
  }
}
