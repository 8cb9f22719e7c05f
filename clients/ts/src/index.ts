/** `@penstock/client`: typed streams under backpressure from a browser or Node to a Penstock server. */
export { connect, type ConnectOptions } from "./connect.ts";
export { type Arguments, Peer, type PeerState } from "./peer.ts";
export { type Kind, type Method, service, type Service } from "./service.ts";
export { Actor, type SubscribeOptions } from "./actors/actor.ts";
export { Channel } from "./actors/channel.ts";
export type { CallOptions, StreamOptions } from "./calls/options.ts";
export type { Items } from "./calls/requests.ts";
export { Follower, type FollowOptions, type Kept } from "./calls/follower.ts";
export { Dropped } from "./calls/marks.ts";
export { Stream } from "./calls/stream.ts";
export { CallFailed, Cancelled, Code, ConnectionLost, PenstockError } from "./errors.ts";
export { Extension } from "./core/msgpack/index.ts";
