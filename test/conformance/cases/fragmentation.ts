/** Cases of fragmented messages (RFC 6455 section 5.4). Played against every role. */
import {
  binaries,
  binary,
  type Case,
  continuation,
  failed,
  fragments,
  inAllCuts,
  ping,
  pong,
  pongs,
  text,
  texts,
} from "../case.ts";

const more = { fin: false };

export const fragmentation: readonly Case[] = inAllCuts([
  { name: "a text in two fragments", steps: fragments(1, ["frag", "ment"]), answers: texts("fragment") },
  { name: "a binary in two fragments", steps: fragments(2, ["frag", "ment"]), answers: binaries("fragment") },
  { name: "a text in a fragment for each byte", steps: fragments(1, [..."fragment"]), answers: texts("fragment") },
  { name: "a text of empty fragments", steps: fragments(1, ["", "", ""]), answers: texts("") },
  { name: "a binary of empty fragments", steps: fragments(2, ["", ""]), answers: binaries("") },
  { name: "a text whose middle alone isn't empty", steps: fragments(1, ["", "middle", ""]), answers: texts("middle") },
  {
    name: "two fragmented messages",
    steps: [...fragments(1, ["a", "b"]), ...fragments(2, ["c", "d"])],
    answers: [...texts("ab"), ...binaries("cd")],
  },
  {
    name: "a ping between two fragments",
    steps: [text("frag", more), ping("inside"), continuation("ment")],
    answers: [...pongs("inside"), ...texts("fragment")],
  },
  {
    name: "a ping and a pong between all of five fragments",
    steps: [
      ...[text("1", more), ping("a"), continuation("2", more), pong("b"), continuation("3", more), ping("c")],
      ...[continuation("4", more), ping(""), pong(""), continuation("5")],
    ],
    answers: [...texts("12345"), ...pongs("a", "c", "")],
  },
  {
    name: "a ping that is answered while the message is unfinished",
    steps: [text("frag", more), ping("inside"), { awaits: 1 }, continuation("ment")],
    answers: [...pongs("inside"), ...texts("fragment")],
  },
  { name: "a fragmented ping", steps: [ping("frag", more), continuation("ment")], end: failed(1002) },
  { name: "an empty ping that isn't final", steps: [ping("", more)], end: failed(1002) },
  { name: "a fragmented pong", steps: [pong("frag", more), continuation("ment")], end: failed(1002) },
  { name: "a close frame that isn't final", steps: [{ opcode: 8, fin: false }], end: failed(1002) },
  {
    name: "a fragmented ping inside a message",
    steps: [text("a", more), ping("b", more), continuation("c"), continuation("d")],
    end: failed(1002),
  },
  { name: "a continuation without a message, final", steps: [continuation("lost")], end: failed(1002) },
  { name: "a continuation without a message, not final", steps: [continuation("lost", more)], end: failed(1002) },
  { name: "an empty continuation without a message", steps: [continuation()], end: failed(1002) },
  {
    name: "a continuation without a message, then a message",
    steps: [continuation("lost", more), text("found")],
    end: failed(1002),
  },
  {
    name: "a continuation after a whole message",
    steps: [text("whole"), { awaits: 1 }, continuation("lost")],
    answers: texts("whole"),
    end: failed(1002),
  },
  {
    name: "a continuation after a fragmented message",
    steps: [...fragments(1, ["frag", "ment"]), { awaits: 1 }, continuation("lost")],
    answers: texts("fragment"),
    end: failed(1002),
  },
  {
    name: "a continuation without a message, after a ping",
    steps: [ping("p"), { awaits: 1 }, continuation("lost")],
    answers: pongs("p"),
    end: failed(1002),
  },
  { name: "a new text inside a message", steps: [text("a", more), text("b")], end: failed(1002) },
  { name: "a new binary inside a message", steps: [text("a", more), binary("b")], end: failed(1002) },
  { name: "a new text inside a binary message", steps: [binary("a", more), text("b")], end: failed(1002) },
  { name: "a new fragmented text inside a message", steps: [text("a", more), text("b", more)], end: failed(1002) },
  {
    name: "a new message instead of each continuation but the last",
    steps: [text("a", more), text("b", more), text("c", more), continuation("d")],
    end: failed(1002),
  },
  {
    name: "a new message inside another, after a whole message and a ping",
    steps: [text("whole"), ping("p"), { awaits: 2 }, text("a", more), ping("q"), { awaits: 3 }, text("b")],
    answers: [...texts("whole"), ...pongs("p", "q")],
    end: failed(1002),
  },
]);
