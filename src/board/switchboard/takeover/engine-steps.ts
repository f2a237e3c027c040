/** Steps of a takeover in the engine thread of a board. The board at either end of a takeover has such steps. */
import { setTimeout as delay } from "node:timers/promises";
import type { EngineClient } from "../../../runtime/engine/client/engine-client.ts";
import type { TakeoverAnswers, TakeoverStep } from "../../../runtime/engine/takeover/steps.ts";
import type { BoardTopics } from "../board-topics.ts";
import { POLL_MS } from "./limits.ts";

/**
 * Makes a step in the engine thread of an engine that other nodes share. Resolves with undefined without such an
 * engine, and when the engine can't be reached: then the takeover goes on without.
 */
export async function engineStep<Kind extends TakeoverStep["kind"]>(
  topics: BoardTopics,
  step: Extract<TakeoverStep, { kind: Kind }>,
): Promise<{ readonly answer: TakeoverAnswers[Kind] } | undefined> {
  const { client, isShared } = topics;
  if (client === undefined || !isShared) return undefined;
  const over = new AbortController();
  try {
    const answer = answerOf(client, step);
    // Nothing may go on waiting because the engine is away.
    return await (step.kind === "end" ? answer : Promise.race([answer, down(topics, over.signal)]));
  } catch {
    return undefined;
  } finally {
    over.abort();
  }
}

async function answerOf<Kind extends TakeoverStep["kind"]>(
  client: EngineClient,
  step: Extract<TakeoverStep, { kind: Kind }>,
): Promise<{ readonly answer: TakeoverAnswers[Kind] }> {
  return { answer: await client.takeover(step) };
}

/** Resolves when the engine can't be reached. */
async function down(topics: BoardTopics, signal: AbortSignal): Promise<undefined> {
  while (topics.isUp) await delay(POLL_MS, undefined, { signal });
  return undefined;
}
