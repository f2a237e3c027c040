import { once } from "node:events";
import { readdirSync } from "node:fs";
import { expect, it, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import type { Address, Switchboard } from "../../../src/index.ts";
import { startBoard, type TestBoardOptions } from "../../support/board.ts";
import { selfSigned } from "../../support/certificate.ts";
import { addressesOf } from "../../support/moves.ts";

interface TlsBoard {
  readonly board: Switchboard;
  readonly sockets: readonly WebSocket[];
  readonly open: () => Promise<WebSocket>;
}

/** A board whose shards do TLS, with connections. */
async function startTls(count: number, options: TestBoardOptions = {}): Promise<TlsBoard> {
  const tls = selfSigned();
  const { board, port } = await startBoard({ actor: "moving-mail", shards: 2, ...options, attach: { tls } });
  const open = async (): Promise<WebSocket> => {
    const socket = new WebSocket(`wss://localhost:${port}/`, { ca: tls.cert });
    onTestFinished(() => socket.terminate());
    await once(socket, "open");
    return socket;
  };
  return { board, open, sockets: await Promise.all(Array.from({ length: count }, open)) };
}

async function ask(socket: WebSocket, text: string): Promise<string> {
  const answer = once(socket, "message");
  socket.send(text);
  return String((await answer)[0]);
}

/** Numbers of the threads of this process (Linux). */
const threads = (): number => readdirSync("/proc/self/task").length;

it("keeps connections whose TLS the old threads do through a reload, and they can be reached as before", async () => {
  const { board, open, sockets } = await startTls(4);
  const addresses = (await Promise.all(sockets.map((socket) => ask(socket, "address")))) as Address[];
  expect(await board.reload()).toMatchObject({ moved: 0, kept: 4, closed: 0 });
  const late = await open();
  const newcomer = (await ask(late, "address")) as Address;
  expect((await addressesOf(board, 5)).toSorted()).toEqual([...addresses, newcomer].toSorted());
  expect(board.stats().connections).toBe(5);
  // Mail to and from all of them, by the board, by old threads and by new ones.
  for (const to of [...addresses, newcomer]) {
    expect(await board.ask(to, "board")).toBe("board answered");
    for (const socket of [...sockets, late]) expect(await ask(socket, `tell|${to}|mail|0|3`)).toBe("[]");
  }
  for (const socket of [...sockets, late]) {
    const got = JSON.parse(await ask(socket, "report")) as string[];
    expect(got).toEqual(["board", ...Array(5).fill(["mail 0", "mail 1", "mail 2"]).flat()]);
  }
  const closed = once(sockets[0] as WebSocket, "close");
  expect(await board.disconnect(addresses[0] as Address, 4000, "bye")).toBe(true);
  expect((await closed)[0]).toBe(4000);
  expect(await board.move(addresses[1] as Address, 1)).toMatchObject({ moved: false, reason: "transport" });
});

it("ends the old threads when the last of their connections has closed", async () => {
  const { board, sockets } = await startTls(4);
  const before = threads();
  expect(await board.reload()).toMatchObject({ kept: 4 });
  for (const socket of sockets) expect(await ask(socket, "report")).toBe("[]");
  expect(threads()).toBe(before + 2);
  for (const socket of sockets) socket.close();
  await vi.waitFor(() => expect(threads()).toBe(before));
  expect(board.stats().connections).toBe(0);
});

it("closes what the reload before has kept, and everything at once with keepOldMs 0", async () => {
  const { board, open, sockets } = await startTls(2);
  const codes = (some: readonly WebSocket[]): Promise<unknown[]> =>
    Promise.all(some.map(async (socket) => (await once(socket, "close"))[0]));
  const first = codes(sockets);
  expect(await board.reload()).toMatchObject({ kept: 2, closed: 0 });
  const later = [await open(), await open()];
  const second = codes(later);
  expect(await board.reload()).toMatchObject({ kept: 2, closed: 0 });
  expect(await first).toEqual([1012, 1012]);
  expect(await ask(later[0] as WebSocket, "report")).toBe("[]");
  const third = codes([await open()]);
  expect(await board.reload({ keepOldMs: 0 })).toMatchObject({ kept: 0, closed: 1 });
  expect([await second, await third]).toEqual([[1012, 1012], [1012]]);
});

it("closes what is kept with 1012 after keepOldMs, and when the board closes", async () => {
  const { board, open, sockets } = await startTls(1);
  const closed = once(sockets[0] as WebSocket, "close");
  expect(await board.reload({ keepOldMs: 1 })).toMatchObject({ kept: 1 });
  expect((await closed)[0]).toBe(1012);
  const last = await open();
  const ended = once(last, "close");
  expect(await board.recycle(0)).toMatchObject({ closed: 0 });
  expect(await board.recycle(1)).toMatchObject({ closed: 0 });
  expect(await ask(last, "report")).toBe("[]");
  await board.close({ timeoutMs: 2_000 });
  expect((await ended)[0]).toBe(1001);
});
