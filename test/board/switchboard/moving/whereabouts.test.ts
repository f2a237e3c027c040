import { expect, it } from "vitest";
import { Whereabouts } from "../../../../src/board/switchboard/moving/whereabouts.ts";
import type { Address } from "../../../../src/index.ts";

const address = "0-1" as Address;
const clientKey = undefined;

/** Life 1 is the home. */
function create(): Whereabouts {
  return new Whereabouts((_, life) => life === 1);
}

it("finds a connection where it has arrived, whichever shard tells first", async () => {
  for (const order of ["departed first", "arrived first"]) {
    const places = create();
    if (order === "departed first") places.departed({ address, to: 2, hops: 1, clientKey });
    places.arrived({ address, hops: 1 }, 2);
    if (order === "arrived first") places.departed({ address, to: 2, hops: 1, clientKey });
    expect(await places.find(address)).toBe(2);
    places.closed({ address, hops: 1 });
    expect(places.size).toBe(0);
  }
});

it("waits for a connection on its way, and forgets it when it is back at home", async () => {
  const places = create();
  places.departed({ address, to: 2, hops: 1, clientKey });
  const found = places.find(address);
  places.arrived({ address, hops: 1 }, 2);
  expect(await found).toBe(2);
  places.departed({ address, to: 1, hops: 2, clientKey });
  const home = places.find(address);
  places.arrived({ address, hops: 2 }, 1);
  expect(await home).toBeUndefined();
  expect(places.size).toBe(0);
  places.closed({ address, hops: 2 });
  expect(places.size).toBe(0);
  await places.allArrived();
});

it("keeps nothing of a connection that closes before the shard that it left has told", async () => {
  const places = create();
  places.arrived({ address, hops: 1 }, 2);
  places.closed({ address, hops: 1 });
  places.departed({ address, to: 2, hops: 1, clientKey });
  expect(places.size).toBe(0);
});

it("forgets what was in a thread that ended, or on its way there", async () => {
  const places = create();
  places.departed({ address, to: 2, hops: 1, clientKey });
  const arrived = places.allArrived();
  const found = places.find(address);
  places.lifeEnded(2);
  await arrived;
  expect(await found).toBeUndefined();
  expect(places.size).toBe(0);
});
