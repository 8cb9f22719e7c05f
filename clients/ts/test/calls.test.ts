/** The cases of calls both ways, retained streams and actors, in Node, over TCP and over WebSocket. */
import { actors } from "./cases/actors.ts";
import { calls } from "./cases/calls.ts";
import { follow } from "./cases/follow.ts";
import { refs } from "./cases/refs.ts";
import { serving } from "./cases/serving.ts";
import { run } from "./node_world.ts";

run("tcp", { ...calls, ...follow, ...actors, ...refs, ...serving });
run("ws", { ...calls, ...follow, ...actors, ...refs, ...serving });
