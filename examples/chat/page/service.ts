// Written by `penstock typescript`: write it anew when the service has changed.
import { service, type CallOptions, type Items, type Service, type Stream, type StreamOptions } from "@penstock/client";

export interface Message {
  user: string;
  room: string;
  content?: string;
  id?: number;
  timestamp?: number;
  key?: string;
}

export interface ChatResponse {
  type: "ack" | "error" | "message" | "user_joined" | "user_left";
  message?: Message | null;
  users?: User[] | null;
  timestamp?: number | null;
  user_joined?: string | null;
  user_left?: string | null;
  error_message?: string | null;
}

export interface User {
  name: string;
  joined_at: number;
  message_count?: number;
}

export interface BatchSummary {
  total_messages: number;
  total_characters: number;
  users: string[];
  timestamp: number;
}

export interface SubscribeRequest {
  room: string;
  user: string;
  since_timestamp?: number | null;
}

/** The same, of one who also talks. */
export interface ChatJoinRequest {
  room: string;
  user: string;
  since_timestamp?: number | null;
}

export interface Chat {
  /** Say something in a room. An `ack` has the message with its id and timestamp; an `error` says why it is not taken. */
  send_message(message: Message, options?: CallOptions): Promise<ChatResponse>;
  /** Say many things, and get one summary at the end. */
  send_message_batch(requests: Items<Message>, options?: StreamOptions): Promise<BatchSummary>;
  /** List those who are in a room, and how many messages each has said there. */
  members(room: string, options?: CallOptions): Promise<User[]>;
  /** Hear a room: first what was said after `since_timestamp`, then what is said from now on, without a gap between. */
  subscribe_to_room(request: SubscribeRequest, options?: StreamOptions): Stream<ChatResponse>;
  /** Hear what was said, an `ack` with those who are here, and what happens; each message is answered, in their order. */
  join_chat(requests: Items<Message>, join: ChatJoinRequest, options?: StreamOptions): Stream<ChatResponse>;
}

export const Chat: Service<Chat> = service("Chat", {
  send_message: ["unary", "message"],
  send_message_batch: ["client_streaming"],
  members: ["unary", "room"],
  subscribe_to_room: ["server_streaming", "request"],
  join_chat: ["bidirectional", "join"],
});
