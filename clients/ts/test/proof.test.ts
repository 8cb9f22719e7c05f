/** The proof of an instance, by vectors/proof.json (13.5). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isProof } from "../src/refs/proof.ts";
import { load, unhex } from "./vectors.ts";

interface Proof {
  owner: { public: string; salt: string; instance: string };
  asker: { secret: string; challenge: string; instance: string };
  answers: Record<"client" | "server", string>;
}

const { owner, asker, answers } = load("proof.json") as Proof;
const asked = { secret: BigInt(`0x${asker.secret}`), challenge: unhex(asker.challenge), instance: unhex(asker.instance) };

for (const role of ["client", "server"] as const) {
  const answer = {
    ...{ owner: unhex(owner.public), salt: unhex(owner.salt), instance: unhex(owner.instance) },
    ...{ answer: unhex(answers[role]), role },
  };
  test(`the answer of a ${role} is a proof, and none with one bit that differs`, async () => {
    assert(await isProof(answer, asked));
    for (const name of ["owner", "salt", "instance", "answer"] as const) {
      const other = answer[name].slice();
      (other[7] as number) ^= 1;
      assert(!(await isProof({ ...answer, [name]: other }, asked)), name);
    }
    for (const name of ["challenge", "instance"] as const) {
      const other = asked[name].slice();
      (other[7] as number) ^= 1;
      assert(!(await isProof(answer, { ...asked, [name]: other })), name);
    }
    assert(!(await isProof({ ...answer, role: role === "client" ? "server" : "client" }, asked)));
    assert(!(await isProof(answer, { ...asked, secret: asked.secret + 1n })));
    for (const number of [0, 1]) {
      const trivial = new Uint8Array(256);
      trivial[255] = number;
      assert(!(await isProof({ ...answer, owner: trivial }, asked)));
    }
  });
}
