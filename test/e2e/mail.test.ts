import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { Address, DeadLetter, Switchboard } from "../../src/index.ts";
import { MAX_LETTERS_UNDER_WAY } from "../../src/runtime/mail/mail-link.ts";
import { startBoard, type TestBoardOptions } from "../support/board.ts";
import { text } from "../support/frames.ts";
import { RawClient } from "../support/raw-client.ts";

class Peer {
  readonly client: RawClient;
  readonly address: Address;

  constructor(client: RawClient, address: Address) {
    this.client = client;
    this.address = address;
  }

  static async open(port: number): Promise<Peer> {
    const client = await RawClient.open({ port });
    client.write(text('{"do":"address"}'));
    return new Peer(client, (await client.text()) as Address);
  }

  order(command: object): void {
    this.client.write(text(JSON.stringify(command)));
  }

  async next(): Promise<unknown> {
    return JSON.parse(await this.client.text());
  }

  do(command: object): Promise<unknown> {
    this.order(command);
    return this.next();
  }
}

/** Starts a board of two shards, with two peers on each. */
async function setUp(options: TestBoardOptions = {}) {
  const { board, port } = await startBoard({ actor: "mailing", shards: 2, ...options });
  const peers: Peer[] = [];
  for (let i = 0; i < 4; i++) peers.push(await Peer.open(port));
  const on = (shard: number): Peer[] => peers.filter(({ address }) => address.startsWith(`${shard}-`));
  const [[a, b], [far, beside]] = [on(0), on(1)];
  if (a === undefined || b === undefined || far === undefined || beside === undefined) {
    throw new Error("there are two on each");
  }
  return { board, port, a, b, far, beside };
}

function deadLetters(board: Switchboard): DeadLetter[] {
  const letters: DeadLetter[] = [];
  const note = (letter: DeadLetter): void => void letters.push(letter);
  board.on("deadLetter", note);
  onTestFinished(() => void board.off("deadLetter", note));
  return letters;
}

const totalDead = (board: Switchboard): number =>
  board.stats().deadLetters + board.stats().shards.reduce((sum, shard) => sum + shard.deadLetters, 0);

describe.each(["within a shard", "between shards"])("mail %s", (where) => {
  async function pair(options: TestBoardOptions = {}) {
    const { a, b, far, ...rest } = await setUp(options);
    return { ...rest, sender: a, receiver: where === "within a shard" ? b : far };
  }

  it("reaches mailed with its sender's address, and tell returns accepted", async () => {
    const { sender, receiver } = await pair();
    const mail = { deep: [1, { two: "three" }] };
    expect(await sender.do({ do: "tell", to: receiver.address, mail })).toEqual({ status: "accepted" });
    expect(await receiver.next()).toEqual({ mail, from: sender.address });
  });

  it("is answered with the return value of mailed", async () => {
    const { sender, receiver } = await pair();
    expect(await sender.do({ do: "ask", to: receiver.address, mail: "question" })).toEqual({
      answer: { re: "question", by: receiver.address },
    });
  });

  it("arrives in the order in which it was sent, each once", async () => {
    const { sender, receiver } = await pair({ maxMails: 10_000 });
    expect(await sender.do({ do: "flood", to: receiver.address, count: 3_000 })).toEqual({ accepted: 3_000 });
    for (let i = 0; i < 3_000; i++) expect(await receiver.next()).toEqual({ mail: i, from: sender.address });
  });

  it("is returned to its sender when the mailbox is full", async () => {
    const { sender, receiver } = await pair({ maxMails: 3 });
    receiver.order({ do: "hold" });
    await vi.waitFor(async () =>
      expect(await sender.do({ do: "tell", to: receiver.address, mail: ["kept"] })).toEqual({
        status: "full",
        mail: ["kept"],
      }),
    );
    expect(await sender.do({ do: "ask", to: receiver.address, mail: 1 })).toMatchObject({ code: "ERR_ASK_FULL" });
  });

  it("is returned to its sender after the connection has closed, and counts as a dead letter", async () => {
    const { board, sender, receiver } = await pair();
    const letters = deadLetters(board);
    await receiver.client.close();
    await vi.waitFor(() => expect(board.stats().connections).toBe(3));
    expect(await sender.do({ do: "tell", to: receiver.address, mail: 7 })).toEqual({ status: "gone", mail: 7 });
    expect(await sender.do({ do: "ask", to: receiver.address, mail: 8 })).toMatchObject({ code: "ERR_ASK_GONE" });
    const letter = { shard: 0, to: receiver.address, from: sender.address, reason: "gone" };
    await vi.waitFor(() => expect(letters).toEqual([letter, letter]));
    expect(board.stats().shards[0]?.deadLetters).toBe(2);
  });

  it("gets a timeout when ask has no answer in time", async () => {
    const { sender, receiver } = await pair();
    expect(await sender.do({ do: "ask", to: receiver.address, mail: "never", timeoutMs: 20 })).toEqual({
      code: "ERR_ASK_TIMEOUT",
      text: `${receiver.address} hasn't answered within 20 ms`,
    });
  });

  it("gets the error when mailed throws", async () => {
    const { sender, receiver } = await pair();
    expect(await sender.do({ do: "ask", to: receiver.address, mail: "throw" })).toEqual({
      code: "ERR_ASK_FAILED",
      text: `${receiver.address} failed to answer: mailed threw`,
    });
    expect(await receiver.client.closeFrame()).toMatchObject({ code: 1011 });
  });

  it("gets an error when the answer can't be cloned", async () => {
    const { sender, receiver } = await pair();
    const { code, text } = (await sender.do({ do: "ask", to: receiver.address, mail: "function" })) as Record<
      string,
      string
    >;
    expect(code).toBe("ERR_ASK_FAILED");
    expect(text).toContain("must be cloneable");
  });
});

