import { once } from "node:events";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { expect, it, onTestFinished, vi } from "vitest";
import type { Address } from "../../../src/runtime/actor/address.ts";
import type { MailVerdict } from "../../../src/runtime/actor/mail.ts";
import {
  type Answer,
  MAX_LETTERS_UNDER_WAY,
  type MailEnvelope,
  MailLink,
} from "../../../src/runtime/mail/mail-link.ts";

/** One end of a link, with everything that it received. */
interface End {
  readonly port: MessagePort;
  readonly link: MailLink;
  readonly letters: unknown[];
  readonly answers: Answer[];
  closed: number;
}

function end(port: MessagePort, verdictOn: (value: unknown) => MailVerdict): End {
  const received = { letters: [] as unknown[], answers: [] as Answer[], closed: 0 };
  const link = new MailLink(port, 1, {
    letterReceived: ({ value }) => {
      received.letters.push(value);
      return verdictOn(value);
    },
    noteReceived: () => {},
    answerReceived: (answer) => received.answers.push(answer),
    linkClosed: () => received.closed++,
  });
  onTestFinished(() => port.close());
  return Object.assign(received, { port, link });
}

function pair(verdictOn: (value: unknown) => MailVerdict = () => "accepted"): { near: End; far: End } {
  const { port1, port2 } = new MessageChannel();
  return { near: end(port1, verdictOn), far: end(port2, verdictOn) };
}

const letter = (value: unknown): MailEnvelope => ({ to: "1-0" as Address, from: undefined, value, ask: undefined });
const send = ({ link }: End, value: unknown): Promise<MailVerdict> =>
  new Promise((resolve) => link.send(letter(value), resolve));

it("carries letters in order, and returns to each sender its own verdict", async () => {
  const { near, far } = pair((value) => (value === 1 ? "full" : value === 3 ? "gone" : "accepted"));
  const verdicts = await Promise.all([0, 1, 2, 3, 4].map((value) => send(near, value)));
  expect(verdicts).toEqual(["accepted", "full", "accepted", "gone", "accepted"]);
  expect(far.letters).toEqual([0, 1, 2, 3, 4]);
});

it("returns the verdicts on the letters of several ticks separately", async () => {
  const { near } = pair((value) => (value === "refused" ? "full" : "accepted"));
  for (const value of ["taken", "refused", "taken"]) {
    expect(await send(near, value)).toBe(value === "refused" ? "full" : "accepted");
  }
});

it("carries letters both ways at once", async () => {
  const { near, far } = pair();
  await Promise.all([send(near, "there"), send(far, "back"), send(near, "there, too")]);
  expect(far.letters).toEqual(["there", "there, too"]);
  expect(near.letters).toEqual(["back"]);
});

it("posts one message for everything in a tick", async () => {
  const { near, far } = pair();
  let posts = 0;
  far.port.on("message", () => posts++);
  near.link.answer({ ask: 3, outcome: { kind: "gone" } });
  await Promise.all(Array.from({ length: 100 }, (_, i) => send(near, i)));
  expect(posts).toBe(1);
  expect(far.answers).toEqual([{ ask: 3, outcome: { kind: "gone" } }]);
});

it("ignores messages of other kinds on its port", async () => {
  const { near, far } = pair();
  near.port.postMessage({ kind: "something else" });
  await send(near, "mail");
  expect(far.letters).toEqual(["mail"]);
});

it(`refuses letters as full beyond ${MAX_LETTERS_UNDER_WAY} without a verdict, until verdicts come`, async () => {
  const { near } = pair();
  const sent = Array.from({ length: MAX_LETTERS_UNDER_WAY }, (_, i) => send(near, i));
  const settle = vi.fn();
  near.link.send(letter("one too many"), settle);
  // Within the call.
  expect(settle).toHaveBeenCalledWith("full");
  expect(new Set(await Promise.all(sent))).toEqual(new Set(["accepted"]));
  expect(await send(near, "room again")).toBe("accepted");
});

it("answers gone to everybody who waits when the other side ends, and to later senders at once", async () => {
  const { near, far } = pair();
  const waiting = send(near, "too late");
  far.port.close();
  await once(near.port, "close");
  expect(await waiting).toBe("gone");
  expect(near.closed).toBe(1);
  const settle = vi.fn();
  near.link.send(letter("later"), settle);
  expect(settle).toHaveBeenCalledWith("gone");
  near.link.answer({ ask: 0, outcome: { kind: "gone" } });
});
