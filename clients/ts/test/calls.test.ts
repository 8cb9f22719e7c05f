/** The cases of calls, in Node, over TCP and over WebSocket. */
import { calls } from "./cases/calls.ts";
import { run } from "./node_world.ts";

run("tcp", calls);
run("ws", calls);
