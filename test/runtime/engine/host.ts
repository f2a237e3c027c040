/** A host and its clients in one thread, joined by real ports; and feeds that write down what they get. */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { onTestFinished, vi } from "vitest";
import { EngineClient, type EngineClientOwner } from "../../../src/runtime/engine/client/engine-client.ts";
import type { EngineClientSettings } from "../../../src/runtime/engine/client/engine-session.ts";
import type { StreamFeed } from "../../../src/runtime/engine/client/wanted-topics.ts";
import { EngineHost, type EngineHostSettings } from "../../../src/runtime/engine/host/engine-host.ts";
import type { Engine, PresenceChange } from "../../../src/runtime/streams/engine.ts";
import { createMemoryEngine } from "../../../src/runtime/streams/memory/memory-engine.ts";
import type { Position } from "../../../src/runtime/streams/position.ts";
import type { StreamRecord } from "../../../src/runtime/streams/publication.ts";
import { checkTopics, TopicRules } from "../../../src/runtime/streams/topic-rules.ts";
import { encodeText, type Frame, payloadStart } from "../../../src/wire/protocol/frame.ts";

export const RULES = checkTopics("test", {
  "s*": { history: { size: 100_000 } },
  "n*": { history: { size: 1 } },
  "w*": { presence: { leaveGraceMs: 0 } },
  "q*": { presence: { leaveGraceMs: 0, changes: false } },
  "g*": { presence: { leaveGraceMs: 3_600_000 } },
  "p*": { history: { size: 10 }, presence: { leaveGraceMs: 0 } },
});

export interface TestHost {
  readonly engine: Engine;
  readonly host: EngineHost;
  /** Connects a new client, and returns the client and its own end of the port. */
  connect(settings?: EngineClientSettings, owner?: EngineClientOwner): { client: EngineClient; port: MessagePort };
  /** Connects a client that there is. Returns the client's end of the port. */
  reconnect(client: EngineClient): MessagePort;
}

/** Starts a host over the memory engine, or over `engine`. */
export async function startHost(settings?: EngineHostSettings, engine?: Engine): Promise<TestHost> {
  const used = engine ?? createMemoryEngine({}, "node-1");
  const host = new EngineHost(used, "node-1", new TopicRules(RULES), settings);
  await used.start(host.engineOwner);
  onTestFinished(() => host.stop());
  const reconnect = (client: EngineClient, isMain = false): MessagePort => {
    const { port1, port2 } = new MessageChannel();
    host.addClient(port2, isMain);
    client.connect(port1);
    return port1;
  };
  return {
    engine: used,
    host,
    reconnect,
    connect: (clientSettings = {}, owner) => {
      const client = new EngineClient(owner, clientSettings);
      onTestFinished(() => client.close());
      return { client, port: reconnect(client, owner !== undefined) };
    },
  };
}

/** A feed that writes down its calls. */
export class RecordingFeed implements StreamFeed {
  readonly publications: { readonly epoch: string; readonly offset: number; readonly text: string }[] = [];
  readonly tops: Position[] = [];
  readonly relays: string[] = [];
  readonly changes: PresenceChange[] = [];
  doubts = 0;
  interruptions = 0;

  published({ offset, frame }: StreamRecord, epoch: string): void {
    this.publications.push({ epoch, offset, text: textOf(frame) });
  }

  topTold(top: Position): void {
    this.tops.push(top);
  }

  interrupted(): void {
    this.interruptions++;
  }

  relayed(frame: Frame): void {
    this.relays.push(textOf(frame));
  }

  presenceChanged(change: PresenceChange): void {
    this.changes.push(change);
  }

  presenceDoubted(): void {
    this.doubts++;
  }

  get offsets(): number[] {
    return this.publications.map(({ offset }) => offset);
  }

  get texts(): string[] {
    return this.publications.map(({ text }) => text);
  }
}

export function textOf(frame: Frame): string {
  return frame.block.toString("utf8", payloadStart(frame), frame.end);
}

export const text = encodeText;

/** Resolves when `condition` is true. */
export async function until(condition: () => boolean): Promise<void> {
  await vi.waitFor(
    () => {
      if (!condition()) throw new Error(`not yet: ${condition}`);
    },
    { timeout: 10_000, interval: 5 },
  );
}

/** Returns the whole numbers from `from` to `to`. */
export function span(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}
