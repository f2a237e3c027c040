import { once } from "node:events";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { expect, it, onTestFinished, vi } from "vitest";
import type { Address } from "../../../src/runtime/actor/address.ts";
import { type AskedBy, type Mail, type MailData, mailData } from "../../../src/runtime/actor/mail.ts";
import { type LostMail, MailRouter } from "../../../src/runtime/mail/mail-router.ts";

const address = (text: string): Address => text as Address;

/** An actor of the tests: keeps its mail, and answers nothing by itself. */
interface TestActor {
  readonly mails: Mail[];
}

class TestThread {
  readonly life: number;
  readonly router: MailRouter;
  readonly actors = new Map<Address, TestActor>();
  readonly ports: MessagePort[] = [];
  readonly lost: LostMail[] = [];

  constructor(shard: number | undefined, life: number) {
    this.life = life;
    this.router = new MailRouter({
      shard,
      life,
      mailReceived: (to, mail) => {
        const actor = this.actors.get(to);
        actor?.mails.push(mail);
        return actor === undefined ? "gone" : "accepted";
      },
      mailUndelivered: (one) => this.lost.push(one),
      addresses: () => this.actors.keys(),
    });
  }

  open(to: Address, mails: Mail[] = []): void {
    this.actors.set(to, { mails });
  }

  close(to: Address): void {
    this.actors.delete(to);
    this.router.ended(to);
  }

  /** Ends the thread, as far as the others can tell. */
  end(): void {
    for (const port of this.ports) port.close();
  }

  texts(to: Address): unknown[] {
    return this.actors.get(to)?.mails.map(({ value }) => value) ?? [];
  }
}

const all: TestThread[] = [];

function link(
  one: TestThread,
  shardOfOne: number | undefined,
  other: TestThread,
  shardOfOther: number | undefined,
  isSucceeded = false,
): void {
  const { port1, port2 } = new MessageChannel();
  one.router.addLink(port1, shardOfOther, other.life, isSucceeded);
  other.router.addLink(port2, shardOfOne, one.life);
  one.ports.push(port1);
  other.ports.push(port2);
}

/** The main thread, and shards with the lives 1, 2, …, each linked to all others. */
function mesh(shards: number): TestThread[] {
  const threads = Array.from(
    { length: shards + 1 },
    (_, life) => new TestThread(life === 0 ? undefined : life - 1, life),
  );
  for (const [i, one] of threads.entries()) {
    for (const [j, other] of threads.entries()) if (j > i) link(one, shardOf(i), other, shardOf(j));
  }
  all.push(...threads);
  onTestFinished(() => {
    for (const thread of all.splice(0)) thread.end();
  });
  return threads;
}

/** Shard of a thread by its life: the later threads belong to shard 0. */
const shardOf = (life: number): number | undefined => (life === 0 ? undefined : life > 8 ? 0 : life - 1);

/** Moves an actor as the mover of connections does: with what is in its mailbox. */
async function move(to: Address, from: TestThread, other: TestThread): Promise<void> {
  const leaving = from.router.leaveFor(other.life, [to]);
  await leaving.ready;
  depart(to, from, leaving.left);
  await new Promise((resolve) => setImmediate(resolve));
  arrive(to, other);
}

const onTheWay = new Map<Address, MailData[]>();

function depart(to: Address, from: TestThread, left: (to: Address, asks: readonly AskedBy[]) => void): void {
  const data = (from.actors.get(to)?.mails ?? []).map(mailData);
  from.actors.delete(to);
  left(
    to,
    data.flatMap(({ askedBy }) => askedBy ?? []),
  );
  onTheWay.set(to, data);
}

function arrive(to: Address, other: TestThread): void {
  other.open(
    to,
    (onTheWay.get(to) ?? []).map((one) => other.router.revive(one)),
  );
  other.router.arrived(to);
}

const A = address("0-a");

async function scene(): Promise<{ main: TestThread; home: TestThread; second: TestThread; third: TestThread }> {
  const [main, home, second, third] = mesh(3) as [TestThread, TestThread, TestThread, TestThread];
  home.open(A);
  return { main, home, second, third };
}

