/**
 * Gives sessions to two boards, one over Node's sockets and one over other sockets: both must answer with the same
 * bytes. Used by `fuzz.ts`.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { type StartOptions, Switchboard } from "../../src/index.ts";
import { actorUrl } from "../support/actor-url.ts";
import { upgradeRequest } from "../support/raw-client.ts";
import { generate } from "./generate.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";
import { type Agreement, LIMITS, reads, type Session } from "./session.ts";

export type Sockets = NonNullable<StartOptions["sockets"]>;

/** What one client saw. */
export interface Answer {
  readonly bytes: Buffer;
  /** True if the connection was reset: the end of the bytes may be missing. */
  readonly reset: boolean;
}

export interface SocketFinding {
  readonly session: Session;
  readonly node: Answer;
  readonly other: Answer;
}

export interface SocketFuzzOptions {
  readonly sockets: Sockets;
  readonly seed: number;
  readonly seconds: number;
  readonly maxFindings: number;
  readonly progress: (runs: number) => void;
}

const CORPUS = 200;
const SESSIONS_AT_ONCE = 16;
const PROGRESS_RUNS = 1_600;
/** Milliseconds that a session may take. Longer is a finding: the answer has no end. */
const DEADLINE_MS = 30_000;

const OFFERS: Readonly<Record<Agreement, string | undefined>> = {
  none: undefined,
  alone: "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
  context: "permessage-deflate",
};

/** Generates and mutates sessions, and compares the answers of both boards to each. */
export async function fuzzSockets(options: SocketFuzzOptions): Promise<{ runs: number; findings: SocketFinding[] }> {
  const { sockets, seed, seconds, maxFindings, progress } = options;
  const boards = [await listen("node"), await listen(sockets)] as const;
  const [nodePort, otherPort] = boards.map(({ port }) => port) as [number, number];
  const random = new Random(seed);
  const corpus: Session[] = [];
  const findings: SocketFinding[] = [];
  const end = performance.now() + seconds * 1_000;
  let runs = 0;
  const next = (): Session => {
    for (;;) {
      const session =
        corpus.length < CORPUS || random.chance(1, 10)
          ? generate(random)
          : mutate(random.pick(corpus), random.pick(corpus), random);
      if (session.role !== "server") continue;
      if (corpus.length < CORPUS) corpus.push(session);
      else corpus[random.below(CORPUS)] = session;
      return session;
    }
  };
  while (performance.now() < end && findings.length < maxFindings) {
    const batch = Array.from({ length: SESSIONS_AT_ONCE }, next);
    await Promise.all(
      batch.map(async (session) => {
        const [node, other] = await Promise.all([answerTo(session, nodePort), answerTo(session, otherPort)]);
        if (!agree(node, other)) findings.push({ session, node, other });
      }),
    );
    runs += batch.length;
    if (runs % PROGRESS_RUNS === 0) progress(runs);
  }
  await Promise.all(boards.map(({ board }) => board.close({ timeoutMs: 0 })));
  return { runs, findings };
}

async function listen(sockets: Sockets): Promise<{ board: Switchboard; port: number }> {
  const board = await Switchboard.start({
    actor: actorUrl("echo"),
    shards: 1,
    sockets,
    compression: true,
    maxEventLoopDelayMs: 60_000,
    ...LIMITS,
  });
  const { port } = await board.listen({ port: 0, host: "127.0.0.1", accept: "shard" });
  return { board, port };
}

/** Sends a session, read by read, and ends. Returns all that comes back. */
async function answerTo({ agreement, cuts, bytes }: Session, port: number): Promise<Answer> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
  const seen: Buffer[] = [];
  let reset = false;
  socket.on("data", (chunk: Buffer) => seen.push(chunk));
  socket.on("error", () => {
    reset = true;
  });
  const ended = new Promise<void>((resolve) => {
    socket.once("end", resolve);
    socket.once("close", resolve);
  });
  const deadline = setTimeout(() => socket.destroy(new Error("no end")), DEADLINE_MS);
  await Promise.race([once(socket, "connect"), ended]);
  await write(socket, Buffer.from(upgradeRequest({ headers: { "Sec-WebSocket-Extensions": OFFERS[agreement] } })));
  for (const read of reads(bytes, cuts)) await write(socket, read);
  socket.end();
  await ended;
  clearTimeout(deadline);
  socket.destroy();
  return { bytes: Buffer.concat(seen), reset };
}

async function write(socket: Socket, bytes: Buffer): Promise<void> {
  if (socket.writable) socket.write(bytes);
  await turn();
}

function agree(node: Answer, other: Answer): boolean {
  if (!node.reset && !other.reset) return node.bytes.equals(other.bytes);
  const length = Math.min(node.bytes.length, other.bytes.length);
  return node.bytes.subarray(0, length).equals(other.bytes.subarray(0, length));
}
