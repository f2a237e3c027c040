import { expect, it, vi } from "vitest";
import { actorUrl, startBoard } from "../../support/board.ts";
import { RawClient } from "../../support/raw-client.ts";

const node = expect.any(String);

it("asks every shard, and lists the answers in the order of the shards", async () => {
  const { board, port } = await startBoard({ actor: "surveying", shards: 2, placement: "roundRobin" });
  for (let i = 0; i < 3; i++) await RawClient.open({ port });
  const count = async () => (await board.survey("connections")).map((one) => one.kind === "answered" && one.answer);
  await vi.waitFor(async () => expect(await count()).toEqual([2, 1]));
  const question = { deep: [1n, new Date(5)], bytes: new Uint8Array([1, 2]) };
  expect(await board.survey(question)).toEqual([
    { node, shard: 0, kind: "answered", answer: { echo: question } },
    { node, shard: 1, kind: "answered", answer: { echo: question } },
  ]);
});

it.each([
  { question: "throw", error: { message: "surveyed threw", code: "E_SURVEY" } },
  { question: "reject", error: { name: "TypeError", message: "surveyed rejected" } },
  { question: "function", error: { code: "ERR_MAIL_NOT_CLONEABLE" } },
])("fails only the answer of a surveyed that does this: $question", async ({ question, error }) => {
  const { board } = await startBoard({ actor: "surveying" });
  expect(await board.survey(question)).toEqual([
    { node, shard: 0, kind: "failed", error: expect.objectContaining(error) },
  ]);
  expect(await board.survey(5)).toMatchObject([{ kind: "answered", answer: { echo: 5 } }]);
});

it("lists a shard that doesn't answer in time, or ends, as failed", async () => {
  const { board } = await startBoard({ actor: "surveying" });
  expect(await board.survey("never", { timeoutMs: 50 })).toMatchObject([
    { shard: 0, kind: "failed", error: { code: "ERR_SHARD_UNRESPONSIVE" } },
  ]);
  board.on("shardLost", () => {});
  expect(await board.survey("exit")).toMatchObject([{ shard: 0, kind: "failed", error: { code: "ERR_SHARD_LOST" } }]);
});

it("asks the actor module that is named, and fails where it exports no surveyed", async () => {
  const { board } = await startBoard({ actor: "echo", actors: { counted: actorUrl("surveying") } });
  expect(await board.survey(1, { actor: "counted" })).toMatchObject([{ kind: "answered", answer: { echo: 1 } }]);
  expect(await board.survey(1)).toMatchObject([{ kind: "failed", error: { code: "ERR_NO_SURVEYED" } }]);
  await expect(board.survey(1, { actor: "missing" })).rejects.toMatchObject({ code: "ERR_OPTION" });
  await expect(board.survey(1, { timeoutMs: 0 })).rejects.toMatchObject({ code: "ERR_OPTION" });
  await expect(board.survey(() => {})).rejects.toMatchObject({ code: "ERR_MAIL_NOT_CLONEABLE" });
});

it("refuses a surveyed that is no function", async () => {
  const source = `
    import { Actor } from ${JSON.stringify(new URL("../../../src/index.ts", import.meta.url).href)};
    export default class Chat extends Actor {}
    export const surveyed = 5;
  `;
  const actor = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
  const { loadActorModules } = await import("../../../src/board/shard/actor-module.ts");
  await expect(loadActorModules(new Map([[undefined, actor.href]]))).rejects.toMatchObject({
    code: "ERR_SURVEYED_EXPORT",
  });
});
