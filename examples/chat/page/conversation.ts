/** One user in one room, over every loss: nothing that was said or heard is lost, and nothing doubled. */
import { CallFailed, Code, ConnectionLost, type Peer } from "@penstock/client";
import { Chat, type ChatJoinRequest, type ChatResponse, type Message } from "./service.ts";

const PAUSE_MS = 500;

/** What a user has said and the room has not answered. A call takes it from the beginning, and so does the next call. */
export class Outbox {
  readonly #messages: Message[] = [];
  #taken = 0;
  #wake = () => {};

  add(message: Message): void {
    this.#messages.push(message);
    this.#wake();
  }

  answered(key: string | undefined): void {
    const place = this.#messages.findIndex((message) => message.key === key);
    if (place < 0) return;
    this.#messages.splice(place, 1);
    if (place < this.#taken) this.#taken -= 1;
  }

  async *messages(): AsyncGenerator<Message> {
    this.#taken = 0;
    for (;;) {
      const next = this.#messages[this.#taken];
      if (next === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
      else {
        this.#taken += 1;
        yield next;
      }
    }
  }
}

/**
 * Be in a room until `signal` aborts. A cut connection is made again by the peer, and the call goes on at its next item. When
 * the server has lost the call, too, this joins again: with what was said since the last message, and with what the outbox has.
 * The room keeps a message once, by its key.
 */
export async function converse(
  peer: Peer,
  join: ChatJoinRequest,
  outbox: Outbox,
  hear: (response: ChatResponse) => void,
  signal: AbortSignal,
): Promise<void> {
  let since = join.since_timestamp ?? null;
  const chat = peer.service(Chat);
  for (;;) {
    try {
      for await (const response of chat.join_chat(outbox.messages(), { ...join, since_timestamp: since }, { signal })) {
        since = response.type === "message" ? (response.message?.timestamp ?? since) : (response.timestamp ?? since);
        if (response.type === "ack" || response.type === "error") outbox.answered(response.message?.key);
        hear(response);
      }
      return;
    } catch (error) {
      if (signal.aborted) return;
      if (!isPassing(error) || peer.state === "closed") throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

/** Whether joining again may help: the server went away, or this listener was too far behind. */
function isPassing(error: unknown): boolean {
  const again: Code[] = [Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE];
  return error instanceof ConnectionLost || (error instanceof CallFailed && again.includes(error.code));
}
