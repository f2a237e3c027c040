import { once } from "node:events";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { expect, it, onTestFinished, vi } from "vitest";
import type { Subscriber } from "../../../src/runtime/bus/audience.ts";
import { Bus } from "../../../src/runtime/bus/bus.ts";
import type { Departure, Leaver, Ticket } from "../../../src/runtime/bus/moving/move.ts";
import { encodeFrame, encodeText, type Frame } from "../../../src/wire/protocol/frame.ts";
import { Opcode } from "../../../src/wire/protocol/opcode.ts";
import type { SendResult } from "../../../src/wire/protocol/send-result.ts";
import { runHoppers } from "../../moves/hop-run.ts";

/** A subscriber that keeps the texts it gets. */
class Inbox implements Subscriber {
  readonly texts: string[];
  readonly topics: readonly string[];

  constructor(topics: readonly string[], texts: string[] = []) {
    this.topics = topics;
    this.texts = texts;
  }

  get leaver(): Leaver {
    return { subscriptions: this.topics.map((topic) => ({ topic, subscriber: this })) };
  }

  deliver({ block, start, end }: Frame): SendResult {
    this.texts.push(end - start > 125 ? "large" : block.toString("utf8", start + 2, end));
    return "sent";
  }
}

/** Buses with the lives 0, 1, … and a link between each two of them. */
async function mesh(count: number): Promise<Bus[]> {
  const buses = Array.from({ length: count }, (_, life) => new Bus({ publishDropped() {} }, { life }));
  onTestFinished(() => {
    for (const bus of buses) bus.close();
  });
  const linked: Promise<void>[] = [];
  for (const [one, bus] of buses.entries()) {
    for (const [other, far] of buses.entries()) {
      if (other <= one) continue;
      const { port1, port2 } = new MessageChannel();
      linked.push(bus.addLink(port1, other), far.addLink(port2, one));
    }
  }
  await Promise.all(linked);
  return buses;
}

/** Three buses: one that only publishes, the one that is left, the one that is gone to; and a subscriber to move. */
async function scene(...topics: string[]): Promise<{ main: Bus; left: Bus; other: Bus; inbox: Inbox }> {
  const [main, left, other] = (await mesh(3)) as [Bus, Bus, Bus];
  const inbox = new Inbox(topics);
  await Promise.all(topics.map((topic) => left.subscribe(topic, inbox)));
  return { main, left, other, inbox };
}

function ticketsOf(departure: Departure): Ticket[] {
  const tickets: Ticket[] = [];
  departure.commit((_, ticket) => {
    tickets.push(ticket);
    return true;
  });
  return tickets;
}

const CALLED_OFF = { code: "ERR_MOVE_CALLED_OFF" };

it("loses, doubles and reorders nothing while threads publish thousands of messages a second", async () => {
  const counts = await runHoppers({ way: "marks", moves: 1_000 });
  expect(counts).toMatchObject({ hoppers: 60, doubled: 0, missed: 0 });
  expect(counts.moves).toBeGreaterThanOrEqual(1_000);
  expect(counts.delivered).toBeGreaterThan(10_000);
});

it("would lose and double messages without marks", async () => {
  // Unsubscribe, move, subscribe: the run of the test above notices.
  const counts = await runHoppers({ way: "naive", moves: 300 });
  expect(counts.missed + counts.doubled).toBeGreaterThan(0);
});

it("delivers what is published before, during and after a move once, and in order for each publisher", async () => {
  const { main, left, other, inbox } = await scene("news");
  const publish = (text: string): void => {
    for (const [name, bus] of Object.entries({ main, left, other })) bus.publish("news", encodeText(`${name} ${text}`));
  };
  const departure = left.leaveFor(2, [inbox.leaver]);
  publish("1");
  await departure.ready;
  publish("2");
  const [ticket] = ticketsOf(departure) as [Ticket];
  publish("3");
  const arrived = new Inbox(["news"], inbox.texts);
  await other.arrive(ticket, arrived.leaver.subscriptions);
  publish("4");
  await vi.waitFor(() => expect(inbox.texts).toHaveLength(12));
  for (const name of ["main", "left", "other"]) {
    const own = inbox.texts.filter((text) => text.startsWith(name));
    expect(own).toEqual(["1", "2", "3", "4"].map((number) => `${name} ${number}`));
  }
});

it("keeps the order of one publisher's messages over several topics", async () => {
  const { main, left, other, inbox } = await scene("a", "b");
  const departure = left.leaveFor(2, [inbox.leaver]);
  await departure.ready;
  const [ticket] = ticketsOf(departure) as [Ticket];
  for (const number of [1, 2, 3, 4]) main.publish(number % 2 === 0 ? "a" : "b", encodeText(`${number}`));
  // The messages come before the connection does.
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  await other.arrive(ticket, new Inbox(["a", "b"], inbox.texts).leaver.subscriptions);
  await vi.waitFor(() => expect(inbox.texts).toEqual(["1", "2", "3", "4"]));
});

