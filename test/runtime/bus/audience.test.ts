import { describe, expect, it } from "vitest";
import {
  type Audience,
  addSubscriber,
  deleteSubscriber,
  deliverTo,
  NO_SUBSCRIBERS,
  type Subscriber,
  type SubscriberGroup,
} from "../../../src/runtime/bus/audience.ts";
import { encodeText, type Frame } from "../../../src/wire/protocol/frame.ts";
import type { SendResult } from "../../../src/wire/protocol/send-result.ts";

const FRAME = encodeText("x");

/** A group in which every subscriber stays that joins. */
class Group implements SubscriberGroup {
  size = 0;
  accepts = true;
  readonly appended: Frame[] = [];

  append(frame: Frame): boolean {
    if (this.accepts) this.appended.push(frame);
    return this.accepts;
  }
}

class Receiver implements Subscriber {
  result: SendResult = "sent";
  deliveries = 0;
  joins = true;

  deliver(_frame: Frame, _topic: string, group?: Group): SendResult {
    this.deliveries++;
    if (this.joins && group !== undefined) group.size++;
    return this.result;
  }
}

function audienceOf(...receivers: Receiver[]): Audience {
  const audience: Audience = { name: "t", subscribers: NO_SUBSCRIBERS, group: undefined, absent: undefined };
  for (const receiver of receivers) addSubscriber(audience, receiver);
  return audience;
}

function receivers(count: number): Receiver[] {
  return Array.from({ length: count }, () => new Receiver());
}

/** An owner whose groups the test can see. */
function createOwner() {
  const groups: Group[] = [];
  const counts: number[] = [];
  const newGroup = (): Group => {
    const group = new Group();
    groups.push(group);
    return group;
  };
  return { groups, counts, newGroup, delivered: (count: number) => void counts.push(count) };
}

it("adds each subscriber once, and shares the empty set", () => {
  const [one] = receivers(1) as [Receiver];
  const audience = audienceOf();
  expect(audience.subscribers).toBe(NO_SUBSCRIBERS);
  expect(deleteSubscriber(audience, one)).toBe(false);
  addSubscriber(audience, one);
  addSubscriber(audience, one);
  expect(audience.subscribers.size).toBe(1);
  expect(NO_SUBSCRIBERS.size).toBe(0);
  expect(deleteSubscriber(audience, one)).toBe(true);
  expect(deleteSubscriber(audience, one)).toBe(false);
});

it("counts what became of a message, and leaves out the publisher", () => {
  const results: SendResult[] = ["sent", "buffered", "dropped", "closed", "sent"];
  const all = results.map((result) => Object.assign(new Receiver(), { result }));
  const owner = createOwner();
  expect(deliverTo(audienceOf(...all), FRAME, owner)).toEqual({ delivered: 2, buffered: 1, dropped: 1, closed: 1 });
  expect(deliverTo(audienceOf(...all), FRAME, owner, all[0])).toMatchObject({ delivered: 1 });
  expect(deliverTo(audienceOf(...all), FRAME, owner, new Receiver())).toMatchObject({ delivered: 2 });
  expect(owner.counts).toEqual([4, 3, 4]);
  expect(all.map(({ deliveries }) => deliveries)).toEqual([2, 3, 3, 3, 3]);
});

it("serves an audience without an owner's group, and an empty one", () => {
  const all = receivers(20);
  expect(deliverTo(audienceOf(...all), FRAME, {})).toMatchObject({ delivered: 20 });
  expect(deliverTo(audienceOf(), FRAME, createOwner())).toEqual({ delivered: 0, buffered: 0, dropped: 0, closed: 0 });
});

it("serves subscribers that leave while a message is delivered", () => {
  const all = receivers(10);
  const audience = audienceOf(...all);
  const leaving = all[3] as Receiver;
  leaving.deliver = () => {
    for (const each of all.slice(2, 6)) deleteSubscriber(audience, each);
    return "dropped";
  };
  expect(deliverTo(audience, FRAME, createOwner())).toEqual({ delivered: 7, buffered: 0, dropped: 1, closed: 0 });
  expect(audience.group).toBeUndefined();
});

describe("a group", () => {
  it("gets the second message for all, if all have joined", () => {
    const all = receivers(8);
    const [audience, owner] = [audienceOf(...all), createOwner()];
    deliverTo(audience, FRAME, owner);
    expect(deliverTo(audience, FRAME, owner)).toMatchObject({ delivered: 8 });
    expect(all.map(({ deliveries }) => deliveries)).toEqual(all.map(() => 1));
    expect(owner.groups.map(({ appended }) => appended.length)).toEqual([1]);
    expect(owner.counts).toEqual([8, 8]);
  });

  it("isn't made for fewer than eight", () => {
    const [audience, owner] = [audienceOf(...receivers(7)), createOwner()];
    deliverTo(audience, FRAME, owner);
    expect(owner.groups).toEqual([]);
  });

  it.each<[string, (audience: Audience, all: Receiver[], group: Group) => Receiver | undefined]>([
    ["one hasn't joined", (_, __, group) => void group.size--],
    [
      "one has left, and another has come",
      (audience, all) => {
        deleteSubscriber(audience, all[0] as Receiver);
        addSubscriber(audience, new Receiver());
        return undefined;
      },
    ],
    ["another one publishes", (_, all) => all[1]],
    [
      "the group has no room",
      (_, __, group) => {
        group.accepts = false;
        return undefined;
      },
    ],
  ])("isn't used when %s", (_, change) => {
    const all = receivers(8);
    const [audience, owner] = [audienceOf(...all), createOwner()];
    deliverTo(audience, FRAME, owner);
    const except = change(audience, all, owner.groups[0] as Group);
    deliverTo(audience, FRAME, owner, except);
    expect(owner.groups[0]?.appended).toEqual([]);
    expect(all[7]?.deliveries).toBe(2);
  });
});
