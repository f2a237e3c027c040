/** The tests of compression offers. Called by the test file of each server role. */
import { describe, expect, it } from "vitest";
import { binaries, texts } from "./case.ts";
import { offers } from "./cases/negotiation.ts";
import { letters, noise } from "./cases/payloads.ts";
import type { ServerRole } from "./server-role.ts";

/**
 * Tests that a server accepts the compression offers that it supports, skips all others, and keeps to what it accepted.
 */
export function holdAllOffers(role: ServerRole): void {
  describe(`${role.name}: ${offers.length} offers of compression`, () => {
    it.concurrent.each(offers)("set up $setup: $offer", async ({ setup, offer, taken }) => {
      const peer = await role.openOffering(setup, offer, taken);
      const payload = letters(3000);
      // zlib doesn't compress with a window of 8 bits: such a client sends plain messages.
      const plain = taken === undefined || taken.clientMaxWindowBits === 8;
      const one = {
        name: offer,
        steps: [
          plain ? { opcode: 0x1, payload } : { opcode: 0x1, deflated: payload },
          { opcode: 0x2, payload: noise(200) },
        ],
        answers: [...texts(payload), ...binaries(noise(200))],
      };
      const seen = await peer.play(one);
      expect(seen).toEqual(peer.expected(one));
    });
  });
}
