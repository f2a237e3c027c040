/** The tests of all conformance cases. Called by the test file of each role. */
import { afterAll, describe, expect, it } from "vitest";
import { categories } from "./cases/index.ts";
import type { Role } from "./role.ts";

/** Tests that an end of a connection follows RFC 6455 and RFC 7692 in every case. */
export function holdAllCases(role: Role): void {
  afterAll(() => role.close());

  for (const { name, cases } of categories) {
    describe(`${role.name}: ${name}`, () => {
      it.concurrent.each(cases)("$name", async (one) => {
        const peer = await role.open(one.deflate);
        const seen = await peer.play(one);
        expect(seen).toEqual(peer.expected(one));
      });
    });
  }

  const counts = categories.map(({ name, cases }) => `${cases.length} of ${name}`);
  const all = categories.flatMap(({ name, cases }) => cases.map((one) => `${name}: ${one.name}`));
  it(`${role.name}: there are ${all.length} cases, each once (${counts.join(", ")})`, () => {
    expect(new Set(all).size).toBe(all.length);
  });
}