it("reaches an actor from the board, without a sender", async () => {
  const { board, a, far } = await setUp();
  for (const { address, next } of [a, far].map((peer) => ({ address: peer.address, next: () => peer.next() }))) {
    expect(await board.tell(address, new Map([["is", "cloned"]]))).toEqual({ status: "accepted" });
    expect(await next()).toEqual({ mail: {} });
    expect(await board.ask(address, "question")).toEqual({ re: "question", by: address });
    expect(await next()).toEqual({ mail: "question" });
  }
});

it("is refused at once when too much is on its way to one thread, and accepted again when that has arrived", async () => {
  const { board, far } = await setUp({ maxMails: 100_000 });
  const told = Array.from({ length: MAX_LETTERS_UNDER_WAY + 10 }, (_, i) => board.tell(far.address, i));
  const results = await Promise.all(told);
  expect(results.slice(0, MAX_LETTERS_UNDER_WAY).every(({ status }) => status === "accepted")).toBe(true);
  expect(results.slice(MAX_LETTERS_UNDER_WAY).map(({ status }) => status)).toEqual(Array(10).fill("full"));
  expect(await board.tell(far.address, "again")).toEqual({ status: "accepted" });
});

it.each(["", "nobody", "0-", "0-1 2", "-1-2", `0-${"1".repeat(100)}`, 7, undefined])(
  "throws for %j, which isn't an address",
  async (value) => {
    const { board } = await startBoard();
    const misuse = expect.objectContaining({ kind: "misuse", code: "ERR_ADDRESS" });
    expect(() => board.tell(value as Address, 1)).toThrow(misuse);
    expect(() => board.ask(value as Address, 1)).toThrow(misuse);
  },
);

it("throws for mail that can't be cloned, and for a time out of range", async () => {
  const { board, a } = await setUp();
  const notCloneable = expect.objectContaining({ kind: "misuse", code: "ERR_MAIL_NOT_CLONEABLE" });
  expect(() => board.tell(a.address, { do: () => {} })).toThrow(notCloneable);
  expect(() => board.ask(a.address, () => {})).toThrow(notCloneable);
  expect(() => board.ask(a.address, 1, { timeoutMs: 0 })).toThrow(expect.objectContaining({ code: "ERR_OPTION" }));
});

it("reaches nobody at addresses that were never assigned", async () => {
  const { board } = await startBoard();
  const letters = deadLetters(board);
  for (const to of ["0-999999", "77-0"] as Address[]) {
    expect(await board.tell(to, "hello")).toEqual({ status: "gone", mail: "hello" });
  }
  expect(letters).toEqual([
    { shard: undefined, to: "0-999999", from: undefined, reason: "gone" },
    { shard: undefined, to: "77-0", from: undefined, reason: "gone" },
  ]);
  expect(board.stats().deadLetters).toBe(2);
});

it("emits at most 100 dead letters a second, and counts all", async () => {
  const { board } = await startBoard();
  const letters = deadLetters(board);
  const to = "0-999999" as Address;
  await Promise.all(Array.from({ length: 1_000 }, () => board.tell(to, 1)));
  expect(board.stats().deadLetters).toBe(1_000);
  expect(letters.length).toBeGreaterThanOrEqual(100);
  // The second may have changed meanwhile.
  expect(letters.length).toBeLessThanOrEqual(300);
});

it("counts mail to an actor without mailed as undelivered", async () => {
  const { board, port } = await startBoard({ actor: "scripted" });
  const letters = deadLetters(board);
  const client = await RawClient.open({ port });
  client.write(text('{"do":"who"}'));
  const { id } = JSON.parse(await client.text());
  expect(await board.tell(id, "hello")).toEqual({ status: "accepted" });
  await vi.waitFor(() => expect(letters).toEqual([{ shard: 0, to: id, from: undefined, reason: "unhandled" }]));
  await expect(board.ask(id, "hello")).rejects.toMatchObject({ code: "ERR_ASK_FAILED" });
  expect(totalDead(board)).toBe(2);
});

it("is answered with gone when its shard ends: pending asks, and every address of that shard, also after its replacement", async () => {
  const { board, port, a, far, beside } = await setUp();
  const replaced = new Promise((resolve) => board.once("shardReplaced", resolve));
  const fromActor = a.do({ do: "ask", to: far.address, mail: "never", timeoutMs: 60_000 });
  const fromBoard = expect(board.ask(far.address, "never", { timeoutMs: 60_000 })).rejects.toMatchObject({
    code: "ERR_ASK_GONE",
  });
  // This report comes after the board's ask, so the ask is on its way.
  expect(await board.tell(far.address, "after")).toEqual({ status: "accepted" });
  beside.order({ do: "exit" });
  await replaced;
  await fromBoard;
  expect(await fromActor).toMatchObject({ code: "ERR_ASK_GONE" });
  expect(await a.do({ do: "tell", to: far.address, mail: 1 })).toEqual({ status: "gone", mail: 1 });
  expect(await board.tell(far.address, 1)).toEqual({ status: "gone", mail: 1 });
  // Mail reaches the actors of the new thread.
  const next = await Peer.open(port);
  expect(next.address).toMatch(/^1-/);
  expect(await a.do({ do: "ask", to: next.address, mail: "new" })).toMatchObject({ answer: { by: next.address } });
});

it("resolves with gone when the board is closed", async () => {
  const { board, a } = await setUp();
  await board.close({ timeoutMs: 0 });
  expect(await board.tell(a.address, 1)).toEqual({ status: "gone", mail: 1 });
});
