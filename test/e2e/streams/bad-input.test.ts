/** Wrong options and wrong input of clients, for topics with history or presence. */
import { describe, expect, it, vi } from "vitest";
import { StreamClient } from "../support/stream-client.ts";
import { event, numbers, publish, start } from "./stream-board.ts";

describe("bad input", () => {
  const history = { size: 1 };

  it.each([
    ["no object", "x", /topics takes an object of options by pattern/],
    ["an array", [], /topics takes an object of options by pattern, got an array/],
    ["an empty pattern", { "": { history } }, /topics\[""\]: a pattern has 1 to 255 bytes/],
    ["a pattern that is too long", { ["x".repeat(256)]: { history } }, /a pattern has 1 to 255 bytes/],
    ["a pattern with neither", { a: {} }, /topics\["a"\] takes history, presence or both/],
    ["an unknown option", { a: { hystory: history } }, /topics\["a"\]: unknown option "hystory"/],
    ["no size", { a: { history: {} } }, /topics\["a"\].history: size takes an integer from 1 to 1000000/],
    ["a size of 0", { a: { history: { size: 0 } } }, /size takes an integer from 1/],
    ["a short metaTtlMs", { a: { history: { size: 1, ttlMs: 1_000, metaTtlMs: 999 } } }, /metaTtlMs takes an integer/],
    ["a negative leaveGraceMs", { a: { presence: { leaveGraceMs: -1 } } }, /leaveGraceMs takes an integer from 0/],
    [
      "a pattern that never counts",
      { "room:*": { history }, "room:1": { history } },
      /the pattern "room:1" never counts, because "room:\*" stands before it/,
    ],
  ])("as topics is rejected at the start: %s", async (_, topics, message) => {
    const started = start({ topics: topics as never });
    await expect(started).rejects.toMatchObject({ code: "ERR_OPTION", message: expect.stringMatching(message) });
  });

  it("from a client gets a code, or isn't recovered", async () => {
    const { board, port } = await start();
    const [stored] = await publish(board, "room:1", "1", "2");
    const { epoch = "" } = stored?.position ?? {};
    const client = await StreamClient.open(port);
    const subscribe = (more: object, topic = "room:1") => client.subscribe(topic, more);
    const publishing = (options: object, topic = "room:1") => client.tell("publish", topic, { options });
    const codes = {
      ERR_POSITION: [
        subscribe({ since: { epoch, offset: -1 } }),
        subscribe({ since: { epoch, offset: 1.5 } }),
        subscribe({ since: { epoch: "x".repeat(65), offset: 1 } }),
        subscribe({ since: "newest" }),
        client.tell("history", "room:1", { options: { since: "latest" } }),
      ],
      ERR_ARGUMENT: [
        subscribe({ user: "" }, "lounge:1"),
        subscribe({ user: "x".repeat(256) }, "lounge:1"),
        subscribe({ info: "x".repeat(4_096) }, "lounge:1"),
        publishing({ idempotencyKey: "" }),
        publishing({ idempotencyKey: "x".repeat(129) }),
        publishing({ expiresMs: 0 }),
        client.tell("history", "room:1", { options: { limit: -1 } }),
        client.tell("history", "room:1", { options: { limit: 1.5 } }),
        client.tell("history", "room:1", { options: { limit: null } }),
        client.tell("history", "room:1", { options: null }),
        client.tell("history", "room:1", { options: 7 }),
        client.tell("history", "room:1", { options: { reverse: "yes" } }),
        client.tell("subscribe with", "plain", { options: null }),
        client.tell("subscribe with", "lounge:1", { options: { presenceChanges: "yes" } }),
        publishing({ self: "yes" }, "plain"),
        // Typos, on every kind of topic.
        ...["room:1", "lounge:1", "plain"].flatMap((topic) => [
          publishing({ idempotencykey: "x" }, topic),
          client.tell("history", topic, { options: { sinse: { epoch, offset: 1 }, limt: 1 } }),
          client.tell("subscribe with", topic, { options: { sinse: { epoch, offset: 1 } } }),
        ]),
      ],
      ERR_DATA: [5, null, {}].map((data) => client.tell("publish", "room:1", { data })),
      ERR_NO_HISTORY: [
        publishing({ idempotencyKey: "x" }, "plain"),
        publishing({ expiresMs: 1 }, "plain"),
        client.tell("history", "plain"),
        client.tell("remove", "plain"),
      ],
      ERR_NO_PRESENCE: [
        subscribe({ user: "ada" }),
        subscribe({ presenceChanges: true }),
        client.tell("presence", "room:1"),
        client.tell("stats", "plain"),
      ],
      ERR_STREAM_EPOCH: [client.tell("history", "room:1", { options: { since: { epoch: "foreign", offset: 1 } } })],
    };
    for (const [code, calls] of Object.entries(codes)) {
      for (const result of await Promise.allSettled(calls)) {
        expect(result).toMatchObject({ status: "rejected", reason: { code } });
      }
    }
    const typo = { code: "ERR_ARGUMENT", message: expect.stringContaining("the options are") };
    expect(() => board.publish("room:1", "x", { idempotencykey: "x" } as object)).toThrow(
      expect.objectContaining(typo),
    );
    await expect(board.history("room:1", { limt: 1 } as object)).rejects.toMatchObject(typo);
    expect(() => board.publish("plain", 5 as never)).toThrow(expect.objectContaining({ code: "ERR_DATA" }));
    const huge = { epoch, offset: Number.MAX_SAFE_INTEGER };
    const top = { epoch, offset: 2 };
    const notRecovered = { wasRecovering: true, recovered: false, publications: [], position: top };
    expect(await subscribe({ since: huge })).toEqual(notRecovered);
    expect(await subscribe({ since: { epoch: "foreign", offset: 1 } })).toEqual(notRecovered);
    expect(await subscribe({ since: { epoch: "", offset: 1 } })).toMatchObject({ recovered: true, position: top });
    expect(await client.tell("history", "room:1", { options: { since: huge } })).toEqual({ top, publications: [] });
    expect(await publishing({ self: false })).toMatchObject({ position: { offset: 3 } });
  });

  it("as a limit of history above 1,000 gets 1,000, and pages follow each other", async () => {
    const { board } = await start({ topics: { "long:*": { history: { size: 1_200 } } } });
    await publish(board, "long:1", ...numbers(1, 1_200).map(String));
    const first = await board.history("long:1", { limit: 5_000 });
    expect(first.publications.map(({ offset }) => offset)).toEqual(numbers(1, 1_000));
    const last = await board.history("long:1", { since: first.publications.at(-1), limit: 5_000 });
    expect(last.publications.map(({ offset }) => offset)).toEqual(numbers(1_001, 1_200));
    const newest = await board.history("long:1", { reverse: true, limit: 2 });
    expect(newest.publications.map(({ offset }) => offset)).toEqual([1_200, 1_199]);
    const before = await board.history("long:1", { reverse: true, limit: 2, since: newest.publications.at(-1) });
    expect(before.publications.map(({ offset }) => offset)).toEqual([1_198, 1_197]);
    expect((await board.history("long:1")).publications).toHaveLength(100);
  });

  it("as an encode that throws is a failure of the actor alone", async () => {
    const { board, port } = await start();
    const failed = event(board, "actorFailed");
    const [broken, other] = [await StreamClient.openOn(port, 0), await StreamClient.openOn(port, 0)];
    await broken.subscribe("room:1", { brokenEncode: true });
    await other.subscribe("room:1");
    await publish(board, "room:1", "1");
    expect(await failed).toMatchObject([{ id: broken.address, handler: "encode", outcome: "stopped" }]);
    await vi.waitFor(() => expect(broken.closeCode).toBe(1011));
    await vi.waitFor(() => expect(other.offsets).toEqual([1]));
  });
});