it("delivers to an actor that moves again and again, in order, once, and from every thread", async () => {
  const { main, home, second, third } = await scene();
  const threads = [main, home, second, third];
  let isMoving = true;
  const sent = threads.map(async (thread) => {
    let count = 0;
    const results: Promise<{ status: string }>[] = [];
    while (isMoving) {
      for (let i = 0; i < 3; i++) results.push(thread.router.tell(undefined, A, `${thread.life} ${count++}`));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await Promise.all(results)).every(({ status }) => status === "accepted")).toBe(true);
    return Array.from({ length: count }, (_, i) => `${thread.life} ${i}`);
  });
  let here = home;
  const route = [second, third, second, home, third, home, second, home, second];
  for (const next of [...route, third, home, ...route]) {
    await move(A, here, next);
    here = next;
  }
  isMoving = false;
  const expected = await Promise.all(sent);
  const texts = here.texts(A) as string[];
  for (const [index, thread] of threads.entries()) {
    expect(texts.filter((text) => text.startsWith(`${thread.life} `))).toEqual(expected[index]);
  }
});

it("keeps letters at home while an actor moves, and refuses none", async () => {
  const { home, second, third } = await scene();
  const leaving = home.router.leaveFor(2, [A]);
  await leaving.ready;
  depart(A, home, leaving.left);
  const told = [home, second, third].map((thread) => thread.router.tell(undefined, A, thread.life));
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  arrive(A, second);
  expect(await Promise.all(told)).toEqual(Array(3).fill({ status: "accepted" }));
  expect(second.texts(A).sort()).toEqual([1, 2, 3]);
});

it("keeps letters for an actor that comes from another process, and refuses them if it doesn't begin", async () => {
  const { home, second } = await scene();
  const [comes, fails] = [address("0-comes"), address("0-fails")];
  for (const guest of [comes, fails]) home.router.expect(guest);
  const tells = [home, second].map((thread) => thread.router.tell(undefined, comes, `from ${thread.life}`));
  const lost = second.router.tell(undefined, fails, "lost");
  // The letter to another actor is behind those to the guests.
  await second.router.tell(undefined, A, "behind");
  home.open(comes);
  home.router.arrived(comes);
  home.router.arrived(fails);
  expect(await Promise.all(tells)).toEqual([{ status: "accepted" }, { status: "accepted" }]);
  expect(home.texts(comes)).toEqual(["from 1", "from 2"]);
  expect(await lost).toMatchObject({ status: "gone" });
});

it("sends the letters back to an actor that stays after all", async () => {
  const { home, second, third } = await scene();
  await move(A, home, second);
  const leaving = second.router.leaveFor(3, [A]);
  await leaving.ready;
  const told = third.router.tell(undefined, A, "kept");
  leaving.stays(A);
  expect(await told).toEqual({ status: "accepted" });
  expect(second.texts(A)).toEqual(["kept"]);
});

it("answers asks from the new place: those made before, during and after the move", async () => {
  const { home, second, third } = await scene();
  const answers = [third.router.ask(undefined, A, 1), home.router.ask(undefined, A, 2)];
  await vi.waitFor(() => expect(home.texts(A)).toHaveLength(2));
  const leaving = home.router.leaveFor(2, [A]);
  await leaving.ready;
  depart(A, home, leaving.left);
  answers.push(third.router.ask(undefined, A, 3), second.router.ask(undefined, A, 4));
  arrive(A, second);
  answers.push(third.router.ask(undefined, A, 5));
  await vi.waitFor(() => expect(second.texts(A)).toHaveLength(5));
  for (const { answer, value } of second.actors.get(A)?.mails ?? []) {
    answer?.({ kind: "answered", value: Number(value) * 10 });
  }
  expect(await Promise.all(answers)).toEqual([10, 20, 30, 40, 50]);
});

it("settles no ask of an actor that has moved when the thread that it left ends", async () => {
  const { home, second, third } = await scene();
  await move(A, home, second);
  const asked = home.router.ask(undefined, A, "before");
  await vi.waitFor(() => expect(second.texts(A)).toHaveLength(1));
  await move(A, second, third);
  second.end();
  // The end of the second thread is known: mail to its own addresses is refused.
  await vi.waitFor(async () => {
    expect((await home.router.tell(undefined, address("1-x"), "")).status).toBe("gone");
  });
  third.actors.get(A)?.mails[0]?.answer?.({ kind: "answered", value: "from the third" });
  expect(await asked).toBe("from the third");
});

