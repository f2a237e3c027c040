/** A board that listens until the test ends. Used by most tests of boards. */
import { onTestFinished } from "vitest";
import { type ListenOptions, type StartOptions, Switchboard } from "../../src/index.ts";
import { actorUrl } from "./actor-url.ts";

export { actorUrl };

export type TestBoardOptions = Omit<StartOptions, "actor"> & {
  readonly actor?: string | URL;
  readonly attach?: Partial<ListenOptions>;
};

/**
 * Starts a board that listens on a free port and closes when the test ends. Default: one shard without a
 * warm-up, and handshakes in the main thread where possible, because that way has the most parts.
 */
export async function startBoard(options: TestBoardOptions = {}): Promise<{ board: Switchboard; port: number }> {
  const { actor = "echo", attach = {}, ...rest } = options;
  const url = actor instanceof URL ? actor : actorUrl(actor);
  const board = await Switchboard.start({
    actor: url,
    shards: 1,
    // A late event loop must not exclude a shard from new connections: the test machine may be busy at any time.
    maxEventLoopDelayMs: 60_000,
    // The warm-up of each shard costs 20 ms of CPU time; `test/board/shard/warm-up.test.ts` tests it.
    warmUp: false,
    ...rest,
  });
  onTestFinished(async () => {
    await board.close({ timeoutMs: 0 });
  });
  const handshake = attach.tls === undefined && attach.accept !== "shard" ? { handshake: "main" as const } : {};
  // A client that a test keeps waiting must outlast a standstill of a busy test machine.
  const handshakeTimeoutMs = 120_000;
  const { port } = await board.listen({ port: 0, host: "127.0.0.1", handshakeTimeoutMs, ...handshake, ...attach });
  return { board, port };
}