it("doesn't give a publisher its own messages, wherever it is in its move", async () => {
  const { left, other, inbox } = await scene("news");
  const departure = left.leaveFor(2, [inbox.leaver]);
  left.publish("news", encodeText("own"), inbox);
  await departure.ready;
  left.publish("news", encodeText("own"), inbox);
  const [ticket] = ticketsOf(departure) as [Ticket];
  const arrived = new Inbox(["news"], inbox.texts);
  const written = other.arrive(ticket, arrived.leaver.subscriptions);
  other.publish("news", encodeText("own"), arrived);
  await written;
  other.publish("news", encodeText("own"), arrived);
  left.publish("news", encodeText("of another"));
  await vi.waitFor(() => expect(inbox.texts).toEqual(["of another"]));
});

it("gives those who stay what was kept, after the mover has called the move off", async () => {
  const { main, left, inbox } = await scene("news");
  const departure = left.leaveFor(2, [inbox.leaver]);
  await departure.ready;
  main.publish("news", encodeText("kept"));
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  departure.callOff();
  expect(departure.commit(() => true)).toBe(0);
  main.publish("news", encodeText("after"));
  await vi.waitFor(() => expect(inbox.texts).toEqual(["kept", "after"]));
});

it("gives one who stays what was kept, while others leave", async () => {
  const { main, left, other, inbox } = await scene("news");
  const goes = new Inbox(["news"]);
  await left.subscribe("news", goes);
  const leavers = [inbox.leaver, goes.leaver] as const;
  const departure = left.leaveFor(2, leavers);
  await departure.ready;
  main.publish("news", encodeText("kept"));
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  let ticket: Ticket | undefined;
  const left1 = departure.commit((leaver, its) => {
    if (leaver === leavers[0]) return false;
    ticket = its;
    return true;
  });
  expect(left1).toBe(1);
  await other.arrive(ticket as Ticket, goes.leaver.subscriptions);
  main.publish("news", encodeText("after"));
  await vi.waitFor(() =>
    expect([inbox.texts, goes.texts]).toEqual([
      ["kept", "after"],
      ["kept", "after"],
    ]),
  );
});

it("lets everybody stay whom a departure that throws leaves behind", async () => {
  const { main, left, inbox } = await scene("news");
  const departure = left.leaveFor(2, [inbox.leaver]);
  await departure.ready;
  const fails = (): never => {
    throw new Error("can't be cloned");
  };
  expect(() => departure.commit(fails)).toThrow("can't be cloned");
  main.publish("news", encodeText("after"));
  await vi.waitFor(() => expect(inbox.texts).toEqual(["after"]));
});

it("leaves topics during a move, in either thread", async () => {
  const { main, left, other, inbox } = await scene("a", "b", "c");
  const departure = left.leaveFor(2, [inbox.leaver]);
  left.unsubscribe("a", inbox);
  await departure.ready;
  const [ticket] = ticketsOf(departure) as [Ticket];
  const arrived = new Inbox(["b", "c"], inbox.texts);
  const written = other.arrive(ticket, arrived.leaver.subscriptions);
  other.unsubscribe("b", arrived);
  await written;
  for (const topic of ["a", "b", "c"]) main.publish(topic, encodeText(topic));
  await vi.waitFor(() => expect(inbox.texts).toEqual(["c"]));
});

it("counts a second subscription as the first, in either thread", async () => {
  const { main, left, other, inbox } = await scene("news");
  const departure = left.leaveFor(2, [inbox.leaver]);
  await left.subscribe("news", inbox);
  await departure.ready;
  const [ticket] = ticketsOf(departure) as [Ticket];
  const arrived = new Inbox(["news"], inbox.texts);
  const written = other.arrive(ticket, arrived.leaver.subscriptions);
  await other.subscribe("news", arrived);
  await written;
  main.publish("news", encodeText("once"));
  main.publish("news", encodeText("last"));
  await vi.waitFor(() => expect(inbox.texts.at(-1)).toBe("last"));
  expect(inbox.texts).toEqual(["once", "last"]);
});

it("gives both threads' interest back when nobody is left", async () => {
  const { main, left, other, inbox } = await scene("news");
  const departure = left.leaveFor(2, [inbox.leaver]);
  await departure.ready;
  const [ticket] = ticketsOf(departure) as [Ticket];
  const arrived = new Inbox(["news"]);
  await other.arrive(ticket, arrived.leaver.subscriptions);
  await vi.waitFor(() => expect(main.publish("news", encodeText("1")).remote).toBe(1));
  other.unsubscribe("news", arrived);
  await vi.waitFor(() => expect(main.publish("news", encodeText("2")).remote).toBe(0));
});

