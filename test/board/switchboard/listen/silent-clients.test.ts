/** Clients that have connected and said nothing yet, when the thread that does their handshake ends. */
import { once } from "node:events";
import { connect } from "node:net";
import { expect, it, onTestFinished, vi } from "vitest";
import type { Switchboard } from "../../../../src/index.ts";
import { startBoard } from "../../../support/board.ts";
import { selfSigned } from "../../../support/certificate.ts";
import { missingUring } from "../../../wire/native/availability.ts";

const CLIENTS = 5;
const tls = selfSigned();

const kinds = (["node", "uring"] as const).filter((kind) => kind === "node" || missingUring === undefined);
const ways = [
  { way: "listen", attach: { handshake: "shard" } },
  { way: "accept shard", attach: { accept: "shard" } },
  { way: "accept shard, tls", attach: { accept: "shard", tls } },
] as const;
const ends: Readonly<Record<string, (board: Switchboard) => unknown>> = {
  close: (board) => board.close({ timeoutMs: 0 }),
  death: (board) => board.survey("end").catch(() => {}),
};

const cases = kinds.flatMap((sockets) =>
  ways.flatMap((way) => {
    const all = way.way === "accept shard" ? Object.keys(ends) : ["close"];
    return all.map((end) => ({ sockets, ...way, end }));
  }),
);

it.each(cases)("are closed and counted as failed: $sockets, $way, $end", async ({ sockets, attach, end }) => {
  const { board, port } = await startBoard({ sockets, attach, actor: "ending" });
  board.on("shardLost", () => {});
  const silent = Array.from({ length: CLIENTS }, () => connect(port, "127.0.0.1").on("error", () => {}));
  onTestFinished(() => {
    for (const one of silent) one.destroy();
  });
  const closed = Promise.all(silent.map((one) => once(one.resume(), "close")));
  await vi.waitFor(() => expect(board.stats().shards[0]?.handshakes).toBe(CLIENTS), 20_000);
  await ends[end]?.(board);
  await closed;
  await vi.waitFor(() => expect(board.stats().upgrades.failed).toBe(CLIENTS), 20_000);
  expect(board.stats().upgrades).toMatchObject({ accepted: 0, refused: {}, abandoned: 0, timedOut: 0 });
  expect(board.stats().shards[0]?.handshakes).toBe(0);
});