it("settles the asks of an actor that has moved when the thread ends to which it went", async () => {
  const { home, second, third } = await scene();
  await move(A, home, second);
  const asked = third.router.ask(undefined, A, "lost");
  await vi.waitFor(() => expect(second.texts(A)).toHaveLength(1));
  second.end();
  await expect(asked).rejects.toMatchObject({ code: "ERR_ASK_GONE" });
  await vi.waitFor(async () => expect((await third.router.tell(undefined, A, "")).status).toBe("gone"));
});

it("says gone for an actor that has closed in its new place, also while it moved", async () => {
  const { home, second, third } = await scene();
  await move(A, home, second);
  second.close(A);
  await vi.waitFor(async () => expect((await third.router.tell(undefined, A, "")).status).toBe("gone"));
  const B = address("0-b");
  home.open(B);
  await move(B, home, second);
  const leaving = second.router.leaveFor(3, [B]);
  await leaving.ready;
  const told = third.router.tell(undefined, B, "kept");
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  second.close(B);
  expect(await told).toMatchObject({ status: "gone" });
});

it("finds actors that live elsewhere after the thread of their home was replaced", async () => {
  const { main, home, second, third } = await scene();
  await move(A, home, second);
  home.end();
  await vi.waitFor(async () => expect((await third.router.tell(undefined, A, "")).status).toBe("gone"));
  const next = new TestThread(0, 9);
  all.push(next);
  for (const other of [main, second, third]) link(next, 0, other, shardOf(other.life));
  next.router.rebuild();
  // At once, before anybody has reported.
  const told = [next.router.tell(undefined, A, "from home"), third.router.tell(undefined, A, "from the third")];
  expect(await Promise.all(told)).toEqual(Array(2).fill({ status: "accepted" }));
  expect(second.texts(A).sort()).toEqual(["from home", "from the third"]);
  expect(await third.router.tell(undefined, address("0-nobody"), "")).toMatchObject({ status: "gone" });
  await move(A, second, third);
  expect(await main.router.tell(undefined, A, "moved on")).toEqual({ status: "accepted" });
  expect(third.texts(A)).toContain("moved on");
});

it("gives a shard's addresses to its new thread in order, with the actors that live elsewhere", async () => {
  const { main, home, second, third } = await scene();
  const B = address("0-b");
  home.open(B);
  await move(B, home, third);
  const next = new TestThread(0, 9);
  all.push(next);
  for (const other of [main, home, second, third]) link(next, 0, other, shardOf(other.life));
  let isRunning = true;
  const results: Promise<{ status: string }>[] = [];
  let isHomeRunning = true;
  const senders = [main, home, second, third, next];
  const counts = senders.map(async (thread) => {
    let count = 0;
    for (; thread === home ? isHomeRunning : isRunning; count++) {
      for (const to of [A, B]) results.push(thread.router.tell(undefined, to, `${thread.life} ${count}`));
      await new Promise((resolve) => setImmediate(resolve));
    }
    return Array.from({ length: count }, (_, i) => `${thread.life} ${i}`);
  });
  const asked = second.router.ask(undefined, A, "ask");
  await vi.waitFor(() => expect(home.texts(A)).toContain("ask"));
  await move(A, home, next);
  await new Promise((resolve) => setImmediate(resolve));
  // The orders come at different times.
  const passed: Promise<void>[] = [];
  for (const thread of [second, next, home, third, main]) {
    passed.push(thread.router.succeed(0, 9));
    await new Promise((resolve) => setImmediate(resolve));
  }
  isHomeRunning = false;
  await Promise.all(passed);
  home.end();
  await vi.waitFor(() => expect(next.texts(A).length).toBeGreaterThan(100));
  isRunning = false;
  const expected = await Promise.all(counts);
  expect((await Promise.all(results)).filter(({ status }) => status !== "accepted")).toEqual([]);
  for (const [index, thread] of senders.entries()) {
    const from = (texts: unknown[]) => texts.filter((text) => `${text}`.startsWith(`${thread.life} `));
    expect(from(next.texts(A))).toEqual(expected[index]);
    expect(from(third.texts(B))).toEqual(expected[index]);
  }
  next.actors
    .get(A)
    ?.mails.find(({ value }) => value === "ask")
    ?.answer?.({ kind: "answered", value: "here" });
  expect(await asked).toBe("here");
  await move(B, third, next);
  expect(await second.router.tell(undefined, B, "home again")).toEqual({ status: "accepted" });
});

