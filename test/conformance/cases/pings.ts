/** Cases of pings and pongs (RFC 6455 sections 5.5.2 and 5.5.3). Played against every role. */
import { binaries, binary, type Case, failed, inAllCuts, ping, pong, pongs, text, texts } from "../case.ts";
import { noise } from "./payloads.ts";

const TEN = Array.from({ length: 10 }, (_, i) => `ping ${i}`);
const BYTES = Buffer.from("00fffefdfcfb00ff", "hex");

export const pings: readonly Case[] = inAllCuts([
  { name: "an empty ping", steps: [ping()], answers: pongs("") },
  { name: "a ping with text", steps: [ping("Hello, world!")], answers: pongs("Hello, world!") },
  { name: "a ping with bytes that aren't text", steps: [ping(BYTES)], answers: pongs(BYTES) },
  { name: "a ping of 125 bytes", steps: [ping(noise(125))], answers: pongs(noise(125)) },
  { name: "a ping of 126 bytes", steps: [ping(noise(126))], end: failed(1002) },
  { name: "a ping of 65,536 bytes, of which none comes", steps: [ping("", { announces: 65_536n })], end: failed(1002) },
  { name: "a pong of 126 bytes", steps: [pong(noise(126))], end: failed(1002) },
  { name: "an unsolicited empty pong", steps: [pong()] },
  { name: "an unsolicited pong with a payload", steps: [pong("unasked")] },
  { name: "an unsolicited pong of 125 bytes", steps: [pong(noise(125))] },
  { name: "an unsolicited pong, then a ping", steps: [pong("unasked"), ping("asked")], answers: pongs("asked") },
  { name: "ten pings", steps: TEN.map((payload) => ping(payload)), answers: pongs(...TEN) },
  {
    name: "ten pings, each awaited",
    steps: TEN.flatMap((payload, i) => [ping(payload), { awaits: i + 1 }]),
    answers: pongs(...TEN),
  },
  {
    name: "pings between messages",
    steps: [ping("1"), text("a"), ping("2"), binary("b"), pong("c"), ping("3")],
    answers: [...texts("a"), ...binaries("b"), ...pongs("1", "2", "3")],
  },
]);
