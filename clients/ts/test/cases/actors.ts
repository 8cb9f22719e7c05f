/** Actors, their ports and channels. They run in Node over each transport, and in a browser. */
import { CallFailed, Cancelled, Code, Dropped } from "../../src/index.ts";
import { check, collected, rejects, same, until } from "../check.ts";
import type { Cases } from "./world.ts";

export const actors: Cases = {
  "an actor answers what it is asked, in the order of the asks": async ({ peer }) => {
    const counter = peer.actor("counters/blue");
    const before = await counter.ask<number>("add", [0]);
    const sums = await Promise.all([1, 2, 3].map((number) => counter.ask("add", [number])));
    same(sums, [before + 1, before + 3, before + 6]);
    same(await counter.ask("add", { k: 4 }), before + 10);
  },

  "what is told comes before what is asked later": async ({ peer }) => {
    const counter = peer.actor("counters/blue");
    const before = await counter.ask<number>("add", [0]);
    for (let count = 0; count < 100; count++) void counter.tell("add");
    same(await counter.ask("add", [0]), before + 100);
  },

  "an ask that fails has its own error, and the lane goes on": async ({ peer }) => {
    const counter = peer.actor("counters/blue");
    await rejects(counter.ask("fail"), { code: Code.FAILED_PRECONDITION, message: "it cannot" });
    await rejects(counter.ask("ad"), { code: Code.UNIMPLEMENTED, started: false });
    await rejects(counter.ask("add", ["x"]), { code: Code.INVALID_ARGUMENT });
    check((await counter.ask<number>("add", [0])) >= 0);
  },

  "an actor that is not there is code 5": async ({ peer }) => {
    await rejects(peer.actor("nobody").ask("add"), { code: Code.NOT_FOUND });
  },

  "an ask is given up by its signal, and by its deadline": async ({ peer }) => {
    const counter = peer.actor("counters/blue");
    const controller = new AbortController();
    const slow = counter.ask("slow", [], { signal: controller.signal });
    controller.abort("enough");
    same((await rejects(slow, Cancelled)).cause, "enough");
    await rejects(counter.ask("slow", [], { deadlineMs: 20 }), { code: Code.DEADLINE_EXCEEDED });
    check((await counter.ask<number>("add", [0])) >= 0);
  },

  "what was told is handled, though the peer is closed at once": async ({ peer, connect }) => {
    const counter = peer.actor("counters/blue");
    const before = await counter.ask<number>("add", [0]);
    const other = await connect();
    for (let count = 0; count < 50; count++) void other.actor("counters/blue").tell("add");
    await other.close();
    same(await counter.ask("add", [0]), before + 50);
  },

  "asks and tells go on over cut connections, each once": async ({ through }) => {
    const [peer, path] = await through();
    const counter = peer.actor("counters/blue");
    const before = await counter.ask<number>("add", [0]);
    for (let count = 0; count < 40; count++) {
      void counter.tell("add");
      if (count % 10 === 0) await path.cut();
    }
    same(await counter.ask("add", [0]), before + 40);
  },

  "a method of an actor streams": async ({ peer }) => {
    same(await collected(peer.actor("counters/blue").stream("up", [4])), [0, 1, 2, 3]);
  },

  "a subscriber gets what a port publishes, and is told what it has missed": async ({ peer }) => {
    const counter = peer.actor("counters/blue");
    const ticks = counter.subscribe<number>("ticks", { bufferSize: 2 });
    const first = ticks.next();
    await until(async () => {
      await counter.ask("publish", [1]);
      return Promise.race([first.then(() => true), new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 5))]);
    });
    await counter.ask("publish", [1000]);
    const items: unknown[] = [];
    for await (const item of ticks) {
      items.push(item);
      if (item === 999) break;
    }
    check(items.some((item) => item instanceof Dropped && item.count > 900));
  },

  "a channel is accepted with a payload, talks both ways, and is closed with a reason": async ({ peer }) => {
    const channel = await peer.actor("barber").openChannel<string, string>("hair");
    same(channel.accepted, { price: 20 });
    await channel.send("shorter");
    await channel.send("longer");
    same(await channel.receive(), { value: "shorter: done", done: false });
    same(await channel.receive(), { value: "longer: done", done: false });
    await channel.send("enough");
    same((await channel.receive()).done, true);
    same(channel.reason, "the shop is closed");
    const error = await rejects(channel.send("more"), { code: Code.FAILED_PRECONDITION });
    check(error.message.includes("the shop is closed"));
  },

  "a channel that is half-closed hears the rest; one that is closed hears nothing": async ({ peer }) => {
    const channel = await peer.actor("barber").openChannel<string, string>();
    void channel.send("one");
    void channel.send("two");
    channel.closeSend();
    same(await collected(channel), ["one: done", "two: done"]);
    const other = await peer.actor("barber").openChannel<string, string>();
    other.close("no time");
    same(await collected(other), []);
  },

  "a channel that fails behind its half-close has ended for its reader, and fails for what is sent (6.10)": async ({
    peer,
  }) => {
    const channel = await peer.actor("barber").openChannel<string, string>("in a hurry");
    same(await collected(channel), ["done"]);
    await channel.send("shorter, please");
    const refused = { code: Code.RESOURCE_EXHAUSTED, message: "there is no time" };
    await until(() =>
      channel.send("please").then(
        () => false,
        () => true,
      ),
    );
    await rejects(channel.send("please"), refused);
    same((await channel.receive()).done, true);
  },

  "a channel that is refused rejects with the reason": async ({ peer }) => {
    const error = (await rejects(peer.actor("barber").openChannel("beard"), CallFailed)) as CallFailed;
    same([error.code, error.reason, error.message], [Code.FAILED_PRECONDITION, "channel_rejected", "no beards on Friday"]);
  },
};
