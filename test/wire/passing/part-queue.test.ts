/** Parts on their way to one process, with a process in memory that takes sockets when the test says so. */
import { describe, expect, it, vi } from "vitest";
import type { TcpHandle } from "../../../src/wire/node-internals/net.ts";
import { PartQueue } from "../../../src/wire/passing/part-queue.ts";
import type { ChannelPart } from "../../../src/wire/passing/supervisor-messages.ts";

const message = (sockets: number): ChannelPart => ({ kind: "message", body: new Uint8Array(1), sockets });
const socket = (serial: number): ChannelPart => ({ kind: "socket", serial });

class Handle implements TcpHandle {
  readonly fd = 1;
  isOpen = true;
  close(): void {
    this.isOpen = false;
  }
}

/** A queue, and what has left it. */
function open() {
  const posted: ChannelPart[] = [];
  const failed: Error[] = [];
  let sent: ((error: Error | null) => void) | undefined;
  const queue = new PartQueue(
    (part, handle, done) => {
      posted.push(part);
      if (handle !== undefined) sent = done;
    },
    (error) => failed.push(error),
  );
  const pushSocket = (serial: number): Handle => {
    const handle = new Handle();
    const drop = (): void => handle.close();
    queue.push(socket(serial), { open: () => handle, close: drop, drop });
    return handle;
  };
  return { queue, posted, failed, pushSocket, sent: (error: Error | null = null) => sent?.(error) };
}

describe("parts for a process", () => {
  it("leave in order, and none while a socket is under way", () => {
    const { queue, posted, pushSocket, sent } = open();
    queue.push(message(0));
    const [first, second] = [pushSocket(0), pushSocket(1)];
    queue.push(message(2));
    expect(posted).toEqual([message(0), socket(0)]);
    sent();
    expect(posted).toHaveLength(2);
    queue.took();
    expect(posted).toEqual([message(0), socket(0), socket(1)]);
    expect([first.isOpen, second.isOpen]).toEqual([false, true]);
    sent();
    queue.took();
    expect(posted.at(-1)).toEqual(message(2));
    expect(second.isOpen).toBe(false);
  });

  it("of a queue that stops: none leaves, and a handle that the system still writes is closed only after that", async () => {
    const { queue, posted, pushSocket, sent } = open();
    const [first, second] = [pushSocket(0), pushSocket(1)];
    let hasStopped = false;
    const stopped = queue.stop().then(() => {
      hasStopped = true;
    });
    expect([first.isOpen, second.isOpen]).toEqual([true, false]);
    queue.push(message(2));
    expect(pushSocket(2).isOpen).toBe(false);
    await Promise.resolve();
    expect(hasStopped).toBe(false);
    sent(new Error("the channel is closed"));
    await stopped;
    expect(first.isOpen).toBe(false);
    expect(posted).toEqual([socket(0)]);
  });

  it("that can't be written are told", () => {
    const { failed, pushSocket, sent } = open();
    pushSocket(0);
    sent(new Error("write EPIPE"));
    expect(failed).toEqual([new Error("write EPIPE")]);
  });

  it("that nobody takes within 5 s are told, once", () => {
    vi.useFakeTimers();
    try {
      const { queue, failed, pushSocket, sent } = open();
      pushSocket(0);
      sent();
      vi.advanceTimersByTime(4_000);
      queue.took();
      pushSocket(1);
      vi.advanceTimersByTime(4_000);
      expect(failed).toEqual([]);
      vi.advanceTimersByTime(60_000);
      expect(failed).toMatchObject([{ code: "ERR_TAKEOVER_LOST" }]);
    } finally {
      vi.useRealTimers();
    }
  });
});
