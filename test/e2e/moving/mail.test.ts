import { once } from "node:events";
import { expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import type { Address } from "../../../src/index.ts";
import { startBoard } from "../../support/board.ts";

const HOPS = 25;
const RECEIVERS = 4;

interface Peer {
  readonly address: Address;
  say(text: string): Promise<string>;
}

async function open(port: number): Promise<Peer> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
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
