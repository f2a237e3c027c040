import { expect, it } from "vitest";
import { ClientRegistry } from "../../../src/server/client/client-registry.ts";
import type { ClientSubscription } from "../../../src/server/client/client-subscription.ts";
import { noop } from "../../../src/wire/protocol/empty.ts";

const encode = (): undefined => undefined;
const channel = { name: "news" } as ClientSubscription["channel"];

function record(changes: Partial<ClientSubscription> = {}, rights: Partial<ClientSubscription["rights"]> = {}) {
  const own = { positioned: true, recoverable: false, presence: false, delta: undefined, ...rights };
  const fields = { isServerSide: false, info: undefined, id: undefined, byToken: false, expires: false, encode };
  return { channel, ...fields, ...changes, rights: own } as ClientSubscription;
}

it("equal subscriptions of a channel share one record, others don't", () => {
  const registry = new ClientRegistry({ occupied: noop, vacated: noop });
  registry.subscribed("news");
  const first = record();
  expect(registry.shared(first)).toBe(first);
  expect(registry.shared(record())).toBe(first);
  for (const other of [
    record({ id: 1 }),
    record({ expires: true }),
    record({}, { presence: true }),
    record({ encode: () => undefined }),
  ]) {
    expect(registry.shared(other)).toBe(other);
  }
  expect(registry.shared(record())).toBe(first);
});

it("shares a few records of a channel, and forgets them with its last subscriber", () => {
  const registry = new ClientRegistry({ occupied: noop, vacated: noop });
  registry.subscribed("news");
  const first = record({ id: 0 });
  registry.shared(first);
  for (let id = 1; id < 10; id++) registry.shared(record({ id }));
  const late = record({ id: 9 });
  expect(registry.shared(late)).toBe(late);
  expect(registry.shared(record({ id: 0 }))).toBe(first);
  registry.unsubscribed("news");
  registry.subscribed("news");
  const next = record({ id: 0 });
  expect(registry.shared(next)).toBe(next);
});
