/** The phases in which `Switchboard.close` closes the parts of a board, one after the other. README.md explains them. */
import { setTimeout as delay } from "node:timers/promises";
import { within } from "../../runtime/scheduling/within.ts";
import type { ShutdownCounts } from "../shard/shutdown.ts";
import type { BoardHub } from "./board-hub.ts";
import type { BoardLife } from "./board-life.ts";
import type { UpgradeIntake } from "./listen/upgrade-intake.ts";
import type { BoardMoves } from "./moving/board-moves.ts";
import type { CloseSettings } from "./options/close-options.ts";
import type { ShardPool } from "./pool/shard-pool.ts";
import type { BoardTakeover } from "./takeover/board-takeover.ts";

/** Time that is left for the end of the engine when requests of HTTP servers take long, in ms. */
const ENGINE_END_MS = 1_000;

interface ClosingParts {
  readonly life: BoardLife;
  readonly moves: BoardMoves;
  readonly intake: UpgradeIntake;
  readonly pool: ShardPool;
  readonly hub: BoardHub;
  /** Undefined without the option `takeover`. */
  readonly takeover: BoardTakeover | undefined;
}

/** Closes all parts. Resolves when the shards have ended, with what became of the connections. */
export async function closeParts(parts: ClosingParts, closing: CloseSettings): Promise<ShutdownCounts> {
  const { life, moves, intake, pool, hub, takeover } = parts;
  const { readinessDelayMs, ...settings } = closing;
  moves.stop();
  if (readinessDelayMs > 0) await delay(readinessDelayMs);
  const deadline = performance.now() + settings.timeoutMs;
  await takeover?.close();
  await intake.close(settings.timeoutMs);
  const timeoutMs = Math.max(0, deadline - performance.now());
  const counts = await pool.close({ ...settings, timeoutMs }, () => requestsEnd(parts, deadline));
  await takeover?.passedOn();
  hub.topics.close();
  takeover?.leave();
  life.ended();
  intake.end();
  return counts;
}

/**
 * Waits for requests under way, here and in an older process, which may still publish and ask, and for the engine's
 * answers to them. After that, the board knows no engine and no node.
 */
async function requestsEnd({ intake, hub, takeover }: ClosingParts, deadline: number): Promise<void> {
  const limitMs = Math.max(0, deadline - performance.now() - ENGINE_END_MS);
  const over = Promise.all([intake.sockets.answered(), takeover?.unneeded()]);
  await within(
    limitMs,
    over.then(() => hub.topics.answered()),
  );
  hub.topics.closing();
  hub.cluster.close();
}