/** Two shards, both with a second thread; the second threads were linked to each other first. */
function renewedTogether(): Record<"main" | "oldOne" | "oldTwo" | "nextOne" | "nextTwo", TestThread> {
  const [main, oldOne, oldTwo] = mesh(2) as [TestThread, TestThread, TestThread];
  const [nextOne, nextTwo] = [new TestThread(0, 3), new TestThread(1, 4)];
  all.push(nextOne, nextTwo);
  link(nextOne, 0, nextTwo, 1);
  for (const [next, shard] of [
    [nextOne, 0],
    [nextTwo, 1],
  ] as const) {
    for (const other of [main, oldOne, oldTwo]) link(next, shard, other, shardOf(other.life));
  }
  return { main, oldOne, oldTwo, nextOne, nextTwo };
}

it("gives the addresses of two shards to their new threads at the same time", async () => {
  const threads = renewedTogether();
  for (const [shard, life] of [
    [0, 3],
    [1, 4],
  ] as const) {
    await Promise.all(Object.values(threads).map(({ router }) => router.succeed(shard, life)));
  }
  const A = address("1-a");
  threads.nextTwo.open(A);
  for (const { router } of Object.values(threads)) {
    expect(await router.tell(undefined, A, "hello")).toEqual({ status: "accepted" });
  }
  expect(threads.nextTwo.texts(A)).toHaveLength(5);
});

it("sends what later threads have for a shard to its new thread, also for the actors that stay in the old one", async () => {
  const { main, oldOne, oldTwo, nextOne, nextTwo } = renewedTogether();
  const threads = [main, oldOne, oldTwo, nextOne, nextTwo];
  const [stays, moved] = [address("1-a"), address("1-b")];
  oldTwo.open(stays);
  nextTwo.open(moved);
  await Promise.all(threads.map(({ router }) => router.succeed(1, 4)));
  const later = new TestThread(0, 5);
  all.push(later);
  for (const other of [oldTwo, main, nextTwo]) link(later, 0, other, other === main ? undefined : 1, other === oldTwo);
  for (const to of [stays, moved]) {
    expect(await later.router.tell(undefined, to, "hello")).toEqual({ status: "accepted" });
  }
  expect([oldTwo.texts(stays), nextTwo.texts(moved)]).toEqual([["hello"], ["hello"]]);
});

/** The threads of `scene`, and a second thread for the first shard. */
async function renewedOnce(): Promise<Awaited<ReturnType<typeof scene>> & { next: TestThread }> {
  const threads = await scene();
  const next = addThread(0, 9, Object.values(threads));
  return { ...threads, next };
}

/**
 * A thread that starts later, with links to others.
 *
 * @param succeeded threads of those that have passed on their table
 */
