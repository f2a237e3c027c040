import { expect, it } from "vitest";
import { StreamSubscription } from "../../../src/runtime/feeds/stream-subscription.ts";
import { text } from "../engine/host.ts";
import { Peer } from "./peer.ts";

it.each([
  { thins: false, room: 1, refusals: 0, result: "sent" },
  { thins: false, room: 0, refusals: 1, result: "dropped" },
  { thins: true, room: 0, refusals: 1, result: "dropped" },
])("with room for $room and thins $thins a delivery is $result, and refused $refusals times", (row) => {
  const refused: StreamSubscription[] = [];
  const peer = new Peer();
  peer.room = row.room;
  const owner = { deliversUnstored: false, publicationRefused: (one: StreamSubscription) => void refused.push(one) };
  const subscription = new StreamSubscription("s", peer, undefined, row.thins, owner);
  expect(subscription.deliver(text("x"), "s")).toBe(row.result);
  expect(refused).toEqual(row.refusals === 0 ? [] : [subscription]);
});

it("begins joining, and moves", () => {
  const owner = { deliversUnstored: false, publicationRefused: () => {} };
  const subscription = new StreamSubscription("s", new Peer(), undefined, false, owner);
  expect(subscription).toMatchObject({ phase: "joining", hasEnded: false, epoch: "", offset: 0 });
  subscription.moveTo({ epoch: "e", offset: 3 });
  expect(subscription).toMatchObject({ epoch: "e", offset: 3 });
});
