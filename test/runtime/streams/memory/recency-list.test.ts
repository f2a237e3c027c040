import fc from "fast-check";
import { expect, it } from "vitest";
import { RecencyItem, RecencyList } from "../../../../src/runtime/streams/memory/recency-list.ts";

class Item extends RecencyItem {
  readonly name: number;
  constructor(name: number) {
    super();
    this.name = name;
  }
}

it("gives the items in the order of last use, whatever was touched and removed", () => {
  const step = fc.record({ item: fc.nat(5), remove: fc.boolean() });
  const property = fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
    const list = new RecencyList<Item>();
    const items = [0, 1, 2, 3, 4, 5].map((name) => new Item(name));
    let model: number[] = [];
    for (const { item, remove } of steps) {
      model = model.filter((name) => name !== item);
      if (!remove) model.push(item);
      if (remove) list.remove(items[item] as Item);
      else list.touch(items[item] as Item);
      expect(list.oldest?.name).toBe(model[0]);
    }
    const drained: number[] = [];
    for (let item = list.oldest; item !== undefined; item = list.oldest) {
      drained.push(item.name);
      list.remove(item);
    }
    expect(drained).toEqual(model);
  });
  fc.assert(property);
});

it("leaves an item alone that is in another list", () => {
  const [one, other] = [new RecencyList<Item>(), new RecencyList<Item>()];
  const item = new Item(1);
  one.touch(item);
  other.remove(item);
  expect(one.oldest).toBe(item);
});