function addThread(shard: number, life: number, others: TestThread[], succeeded: TestThread[] = []): TestThread {
  const thread = new TestThread(shard, life);
  all.push(thread);
  for (const other of others) link(thread, shard, other, shardOf(other.life), succeeded.includes(other));
  return thread;
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it("keeps the order of letters to an actor that moves while its shard gets another thread", async () => {
  const { main, home, second, third, next } = await renewedOnce();
  const leaving = home.router.leaveFor(next.life, [A]);
  await leaving.ready;
  depart(A, home, leaving.left);
  const told: Promise<unknown>[] = [];
  const tell = (thread: TestThread, text: string): unknown => told.push(thread.router.tell(undefined, A, text));
  for (const thread of [main, home, second, third, next]) tell(thread, `${thread.life} before`);
  await tick();
  const passed: Promise<void>[] = [];
  for (const thread of [third, second, next, main, home]) {
    passed.push(thread.router.succeed(0, next.life));
    tell(thread, `${thread.life} after`);
  }
  await tick();
  arrive(A, next);
  await Promise.all(passed);
  expect(await Promise.all(told)).toEqual(told.map(() => ({ status: "accepted" })));
  for (const { life } of [main, home, second, third, next]) {
    const own = next.texts(A).filter((text) => `${text}`.startsWith(`${life} `));
    expect(own).toEqual([`${life} before`, `${life} after`]);
  }
});

it("keeps letters for an actor that leaves the old thread when the table has left already", async () => {
  const { main, home, second, third, next } = await renewedOnce();
  const leaving = home.router.leaveFor(next.life, [A]);
  await leaving.ready;
  const threads = [main, home, second, third, next];
  await Promise.all(threads.map(({ router }) => router.succeed(0, next.life)));
  const told = [second.router.tell(undefined, A, "on the way")];
  await tick();
  depart(A, home, leaving.left);
  told.push(next.router.tell(undefined, A, "on the way"));
  await tick();
  arrive(A, next);
  expect(await Promise.all(told)).toEqual(told.map(() => ({ status: "accepted" })));
  expect(next.texts(A)).toEqual(["on the way", "on the way"]);
});

it("lets actors leave the new thread only when it has the table", async () => {
  const { main, home, second, third, next } = await renewedOnce();
  const leavingHome = home.router.leaveFor(next.life, [A]);
  depart(A, home, leavingHome.left);
  await tick();
  arrive(A, next);
  await second.router.tell(undefined, A, "here");
  const passed = [next, second, third, main].map(({ router }) => router.succeed(0, next.life));
  const moved = move(A, next, third);
  await tick();
  expect(third.texts(A)).toEqual([]);
  passed.push(home.router.succeed(0, next.life));
  await Promise.all([...passed, moved]);
  for (const { router } of [main, second, third, next]) {
    expect(await router.tell(undefined, A, "there")).toEqual({ status: "accepted" });
  }
  expect(third.texts(A)).toEqual(["here", "there", "there", "there", "there"]);
});

it("makes the new thread the home when the old one ends in the middle of the change", async () => {
  const { main, home, second, third, next } = await renewedOnce();
  await move(A, home, third);
  await second.router.tell(undefined, A, "settled");
  for (const { router } of [main, second, third, next]) void router.succeed(0, next.life);
  const told = [next, second].map(({ router }) => router.tell(undefined, A, "kept"));
  await tick();
  home.end();
  expect(await Promise.all(told)).toEqual(told.map(() => ({ status: "accepted" })));
  expect(third.texts(A)).toEqual(["settled", "kept", "kept"]);
});

it("finds the actors of an old thread that lives on, and all new ones, after its successor has died", async () => {
  const { main, home, second, third, next } = await renewedOnce();
  await Promise.all([main, home, second, third, next].map(({ router }) => router.succeed(0, next.life)));
  const others = [main, home, second, third];
  const unlinked = others.map(({ ports }) => once(ports.at(-1) as MessagePort, "close"));
  next.end();
  await Promise.all(unlinked);
  const later = addThread(0, 10, others, [home]);
  later.router.rebuild();
  const B = address("0-b");
  later.open(B);
  // The order comes once more when the old thread ends, with the number of the dead one.
  for (const { router } of [main, second, third, later]) await router.succeed(0, next.life);
  for (const { router } of [main, home, second, third, later]) {
    for (const to of [A, B]) expect(await router.tell(undefined, to, "hello")).toEqual({ status: "accepted" });
  }
  expect([home.texts(A).length, later.texts(B).length]).toEqual([5, 5]);
});

it("tells a thread that still starts of the change, before it has its links", async () => {
  const { main, home, second, third, next } = await renewedOnce();
  const later = new TestThread(3, 10);
  all.push(later);
  await later.router.succeed(0, next.life);
  for (const other of [home, next]) link(later, 3, other, 0);
  await Promise.all([main, home, second, third, next].map(({ router }) => router.succeed(0, next.life)));
  expect(await later.router.tell(undefined, A, "hello")).toEqual({ status: "accepted" });
  expect(home.texts(A)).toEqual(["hello"]);
});
