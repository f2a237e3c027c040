import { once } from "node:events";
import { expect, it, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import type { Address, Switchboard } from "../../../src/index.ts";
import { startBoard } from "../../support/board.ts";
import { selfSigned } from "../../support/certificate.ts";

const HOPS = 25;
const RECEIVERS = 4;

interface Peer {
  readonly address: Address;
  say(text: string): Promise<string>;
}

async function open(port: number, ca?: string): Promise<Peer> {
  const scheme = ca === undefined ? "ws" : "wss";
  const socket = new WebSocket(`${scheme}://localhost:${port}/`, ca === undefined ? {} : { ca });
  onTestFinished(() => socket.terminate());
  await once(socket, "open");
  const say = async (text: string): Promise<string> => {
    socket.send(text);
    return String((await once(socket, "message"))[0]);
  };
  return { address: (await say("address")) as Address, say };
}

it("loses, doubles and reorders no mail, and answers all asks, while the receivers move", async () => {
  const { board, port } = await startBoard({ actor: "moving-mail", shards: 3 });
  const peers: Peer[] = [];
  for (let i = 0; i < RECEIVERS + 3; i++) peers.push(await open(port));
  const receivers = peers.slice(0, RECEIVERS);
  // One sender on each shard, and the board.
  const senders = peers.slice(RECEIVERS);
  let isMoving = true;
  let count = 0;
  const send = async (): Promise<void> => {
    for (; isMoving; count += 2) {
      const told = receivers.flatMap(({ address }) => [
        board.tell(address, `board ${count}`),
        board.tell(address, `board ${count + 1}`),
      ]);
      const asked = receivers.map(({ address }) => board.ask(address, "ask"));
      for (const { address } of receivers) {
        const said = senders.map(({ say }, index) => say(`tell|${address}|sender${index}|${count}|2`));
        expect(await Promise.all(said)).toEqual(said.map(() => "[]"));
      }
      expect(await Promise.all(told)).toEqual(told.map(() => ({ status: "accepted" })));
      expect(await Promise.all(asked)).toEqual(asked.map(() => "ask answered"));
    }
  };
  const sent = send();
  await Promise.all(
    receivers.map(async ({ address }, index) => {
      for (let hop = 1; hop <= HOPS; hop++) {
        expect(await board.move(address, (index + hop) % 3)).toEqual({ moved: true });
      }
    }),
  );
  isMoving = false;
  await sent;
  const numbers = Array.from({ length: count }, (_, index) => index);
  for (const { say } of receivers) {
    const got = JSON.parse(await say("report")) as string[];
    for (const name of ["board", "sender0", "sender1", "sender2"]) {
      const own = got.filter((text) => text.startsWith(`${name} `));
      expect(own).toEqual(numbers.map((number) => `${name} ${number}`));
    }
  }
});

/** Mail that actors send to each other all the time. */
interface Traffic {
  /** Number of rounds in which each sender has written to each receiver. */
  rounds(): number;
  /** Ends it, and expects that nothing was refused, that all asks were answered and that all came once and in order. */
  check(): Promise<void>;
}

const BURST = 3;

/** Lets all senders tell and ask all receivers. */
function write(senders: readonly Peer[], receivers: readonly Peer[], board: Switchboard, name = "s"): Traffic {
  let isRunning = true;
  let total = 0;
  let dead = 0;
  board.on("deadLetter", () => dead++);
  const verbs = ["tell", "ask"];
  const rounds = senders.map(async ({ say }, index) => {
    let round = 0;
    for (; isRunning; round++, total++) {
      for (const { address } of receivers) {
        const failures = await say(`${verbs[round % 2]}|${address}|${name}${index}|${round * BURST}|${BURST}`);
        expect(failures).toBe("[]");
      }
    }
    return round;
  });
  const all = Promise.all(rounds);
  // The check reports what has failed.
  all.catch(() => {});
  const check = async (): Promise<void> => {
    isRunning = false;
    const counts = await all;
    for (const { say } of receivers) {
      const got = JSON.parse(await say("report")) as string[];
      for (const [index, count] of counts.entries()) {
        const own = got.filter((text) => text.startsWith(`${name}${index} `));
        expect(own).toEqual(Array.from({ length: count * BURST }, (_, number) => `${name}${index} ${number}`));
      }
    }
    expect(dead).toBe(0);
  };
  return { rounds: () => total, check };
}

it.each([1, 2])("loses no mail between actors while the threads of %i shards are replaced", async (shards) => {
  const { board, port } = await startBoard({ actor: "moving-mail", shards });
  const peers = await Promise.all(Array.from({ length: 16 }, () => open(port)));
  const traffic = write(peers.slice(0, 12), peers.slice(12), board);
  for (let i = 0; i < 2; i++) {
    for (const replace of [() => board.reload(), () => board.recycle(0), () => board.recycle(shards - 1)]) {
      const before = traffic.rounds();
      expect(await replace()).toMatchObject({ closed: 0 });
      await vi.waitFor(() => expect(traffic.rounds()).toBeGreaterThan(before));
    }
  }
  await traffic.check();
});

it("loses no mail from and to connections that stay in the old threads", async () => {
  const tls = selfSigned();
  const { board, port } = await startBoard({ actor: "moving-mail", shards: 2, attach: { tls } });
  const openSome = (): Promise<Peer[]> => Promise.all(Array.from({ length: 8 }, () => open(port, tls.cert)));
  const kept = await openSome();
  const early = write(kept.slice(0, 4), kept.slice(4), board);
  expect(await board.reload()).toMatchObject({ kept: 8, closed: 0 });
  const fresh = await openSome();
  const late = write(fresh.slice(0, 4), [...kept.slice(4), ...fresh.slice(4)], board, "t");
  await vi.waitFor(() => expect(late.rounds()).toBeGreaterThan(20));
  await early.check();
  await late.check();
});
