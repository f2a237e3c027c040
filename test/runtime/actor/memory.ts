import { vi } from "vitest";
import type { TopicMemory } from "../../../src/runtime/streams/topic-memory.ts";

/** A memory of topics that nothing is expected to ask. */
export function noMemory(): TopicMemory {
  const unexpected = (): never => {
    throw new Error("this test asks nothing of topics");
  };
  return {
    history: vi.fn(unexpected),
    removeHistory: vi.fn(unexpected),
    presence: vi.fn(unexpected),
    presenceStats: vi.fn(unexpected),
  };
}
