/** The cases of calls and retained streams, in Node, over TCP and over WebSocket. */
import { calls } from "./cases/calls.ts";
import { follow } from "./cases/follow.ts";
import { run } from "./node_world.ts";

run("tcp", { ...calls, ...follow });
run("ws", { ...calls, ...follow });
