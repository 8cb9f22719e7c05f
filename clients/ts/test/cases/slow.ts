/** A consumer that takes its time. */
import { check, until } from "../check.ts";
import type { Cases } from "./world.ts";

const ITEMS_AHEAD = 16;
const SECONDS = 3;

export const slow: Cases = {
  "one item a second from a producer that could make many thousands: it is bufferSize ahead, and waits": async ({ peer }) => {
    const made = async () => (await peer.call<[number, number]>("Market/progress"))[0];
    let taken = 0;
    for await (const item of peer.stream<number>("Market/count", [1e9], { bufferSize: ITEMS_AHEAD })) {
      taken += 1;
      check(item === taken - 1, `${item}, where ${taken - 1} is next`);
      await until(async () => (await made()) >= taken + ITEMS_AHEAD / 2);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const count = await made();
      check(count <= taken + ITEMS_AHEAD + 1, `${count} made, where ${taken} were taken`);
      if (taken === SECONDS) return;
    }
  },
};