it("gives interest back when a connection is abandoned", async () => {
  const { main, left, other, inbox } = await scene("news");
  const departure = left.leaveFor(2, [inbox.leaver]);
  await departure.ready;
  const [ticket] = ticketsOf(departure) as [Ticket];
  other.abandon(ticket);
  await vi.waitFor(() => expect(main.publish("news", encodeText("1")).remote).toBe(0));
});

it("moves a subscriber on and back", async () => {
  const buses = await mesh(4);
  const [main] = buses as [Bus];
  const texts: string[] = [];
  let inbox = new Inbox(["news"], texts);
  let here = 1;
  await (buses[here] as Bus).subscribe("news", inbox);
  const sent: string[] = [];
  for (const life of [2, 3, 1, 3, 2, 1]) {
    const departure = (buses[here] as Bus).leaveFor(life, [inbox.leaver]);
    sent.push(`to ${life}`);
    main.publish("news", encodeText(`to ${life}`));
    await departure.ready;
    const [ticket] = ticketsOf(departure) as [Ticket];
    inbox = new Inbox(["news"], texts);
    await (buses[life] as Bus).arrive(ticket, inbox.leaver.subscriptions);
    here = life;
  }
  await vi.waitFor(() => expect(texts).toEqual(sent));
});

it("calls a move off when it would keep more than 8 MiB, and loses nothing", async () => {
  const { main, left, inbox } = await scene("news");
  const departure = left.leaveFor(2, [inbox.leaver]);
  await departure.ready;
  const large = encodeFrame(Opcode.binary, Buffer.alloc(1024 * 1024));
  for (let i = 0; i < 20; i++) main.publish("news", large);
  main.publish("news", encodeText("last"));
  await vi.waitFor(() => expect(inbox.texts.at(-1)).toBe("last"));
  expect(inbox.texts).toHaveLength(21);
  expect(departure.commit(() => true)).toBe(0);
});

it("calls a move off when the other thread has no room, and loses nothing", async () => {
  const { left, other, inbox } = await scene("news");
  const departure = left.leaveFor(2, [inbox.leaver]);
  await departure.ready;
  // Only the other thread publishes: its own subscribers that are coming get this at once, the thread that is left
  // later.
  const large = encodeFrame(Opcode.binary, Buffer.alloc(1024 * 1024));
  for (let i = 0; i < 20; i++) other.publish("news", large);
  // In the same turn: the other thread has decided, and the message hasn't come.
  expect(departure.commit(() => true)).toBe(0);
  other.publish("news", encodeText("last"));
  await vi.waitFor(() => expect(inbox.texts.at(-1)).toBe("last"));
  expect(inbox.texts).toHaveLength(21);
});

it("calls a move off when a thread begins meanwhile", async () => {
  const { main, left, inbox } = await scene("news");
  const departure = left.leaveFor(2, [inbox.leaver]);
  const late = new Bus({ publishDropped() {} }, { life: 9 });
  onTestFinished(() => late.close());
  const { port1, port2 } = new MessageChannel();
  await Promise.all([left.addLink(port1, 9), late.addLink(port2, 1)]);
  await expect(departure.ready).rejects.toMatchObject(CALLED_OFF);
  main.publish("news", encodeText("1"));
  late.publish("news", encodeText("2"));
  await vi.waitFor(() => expect(inbox.texts.sort()).toEqual(["1", "2"]));
});

it("refuses to move to a thread that isn't there, and a subscriber that hasn't arrived", async () => {
  const { left, other, inbox } = await scene("news");
  await expect(left.leaveFor(7, [inbox.leaver]).ready).rejects.toMatchObject(CALLED_OFF);
  const departure = left.leaveFor(2, [inbox.leaver]);
  await departure.ready;
  const [ticket] = ticketsOf(departure) as [Ticket];
  const arrived = new Inbox(["news"]);
  const written = other.arrive(ticket, arrived.leaver.subscriptions);
  const early = other.leaveFor(1, [arrived.leaver]);
  await expect(early.ready).rejects.toMatchObject(CALLED_OFF);
  await written;
});

/** A thread with a bus that obeys: `block` keeps it busy until the memory says otherwise. */
const busThread = `
import { workerData, parentPort } from "node:worker_threads";
import { Bus } from ${JSON.stringify(new URL("../../../src/runtime/bus/bus.ts", import.meta.url).href)};
import { encodeText } from ${JSON.stringify(new URL("../../../src/wire/protocol/frame.ts", import.meta.url).href)};
const { life, ports, memory } = workerData;
const bus = new Bus({ publishDropped() {} }, { life });
const linked = Promise.all(ports.map(({ port, life }) => bus.addLink(port, life)));
parentPort.on("message", (order) => {
  if (order === "block") {
    parentPort.postMessage("blocked");
    Atomics.wait(memory, 0, 0);
  } else {
    bus.publish("news", encodeText(order));
  }
});
await linked;
parentPort.postMessage("ready");
`;

