import type { Socket } from "node:net";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { AdmissionControl, type AdmissionLimits, type Permit } from "../../../src/board/accept/admission-control.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Admission control for shards with these connections, each with room for as many more. */
function setUp(limits: AdmissionLimits, { connections = 0, room = 1_000 } = {}) {
  const premises = { connections, room };
  const control = new AdmissionControl(limits, () => premises);
  /** The permit of a client, or the status that refuses it. */
  const admit = (remoteAddress = "192.0.2.1"): Permit | number => {
    const result = control.admitUnread({ remoteAddress } as Socket);
    return "status" in result ? result.status : result;
  };
  const permit = (remoteAddress?: string): Permit => {
    const result = admit(remoteAddress);
    if (typeof result === "number") throw new Error(`refused with ${result}`);
    return result;
  };
  return { control, premises, admit, permit };
}

it.each([
  [{}, false],
  [{ trustedProxies: ["10.0.0.0/8"] }, false],
  [{ maxConnections: 1 }, true],
  [{ maxConnectionsPerShard: 1 }, true],
  [{ maxConnectionsPerAddress: 1 }, true],
  [{ maxUpgradesPerSecond: 1 }, true],
])("exists for the limits %j: %s", (limits, expected) => {
  expect(AdmissionControl.isNeeded(limits)).toBe(expected);
});

it("counts handshakes and connections towards maxConnections", () => {
  const { premises, admit, permit } = setUp({ maxConnections: 3 }, { connections: 1 });
  const [first] = [permit(), permit()];
  expect(admit()).toBe(503);
  first.release();
  const third = permit();
  // The shard counts the connection from now on.
  third.commit();
  premises.connections = 2;
  expect(admit()).toBe(503);
  premises.connections = 1;
  expect(typeof admit()).toBe("object");
});

it.each([0, 1, 5])("allows as many handshakes as the shards have room for: %i", (room) => {
  const { admit, permit } = setUp({ maxConnectionsPerShard: 10 }, { room });
  for (let i = 0; i < room; i++) permit();
  expect(admit()).toBe(503);
});

it("counts each client separately towards maxConnectionsPerAddress, until its connection has left", () => {
  const { control, admit, permit } = setUp({ maxConnectionsPerAddress: 2 });
  const first = permit("192.0.2.1");
  permit("192.0.2.1");
  expect(admit("192.0.2.1")).toBe(429);
  permit("192.0.2.2");
  first.commit();
  expect(admit("192.0.2.1")).toBe(429);
  control.clientLeft(first.clientKey ?? "");
  permit("192.0.2.1");
  expect(admit("192.0.2.1")).toBe(429);
});

it.each([
  ["2001:db8::1", "2001:db8::ffff", 429],
  ["2001:db8:0:1::1", "2001:db8:0:2::1", undefined],
  ["192.0.2.1", "::ffff:192.0.2.1", 429],
])("after %s, answers a client at %s with %s", (one, other, status) => {
  const { admit, permit } = setUp({ maxConnectionsPerAddress: 1 });
  permit(one);
  const result = admit(other);
  expect(typeof result === "number" ? result : undefined).toBe(status);
});

it("frees a place once, however often it is released, and not after it was handed over", () => {
  const { admit, permit } = setUp({ maxConnectionsPerAddress: 1 });
  const first = permit();
  first.release();
  const second = permit();
  first.release();
  expect(admit()).toBe(429);
  second.commit();
  second.release();
  expect(admit()).toBe(429);
});

it("allows maxUpgradesPerSecond at once, and then as many as become due", () => {
  const { admit, permit } = setUp({ maxUpgradesPerSecond: 10 });
  for (let i = 0; i < 10; i++) permit();
  expect(admit()).toBe(503);
  vi.advanceTimersByTime(99);
  expect(admit()).toBe(503);
  vi.advanceTimersByTime(1);
  permit();
  expect(admit()).toBe(503);
  vi.advanceTimersByTime(60_000);
  for (let i = 0; i < 10; i++) permit();
  expect(admit()).toBe(503);
});

it("doesn't charge the rate for a client that is refused for another reason", () => {
  const { admit, permit } = setUp({ maxUpgradesPerSecond: 2, maxConnectionsPerAddress: 1 });
  permit("192.0.2.1");
  for (let i = 0; i < 10; i++) expect(admit("192.0.2.1")).toBe(429);
  permit("192.0.2.2");
});

it("doesn't count clients whose address is unknown", () => {
  const { control } = setUp({ maxConnectionsPerAddress: 1 });
  for (let i = 0; i < 3; i++) expect(control.admitUnread({} as Socket)).toMatchObject({ clientKey: undefined });
});
