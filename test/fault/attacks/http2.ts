/** Attacks over HTTP/2: resets, closed windows, lost sessions. */
import { text } from "../../support/frames.ts";
import { data, extendedConnect, INITIAL_WINDOW_SIZE, resetStream } from "../../support/http2-frames.ts";
import { type Attack, COMMON_GROWTH_MIB, crowd } from "./attack.ts";
import { Http2Peer } from "./http2-peer.ts";

/** Number of resets that nghttp2 takes from a session at once. It ends the session at the next. */
const RESETS_TAKEN = 1_000;
const STREAMS_LEFT = 50;
const PUBLISHED = 8;
const PUBLISHED_BYTES = 1_000_000;

/** Bound of the memory, in MiB. The main thread's heap is part of it: each HTTP/2 stream is a hundred objects there. */
const MAIN_GROWTH_MIB = 2 * COMMON_GROWTH_MIB;

/** Stream ids of a client: odd numbers, rising. */
const idOf = (index: number): number => 2 * index + 1;

/** Requests `count` streams and resets each at once, in one write. */
function resets(count: number): Buffer {
  const frames = Array.from({ length: count }, (_, i) => [extendedConnect(idOf(i)), resetStream(idOf(i))]);
  return Buffer.concat(frames.flat());
}

export const http2: readonly Attack[] = [
  {
    fault: "HTTP/2 rapid reset",
    tried: (count) => `${count} sessions that open ${2 * RESETS_TAKEN} streams and reset each at once`,
    full: 200,
    short: 10,
    verdicts: ["GOAWAY 2"],
    memoryMiB: MAIN_GROWTH_MIB,
    run: ({ http2Port, count }) =>
      crowd(count, 4, async () => {
        const peer = await Http2Peer.open(http2Port);
        await peer.write(resets(2 * RESETS_TAKEN));
        return peer.leave(await peer.sessionEnding());
      }),
  },
  {
    fault: "HTTP/2 rapid reset, just below the limit",
    tried: (count) => `${count} sessions that open ${RESETS_TAKEN - 1} streams and reset each at once, then use one`,
    full: 200,
    short: 10,
    verdicts: ["survived"],
    memoryMiB: MAIN_GROWTH_MIB,
    run: ({ http2Port, count }) =>
      crowd(count, 4, async () => {
        const peer = await Http2Peer.open(http2Port);
        await peer.write(resets(RESETS_TAKEN - 1));
        const stream = idOf(RESETS_TAKEN);
        await peer.openStreams(stream);
        return peer.leave(await peer.survival(stream));
      }),
  },
  {
    fault: "HTTP/2 blocked window",
    tried: (count) => `${count} streams that get ${PUBLISHED} MB of publishes and let the server send nothing`,
    full: 100,
    short: 4,
    verdicts: ["RST_STREAM 8"],
    memoryMiB: MAIN_GROWTH_MIB,
    run: ({ http2Port, count }) =>
      crowd(count, 10, async (index) => {
        const blocked = await Http2Peer.open(http2Port, { [INITIAL_WINDOW_SIZE]: 0 });
        await blocked.openStreams(1);
        await blocked.write(data(1, text(`subscribe blocked-${index}- 1`)));
        const publisher = await Http2Peer.open(http2Port);
        await publisher.openStreams(1);
        const publish = data(1, text(`publish blocked-${index}-0 ${PUBLISHED_BYTES}`));
        await publisher.write(Buffer.concat(Array.from({ length: PUBLISHED }, () => publish)));
        const verdict = await blocked.ending(1);
        publisher.leave("done");
        return blocked.leave(verdict);
      }),
  },
  {
    fault: "HTTP/2 sessions that vanish",
    tried: (count) => `${count} sessions that are cut with ${STREAMS_LEFT} WebSockets open in each`,
    full: 200,
    short: 10,
    verdicts: ["survived"],
    memoryMiB: MAIN_GROWTH_MIB,
    run: ({ http2Port, count }) =>
      crowd(count, 4, async () => {
        const peer = await Http2Peer.open(http2Port);
        await peer.openStreams(...Array.from({ length: STREAMS_LEFT }, (_, i) => idOf(i)));
        return peer.leave(await peer.survival(idOf(0)));
      }),
  },
];