interface Thread {
  readonly worker: Worker;
  /** Keeps the thread busy until the result is called. */
  block(): Promise<() => void>;
}

async function startThread(life: number, others: readonly { bus: Bus; life: number }[]): Promise<Thread> {
  const memory = new Int32Array(new SharedArrayBuffer(4));
  const linked: Promise<void>[] = [];
  const ports = others.map(({ bus, life: other }): { port: MessagePort; life: number } => {
    const { port1, port2 } = new MessageChannel();
    linked.push(bus.addLink(port1, life));
    return { port: port2, life: other };
  });
  const source = new URL(`data:text/javascript,${encodeURIComponent(busThread)}`);
  const workerData = { life, ports, memory };
  const worker = new Worker(source, { workerData, transferList: ports.map(({ port }) => port) });
  const release = (): void => {
    Atomics.store(memory, 0, 1);
    Atomics.notify(memory, 0);
  };
  onTestFinished(async () => {
    release();
    await worker.terminate();
  });
  await Promise.all([once(worker, "message"), ...linked]);
  const block = async (): Promise<() => void> => {
    worker.postMessage("block");
    await once(worker, "message");
    return release;
  };
  return { worker, block };
}

it("goes on where it is when the other thread dies during the move", async () => {
  const { main, left, inbox } = await scene("news");
  const { worker, block } = await startThread(5, [
    { bus: main, life: 0 },
    { bus: left, life: 1 },
  ]);
  await block();
  const departure = left.leaveFor(5, [inbox.leaver]);
  main.publish("news", encodeText("1"));
  void worker.terminate();
  await expect(departure.ready).rejects.toMatchObject(CALLED_OFF);
  main.publish("news", encodeText("2"));
  await vi.waitFor(() => expect(inbox.texts).toEqual(["1", "2"]));
});

it("goes on without a third thread that dies during the move", async () => {
  const { main, left, other, inbox } = await scene("news");
  const others = [main, left, other].map((bus, life) => ({ bus, life }));
  const { worker, block } = await startThread(5, others);
  worker.postMessage("before its end");
  await vi.waitFor(() => expect(inbox.texts).toEqual(["before its end"]));
  await block();
  const departure = left.leaveFor(2, [inbox.leaver]);
  void worker.terminate();
  await departure.ready;
  const [ticket] = ticketsOf(departure) as [Ticket];
  main.publish("news", encodeText("after"));
  await other.arrive(ticket, new Inbox(["news"], inbox.texts).leaver.subscriptions);
  await vi.waitFor(() => expect(inbox.texts).toEqual(["before its end", "after"]));
});

it("calls a move off when a thread is blocked for too long, and loses nothing of its publishes", async () => {
  const { main, left, other, inbox } = await scene("news");
  const others = [main, left, other].map((bus, life) => ({ bus, life }));
  const { worker, block } = await startThread(5, others);
  const release = await block();
  const departure = left.leaveFor(2, [inbox.leaver], { timeoutMs: 50 });
  main.publish("news", encodeText("meanwhile"));
  await expect(departure.ready).rejects.toMatchObject(CALLED_OFF);
  release();
  worker.postMessage("later");
  await vi.waitFor(() => expect(inbox.texts).toEqual(["meanwhile", "later"]));
});

it("writes out what it has when the thread that was left dies after the departure", async () => {
  const [main, other] = (await mesh(2)) as [Bus, Bus];
  const dying = new Bus({ publishDropped() {} }, { life: 7 });
  const [toMain, toOther] = [new MessageChannel(), new MessageChannel()];
  await Promise.all([
    dying.addLink(toMain.port1, 0),
    main.addLink(toMain.port2, 7),
    dying.addLink(toOther.port1, 1),
    other.addLink(toOther.port2, 7),
  ]);
  const inbox = new Inbox(["news"]);
  await dying.subscribe("news", inbox);
  const departure = dying.leaveFor(1, [inbox.leaver]);
  await departure.ready;
  const [ticket] = ticketsOf(departure) as [Ticket];
  main.publish("news", encodeText("1"));
  dying.close();
  await other.arrive(ticket, new Inbox(["news"], inbox.texts).leaver.subscriptions);
  main.publish("news", encodeText("2"));
  await vi.waitFor(() => expect(inbox.texts).toEqual(["1", "2"]));
});
