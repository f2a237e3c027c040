import { MessageChannel } from "node:worker_threads";
import { expect, it, onTestFinished } from "vitest";
import type { Address } from "../../../src/runtime/actor/address.ts";
import type { Mail, MailVerdict } from "../../../src/runtime/actor/mail.ts";
import { type LostMail, MailRouter } from "../../../src/runtime/mail/mail-router.ts";

const address = (text: string): Address => text as Address;

/** One thread's router, with all mail to its actors. */
interface Thread {
  readonly router: MailRouter;
  readonly mails: { readonly to: Address; readonly mail: Mail }[];
  readonly lost: LostMail[];
}

/** @param handle decides on mail and may answer it */
function thread(shard: number | undefined, handle: (mail: Mail) => MailVerdict = () => "accepted"): Thread {
  const mails: Thread["mails"] = [];
  const lost: LostMail[] = [];
  const router = new MailRouter({
    shard,
    mailReceived: (to, mail) => {
      mails.push({ to, mail });
      return handle(mail);
    },
    mailUndelivered: (one) => lost.push(one),
  });
  return { router, mails, lost };
}

function connect(a: Thread, shardOfB: number | undefined, b: Thread, shardOfA: number | undefined) {
  const { port1, port2 } = new MessageChannel();
  a.router.addLink(port1, shardOfB);
  b.router.addLink(port2, shardOfA);
  onTestFinished(() => port1.close());
  return port1;
}

/** Answers each ask with twice its value. */
const doubling = (mail: Mail): MailVerdict => {
  mail.answer?.({ kind: "answered", value: Number(mail.value) * 2 });
  return "accepted";
};

it("delivers mail to an actor of its own thread, as a copy", async () => {
  const here = thread(0);
  const value = { text: "hello" };
  expect(await here.router.tell(address("0-1"), address("0-2"), value)).toEqual({ status: "accepted" });
  expect(here.mails).toMatchObject([{ to: "0-2", mail: { from: "0-1", value } }]);
  expect(here.mails[0]?.mail.value).not.toBe(value);
  expect(here.mails[0]?.mail.answer).toBeUndefined();
});

it("delivers mail to an actor of a linked thread, in order", async () => {
  const [near, far] = [thread(0), thread(1)];
  connect(near, 1, far, 0);
  const results = await Promise.all([1, 2, 3].map((value) => near.router.tell(address("0-0"), address("1-5"), value)));
  expect(results).toEqual(Array(3).fill({ status: "accepted" }));
  expect(far.mails.map(({ mail }) => mail.value)).toEqual([1, 2, 3]);
});

it.each([
  ["full", 0],
  ["full", 1],
  ["gone", 0],
  ["gone", 1],
] as const)(
  "gives refused mail back as it was, with %s from shard %i, and reports only what is gone",
  async (status, shard) => {
    const [near, far] = [thread(0, () => status), thread(1, () => status)];
    connect(near, 1, far, 0);
    const mail = { text: "hello" };
    const result = await near.router.tell(undefined, address(`${shard}-1`), mail);
    expect(result).toEqual({ status, mail });
    if (result.status !== "accepted") expect(result.mail).toBe(mail);
    expect(near.lost).toEqual(status === "gone" ? [{ to: `${shard}-1`, from: undefined, reason: "gone" }] : []);
    expect(far.lost).toEqual([]);
  },
);

it("returns gone for an actor of a shard without a link", async () => {
  const here = thread(0);
  expect(await here.router.tell(undefined, address("7-1"), "x")).toEqual({ status: "gone", mail: "x" });
  await expect(here.router.ask(undefined, address("7-1"), "x")).rejects.toMatchObject({ code: "ERR_ASK_GONE" });
  expect(here.lost).toHaveLength(2);
});

it.each([0, 1])("resolves an ask with the answer of an actor of shard %i", async (shard) => {
  const [near, far] = [thread(0, doubling), thread(1, doubling)];
  connect(near, 1, far, 0);
  expect(await near.router.ask(address("0-0"), address(`${shard}-1`), 21)).toBe(42);
});

it("sends asks of the main thread, which has no actors and gets no mail", async () => {
  const [main, shard] = [thread(undefined), thread(1, doubling)];
  connect(main, 1, shard, undefined);
  expect(await main.router.ask(undefined, address("1-1"), 4)).toBe(8);
});

it.each([0, 1])("fails an ask of shard %i whose answer can't be cloned", async (shard) => {
  const answering = (mail: Mail): MailVerdict => {
    mail.answer?.({ kind: "answered", value: () => {} });
    return "accepted";
  };
  const [near, far] = [thread(0, answering), thread(1, answering)];
  connect(near, 1, far, 0);
  const result = near.router.ask(undefined, address(`${shard}-1`), "x");
  await expect(result).rejects.toMatchObject({ code: "ERR_ASK_FAILED" });
});

it.each(["full", "gone"] as const)("rejects an ask that is refused as %s", async (verdict) => {
  const [near, far] = [thread(0), thread(1, () => verdict)];
  connect(near, 1, far, 0);
  const code = `ERR_ASK_${verdict.toUpperCase()}`;
  await expect(near.router.ask(undefined, address("1-1"), "x")).rejects.toMatchObject({ code });
});

it("throws at once for mail that can't be cloned", () => {
  const here = thread(0);
  const expected = expect.objectContaining({ code: "ERR_MAIL_NOT_CLONEABLE" });
  expect(() => here.router.tell(undefined, address("0-1"), () => {})).toThrow(expected);
  expect(() => here.router.ask(undefined, address("0-1"), () => {})).toThrow(expected);
  expect(here.mails).toEqual([]);
});

it("returns gone for all actors of a thread whose link closes, also to pending asks", async () => {
  const [near, far] = [thread(0), thread(1)];
  const port = connect(near, 1, far, 0);
  const asked = near.router.ask(undefined, address("1-1"), "never answered");
  asked.catch(() => {});
  expect(await near.router.tell(undefined, address("1-1"), "x")).toEqual({ status: "accepted" });
  port.close();
  await expect(asked).rejects.toMatchObject({ code: "ERR_ASK_GONE" });
  expect(await near.router.tell(undefined, address("1-1"), "y")).toEqual({ status: "gone", mail: "y" });
});
