/** What a shard does when the main thread decides late, twice, or never. */
import { expect, it, vi } from "vitest";
import type { ClientConfig } from "../../../src/server/config/config.ts";
import { UserAdmission } from "../../../src/server/serve/user-admission.ts";

const REFUSAL = { code: 3504, reason: "connection limit" };
const config = {
  userConnectionLimit: 1,
  subscribeToUserPersonalChannel: { enabled: false, singleConnection: false, personalChannelNamespace: "" },
} as ClientConfig;

function setUp({ canTell = true } = {}) {
  const owner = { tell: vi.fn(() => canTell), close: vi.fn() };
  const admission = new UserAdmission(config, owner);
  const list = () => admission.answer({ kind: "clientsOf", user: "ann" }).clients;
  const decide = (admitted: string[], refused: string[]) =>
    admission.answer({ kind: "admit", user: "ann", admitted, refused, ...REFUSAL });
  return { admission, owner, list, decide };
}

it("holds a client until it is decided, and refuses at once when the shard itself has enough", async () => {
  const { admission, owner, list, decide } = setUp();
  const first = admission.admit({ clientId: "1", user: "ann" });
  expect(owner.tell).toHaveBeenCalledExactlyOnceWith("ann");
  expect(list()).toEqual([{ client: "1", since: expect.any(Number), isWaiting: true }]);
  decide(["1"], []);
  expect(await first).toBeUndefined();
  expect(await admission.admit({ clientId: "2", user: "ann" })).toEqual(REFUSAL);
  expect(list()).toEqual([{ client: "1", since: expect.any(Number), isWaiting: false }]);
  admission.left({ clientId: "1", user: "ann" });
  expect(list()).toEqual([]);
});

it("closes a client that is in already and is one too many after all", async () => {
  const { admission, owner, list, decide } = setUp();
  const [one, two] = ["1", "2"].map((clientId) => admission.admit({ clientId, user: "ann" }));
  decide(["1", "2"], []);
  expect([await one, await two]).toEqual([undefined, undefined]);
  decide([], ["2"]);
  expect(owner.close).toHaveBeenCalledExactlyOnceWith("2", REFUSAL);
  expect(list()).toHaveLength(2);
});

it("lets a client in when nobody can decide, and when nobody decides in time", async () => {
  expect(await setUp({ canTell: false }).admission.admit({ clientId: "1", user: "ann" })).toBeUndefined();
  vi.useFakeTimers();
  try {
    const late = setUp().admission.admit({ clientId: "1", user: "ann" });
    await vi.advanceTimersByTimeAsync(3_000);
    expect(await late).toBeUndefined();
  } finally {
    vi.useRealTimers();
  }
});

it("never holds anonymous clients", async () => {
  const { admission, owner } = setUp();
  expect(await admission.admit({ clientId: "1", user: "" })).toBeUndefined();
  expect(owner.tell).not.toHaveBeenCalled();
});
