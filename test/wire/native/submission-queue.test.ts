import { threadId } from "node:worker_threads";
import { describe, expect, it, onTestFinished } from "vitest";
import { Estate } from "../../../src/wire/native/estate/estate.ts";
import { createEstateMemory } from "../../../src/wire/native/estate/estate-memory.ts";
import { settle } from "../../../src/wire/native/ring.ts";
import { setUpRing } from "../../../src/wire/native/ring-setup.ts";
import { SubmissionQueue } from "../../../src/wire/native/submission-queue.ts";
import { noop } from "../../../src/wire/protocol/empty.ts";
import { missingUring } from "./availability.ts";

/** The kernel's sign in the flags of the queue that completions wait (`IORING_SQ_TASKRUN`). */
const SQ_TASKRUN = 1 << 2;

describe.skipIf(missingUring !== undefined)("the submission queue", () => {
  it("lets a thread sleep although the kernel's sign of completions has stayed without any", () => {
    const memory = createEstateMemory();
    onTestFinished(() => void settle(memory));
    const parts = setUpRing(8, new Estate(memory, threadId));
    const queue = new SubmissionQueue(parts, noop, 0n);
    expect(queue.completeWaiting()).toBe(true);
    // The kernel sets the sign late, when the completion has been taken already.
    Atomics.or(parts.words, parts.sqFlags, SQ_TASKRUN);
    queue.complete();
    expect(queue.hasCompletions).toBe(true);
    expect(queue.completeWaiting()).toBe(true);
    expect(queue.hasCompletions).toBe(false);
  });
});
