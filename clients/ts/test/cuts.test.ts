/** The cases of connections that are cut, in Node, over TCP and over WebSocket. */
import { resume } from "./cases/resume.ts";
import { run } from "./node_world.ts";

run("tcp", resume);
run("ws", resume);
